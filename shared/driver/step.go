package driver

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"provision-plugins/shared/model"
)

// Bounds of one try. A device that is slower is tried again, where trying again
// is harmless.
const (
	openTry   = 10 * time.Second       // opening a session
	readTry   = 5 * time.Second        // one reading
	changeTry = 20 * time.Second       // one order; some devices are programs that must start first
	leastTry  = 200 * time.Millisecond // what a try gets near the deadline
	maxTries  = 4
)

// Waits between tries.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 2 * time.Second
)

// step is one command to a device.
type step struct {
	name string
	call func(ctx context.Context, s Session) error
	// changes marks a step that is recorded, and taken only if the plan may
	// still begin.
	changes bool
	// bound of a try; readTry or changeTry when it is zero.
	bound time.Duration
	// long marks a step that a device may need most of the time left for.
	long bool
	// seen looks for the effect between tries; nil means that there is nothing
	// to see.
	seen func(ctx context.Context) bool
}

// with makes a step's call from a call of one interface.
func with[T any](call func(ctx context.Context, t T) error) func(context.Context, Session) error {
	return func(ctx context.Context, s Session) error {
		t, ok := s.(T)
		if !ok {
			return model.Errorf(model.Unsupported, "the device is now reached in a mode that cannot do this")
		}
		return call(ctx, t)
	}
}

// do carries out a step that may be taken more than once. Its error is the
// device's own from the last try.
func (r *run) do(ctx context.Context, st step) error {
	var last error
	for try := 1; ; try++ {
		if err := r.open(ctx); err != nil {
			return st.untaken(last, err)
		}
		began := time.Now()
		err := ctx.Err()
		if err == nil {
			err = r.take(ctx, st, try)
		}
		if err == nil {
			return nil
		}
		last = st.told(last, err)
		wait := backoff(try, err)
		more := hasTime(ctx, wait+roomAfter(err, began)) // else only its effect is looked for
		if !again(err, try) || !more && st.seen == nil || !pause(ctx, wait) {
			return last
		}
		if st.seen != nil && st.seen(ctx) {
			return nil
		}
		if !more {
			return last
		}
	}
}

// told is the error of a step after one more try.
func (st step) told(before, err error) error {
	now := inStep(st.name, err)
	if st.changes {
		return worse(before, now) // it may have been executed, whatever was wrong before
	}
	return telling(before, now)
}

// untaken is the error of a step for whose next try no session can be had.
func (st step) untaken(before, err error) error {
	now := telling(before, err)
	if st.changes {
		return worse(before, now)
	}
	return now
}

// once carries out a step that must not be taken twice. replied is false when
// nobody knows whether the device took it; err is set only if it did not.
func (r *run) once(ctx context.Context, st step) (replied bool, err error) {
	if err := r.do(ctx, step{name: st.name, call: prepare, bound: openTry}); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, inStep(st.name, err)
	}
	st.changes = true
	if err = r.take(ctx, st, 1); err == nil {
		return true, nil
	}
	if r.committed() && mayBeDone(err) {
		r.log.DebugContext(ctx, "no reply", "machine", r.req.target.Name, "step", st.name, "error", r.req.secrets.text(textOf(err)))
		return false, nil
	}
	return false, inStep(st.name, err)
}

// prepare makes sure of a session, if it can tell.
func prepare(ctx context.Context, s Session) error {
	if p, ok := s.(Preparer); ok {
		return p.Prepare(ctx)
	}
	return nil
}

// take makes one try of a step on the open session. A session on which a
// command was lost is given up, so that nothing follows a delayed datagram.
func (r *run) take(ctx context.Context, st step, try int) error {
	if st.changes {
		if err := r.commit(st.name); err != nil {
			return err
		}
		r.attempts = max(r.attempts, try)
	}
	ctx, cancel := st.within(ctx)
	defer cancel()
	err := st.call(ctx, r.sess)
	if err != nil && !refused(err) {
		r.drop(ctx)
	}
	return err
}

// within bounds one try of a step.
func (st step) within(ctx context.Context) (context.Context, context.CancelFunc) {
	switch {
	case st.bound > 0:
		return tryWithin(ctx, st.bound, 3)
	case st.long:
		return tryWithin(ctx, maxTimeout, 1.2)
	case st.changes:
		return tryWithin(ctx, changeTry, 3)
	}
	return tryWithin(ctx, readTry, 3)
}

// open opens a session unless one is open, and checks that it can do what the
// action needs. Opening executes nothing, so it may be tried again.
func (r *run) open(ctx context.Context) error {
	var last error
	for try := 1; r.sess == nil; try++ {
		began := time.Now()
		err := r.openOnce(ctx)
		if err == nil {
			break
		}
		last = telling(last, inStep("open session", err))
		wait := backoff(try, err)
		if !again(err, try) || !hasTime(ctx, wait+roomAfter(err, began)) || !pause(ctx, wait) {
			return last
		}
	}
	if c := r.req.cap; c != nil && !c.needs(r.sess) {
		return r.p.lacks(c, r.sess)
	}
	return r.checkPin(ctx)
}

