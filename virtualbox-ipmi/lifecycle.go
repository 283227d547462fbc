package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/build"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// vmExtras lists the actions that act on the plugin: they make, start, stop and
// remove VMs.
func (d *vboxDriver) vmExtras() []driver.Extra {
	named := []string{paramID, build.ParamName}
	return []driver.Extra{
		{Prefix: plugins, Command: actionCreateVM, Class: model.Once, Optional: append([]string{paramID, paramISO}, build.Params()...), Run: d.createVM},
		{Prefix: plugins, Command: actionStartVM, Class: model.Idempotent, Optional: append(named, paramFrontend), Run: d.startVM},
		{Prefix: plugins, Command: actionStopVM, Class: model.Idempotent, Optional: named, Run: d.stopVM},
		{Prefix: plugins, Command: actionDestroyVM, Class: model.Idempotent, Optional: named, Run: d.destroyVM},
	}
}

// vmResult is the answer of these actions.
type vmResult struct {
	// Result is the sentence that the reference answers.
	Result  string `json:"result"`
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Machine string `json:"machine,omitempty"`
	Changed bool   `json:"changed"`
}

// createVM makes a VM and the machine that goes with it.
func (d *vboxDriver) createVM(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
	spec, err := d.spec(t.Params)
	if err != nil {
		return nil, err
	}
	id, err := idParam(t.Params)
	if err != nil {
		return nil, err
	}
	if id == "" && spec.Name == "" {
		return nil, model.Errorf(model.Invalid, "neither %s nor %s is set", paramID, build.ParamName)
	}
	if spec.UUID = id; id == "" {
		spec.UUID = newUUID()
	}
	if spec.Name == "" {
		spec.Name = spec.UUID
	}
	spec.Machine = spec.UUID
	vm := d.vm()
	info, made, err := build.Create(ctx, vm.Manager, spec)
	if err != nil {
		return nil, err
	}
	machine, err := d.machineFor(ctx, info, true)
	if err != nil && made {
		if _, undoErr := build.Destroy(context.WithoutCancel(ctx), vm.Manager, spec.UUID, spec.Owner, ""); undoErr != nil {
			return nil, model.Errorf(model.KindOf(err), "no machine could be made for the VM: %w; and the VM stays: %s", err, model.AsError(undoErr).Text())
		}
		return nil, model.Errorf(model.KindOf(err), "no machine could be made for the VM: %w; the VM was removed", err)
	}
	if err != nil {
		return nil, err
	}
	return vmResult{Result: "Created " + info.Name, ID: info.UUID, Name: info.Name, Machine: machine, Changed: made}, nil
}

// spec reads what a new VM is to be, without its UUID. Its owner is this plugin.
func (d *vboxDriver) spec(p model.Params) (*build.Spec, error) {
	spec, err := build.ParseSpec(p)
	if err != nil {
		return nil, err
	}
	if spec.ISO, err = isoParam(p); err != nil {
		return nil, err
	}
	spec.Owner = d.served()
	return spec, nil
}

// newUUID makes a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// named is a session with the VM that the params name, by UUID or by name.
func (d *vboxDriver) named(ctx context.Context, p model.Params) (*session, error) {
	t := &target{}
	var err error
	if t.frontend, err = frontendParam(p); err != nil {
		return nil, err
	}
	if t.id, err = idParam(p); err != nil || t.id != "" {
		return d.session(t), err
	}
	want, err := p.String(build.ParamName, "")
	if err != nil {
		return nil, err
	}
	if want == "" {
		return nil, model.Errorf(model.Invalid, "neither %s nor %s is set", paramID, build.ParamName)
	}
	all, err := d.vm().List(ctx)
	if err != nil {
		return nil, wire(err)
	}
	for _, one := range all {
		if one.Name == want {
			t.id = one.UUID
			return d.session(t), nil
		}
	}
	return nil, model.Errorf(model.NotFound, "no VM is named %q; VBoxManage list vms shows them", want)
}

// startVM starts a VM and waits until it runs.
func (d *vboxDriver) startVM(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
	return d.switchVM(ctx, t, true)
}

// stopVM switches a VM off and waits until it is.
func (d *vboxDriver) stopVM(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
	return d.switchVM(ctx, t, false)
}

// switchVM brings a VM to a state.
func (d *vboxDriver) switchVM(ctx context.Context, t *driver.Target, on bool) (any, error) {
	s, err := d.named(ctx, t.Params)
	if err != nil {
		return nil, err
	}
	if !on {
		if err := d.unprotected(ctx, s.id); err != nil {
			return nil, err
		}
	}
	info, err := s.info(ctx)
	if err != nil {
		return nil, err
	}
	want, text := model.StateOff, "Stopped "
	if on {
		want, text = model.StateOn, "Started "
	}
	out := vmResult{Result: text + info.Name, ID: info.UUID, Name: info.Name}
	if powerOf(info, time.Now()).State == want {
		return out, nil
	}
	if err := s.SetPower(ctx, on); err != nil {
		return nil, err
	}
	out.Changed = true
	return out, s.await(ctx, want)
}

