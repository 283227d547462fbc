package chat

import (
	"fmt"
	"time"
)

const (
	// editEvery is the time between two edits of a message that tells how far
	// something is.
	editEvery = 1500 * time.Millisecond
)

// run does what a ticket asks for, and tells in its message how far it is and how
// it ended. The ticket is taken: nobody else does.
func (r *Room) run(a *asker, t ticket) {
	y := tally{total: len(t.Machines)}
	ended := make(chan outcome, len(t.Machines))
	why := t.Command.Reason
	if t.By != t.User {
		why = oneLine(fmt.Sprintf("%s (approved by slack:%s)", why, t.By))
	}
	r.work.Go(func() {
		r.fleet.do(r.ctx, r.job(&t.Command, t.ID, t.User, why), t.Machines, func(o outcome) { ended <- o })
		close(ended)
	})
	tick := time.NewTicker(editEvery)
	defer tick.Stop()
	told := 0
	for open := true; open; {
		var o outcome
		select {
		case o, open = <-ended:
			if open {
				y.add(o)
			}
		case <-tick.C:
			if t.TS != "" && y.ended > told && y.ended < y.total {
				told = y.ended
				r.show(t, y.progress())
			}
		}
	}
	if r.ctx.Err() != nil { // the next room says so
		return
	}
	r.finished(a, t, &y)
}

// show edits a ticket's message. That it could not be edited changes nothing.
func (r *Room) show(t ticket, status string) {
	if err := r.talk.edit(r.ctx, t.Channel, t.TS, t.shown(status)); err != nil {
		r.opts.Logger.WarnContext(r.ctx, "cannot show how far a request is", "request", t.ID, "cause", err)
	}
}

// finished tells how a ticket ended, and has it written down.
func (r *Room) finished(a *asker, t ticket, y *tally) {
	t.State = done
	if err := r.book.finish(t.ID, done); err != nil {
		r.opts.Logger.ErrorContext(r.ctx, "cannot note how a request ended", "request", t.ID, "cause", err)
	}
	what := t.record(fmt.Sprintf("%d of %d well", y.ended-y.failed, y.total))
	if err := r.fleet.tell(r.ctx, t.User, string(done), t.ID, what); err != nil {
		r.opts.Logger.ErrorContext(r.ctx, "cannot write down how a request ended", "request", t.ID, "cause", err)
	}
	if t.TS == "" {
		a.say(t.head() + "\n" + y.String())
		return
	}
	if err := r.talk.edit(r.ctx, t.Channel, t.TS, t.shown(y.String())); err != nil {
		a.say(t.head() + "\n" + y.String())
	}
}