// openOnce makes one try to open a session unless one is open.
func (r *run) openOnce(ctx context.Context) error {
	if r.sess != nil || ctx.Err() != nil {
		return ctx.Err()
	}
	try := boundTo(ctx, tryTime(ctx, openTry, 1.5))
	defer try.cancel()
	sess, err := r.p.driver.Open(try, r.req.target)
	if err != nil {
		return err
	}
	if sess == nil {
		return model.Errorf(model.Internal, "driver %s opened nothing", r.p.driver.Name())
	}
	r.sess = sess
	return nil
}

// closeBound is what giving a session back may take.
const closeBound = time.Second

// drop gives the session back, if one is open.
func (r *run) drop(ctx context.Context) {
	if r.sess == nil {
		return
	}
	sess := r.sess
	r.sess, r.matched, r.stranger = nil, false, nil
	bound := boundTo(context.WithoutCancel(ctx), closeBound)
	defer bound.cancel()
	if err := sess.Close(bound); err != nil {
		r.log.DebugContext(ctx, "session did not close well", "machine", r.req.target.Name, "error", r.req.secrets.text(textOf(err)))
	}
}

// tryWithin bounds one try.
func tryWithin(ctx context.Context, most time.Duration, parts float64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, tryTime(ctx, most, parts))
}

// tryTime is what one try may take: at most most, and a part of the time left so
// that there is time for another, but not less than leastTry.
func tryTime(ctx context.Context, most time.Duration, parts float64) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Duration(float64(time.Until(deadline)) / parts)
		most = min(most, max(left, leastTry))
	}
	return most
}

// telling picks the error of a new try, unless it tells only that the time is
// over and the one before told more.
func telling(before, now error) error {
	if before != nil && errors.Is(now, errTimeOver) {
		return before
	}
	return now
}

// worse picks the error of a new try of a change, unless one before left it in
// doubt and the new one does not: what may have been executed before stays so. The
// larger exit code is the worse one.
func worse(before, now error) error {
	kind := model.KindOf(before)
	switch {
	case before == nil || !mayBeDone(before) || model.KindOf(now).Info().Exit >= kind.Info().Exit:
		return now
	case errors.Is(now, errTimeOver):
		return before
	}
	return model.Errorf(kind, "%s; then %s", textOf(before), textOf(now))
}

// errTimeOver marks an error that has no cause but the end of the time.
var errTimeOver = errors.New("no answer in time")

// inStep puts a step's name before the text of a device's error and keeps its
// kind.
func inStep(name string, err error) error {
	if errors.Is(err, errAbandoned) || errors.Is(err, errStopping) {
		return err
	}
	var known *model.Error
	if !errors.As(err, &known) && model.KindOf(err) == model.Timeout {
		return model.Errorf(model.Timeout, "%s: %w", name, errTimeOver)
	}
	return model.Errorf(model.KindOf(err), "%s: %s", name, textOf(err)).After(retryAfter(err))
}

// Kinds that say that a command was not executed, and will not be by another
// try.
var refusals = []model.Kind{
	model.Invalid, model.NotFound, model.Unsupported, model.Conflict, model.Forbidden, model.DeviceAuth,
}

// refused reports whether a device, or what is before it, said no.
func refused(err error) bool { return slices.Contains(refusals, model.KindOf(err)) }

// mayBeDone reports whether a command that failed with err may have been
// executed all the same.
func mayBeDone(err error) bool {
	switch kind := model.KindOf(err); kind {
	case model.Busy, model.RateLimited, model.Unreachable:
		return false
	default:
		return !refused(err)
	}
}

// again reports whether another try may help.
func again(err error, try int) bool {
	switch model.KindOf(err) {
	case model.Busy, model.RateLimited: // wait for our turn as long as there is time
		return true
	case model.Unreachable, model.Timeout, model.UnknownOutcome:
		return try < maxTries
	default:
		return false
	}
}

// lastTry is the least time that must be left for another try: room for an
// answer, and for one that was lost on its way and is sent once more.
const lastTry = 500 * time.Millisecond

// roomAfter is how much time must be left for a try after one that began then
// and failed with err. A try that the deadline cuts off would tell nothing but
// that, in place of what is known, and leave a change in doubt. What a device
// answers in some time it should have the same time for again, and more.
func roomAfter(err error, began time.Time) time.Duration {
	if kind := model.KindOf(err); kind == model.Busy || kind == model.RateLimited {
		return max(lastTry, 3*time.Since(began))
	}
	return lastTry
}

// hasTime reports whether d is left before the deadline.
func hasTime(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= d
}

// backoff is how long to wait after a try, with jitter so that a fleet does not
// come back at once.
func backoff(try int, err error) time.Duration {
	d := min(firstBackoff<<min(try-1, 10), maxBackoff)
	d = d/2 + rand.N(d)
	return max(d, retryAfter(err))
}
