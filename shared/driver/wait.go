package driver

import (
	"context"
	"errors"
	"time"

	"provision-plugins/shared/model"
)

// Gaps between two readings while a plan waits for a state.
const (
	firstGap = 50 * time.Millisecond
	maxGap   = 500 * time.Millisecond
	cycleGap = 250 * time.Millisecond // while an off phase, which may be short, must not be missed
)

// pause waits for d and reports whether there is time left after it. A wait
// that would outlast ctx is not begun.
func pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter is what the other side asked to wait.
func retryAfter(err error) time.Duration {
	var known *model.Error
	if errors.As(err, &known) {
		return known.RetryAfter
	}
	return 0
}

// readPower reads the state, with more than one try. A session that cannot read
// it leaves it unknown.
func (r *run) readPower(ctx context.Context) error {
	return r.do(ctx, step{name: "read power state", call: r.readOn})
}

// readOn reads the state on a session and keeps it.
func (r *run) readOn(ctx context.Context, s Session) error {
	reader, ok := s.(PowerReader)
	if !ok {
		r.blind = true
		return nil
	}
	reading, err := reader.PowerState(ctx)
	if err != nil {
		return err
	}
	if reading.State == "" {
		reading.State = model.StateUnknown
	}
	r.last, r.lastAt, r.looked, r.lookErr = reading, r.since(), true, nil
	return nil
}

// look makes one try to read the state and reports whether it was read.
func (r *run) look(ctx context.Context) bool {
	err := r.reopen(ctx)
	if err == nil {
		err = r.take(ctx, step{name: "read power state", call: r.readOn}, 1)
	}
	if err == nil {
		return !r.blind
	}
	if ctx.Err() == nil {
		r.lookErr = err
		r.blind = r.blind || refused(err) || r.stranger != nil
	}
	return false
}

// holdGap is how long after a reading another must tell the same before it is
// believed: a BMC that is behind, or tells one thing and another, has its first
// answer contradicted.
const holdGap = 50 * time.Millisecond

// waitFor reads until the state is want and holds, quickly at first and at gaps
// of most later. It ends with ctx, or when reading cannot help.
func (r *run) waitFor(ctx context.Context, want model.PowerState, most time.Duration) bool {
	for gap := firstGap; ; gap = min(gap*3/2, most) {
		if r.look(ctx) && r.last.State == want && r.holds(ctx) {
			return true
		}
		if r.blind || !pause(ctx, gap) {
			return false
		}
	}
}

// holds reads again and reports whether the state that was read last holds. It
// is seen then.
func (r *run) holds(ctx context.Context) bool {
	first, at := r.last.State, r.lastAt
	if !pause(ctx, holdGap) || !r.look(ctx) || r.last.State != first {
		return false
	}
	r.sawPower(first, at)
	return true
}

// is reports whether the state that was read is want and holds. A plan that
// sends nothing because of a state, or something else, rests on it.
func (r *run) is(ctx context.Context, want model.PowerState) bool {
	return r.looked && r.last.State == want && r.holds(ctx)
}

// steady reads the state again, with more than one try, and returns an error
// unless it tells the same. A press of the button rests on it: one on a machine
// that is off would switch it on.
func (r *run) steady(ctx context.Context) error {
	first, at := r.last.State, r.lastAt
	if !r.looked {
		return nil
	}
	pause(ctx, holdGap) // at the end of the time the reading below fails
	if err := r.readPower(ctx); err != nil {
		return err
	}
	if r.last.State != first {
		return model.Errorf(model.Conflict, "one reading of the state says %s, the next %s; nothing was sent, because the button switches on what is off",
			first, r.last.State)
	}
	r.sawPower(first, at)
	return nil
}
