package runs

import (
	"context"
	"sync"

	"provision-plugins/shared/model"
)

// Ticket is one caller's hold on a run. Each ends with Delivered or Lost, or
// with neither where that cannot be told.
type Ticket struct {
	m        *Manager
	e        *entry
	repeated bool
	told     sync.Once // Delivered or Lost counts once
}

// delivery counts what became of the replies of one run.
type delivery struct {
	mu   sync.Mutex // guards the counts
	open int        // of which nothing is known
	lost int        // that did not arrive
}

// ticket hands a run out to a caller.
func (m *Manager) ticket(e *entry, repeated bool) *Ticket {
	e.delivery.mu.Lock()
	defer e.delivery.mu.Unlock()
	e.delivery.open++
	return &Ticket{m: m, e: e, repeated: repeated}
}

// retake hands a run out to the same request again. Its caller is taken for one
// whose reply was lost, if one was.
func (m *Manager) retake(e *entry) *Ticket {
	e.delivery.mu.Lock()
	e.delivery.lost = max(0, e.delivery.lost-1)
	e.delivery.mu.Unlock()
	return m.ticket(e, true)
}

// join hands a live run out to a request for the same by anybody. What becomes of
// the reply to another principal does not matter: no repetition of its request
// finds this run.
func (m *Manager) join(r *Request, s sibling) *Ticket {
	if r.Principal == s.run.Principal {
		return m.ticket(s.entry, true)
	}
	t := &Ticket{m: m, e: s.entry, repeated: true}
	t.told.Do(func() {})
	return t
}

// counts returns how many replies are untold and how many were lost.
func (d *delivery) counts() (open, lost int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open, d.lost
}

// ID returns the run's id.
func (t *Ticket) ID() string { return t.e.id }

// Run returns the run as it is now.
func (t *Ticket) Run() *model.Run {
	run := *t.e.snapshot(t.m)
	return &run
}

// Repeated reports whether the run was there before this request: it joined
// one in flight, or found a finished one.
func (t *Ticket) Repeated() bool { return t.repeated }

// Wait returns the run when it has ended and its outcome is durable. A ctx that
// ends first ends only the waiting. A failed or unknown run is not an error
// here: see its Error.
func (t *Ticket) Wait(ctx context.Context) (*model.Run, error) {
	select {
	case <-t.e.ended:
		return t.m.full(ctx, t.e)
	case <-ctx.Done():
		return nil, model.Errorf(model.Timeout, "run %s goes on, the waiting for it ended: %w", t.e.id, context.Cause(ctx))
	}
}

// Delivered tells that the caller has the reply: the same request is then a
// new one.
func (t *Ticket) Delivered() { t.tell(0) }

// Lost tells that the caller did not get the reply: the same request within
// 60 s of the run's end finds this run.
func (t *Ticket) Lost() { t.tell(1) }

// tell ends the ticket.
func (t *Ticket) tell(lost int) {
	t.told.Do(func() {
		d := &t.e.delivery
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open--
		d.lost += lost
	})
}
