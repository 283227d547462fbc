package driver

import (
	"context"
	"time"

	"provision-plugins/shared/model"
)

// replyTry is how long a reply to a command that is sent once is waited for,
// where nothing happens meanwhile that must be seen.
const replyTry = 10 * time.Second

// planStatus reads the state.
func planStatus(ctx context.Context, r *run) (any, error) {
	if err := r.readPower(ctx); err != nil {
		return nil, err
	}
	return r.result(model.Result{}), nil
}

// planOn switches on.
func planOn(ctx context.Context, r *run) (any, error) { return r.planReach(ctx, model.StateOn) }

// planOff switches off.
func planOff(ctx context.Context, r *run) (any, error) { return r.planReach(ctx, model.StateOff) }

// planReach reads the state and brings the machine to want.
func (r *run) planReach(ctx context.Context, want model.PowerState) (any, error) {
	if err := r.readPower(ctx); err != nil {
		return nil, err
	}
	return r.reach(ctx, want)
}

// reach brings a machine whose state was read to want. Already there is success
// with nothing sent.
func (r *run) reach(ctx context.Context, want model.PowerState) (any, error) {
	prior := r.last.State
	if r.is(ctx, want) {
		return r.already(), nil
	}
	if prior == want { // and did not hold: what it was is not known
		prior = model.StateUnknown
	}
	err := r.order(ctx, want, true)
	if model.KindOf(err) == model.Conflict {
		return r.refusedOrder(ctx, want, err)
	}
	if err != nil && (!r.committed() || !mayBeLost(err)) {
		return nil, err
	}
	if err != nil {
		r.note("no reply to %q", r.sent[len(r.sent)-1])
	}
	if r.blind && err == nil {
		r.note("the device does not tell its state")
		return r.concludeReach(want, nil), nil
	}
	if !r.waitFor(ctx, want, maxGap) {
		return nil, r.notReached(want, err)
	}
	if prior != model.StateOn && prior != model.StateOff {
		return r.concludeReach(want, nil), nil
	}
	changed := true
	return r.concludeReach(want, &changed), nil
}

// concludeReach is the result of a machine that was ordered to want, whatever
// the action was that led there.
func (r *run) concludeReach(want model.PowerState, changed *bool) model.Result {
	command := model.PowerOff
	if want == model.StateOn {
		command = model.PowerOn
	}
	return r.conclude(command, model.Result{Changed: changed})
}

// already is the result of a machine that is where it should be.
func (r *run) already() model.Result {
	changed := false
	r.note("it was %s already; nothing was sent", r.last.State)
	return r.concludeReach(r.last.State, &changed)
}

// refusedWatch is how long the state is watched after a device refused an order
// in its present state, which it may tell late.
const refusedWatch = 5 * time.Second

// comesRound reports whether the state is the one that explains a refusal.
func (r *run) comesRound(ctx context.Context, state model.PowerState) bool {
	ctx, cancel := context.WithTimeout(ctx, min(refusedWatch, r.req.timeout/3))
	defer cancel()
	return r.waitFor(ctx, state, maxGap)
}

// refusedOrder decides by the state about an order that was refused in it.
func (r *run) refusedOrder(ctx context.Context, want model.PowerState, err error) (any, error) {
	if r.comesRound(ctx, want) {
		r.note("the device refused %q, and is %s", r.sent[len(r.sent)-1], want)
		return r.concludeReach(want, nil), nil
	}
	return nil, model.Errorf(model.KindOf(err), "%s; %s", textOf(err), r.lastState())
}

// notReached is the error of a machine that did not come to want after it was
// ordered there; err is set if the order had no reply.
func (r *run) notReached(want model.PowerState, err error) error {
	if err != nil && (r.lookErr != nil || !r.looked) {
		return model.Errorf(model.KindOf(err), "%s; %s", textOf(err), r.lastState())
	}
	taken := "was taken"
	if err != nil {
		taken = "had no reply"
	}
	if r.blind && r.lookErr != nil {
		return model.Errorf(model.KindOf(r.lookErr), "the order %q %s, but its effect cannot be seen; %s",
			r.sent[len(r.sent)-1], taken, r.lastState())
	}
	return model.Errorf(model.Timeout, "the order %q %s, but %s was not seen within %v; %s",
		r.sent[len(r.sent)-1], taken, want, r.req.timeout, r.lastState())
}

// mayBeLost reports whether an idempotent order that failed with err may have
// been executed. A driver that tried more than once may say unreachable at the
// end although an earlier try arrived.
func mayBeLost(err error) bool { return model.KindOf(err) == model.Unreachable || mayBeDone(err) }

// order switches power, with more than one try. With seen, a machine that is
// found in the state between two tries needs no other.
func (r *run) order(ctx context.Context, want model.PowerState, seen bool) error {
	st := step{name: "power " + string(want), changes: true, call: with(func(ctx context.Context, s PowerSetter) error {
		return s.SetPower(ctx, want == model.StateOn)
	})}
	if seen {
		st.seen = func(ctx context.Context) bool {
			there := r.look(ctx) && r.is(ctx, want)
			if there {
				r.note("the reply to %q was lost", st.name)
			}
			return there
		}
	}
	return r.do(ctx, st)
}

