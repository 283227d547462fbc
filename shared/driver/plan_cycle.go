package driver

import (
	"context"
	"time"

	"provision-plugins/shared/model"
)

// cycleReply is how long the reply to a cycle is waited for before the state is
// watched instead: the off phase may be short.
const cycleReply = 3 * time.Second

// offLimit is how long a cycle's off phase is watched for: a device may show it a
// minute late.
const offLimit = 75 * time.Second

// planCycle switches off and on. A machine that is off is switched on.
func planCycle(ctx context.Context, r *run) (any, error) {
	if err := r.readPower(ctx); err != nil {
		return nil, err
	}
	if r.is(ctx, model.StateOff) {
		return r.cycleFromOff(ctx)
	}
	if has[Cycler](r.sess) {
		return r.nativeCycle(ctx)
	}
	return r.stepCycle(ctx)
}

// cycleFromOff is a cycle of a machine that is off.
func (r *run) cycleFromOff(ctx context.Context) (any, error) {
	if !has[PowerSetter](r.sess) {
		return nil, model.Errorf(model.Conflict, "the machine is off, and driver %s can only cycle one that is on; nothing was sent", r.p.driver.Name())
	}
	r.note("it was off: switched on instead of cycled")
	return r.reach(ctx, model.StateOn)
}

// nativeCycle lets the device cycle by itself.
func (r *run) nativeCycle(ctx context.Context) (any, error) {
	bound := min(cycleReply, r.req.timeout/4)
	replied, err := r.once(ctx, step{name: "cycle", bound: bound, call: with(func(ctx context.Context, s Cycler) error {
		return s.PowerCycle(ctx)
	})})
	if err != nil {
		if model.KindOf(err) == model.Conflict && r.comesRound(ctx, model.StateOff) {
			r.sent = nil // refused because it had gone off
			return r.cycleFromOff(ctx)
		}
		return nil, err
	}
	watch, cancel := context.WithTimeout(ctx, min(offLimit, r.req.timeout/2))
	off := r.waitFor(watch, model.StateOff, cycleGap)
	cancel()
	on := off && r.waitFor(ctx, model.StateOn, maxGap)
	return r.nativeOutcome(ctx, replied, off, on)
}

// nativeOutcome says what became of a cycle from the reply and from what was
// seen.
func (r *run) nativeOutcome(ctx context.Context, replied, off, on bool) (any, error) {
	switch {
	case on:
		if !replied {
			r.note("the reply to \"cycle\" was lost; it was sent once and the cycle was seen")
		}
		changed := true
		return r.conclude(model.PowerCycle, model.Result{Changed: &changed}), nil
	case off:
		return nil, model.Errorf(model.Timeout, "off was seen after \"cycle\", but not on within %v; %s", r.req.timeout, r.lastState())
	case r.stopping(ctx):
		return nil, model.Errorf(model.UnknownOutcome, "the plugin is stopping: cycle sent, off not seen; %s", r.lastState())
	case replied:
		r.note("the device confirmed the cycle, but off was not seen; %s", r.lastState())
		return r.conclude(model.PowerCycle, model.Result{}), nil
	}
	return nil, model.Errorf(model.UnknownOutcome,
		"no reply to \"cycle\", which was sent once, and off was not seen; %s", r.lastState())
}

// stepCycle cycles a device that only knows on and off. Once off was sent, on
// is sent too, whatever happens in between.
func (r *run) stepCycle(ctx context.Context) (any, error) {
	phase, cancel := context.WithDeadlineCause(ctx, r.deadline.Add(-r.req.timeout/4), errDeadline)
	offErr := r.order(phase, model.StateOff, true)
	if !r.committed() || offErr != nil && !mayBeLost(offErr) && r.attempts == 1 {
		cancel()
		return nil, offErr
	}
	off := r.waitFor(phase, model.StateOff, cycleGap)
	cancel()

	owed, cancel := r.p.life.owed(ctx, r.deadline, r.p.opts.StopOn)
	r.owes = true
	onErr := r.order(owed, model.StateOn, off)
	r.owes = false
	cancel()
	on := onErr == nil && off && r.waitFor(ctx, model.StateOn, maxGap)
	if on {
		if offErr != nil {
			r.note("no reply to \"power off\"")
		}
		changed := true
		return r.conclude(model.PowerCycle, model.Result{Changed: &changed}), nil
	}
	return nil, r.stepFailure(ctx, offErr, onErr, off)
}

// stepFailure says what is known of a stepwise cycle that was not seen to the
// end.
func (r *run) stepFailure(ctx context.Context, offErr, onErr error, off bool) error {
	was := "off not seen"
	if off {
		was = "off seen"
	}
	switch {
	case onErr != nil:
		return model.Errorf(model.UnknownOutcome, "%s, and on was sent without a reply: %s; %s; switch it on",
			was, textOf(onErr), r.lastState())
	case r.stopping(ctx):
		if off {
			was = "on not seen yet"
		}
		return model.Errorf(model.UnknownOutcome, "the plugin is stopping: on sent, %s; %s", was, r.lastState())
	case offErr != nil:
		return model.Errorf(model.UnknownOutcome, "no reply to \"power off\", %s; on was sent after it; %s", was, r.lastState())
	case off:
		return model.Errorf(model.Timeout, "off was seen and on was sent, but on was not seen within %v; %s", r.req.timeout, r.lastState())
	}
	return model.Errorf(model.Timeout, "off was taken, but not seen in time; on was sent; %s", r.lastState())
}
