package driver

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// plan carries out one action.
type plan func(ctx context.Context, r *run) (any, error)

// capability ties a command of the vocabulary to what a session must be able to
// do for it, and to the plan that does it.
type capability struct {
	command string
	needs   func(Session) bool
	plan    plan
}

var capabilities = []capability{
	{model.PowerOn, has[PowerSetter], planOn},
	{model.PowerOff, has[PowerSetter], planOff},
	{model.PowerSoft, has[SoftOff], planSoft},
	{model.PowerCycle, canCycle, planCycle},
	{model.PowerReset, has[Resetter], planReset},
	{model.PowerNMI, has[Interrupter], planNMI},
	{model.PowerStatus, has[PowerReader], planStatus},
	{model.NextBootPXE, boots(model.BootPXE, false), planBoot(model.BootPXE, false)},
	{model.NextBootDisk, boots(model.BootDisk, false), planBoot(model.BootDisk, false)},
	{model.NextBootCD, boots(model.BootCD, false), planBoot(model.BootCD, false)},
	{model.NextBootBIOS, boots(model.BootBIOS, false), planBoot(model.BootBIOS, false)},
	{model.ForceBootPXE, boots(model.BootPXE, true), planBoot(model.BootPXE, true)},
	{model.ForceBootDisk, boots(model.BootDisk, true), planBoot(model.BootDisk, true)},
	{model.BootStatus, has[BootReader], planBootStatus},
	{model.Identify, has[Identifier], planIdentify},
	{model.Status, has[HealthReader], planHealth},
	{model.Doctor, wholeDriver, planDoctor},
	{model.GetIdentity, has[IdentityReader], planGetIdentity},
}

// wholeDriver takes any session: the doctor is the driver's own, in all its modes.
func wholeDriver(Session) bool { return true }

// has reports whether a session implements T.
func has[T any](s Session) bool {
	_, ok := s.(T)
	return ok
}

// canCycle reports whether a session cycles by itself, or can be switched off,
// seen off, and switched on.
func canCycle(s Session) bool {
	return has[Cycler](s) || has[PowerSetter](s) && has[PowerReader](s)
}

// boots returns a test for sessions that take the boot override.
func boots(device model.BootDevice, persistent bool) func(Session) bool {
	return func(s Session) bool {
		b, ok := s.(BootSetter)
		return ok && slices.Contains(b.BootDevices(persistent), device)
	}
}

// capabilityOf returns the row of a command, nil if it has none.
func capabilityOf(command string) *capability {
	i := slices.IndexFunc(capabilities, func(c capability) bool { return c.command == command })
	if i < 0 {
		return nil
	}
	return &capabilities[i]
}

// modesByCommand names the modes that have each command of the vocabulary.
func modesByCommand(d Driver) map[string][]string {
	out := make(map[string][]string, len(capabilities))
	_, doctor := d.(Doctor)
	for _, c := range capabilities {
		if c.command == model.Doctor && !doctor {
			continue
		}
		for _, m := range d.Modes() {
			if m.Session != nil && c.needs(m.Session) {
				out[c.command] = append(out[c.command], m.Name)
			}
		}
	}
	return out
}

// lacks is the error of a mode that does not have the action: it names the
// modes that do. s is the session that was opened, nil before.
func (p *Provider) lacks(c *capability, s Session) *model.Error {
	with := p.modes[c.command]
	if len(with) == 0 {
		return model.Errorf(model.Unsupported, "driver %s does not have this action", p.driver.Name())
	}
	mode := "this mode"
	for _, m := range p.driver.Modes() {
		if s != nil && reflect.TypeOf(m.Session) == reflect.TypeOf(s) {
			mode = "mode " + m.Name
		}
	}
	return model.Errorf(model.Unsupported, "driver %s does not have this action in %s, but in mode %s",
		p.driver.Name(), mode, strings.Join(with, ", "))
}

// Actions lists what the driver can do in any of its modes, for define.
func (p *Provider) Actions() []model.AvailableAction {
	var out []model.AvailableAction
	for i := range capabilities {
		c := &capabilities[i]
		if len(p.modes[c.command]) == 0 {
			continue
		}
		required, optional := p.paramsOf(c.command)
		out = append(out, model.AvailableAction{
			Model: machines, Command: c.command, RequiredParams: required,
			OptionalParams: union(optional, ownParams(c.command, p.meta)),
		})
	}
	for _, e := range p.extras {
		required, optional := p.paramsOf(e.Command)
		out = append(out, model.AvailableAction{
			Model: e.Prefix, Command: e.Command, RequiredParams: union(required, e.Required),
			OptionalParams: union(optional, e.Optional, ownParams(e.Command, p.meta)),
		})
	}
	return out
}

// Meta returns the entries of a plugin provider's Meta that tell an endpoint
// about the driver's actions.
func (p *Provider) Meta() map[string]string {
	out := make(map[string]string, len(p.meta))
	for k, v := range p.meta {
		out[k] = v
	}
	return out
}

// declared is what Meta says of the extras: their classes, and the timeouts of
// those that have one of their own.
func declared(extras []Extra) map[string]string {
	byCommand, timeouts := map[string]model.Class{}, map[string]float64{}
	for _, e := range extras {
		byCommand[e.Command] = e.Class
		if e.Timeout > 0 {
			timeouts[e.Command] = e.Timeout.Seconds()
		}
	}
	out := map[string]string{}
	for key, v := range map[string]any{model.MetaClasses: byCommand, model.MetaTimeouts: timeouts} {
		// Strings and numbers always encode.
		if raw, err := model.Marshal(v); err == nil && string(raw) != "{}" {
			out[key] = string(raw)
		}
	}
	return out
}

// paramsOf asks the driver which params a command needs.
func (p *Provider) paramsOf(command string) (required, optional []string) {
	if l, ok := p.driver.(ParamLister); ok {
		return l.ActionParams(command)
	}
	return nil, nil
}

// ownParams are the params that a Provider itself takes for a command.
func ownParams(command string, meta map[string]string) []string {
	own := []string{paramTimeout}
	if model.ActionOf(command, meta).Class != model.Read {
		own = append(own, paramWait)
	}
	if command == model.PowerSoft {
		own = append(own, paramForceAfter)
	}
	return own
}

// union joins lists without repeating a name.
func union(lists ...[]string) []string {
	var out []string
	for _, name := range slices.Concat(lists...) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// extraOf returns the driver's own action of that name.
func (p *Provider) extraOf(command string) *Extra {
	i := slices.IndexFunc(p.extras, func(e Extra) bool { return e.Command == command })
	if i < 0 {
		return nil
	}
	return &p.extras[i]
}
