package main

import (
	"context"
	"fmt"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/virtualbox-ipmi/bootonce"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// Waits for a VM between two states.
const (
	watchGap    = 100 * time.Millisecond
	settleLimit = 10 * time.Second       // from one state to another, and for a session to close
	processWait = 3 * time.Second        // for a process to end whose VM was just switched off
	processLeft = 500 * time.Millisecond // for one whose VM has long been off: it is not about to end
)

// SetPower starts or stops the VM.
func (s *session) SetPower(ctx context.Context, on bool) error {
	ctx, info, unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if info, err = s.settled(ctx, info); err != nil {
		return err
	}
	if on {
		return s.start(ctx, info)
	}
	return s.stop(ctx, info)
}

// settled waits until the VM is not between two states, and if it is off, until
// nobody has it open. It returns what it read last when that takes too long.
func (s *session) settled(ctx context.Context, info *vbox.Info) (*vbox.Info, error) {
	limit, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for powerOf(info, time.Now()).State == model.StateTransition {
		if !pause(limit) {
			break
		}
		next, err := s.info(ctx)
		if err != nil {
			return nil, err
		}
		info = next
	}
	return info, nil
}

// pause waits before the VM is looked at again, and reports whether there is time
// left.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(watchGap)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// start starts a VM that is off. The lock is held.
func (s *session) start(ctx context.Context, info *vbox.Info) error {
	if info.State.Power == model.StateOn {
		return nil
	}
	if err := s.noProcess(ctx, info); err != nil {
		return err
	}
	kept, err := s.kept(ctx)
	if err != nil {
		return err
	}
	state := kept.state(info)
	if state, err = s.advance(ctx, state, bootonce.Start); err != nil {
		return err
	}
	_, err = s.vm.Run(ctx, "startvm", info.UUID, "--type", s.frontend)
	if err != nil {
		return s.notStarted(ctx, state, err)
	}
	s.remarkStart(ctx, info, state)
	return nil
}

// endsWithin is how long the process of a VM that is off may still need to end: one
// that was just switched off is ending, another will not go away by itself.
func endsWithin(info *vbox.Info, now time.Time) time.Duration {
	at, err := time.Parse(stateTime, info.ChangedAt)
	if err != nil {
		return processWait
	}
	return min(max(at.Add(processWait).Sub(now), processLeft), processWait)
}

// noProcess refuses to start a VM whose process still runs: after VBoxSVC was
// killed VirtualBox takes such a one for off, and would start a second process
// on its disks.
func (s *session) noProcess(ctx context.Context, info *vbox.Info) error {
	limit, cancel := context.WithTimeout(ctx, endsWithin(info, time.Now()))
	defer cancel()
	for {
		pid, err := s.vm.Process(ctx, info.UUID)
		if err != nil {
			return model.Errorf(model.Unreachable, "cannot tell whether the VM's process runs: %w", err)
		}
		if pid == 0 {
			return nil
		}
		if !pause(limit) {
			return model.Errorf(model.Conflict,
				"VirtualBox takes the VM for off, but its process %d still runs, so that a second one would write to its disks; nothing was started; end that process first", pid)
		}
	}
}

// notStarted decides by the state about a start that failed.
func (s *session) notStarted(ctx context.Context, state bootonce.State, failed error) error {
	info, err := s.info(ctx)
	if err != nil {
		return wire(failed)
	}
	switch vbox.ClassOf(failed) {
	case vbox.Locked, vbox.InvalidState:
		if info.State.Power == model.StateOn {
			return nil // somebody else was first
		}
	}
	if info.Idle() {
		if _, err := s.advance(ctx, state, bootonce.NotStarted); err != nil {
			return wire(failed) // what failed first tells more; the order is restored all the same
		}
	}
	return wire(failed)
}

// remarkStart tells what is out of the ordinary about a start.
func (s *session) remarkStart(ctx context.Context, info *vbox.Info, state bootonce.State) {
	device := state.BootingOnce()
	switch {
	case info.State.Word == vbox.WordSaved || info.State.Word == vbox.WordAbortedSaved:
		text := "it was saved: it goes on where it was, and did not boot"
		if state.Pending != "" {
			text += "; the boot override waits for a start from off"
		}
		remark(ctx, text)
	case device != "":
		remark(ctx, fmt.Sprintf("it boots once from %s, by boot order %s; %s comes back at the next stop or start", device, state.Order, state.Restore))
	case info.State.Word == vbox.WordAborted:
		remark(ctx, "it was "+info.State.Note)
	}
}

// stop switches the VM off. The lock is held. Once VirtualBox took the order, it
// waits for the session to close, because a VM is not off before, and applies
// what waited for that.
func (s *session) stop(ctx context.Context, info *vbox.Info) error {
	if info.State.Power != model.StateOff {
		_, err := s.vm.Run(ctx, "controlvm", info.UUID, "poweroff")
		if vbox.ClassOf(err) == vbox.InvalidState {
			return s.refusedStop(ctx, err)
		}
		if err != nil {
			return wire(err)
		}
	}
	s.afterStop(ctx)
	return nil
}

// refusedStop decides by the state about a stop that was refused.
func (s *session) refusedStop(ctx context.Context, refusal error) error {
	info, err := s.info(ctx)
	if err == nil && info.State.Power == model.StateOff {
		return nil
	}
	return wire(refusal)
}

// afterStop waits for the session of a VM that was stopped to close, and then
// applies what waited for it. What cannot be done now is done before the next
// start.
func (s *session) afterStop(ctx context.Context) {
	limit, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for {
		info, err := s.info(limit)
		if err == nil && info.Idle() {
			if err := s.settleBoot(ctx, info); err != nil {
				remark(ctx, "the boot order could not be set yet: "+model.AsError(err).Text())
			}
			return
		}
		if err != nil && limit.Err() != nil || !pause(limit) {
			return
		}
	}
}