// await waits until the VM has a state.
func (s *session) await(ctx context.Context, want model.PowerState) error {
	for {
		reading, err := s.PowerState(ctx)
		if err != nil {
			return err
		}
		if reading.State == want {
			return nil
		}
		if !pause(ctx) {
			return model.Errorf(model.Timeout, "%s was not seen in time; last state %s", want, reading.Raw)
		}
	}
}

// destroyVM removes a VM that this plugin made, and its machine.
func (d *vboxDriver) destroyVM(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
	s, err := d.named(ctx, t.Params)
	if model.KindOf(err) == model.NotFound {
		return vmResult{Result: "Destroy: there is no such VM"}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := d.unprotected(ctx, s.id); err != nil {
		return nil, err
	}
	gone, err := build.Destroy(ctx, s.vm.Manager, s.id, d.served(), "")
	if err != nil {
		return nil, err
	}
	d.forget(s.id)
	machine, err := d.dropMachine(ctx, s.id)
	if err != nil {
		return nil, err
	}
	return vmResult{Result: "Destroy " + s.id, ID: s.id, Machine: machine, Changed: gone}, nil
}

// machineOf finds the endpoint's machine of a VM; nil if it has none.
func (d *vboxDriver) machineOf(ctx context.Context, ids ...string) (*model.Machine, error) {
	c := d.endpoint.Load()
	if c == nil {
		return nil, nil
	}
	for _, id := range ids {
		for _, form := range []string{strings.ToUpper(id), strings.ToLower(id)} {
			found, err := c.Machines().List(ctx, client.Query{Filters: []client.Filter{client.Where(paramID, client.Eq, form)}})
			if err != nil {
				return nil, err
			}
			if len(found) > 0 {
				return &found[0], nil
			}
		}
	}
	return nil, nil
}

// unprotected refuses a VM whose machine is protected.
func (d *vboxDriver) unprotected(ctx context.Context, id string) error {
	m, err := d.machineOf(ctx, id)
	if err != nil || m == nil {
		return err
	}
	if protected, err := m.Params.Bool("oob/protected", false); err != nil || protected {
		return model.Errorf(model.Forbidden, "machine %s is protected (oob/protected); nothing was sent", m.Name)
	}
	return nil
}

// dropMachine removes the machine of a VM that is gone, and returns its UUID.
func (d *vboxDriver) dropMachine(ctx context.Context, id string) (string, error) {
	m, err := d.machineOf(ctx, id)
	if err != nil || m == nil {
		return "", err
	}
	if _, err := d.endpoint.Load().Machines().Delete(ctx, m.Uuid); err != nil && model.KindOf(err) != model.NotFound {
		return "", model.Errorf(model.KindOf(err), "the VM is removed, but not machine %s: %w", m.Name, err)
	}
	return m.Uuid, nil
}

// machineFor returns the UUID of a VM's machine, which is made if there is none;
// made tells that this plugin made the VM. Without an endpoint it is "".
func (d *vboxDriver) machineFor(ctx context.Context, info *vbox.Info, made bool) (string, error) {
	c := d.endpoint.Load()
	if c == nil {
		return "", nil
	}
	m, err := d.machineOf(ctx, info.UUID, info.HardwareUUID)
	if err != nil {
		return "", err
	}
	if m != nil {
		return m.Uuid, nil
	}
	fresh := model.NewMachine(machineName(info.Name))
	fresh.HardwareAddrs = addresses(info)
	fresh.Params = d.machineParams(info, made)
	if made {
		fresh.Uuid = info.UUID
	}
	m, err = c.Machines().Create(ctx, fresh)
	if err != nil {
		return "", err
	}
	return m.Uuid, nil
}

// machineParams are the params of a VM's machine.
func (d *vboxDriver) machineParams(info *vbox.Info, made bool) model.Params {
	p := model.Params{
		paramMachinePlugin: d.served(), paramID: strings.ToUpper(info.UUID), build.ParamName: info.Name,
	}
	if made {
		p[paramMadeBy] = d.served()
	}
	return p
}

// addresses are the MAC addresses of a VM as the endpoint writes them.
func addresses(info *vbox.Info) []string {
	out := []string{}
	for _, n := range info.NICs {
		if len(n.MAC) != 12 {
			continue
		}
		parts := make([]string, 0, 6)
		for i := 0; i < len(n.MAC); i += 2 {
			parts = append(parts, strings.ToLower(n.MAC[i:i+2]))
		}
		out = append(out, strings.Join(parts, ":"))
	}
	return out
}
