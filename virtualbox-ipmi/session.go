package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// session is one caller's way to a VM. It holds nothing open: every command is a
// process of its own.
type session struct {
	driver   *vboxDriver
	vm       *host
	id       string // the VM's UUID
	frontend string
}

// What a session can do.
var (
	_ driver.PowerReader    = (*session)(nil)
	_ driver.PowerSetter    = (*session)(nil)
	_ driver.SoftOff        = (*session)(nil)
	_ driver.Resetter       = (*session)(nil)
	_ driver.Interrupter    = (*session)(nil)
	_ driver.BootSetter     = (*session)(nil)
	_ driver.BootReader     = (*session)(nil)
	_ driver.RestartWitness = (*session)(nil)
	_ driver.IdentityReader = (*session)(nil)
	_ driver.HealthReader   = (*session)(nil)
)

// Close has nothing to give back.
func (*session) Close(context.Context) error { return nil }

// fairTry is how long VBoxManage must have had before its silence says something
// of VirtualBox.
const fairTry = 900 * time.Millisecond

// info reads the VM.
func (s *session) info(ctx context.Context) (*vbox.Info, error) {
	began := time.Now()
	info, err := s.vm.Info(ctx, s.id)
	if vbox.ClassOf(err) == vbox.TimedOut && ctx.Err() != nil && time.Since(began) < fairTry {
		return nil, fmt.Errorf("no time for VBoxManage: %w", ctx.Err()) // what was seen before tells more
	}
	switch vbox.ClassOf(err) {
	case vbox.Inaccessible:
		return nil, model.Errorf(model.Conflict, "VM %s is inaccessible: %w", s.id, vbox.Wire(err))
	case vbox.NotFound:
	default:
		return info, wire(err)
	}
	s.driver.forget(s.id)
	uuid, findErr := s.driver.byHardware(ctx, s.vm, s.id)
	switch {
	case findErr != nil:
		return nil, wire(findErr)
	case uuid == "":
		return nil, model.Errorf(model.NotFound, "no VM has UUID %s; VBoxManage list vms shows those of the user that %s names", s.id, paramUser)
	}
	s.id = uuid
	info, err = s.vm.Info(ctx, uuid)
	return info, wire(err)
}

// wire gives an error the kind of what VBoxManage meant by it. That nothing was
// run because the time was over is a timeout.
func wire(err error) error {
	if err == nil {
		return nil
	}
	return vbox.Wire(err)
}

// wireOnce is wire for a command that is run once: that it was not run at all is
// busy, and a timeout means that it may have been executed.
func wireOnce(err error) error {
	var known *vbox.Error
	if err == nil || errors.As(err, &known) {
		return wire(err)
	}
	return model.Errorf(model.Busy, "%w", err)
}

// lock keeps others from changing the VM until unlock is called. The VM is read
// under the lock.
func (s *session) lock(ctx context.Context) (locked context.Context, info *vbox.Info, unlock func(), err error) {
	locked, unlock, err = s.vm.Lock(ctx, s.id)
	if err != nil {
		return nil, nil, nil, wire(err)
	}
	id := s.id
	info, err = s.info(locked)
	if err == nil && s.id != id { // it was found by its hardware UUID: that is another lock
		unlock()
		return s.lock(ctx)
	}
	if err != nil {
		unlock()
		return nil, nil, nil, err
	}
	return locked, info, unlock, nil
}

// closing is how long after the last change of its state a VM that is off may
// still have a session: about a second. Who has it open later edits it, or looks
// at it, and will not go away by itself.
const closing = 15 * time.Second

// stateTime is how VirtualBox writes a time, in UTC.
const stateTime = "2006-01-02T15:04:05.999999999"

// powerOf is the power state of a VM. One that is off and whose session is still
// closing is in transition: it cannot be started yet.
func powerOf(info *vbox.Info, now time.Time) driver.Reading {
	r := driver.Reading{State: info.State.Power, Raw: info.State.Word}
	if info.State.Note != "" {
		r.Raw += " (" + info.State.Note + ")"
	}
	if r.State != model.StateOff || info.Session == "" {
		return r
	}
	r.Raw += ", session " + info.Session + " is open"
	if at, err := time.Parse(stateTime, info.ChangedAt); err != nil || now.Sub(at) < closing {
		r.State = model.StateTransition
	}
	return r
}

// PowerState reads the state.
func (s *session) PowerState(ctx context.Context) (driver.Reading, error) {
	info, err := s.info(ctx)
	if err != nil {
		return driver.Reading{}, err
	}
	return powerOf(info, time.Now()), nil
}

// PowerSoft presses the power button of ACPI.
func (s *session) PowerSoft(ctx context.Context) error {
	return s.once(ctx, "controlvm", s.id, "acpipowerbutton")
}

// PowerReset resets. The boot order stays as it is: a boot once that waits is
// told.
func (s *session) PowerReset(ctx context.Context) error {
	if err := s.once(ctx, "controlvm", s.id, "reset"); err != nil {
		return err
	}
	if kept, err := s.kept(ctx); err == nil && kept.waits() {
		remark(ctx, "the boot override waits for a power cycle: a reset boots in the order as it is")
	}
	return nil
}

// PowerNMI injects a non-maskable interrupt.
func (s *session) PowerNMI(ctx context.Context) error {
	return s.once(ctx, "debugvm", s.id, "injectnmi")
}

// leastOnce is how long a command that is run once may take, however little time
// there is: it is a program that has to start, and killing it half way would leave
// nothing but doubt.
const leastOnce = 2 * time.Second

// once runs a command that must not be run twice.
func (s *session) once(ctx context.Context, args ...string) error {
	limit := leastOnce
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(deadline))
	}
	if ctx.Err() != nil {
		return wireOnce(ctx.Err())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	_, err := s.vm.Run(ctx, args...)
	return wireOnce(err)
}

// Identity is the UUID that the guest sees.
func (s *session) Identity(ctx context.Context) (model.Identity, error) {
	info, err := s.info(ctx)
	if err != nil {
		return model.Identity{}, err
	}
	id := model.Identity{ID: info.HardwareUUID, Source: "hardware UUID"}
	if id.ID == "" {
		id = model.Identity{ID: info.UUID, Source: "VM UUID"}
	}
	if id.ID != info.UUID {
		id.Aliases = []string{info.UUID}
	}
	return id, nil
}
