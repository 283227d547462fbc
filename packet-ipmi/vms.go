package main

import (
	"context"
	"errors"

	"provision-plugins/packet-ipmi/life"
	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/client"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// createParams are what a device is created by.
var createParams = []string{
	paramName, paramPlan, paramFacility, paramMetro, paramProject, paramSystem, paramTags, paramUserdata, paramScript, paramAlwaysPXE,
}

// vmExtras lists the reference's actions of the plugin itself.
func (d *metalDriver) vmExtras() []driver.Extra {
	needsID := []string{paramUUID}
	return []driver.Extra{
		{Prefix: pluginsPrefix, Command: "createVm", Class: model.Once, Optional: createParams, Run: d.createVM},
		{Prefix: pluginsPrefix, Command: "startVm", Class: model.Idempotent, Required: needsID, Run: d.switchVM(true)},
		{Prefix: pluginsPrefix, Command: "stopVm", Class: model.Idempotent, Required: needsID, Run: d.switchVM(false)},
		{Prefix: pluginsPrefix, Command: "destroyVm", Class: model.Once, Required: needsID, Run: d.destroyVM},
	}
}

// machines are the endpoint's.
func (d *metalDriver) machines() (client.Objects[model.Machine], error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.endpoint == nil {
		return client.Objects[model.Machine]{}, model.Errorf(model.Unsupported, "there is no endpoint to have the machine in")
	}
	return d.endpoint.Machines(), nil
}

// createVM adds a machine and returns as soon as its device is made, which is done as
// for any machine of the plugin. What the device still has to go through is followed
// in the background.
func (d *metalDriver) createVM(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
	if _, err := d.keyOf(t.Params); err != nil {
		return nil, err
	}
	machines, err := d.machines()
	if err != nil {
		return nil, err
	}
	mc, err := d.newMachine(t)
	if err != nil {
		return nil, err
	}
	made, err := machines.Create(ctx, mc)
	if err != nil {
		return nil, model.Errorf(model.KindOf(err), "add machine %s: %w", mc.Name, err)
	}
	if err := d.life.Created(ctx, made); err != nil {
		return nil, errors.Join(err, undo(ctx, machines, made))
	}
	id, err := d.life.Await(ctx, made.Uuid)
	if err == nil {
		return "Created " + id, nil
	}
	if model.KindOf(err) != model.UnknownOutcome {
		return nil, model.Errorf(model.KindOf(err), "%w", errors.Join(err, undo(ctx, machines, made)))
	}
	return nil, err
}

// undo takes a machine away again that has no device.
func undo(ctx context.Context, machines client.Objects[model.Machine], mc *model.Machine) error {
	_, err := machines.Delete(context.WithoutCancel(ctx), mc.Uuid)
	return err
}

// defaultName is the name of a device that is given none, as in the reference.
const defaultName = "fred"

// newMachine is the machine of a device to create, with the params asked for.
func (d *metalDriver) newMachine(t *driver.Target) (*model.Machine, error) {
	config, _ := d.now()
	if _, err := life.Request(t.Params, config.params); err != nil { // to refuse what is wrong before anything is made
		return nil, err
	}
	host, err := t.Asked.String(paramName, defaultName)
	if err != nil {
		return nil, err
	}
	mc := model.NewMachine(host)
	mc.Params[paramMachinePlug] = config.name
	for _, param := range createParams {
		if v := t.Asked[param]; v != nil {
			mc.Params[param] = v
		}
	}
	return mc, nil
}

// switchVM switches a device on or off and waits until it is.
func (d *metalDriver) switchVM(on bool) func(context.Context, *driver.Target, *model.Action) (any, error) {
	return func(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
		s, err := d.Open(ctx, t)
		if err != nil {
			return nil, err
		}
		vm := s.(*session)
		if err := vm.SetPower(ctx, on); err != nil {
			return nil, err
		}
		if _, err := vm.await(ctx, ways[on][0], nil); err != nil {
			return nil, err
		}
		return "Success", nil
	}
}

// destroyVM deletes a device and its machine.
func (d *metalDriver) destroyVM(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
	s, err := d.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	vm := s.(*session)
	owned, err := d.machinesOf(ctx, vm.id)
	if err != nil {
		return nil, err
	}
	for _, mc := range owned {
		if is, err := mc.Params.Bool(paramProtected, false); err != nil || is {
			return nil, model.Errorf(model.Forbidden, "machine %s of the device is protected (%s); nothing was sent", mc.Name, paramProtected)
		}
	}
	if err := vm.key.Delete(ctx, vm.id); err != nil && !metal.IsGone(err) {
		return nil, err
	}
	for _, mc := range owned {
		machines, err := d.machines()
		if err == nil {
			_, err = machines.Delete(ctx, mc.Uuid)
		}
		if err != nil && model.KindOf(err) != model.NotFound {
			return nil, model.Errorf(model.KindOf(err), "the device is deleted, but its machine %s is not: %w", mc.Name, err)
		}
	}
	return "Destroyed " + vm.id, nil
}

// machinesOf are the machines of a device, without an endpoint none.
func (d *metalDriver) machinesOf(ctx context.Context, id string) ([]model.Machine, error) {
	d.mu.Lock()
	alone := d.endpoint == nil
	d.mu.Unlock()
	if alone {
		return nil, nil
	}
	machines, err := d.machines()
	if err != nil {
		return nil, err
	}
	list, err := machines.List(ctx, client.Query{Filters: []client.Filter{client.Where(paramUUID, client.Eq, id)}})
	if err != nil {
		return nil, model.Errorf(model.KindOf(err), "look for the machine of the device: %w", err)
	}
	return list, nil
}
