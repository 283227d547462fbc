package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"provision-plugins/ipmi/facts"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// The actions outside the vocabulary.
const (
	getSensors       = "getSensors"
	getSel           = "getSel"
	clearSel         = "clearSel"
	getFru           = "getFru"
	getPowerReading  = "getPowerReading"
	getUsers         = "getUsers"
	setUserPassword  = "setUserPassword"
	bmcReset         = "bmcReset"
	setRestorePolicy = "setPowerRestorePolicy"
)

// What a session may be able to do besides. Each is asked by one action below; a
// mode whose sessions do not have it answers that it is unsupported.
type (
	// infoReader tells what the BMC is.
	infoReader interface {
		// Info is the answer of getInfo. It may be retried.
		Info(ctx context.Context) (any, error)
	}
	// sensorReader tells the sensors and what they measure.
	sensorReader interface {
		// sensors is the answer of getSensors. It may be retried.
		sensors(ctx context.Context) (*facts.Sensors, error)
	}
	// logReader tells the events.
	logReader interface {
		// events is the answer of getSel. It may be retried.
		events(ctx context.Context) (*facts.Log, error)
	}
	// logClearer erases the events. It is sent once.
	logClearer interface {
		// clearEvents is the answer of clearSel. It is not to be repeated: what has
		// come since would be lost.
		clearEvents(ctx context.Context) (model.Result, error)
	}
	// inventoryReader tells the parts.
	inventoryReader interface {
		// inventories is the answer of getFru. It may be retried.
		inventories(ctx context.Context) (*facts.Inventory, error)
	}
	// powerMeter tells what the machine takes.
	powerMeter interface {
		// power is the answer of getPowerReading. It may be retried.
		power(ctx context.Context) (*facts.Power, error)
	}
	// userReader tells the accounts.
	userReader interface {
		// users is the answer of getUsers. It may be retried.
		users(ctx context.Context) (*facts.Users, error)
	}
	// passwordSetter changes the password of an account.
	passwordSetter interface {
		// setPassword is the answer of setUserPassword. It may be repeated with the same
		// password, and then goes on where the one before was cut short.
		setPassword(ctx context.Context, c *passwordChange) (model.Result, error)
	}
	// bmcResetter restarts the BMC, and not the machine. It is sent once.
	bmcResetter interface {
		// resetBMC is the answer of bmcReset. It is not to be repeated.
		resetBMC(ctx context.Context, kind string) (model.Result, error)
	}
	// restorer says what the machine does when mains power comes back.
	restorer interface {
		// setRestorePolicy is the answer of setPowerRestorePolicy. It may be repeated.
		setRestorePolicy(ctx context.Context, policy string) (model.Result, error)
	}
)

// extra is one action: what it wants of a session, and what it does with it.
type extra struct {
	command            string
	class              model.Class
	timeout            time.Duration
	required, optional []string
	// has reports whether a session of a mode can do it.
	has func(driver.Session) bool
	run func(ctx context.Context, s driver.Session, t *driver.Target) (any, error)
	// admit, if set, refuses a request before anything is sent.
	admit func(t *driver.Target) error
	// early, if set, may do it without a session that was opened as usual.
	early func(d *ipmiDriver, ctx context.Context, t *driver.Target) (out any, done bool, err error)
}

// The defaults of oob/timeout for reads of many commands, and for a BMC that restarts.
const (
	readTime  = time.Minute
	resetTime = 5 * time.Minute
)

// extras is every action outside the vocabulary.
func extras() []extra {
	return append([]extra{
		reads(getInfo, 0, func(ctx context.Context, s infoReader) (any, error) { return s.Info(ctx) }),
		reads(getSensors, readTime, func(ctx context.Context, s sensorReader) (any, error) { return s.sensors(ctx) }),
		reads(getSel, readTime, func(ctx context.Context, s logReader) (any, error) { return s.events(ctx) }),
		changes(model.Once, clearSel, func(ctx context.Context, s logClearer, _ *driver.Target) (any, error) {
			return s.clearEvents(ctx)
		}).confirmed("it erases the BMC's event log"),
		reads(getFru, readTime, func(ctx context.Context, s inventoryReader) (any, error) { return s.inventories(ctx) }),
		changes(model.Idempotent, setRestorePolicy, func(ctx context.Context, s restorer, t *driver.Target) (any, error) {
			policy, err := restoreParam(t.Params)
			if err != nil {
				return nil, err
			}
			return s.setRestorePolicy(ctx, policy)
		}).wants(paramRestore),
		reads(getUsers, readTime, func(ctx context.Context, s userReader) (any, error) { return s.users(ctx) }),
		changes(model.Idempotent, setUserPassword, func(ctx context.Context, s passwordSetter, t *driver.Target) (any, error) {
			c, err := passwordParams(t)
			if err != nil {
				return nil, err
			}
			return s.setPassword(ctx, c)
		}).wants(paramNewPassword).may(paramChangeUser, paramConfirm).before((*ipmiDriver).finishPassword),
		changes(model.Once, bmcReset, func(ctx context.Context, s bmcResetter, t *driver.Target) (any, error) {
			kind, err := resetParam(t.Params)
			if err != nil {
				return nil, err
			}
			return s.resetBMC(ctx, kind)
		}).may(paramReset).within(resetTime).confirmed("it restarts the BMC"),
		reads(getPowerReading, 0, func(ctx context.Context, s powerMeter) (any, error) { return s.power(ctx) }),
	}, redfishExtras()...)
}

