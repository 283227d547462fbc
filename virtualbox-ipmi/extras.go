package main

import (
	"context"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// The actions beyond the vocabulary.
const (
	actionPause      = "pause"
	actionResume     = "resume"
	actionSaveState  = "saveState"
	actionScreenshot = "screenshot"
	actionConsole    = "console"
	actionMountISO   = "mountIso"
	actionUnmountISO = "unmountIso"
	actionCreateVM   = "createVm"
	actionStartVM    = "startVm"
	actionStopVM     = "stopVm"
	actionDestroyVM  = "destroyVm"
)

// The prefixes of the objects that they act on.
const (
	machines = "machines"
	plugins  = "plugins"
)

// Extras lists the actions beyond the vocabulary.
func (d *vboxDriver) Extras() []driver.Extra {
	return append([]driver.Extra{
		{Prefix: machines, Command: actionPause, Class: model.Idempotent, Run: guarded(d.onVM((*session).pause))},
		{Prefix: machines, Command: actionResume, Class: model.Idempotent, Run: d.onVM((*session).resume)},
		{Prefix: machines, Command: actionSaveState, Class: model.Idempotent, Run: guarded(d.onVM((*session).saveState))},
		{Prefix: machines, Command: actionScreenshot, Class: model.Read, Run: d.onVM((*session).screenshot)},
		{Prefix: machines, Command: actionMountISO, Class: model.Idempotent, Required: []string{paramISO}, Run: d.onVM((*session).mountISO)},
		{Prefix: machines, Command: actionUnmountISO, Class: model.Idempotent, Run: d.onVM((*session).unmountISO)},
		{Prefix: machines, Command: actionConsole, Class: model.Read, Run: d.onVM((*session).console)},
	}, d.vmExtras()...)
}

// onVM makes an Extra's Run of a method of a session.
func (d *vboxDriver) onVM(run func(s *session, ctx context.Context, p model.Params) (any, error)) func(context.Context, *driver.Target, *model.Action) (any, error) {
	return func(ctx context.Context, t *driver.Target, _ *model.Action) (any, error) {
		s, err := d.open(t)
		if err != nil {
			return nil, err
		}
		return run(s, ctx, t.Params)
	}
}

// guarded refuses an action on a machine that is protected, by the machine's own
// params and not by those of the request.
func guarded(run func(context.Context, *driver.Target, *model.Action) (any, error)) func(context.Context, *driver.Target, *model.Action) (any, error) {
	return func(ctx context.Context, t *driver.Target, a *model.Action) (any, error) {
		var own struct{ Params model.Params }
		if err := model.Remarshal(a.Model, &own); err != nil {
			return nil, model.Errorf(model.Invalid, "the machine cannot be read: %w", err)
		}
		if protected, err := own.Params.Bool("oob/protected", false); err != nil || protected {
			return nil, model.Errorf(model.Forbidden, "the machine is protected (oob/protected); nothing was sent")
		}
		return run(ctx, t, a)
	}
}

// changed is the result of an action that brings the VM to a state.
func changed(info *vbox.Info, done bool, evidence string) model.Result {
	r := model.Result{Power: info.State.Power, Raw: info.State.Word, Changed: &done, Outcome: model.Verified, Evidence: evidence, Driver: name}
	if !done {
		r.Note = "it was " + info.State.Word + " already; nothing was sent"
	}
	return r
}

// pause stops the VM's CPUs.
func (s *session) pause(ctx context.Context, _ model.Params) (any, error) {
	return s.control(ctx, "pause", vbox.WordPaused)
}

// resume lets them go on.
func (s *session) resume(ctx context.Context, _ model.Params) (any, error) {
	return s.control(ctx, "resume", vbox.WordRunning)
}

// saveState saves the VM's memory and switches it off.
func (s *session) saveState(ctx context.Context, _ model.Params) (any, error) {
	return s.control(ctx, "savestate", vbox.WordSaved)
}

// control sends an order and waits for the state that it leads to.
func (s *session) control(ctx context.Context, order, word string) (any, error) {
	ctx, info, unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if info, err = s.settled(ctx, info); err != nil {
		return nil, err
	}
	if info.State.Word == word {
		return changed(info, false, "state "+word), nil
	}
	if info.State.Power != model.StateOn {
		return nil, model.Errorf(model.Conflict, "the VM is %s; nothing was sent", info.State.Word)
	}
	if _, err := s.vm.Run(ctx, "controlvm", s.id, order); err != nil {
		return nil, wire(err)
	}
	for info.State.Word != word || powerOf(info, time.Now()).State == model.StateTransition {
		if !pause(ctx) {
			return nil, model.Errorf(model.Timeout, "%s was taken, but %s was not seen; last state %s", order, word, info.State.Word)
		}
		if info, err = s.info(ctx); err != nil {
			return nil, err
		}
	}
	return changed(info, true, "state "+word), nil
}
