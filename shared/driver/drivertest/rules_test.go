package drivertest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// breach is a session with one of its methods broken; a nil one is not.
type breach struct {
	*toy.NativeSession
	setPower func(ctx context.Context, on bool) error
	cycle    func(ctx context.Context) error
	state    func(ctx context.Context) (driver.Reading, error)
	setBoot  func(ctx context.Context, d model.BootDevice, persistent bool) error
	identify func(ctx context.Context, d time.Duration) error
	identity func(ctx context.Context) (model.Identity, error)
}

func (b breach) Identity(ctx context.Context) (model.Identity, error) {
	if b.identity != nil {
		return b.identity(ctx)
	}
	return b.NativeSession.Identity(ctx)
}

func (b breach) SetPower(ctx context.Context, on bool) error {
	if b.setPower != nil {
		return b.setPower(ctx, on)
	}
	return b.NativeSession.SetPower(ctx, on)
}

func (b breach) PowerCycle(ctx context.Context) error {
	if b.cycle != nil {
		return b.cycle(ctx)
	}
	return b.NativeSession.PowerCycle(ctx)
}

func (b breach) PowerState(ctx context.Context) (driver.Reading, error) {
	if b.state != nil {
		return b.state(ctx)
	}
	return b.NativeSession.PowerState(ctx)
}

func (b breach) SetBoot(ctx context.Context, d model.BootDevice, persistent bool) error {
	if b.setBoot != nil {
		return b.setBoot(ctx, d, persistent)
	}
	return b.NativeSession.SetBoot(ctx, d, persistent)
}

func (b breach) Identify(ctx context.Context, d time.Duration) error {
	if b.identify != nil {
		return b.identify(ctx, d)
	}
	return b.NativeSession.Identify(ctx, d)
}

// breached makes a driver from a breach.
func breached(fill func(b *breach, s *toy.NativeSession)) driver.Driver {
	return &broken{&toy.Driver{}, func(s *toy.NativeSession, _ *driver.Target) driver.Session {
		b := breach{NativeSession: s}
		fill(&b, s)
		return b
	}}
}

// lenient is the toy driver, which leaves out params that are no strings.
type lenient struct{ *toy.Driver }

func (l lenient) Open(ctx context.Context, t *driver.Target) (driver.Session, error) {
	kept := *t
	kept.Params = make(model.Params)
	for name, v := range t.Params {
		if _, ok := v.(string); ok {
			kept.Params[name] = v
		}
	}
	return l.Driver.Open(ctx, &kept)
}

// tampered is a Provider whose requests or results are altered.
type tampered struct {
	actor
	before func(a *model.Action)
	after  func(result any) any
}

func (p tampered) Action(ctx context.Context, a *model.Action) (any, error) {
	if p.before != nil {
		p.before(a)
	}
	result, err := p.actor.Action(ctx, a)
	if p.after != nil && err == nil {
		result = p.after(result)
	}
	return result, err
}

// without leaves a param of the request out.
func without(name string) func(actor) actor {
	return func(p actor) actor {
		return tampered{actor: p, before: func(a *model.Action) { delete(a.Params, name) }}
	}
}

// noEvidence leaves the evidence out.
func noEvidence(p actor) actor {
	return tampered{actor: p, after: func(result any) any {
		res, ok := result.(model.Result)
		if !ok {
			return result
		}
		res.Evidence = ""
		return res
	}}
}

// unprotected forgets what protects the machine.
func unprotected(p actor) actor {
	return tampered{actor: p, before: func(a *model.Action) {
		if m, ok := a.Model.(map[string]any); ok {
			m["Params"] = nil
		}
	}}
}

