package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/build"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// The params that tie a machine to the plugin.
const (
	// paramMachinePlugin names the plugin that makes the machine.
	paramMachinePlugin = "machine-plugin"
	// paramMadeBy names the plugin that made it.
	paramMadeBy = "virtualbox/made-by"
)

// SelectEvents asks for machines that come and go.
func (*impl) SelectEvents() []string { return []string{"machines.create.*", "machines.delete.*"} }

// Publish makes the VM of a machine that was created for this plugin, and removes
// that of one that was deleted. Events of one machine come in order, those of
// several at the same time.
func (i *impl) Publish(ctx context.Context, e *model.Event) error {
	if e.Type != machines {
		return nil
	}
	var m model.Machine
	if err := model.Remarshal(e.Object, &m); err != nil {
		return model.Errorf(model.Invalid, "cannot read the machine of event %s.%s.%s: %w", e.Type, e.Action, e.Key, err)
	}
	if m.Uuid == "" {
		m.Uuid = e.Key
	}
	switch e.Action {
	case "create":
		return i.driver.created(ctx, &m)
	case "delete":
		return i.driver.deleted(ctx, &m)
	}
	return nil
}

// ours reads a param that names a plugin, and reports whether it is this one.
func (d *vboxDriver) ours(p model.Params, param string) bool {
	who, err := p.String(param, "")
	return err == nil && who == d.served()
}

// created makes the VM of a machine and starts it. A machine that has one
// already is left alone: it came with its VM.
func (d *vboxDriver) created(ctx context.Context, m *model.Machine) error {
	if !d.ours(m.Params, paramMachinePlugin) || m.Params.Has(paramID) {
		return nil
	}
	if !uuidForm.MatchString(m.Uuid) {
		return model.Errorf(model.Invalid, "cannot make the VM of machine %s: %.60q is not a UUID", m.Name, m.Uuid)
	}
	if err := d.makeFor(ctx, m); err != nil {
		return model.Errorf(model.KindOf(err), "cannot make the VM of machine %s: %w", m.Name, err)
	}
	return nil
}

// makeFor makes the VM of a machine, whose UUID it has, so that the event may
// come twice.
func (d *vboxDriver) makeFor(ctx context.Context, m *model.Machine) error {
	c := d.endpoint.Load()
	if c == nil {
		return model.Errorf(model.Unreachable, "no endpoint is known")
	}
	params, err := c.Machines().Params(ctx, m.Uuid, client.View{Aggregate: true})
	if err != nil {
		return err
	}
	spec, err := d.spec(under(*d.own.Load(), params))
	if err != nil {
		return err
	}
	spec.UUID, spec.Machine = strings.ToLower(m.Uuid), m.Uuid
	if spec.Name == "" || !m.Params.Has(build.ParamName) { // not that of the plugin or of a profile, which is for one VM only
		spec.Name = m.Name
	}
	if err := build.CheckName(spec.Name); err != nil {
		return model.Errorf(model.Invalid, "%w", err)
	}
	vm := d.vm()
	info, _, err := build.Create(ctx, vm.Manager, spec)
	if err != nil {
		return err
	}
	if _, err := c.Machines().Patch(ctx, m.Uuid, d.patch(info)...); err != nil {
		return model.Errorf(model.KindOf(err), "the VM is made, but the machine could not be told: %w", err)
	}
	frontend, err := frontendParam(params)
	if err != nil {
		return err
	}
	s := d.session(&target{id: info.UUID, frontend: frontend})
	if err := s.SetPower(ctx, true); err != nil {
		return model.Errorf(model.KindOf(err), "the VM is made, but does not start: %w", err)
	}
	return nil
}

// under lays params over those of the plugin.
func under(own, over model.Params) model.Params {
	out := model.Params{}
	for _, p := range []model.Params{own, over} {
		for name, v := range p {
			if v != nil {
				out[name] = v
			}
		}
	}
	return out
}

// patch tells a machine of its VM.
func (d *vboxDriver) patch(info *vbox.Info) []client.Op {
	ops := []client.Op{client.Replace("/HardwareAddrs", addresses(info))}
	for _, param := range []string{paramID, build.ParamName, paramMadeBy} {
		ops = append(ops, client.Add(client.Pointer("Params", param), d.machineParams(info, true)[param]))
	}
	return ops
}

// deleted removes the VM of a machine, if this plugin made it for that machine:
// the machine says so, and the VM does.
func (d *vboxDriver) deleted(ctx context.Context, m *model.Machine) error {
	if !d.ours(m.Params, paramMadeBy) {
		return nil
	}
	id, err := idParam(m.Params)
	if err != nil || id == "" {
		return err
	}
	if _, err := build.Destroy(ctx, d.vm().Manager, id, d.served(), m.Uuid); err != nil {
		return model.Errorf(model.KindOf(err), "cannot remove the VM of machine %s: %w", m.Name, err)
	}
	d.forget(id)
	return nil
}

// importVMs makes a machine of every VM that has none. It goes on after a VM that
// cannot be imported.
func (d *vboxDriver) importVMs(ctx context.Context, c *client.Client, log *slog.Logger) (made int, err error) {
	if c == nil {
		return 0, model.Errorf(model.Unreachable, "no endpoint is known")
	}
	vm := d.vm()
	all, err := vm.List(ctx)
	if err != nil {
		return 0, wire(err)
	}
	var failed []string
	for _, one := range all {
		if ctx.Err() != nil {
			break
		}
		fresh, err := d.importVM(ctx, vm, one)
		if err != nil {
			log.WarnContext(ctx, "a VM was not imported", "vm", one.UUID, "name", one.Name, "error", model.AsError(err).Text())
			failed = append(failed, one.UUID)
			continue
		}
		if fresh {
			made++
		}
	}
	if len(failed) > 0 {
		return made, model.Errorf(model.Conflict, "%d of %d VMs could not be imported: %s", len(failed), len(all), strings.Join(failed, ", "))
	}
	return made, ctx.Err()
}

// importVM makes a machine of a VM unless there is one, by the UUID that its
// guest sees.
func (d *vboxDriver) importVM(ctx context.Context, vm *host, one vbox.VM) (fresh bool, err error) {
	info, err := vm.Info(ctx, one.UUID)
	if err != nil {
		return false, wire(err)
	}
	m, err := d.machineOf(ctx, info.UUID, info.HardwareUUID)
	if err != nil || m != nil {
		return false, err
	}
	_, err = d.machineFor(ctx, info, false)
	return err == nil, err
}

// machineName makes a machine's name of a VM's: v4 endpoints take letters,
// digits, spaces, dots, dashes and underscores. The VM's own stands in
// virtualbox/name.
func machineName(vm string) string {
	out := []rune(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ._-", r) {
			return r
		}
		return '-'
	}, strings.TrimSpace(vm)))
	if len(out) == 0 || !unicode.IsLetter(out[0]) && !unicode.IsDigit(out[0]) {
		return fmt.Sprintf("vm%s", string(out))
	}
	return string(out)
}