// reads is an action that changes nothing.
func reads[S any](command string, timeout time.Duration, run func(context.Context, S) (any, error)) extra {
	e := changes(model.Read, command, func(ctx context.Context, s S, _ *driver.Target) (any, error) { return run(ctx, s) })
	e.timeout = timeout
	return e
}

// changes is an action of a class.
func changes[S any](class model.Class, command string, run func(context.Context, S, *driver.Target) (any, error)) extra {
	return extra{
		command: command, class: class,
		has: func(s driver.Session) bool { _, ok := s.(S); return ok },
		run: func(ctx context.Context, s driver.Session, t *driver.Target) (any, error) {
			able, ok := s.(S)
			if !ok {
				return nil, lacks(command)
			}
			return run(ctx, able, t)
		},
	}
}

// confirmed makes the action want the machine's name once more, in the request
// itself.
func (e extra) confirmed(why string) extra {
	e.optional = append(e.optional, paramConfirm)
	e.admit = func(t *driver.Target) error {
		text, err := t.Asked.String(paramConfirm, "")
		if err == nil && (text == "" || text != t.Name) {
			err = model.Errorf(model.Invalid, "%s: confirm it with %s=%s in the request; nothing was sent", why, paramConfirm, t.Name)
		}
		return err
	}
	return e
}

// wants makes the action need params.
func (e extra) wants(params ...string) extra {
	e.required = append(e.required, params...)
	return e
}

// may makes the action take params.
func (e extra) may(params ...string) extra {
	e.optional = append(e.optional, params...)
	return e
}

// before has something tried first.
func (e extra) before(early func(*ipmiDriver, context.Context, *driver.Target) (any, bool, error)) extra {
	e.early = early
	return e
}

// within gives the action a default of oob/timeout.
func (e extra) within(d time.Duration) extra {
	e.timeout = d
	return e
}

// resetParam reads how the BMC is to restart.
func resetParam(p model.Params) (string, error) {
	kind, err := p.String(paramReset, "cold")
	if err == nil && resets[kind].Name == "" {
		err = model.Errorf(model.Invalid, "param %s: %.40q is none of cold, warm", paramReset, kind)
	}
	return kind, err
}

// restoreParam reads what the machine is to do when mains power comes back.
func restoreParam(p model.Params) (string, error) {
	policy, err := p.String(paramRestore, "")
	if err != nil {
		return "", err
	}
	if _, ok := restorePolicies[policy]; !ok {
		words := slices.Sorted(maps.Keys(restorePolicies))
		return "", model.Errorf(model.Invalid, "param %s: %.40q is none of %s", paramRestore, policy, strings.Join(words, ", "))
	}
	return policy, nil
}

// lacks is the error of an action in a mode without it.
func lacks(command string) error {
	var have []string
	for _, e := range extras() {
		for _, m := range modes {
			if e.command == command && m.session != nil && e.has(m.session) {
				have = append(have, m.name)
			}
		}
	}
	if len(have) == 0 {
		return model.Errorf(model.Unsupported, "no mode has it")
	}
	return model.Errorf(model.Unsupported, "this mode does not have it; %s %s", paramMode, strings.Join(have, " or "))
}

// Extras lists the actions outside the vocabulary.
func (d *ipmiDriver) Extras() []driver.Extra {
	all := extras()
	out := make([]driver.Extra, 0, len(all))
	for _, e := range all {
		out = append(out, driver.Extra{
			Prefix: "machines", Command: e.command, Class: e.class, Timeout: e.timeout,
			Required: e.required, Optional: e.optional,
			Run: func(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
				return d.runExtra(ctx, e, t)
			},
		})
	}
	return append(out, d.pinExtra())
}

// runExtra opens a session for an action, and gives it back.
func (d *ipmiDriver) runExtra(ctx context.Context, e extra, t *driver.Target) (any, error) {
	if e.admit != nil {
		if err := e.admit(t); err != nil {
			return nil, err
		}
	}
	if e.early != nil {
		if out, done, err := e.early(d, ctx, t); done {
			return out, err
		}
	}
	s, err := d.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	out, err := e.run(ctx, s, t)
	return out, errors.Join(err, s.Close(ctx))
}