// TestBrokenRulesFail shows for further rules that a driver, or a Provider, that
// breaks one does not pass.
func TestBrokenRulesFail(t *testing.T) {
	old := make(chan driver.Reading, 1) // the first state read
	var serial atomic.Int32
	for _, row := range []struct {
		defect, inCase, says string
		driver               driver.Driver
		provider             func(actor) actor
	}{
		{"resets to switch on", "evidence/poweron", "executed powerreset 1 times", breached(func(b *breach, s *toy.NativeSession) {
			b.setPower = func(ctx context.Context, on bool) error {
				err := s.SetPower(ctx, on)
				for err == nil && s.PowerReset(ctx) != nil && ctx.Err() == nil { // refused while it is off
					_, err = s.PowerState(ctx)
				}
				return err
			}
		}), nil},
		{"presses the button to switch off", "evidence/poweroff", "executed powersoft 1 times", pressing(), nil},
		{"presses the button again", "force-after/powersoft", "executed powersoft 2 times", pressing(), nil},
		{"orders twice", "idempotence/poweroff", "executed poweroff 2 times", breached(func(b *breach, s *toy.NativeSession) {
			b.setPower = func(ctx context.Context, on bool) error {
				if err := s.SetPower(ctx, on); err != nil {
					return err
				}
				return s.SetPower(ctx, on)
			}
		}), nil},
		{"resets to cycle", "powercycle/from-on", "executed powerreset 1 times", breached(func(b *breach, s *toy.NativeSession) {
			b.cycle = s.PowerReset
		}), nil},
		{"remembers the state", "powerstatus", "machine that is off", breached(func(b *breach, s *toy.NativeSession) {
			b.state = func(ctx context.Context) (driver.Reading, error) {
				r, err := s.PowerState(ctx)
				select {
				case old <- r:
				default:
				}
				r = <-old
				old <- r
				return r, err
			}
		}), nil},
		{"takes a strange word for off", "strange-state", "want unknown", breached(func(b *breach, s *toy.NativeSession) {
			b.state = func(ctx context.Context) (driver.Reading, error) {
				r, err := s.PowerState(ctx)
				if r.State == model.StateUnknown {
					r.State = model.StateOff
				}
				return r, err
			}
		}), nil},
		{"boots so for ever", "boot/nextbootpxe", "the device has the override", breached(func(b *breach, s *toy.NativeSession) {
			b.setBoot = func(ctx context.Context, d model.BootDevice, _ bool) error { return s.SetBoot(ctx, d, true) }
		}), nil},
		{"lights nothing", "identify", "executed identify 0 times", breached(func(b *breach, _ *toy.NativeSession) {
			b.identify = func(context.Context, time.Duration) error { return nil }
		}), nil},
		{"says done and does nothing", "accepted/poweroff", "did not come: the machine is off", breached(func(b *breach, _ *toy.NativeSession) {
			b.setPower = func(context.Context, bool) error { return nil }
		}), nil},
		{"ignores params of the wrong type", "params/wrong-type", "want an error of kind [invalid]", lenient{&toy.Driver{}}, nil},
		{"waits for who does not", "accepted/poweroff", "want accepted", &toy.Driver{}, without("oob/wait")},
		{"does not force", "force-after/powersoft", "did not come", &toy.Driver{}, without("oob/force-after")},
		{"forgets protection", "protected", "want an error of kind [forbidden]", &toy.Driver{}, unprotected},
		{"forgets the pin", "identity/other", "want an error of kind [conflict]", &toy.Driver{}, unpinned},
		{"takes the pin of the request", "identity/body", "want an error of kind [conflict]", &toy.Driver{}, unpinned},
		{"is another each time", "identity/read", "and then", breached(func(b *breach, _ *toy.NativeSession) {
			b.identity = func(context.Context) (model.Identity, error) {
				return model.Identity{ID: fmt.Sprint(serial.Add(1)), Source: "serial number"}, nil
			}
		}), nil},
		{"has no identity and no word for it", "identity/read", "getIdentity: ", breached(func(b *breach, _ *toy.NativeSession) {
			b.identity = func(context.Context) (model.Identity, error) { return model.Identity{}, nil }
		}), nil},
		{"verifies without evidence", "evidence/poweron", "verified without evidence", &toy.Driver{}, noEvidence},
	} {
		t.Run(row.defect, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Timeout: 3 * time.Second, Short: time.Second, Grace: 1500 * time.Millisecond, provider: row.provider}
			cfg.New = func(tb testing.TB, _ *slog.Logger) *Rig { return toyRig(tb, toy.Native, row.driver) }
			if got := runNamed(t, cfg, row.inCase); !strings.Contains(got, row.says) {
				t.Errorf("case %s, broken: %s: want a failure with %q, got:\n%s", row.inCase, row.defect, row.says, got)
			}
		})
	}
}

// unpinned forgets what the machine is pinned to, and believes the request.
func unpinned(p actor) actor {
	return tampered{actor: p, before: func(a *model.Action) {
		if m, ok := a.Model.(map[string]any); ok {
			m["Params"] = map[string]any{}
		}
	}}
}

// pressing makes a driver that presses the button to switch off.
func pressing() driver.Driver {
	return breached(func(b *breach, s *toy.NativeSession) {
		b.setPower = func(ctx context.Context, on bool) error {
			if on {
				return s.SetPower(ctx, true)
			}
			return s.PowerSoft(ctx)
		}
	})
}