// planSoft asks the operating system to shut down, once, and switches off after
// oob/force-after where that is given.
func planSoft(ctx context.Context, r *run) (any, error) {
	if err := r.readPower(ctx); err != nil {
		return nil, err
	}
	if err := r.steady(ctx); err != nil {
		return nil, err
	}
	if r.looked && r.last.State == model.StateOff {
		return r.already(), nil
	}
	if r.req.force >= 0 && !has[PowerSetter](r.sess) {
		return nil, model.Errorf(model.Unsupported, "param %s needs a device that can be switched off; nothing was sent", paramForceAfter)
	}
	bound, force := replyTry, time.Now().Add(r.req.force)
	if r.req.force >= 0 {
		bound = min(replyTry, max(r.req.force, leastTry))
	}
	replied, err := r.once(ctx, step{name: "soft off", bound: bound, call: with(func(ctx context.Context, s SoftOff) error {
		return s.PowerSoft(ctx)
	})})
	if err != nil {
		return nil, err
	}
	if !replied {
		r.note("no reply to \"soft off\"")
	}
	soft, cancel := ctx, context.CancelFunc(func() {})
	if r.req.force >= 0 {
		soft, cancel = context.WithTimeout(ctx, max(time.Until(force), leastTry)) // one look at least
	}
	defer cancel()
	if r.waitFor(soft, model.StateOff, maxGap) {
		changed := true
		return r.conclude(model.PowerSoft, model.Result{Changed: &changed}), nil
	}
	return r.afterSoft(ctx, replied)
}

// afterSoft goes on where the operating system has not shut down.
func (r *run) afterSoft(ctx context.Context, replied bool) (any, error) {
	switch {
	case r.is(ctx, model.StateOff): // in the last reading that there was time for
		changed := true
		return r.conclude(model.PowerSoft, model.Result{Changed: &changed}), nil
	case r.req.force >= 0:
		r.note("the operating system did not shut down in %v; switched off", r.req.force)
		return r.reach(ctx, model.StateOff)
	case r.blind && replied:
		r.note("the device does not tell its state")
		return r.conclude(model.PowerSoft, model.Result{}), nil
	case !replied:
		return nil, model.Errorf(model.UnknownOutcome,
			"no reply to \"soft off\" and off not seen within %v; %s; another press may switch it on",
			r.req.timeout, r.lastState())
	}
	return nil, model.Errorf(model.Timeout, "the operating system did not shut down within %v (asked once); %s",
		r.req.timeout, r.lastState())
}

// planReset resets without power loss.
func planReset(ctx context.Context, r *run) (any, error) {
	return r.jolt(ctx, "reset", with(func(ctx context.Context, s Resetter) error { return s.PowerReset(ctx) }))
}

// planNMI sends a diagnostic interrupt.
func planNMI(ctx context.Context, r *run) (any, error) {
	return r.jolt(ctx, "interrupt", with(func(ctx context.Context, s Interrupter) error { return s.PowerNMI(ctx) }))
}

// jolt sends a command that leaves the machine on. Devices confirm one even when
// the machine is off and nothing happens, so the state is read first, and
// afterwards what a restart would have changed.
func (r *run) jolt(ctx context.Context, name string, call func(context.Context, Session) error) (any, error) {
	if err := r.readPower(ctx); err != nil {
		return nil, err
	}
	if r.is(ctx, model.StateOff) {
		return nil, model.Errorf(model.Conflict, "the machine is off; nothing was sent; switch it on instead")
	}
	var before []Sign
	if r.req.info.Command == model.PowerReset {
		before = r.signs(ctx)
	}
	replied, err := r.once(ctx, step{name: name, bound: replyTry, call: call})
	if model.KindOf(err) == model.Conflict && r.look(ctx) && r.is(ctx, model.StateOff) {
		return nil, model.Errorf(model.Conflict, "%s; the machine is off; switch it on instead", textOf(err))
	}
	if err != nil {
		return nil, err
	}
	r.awaitSign(ctx, before)
	r.look(ctx)
	return r.joltOutcome(name, replied, before)
}

// joltOutcome says what became of a command whose signs were watched for.
func (r *run) joltOutcome(name string, replied bool, before []Sign) (any, error) {
	proven := r.proven(r.req.info.Command)
	if !replied && !proven {
		return nil, model.Errorf(model.UnknownOutcome,
			"no reply to %q, which was sent once, and nothing shows whether it was done; %s", name, r.lastState())
	}
	if !replied {
		r.note("the reply to %q was lost; it was sent once and the restart was seen", name)
	}
	if !proven && len(before) > 0 {
		r.note("the device confirmed the %s, but %s still reads %s", name, before[0].Name, before[0].Value)
	}
	return r.conclude(r.req.info.Command, model.Result{}), nil
}
