package plugin

import (
	"context"
	"errors"
	"time"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

const (
	// timeoutParam is what a driver itself bounds an action by.
	timeoutParam = "oob/timeout"
	// maxDeadline is also the most that the param may be.
	maxDeadline = 2 * time.Hour
	// lastWord is left to an implementation that keeps the bound itself, to say
	// what it has seen: that tells more than that the time was over.
	lastWord = 100 * time.Millisecond
)

// checkDeadline refuses a deadline that cannot be meant; 0 is none.
func checkDeadline(d time.Duration) error {
	if d < 0 || d > maxDeadline {
		return badInput("cannot run: --deadline must be from 0 (none) to %v", maxDeadline)
	}
	return nil
}

// shorten lowers the time that the machines' own params, or the action's
// default, give a driver to the deadline. A param of the wrong type is left for
// the driver to refuse.
func (r *runner) shorten(rows []inventory.Row) {
	if r.deadline == 0 {
		return
	}
	usual := model.ActionOf(r.command, r.program.def.Meta).Timeout
	lower := func(params model.Params) {
		if own, err := params.Seconds(timeoutParam, usual, maxDeadline); err == nil && own > r.deadline {
			params[timeoutParam] = r.deadline.Seconds()
		}
	}
	for i := range rows {
		lower(rows[i].Params)
	}
	if r.params.Has(timeoutParam) { // it counts before the machines' own
		lower(r.params)
	}
}

// bounded calls act within the deadline.
func (r *runner) bounded(ctx context.Context, row *inventory.Row) (any, error) {
	if r.deadline == 0 {
		return r.act(ctx, row)
	}
	over := model.Errorf(model.Timeout, "cannot finish %s: the deadline of %v is over", r.command, r.deadline)
	ctx, cancel := context.WithTimeoutCause(ctx, r.deadline+lastWord, over)
	defer cancel()
	v, err := r.act(ctx, row)
	var told *model.Error
	if err == nil || errors.As(err, &told) && told != over || !errors.Is(context.Cause(ctx), over) {
		return v, err
	}
	// It stopped because it was told to, and says no more than that.
	if model.ActionOf(r.command, r.program.def.Meta).Class == model.Once {
		return nil, model.Errorf(model.UnknownOutcome, "%w", over)
	}
	return nil, over
}
