package driver

import (
	"context"
	"sync"
	"time"
)

// bound is a context with a deadline, whose timer is set when somebody first waits
// for its end: a session that is warm is opened and given back without waiting, and
// a timer for either costs a tenth of such a read.
type bound struct {
	parent   context.Context
	deadline time.Time

	mu     sync.Mutex // guards the below
	timed  context.Context
	stop   context.CancelFunc
	closed bool // it is over
}

// boundTo bounds a context to a time from now. Who makes it calls cancel.
func boundTo(parent context.Context, within time.Duration) *bound {
	deadline := time.Now().Add(within)
	if least, ok := parent.Deadline(); ok && least.Before(deadline) {
		deadline = least
	}
	return &bound{parent: parent, deadline: deadline}
}

// started is the context with its timer set.
func (b *bound) started() context.Context {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timed == nil {
		b.timed, b.stop = context.WithDeadline(b.parent, b.deadline)
		if b.closed {
			b.stop()
		}
	}
	return b.timed
}

// cancel ends it.
func (b *bound) cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed = true; b.stop != nil {
		b.stop()
	}
}

// Deadline is when it ends at the latest.
func (b *bound) Deadline() (time.Time, bool) { return b.deadline, true }

// Done is closed when it ends.
func (b *bound) Done() <-chan struct{} { return b.started().Done() }

// Err is why it has ended.
func (b *bound) Err() error {
	b.mu.Lock()
	begun := b.timed != nil || b.closed
	b.mu.Unlock()
	if !begun && time.Now().Before(b.deadline) {
		return b.parent.Err()
	}
	return b.started().Err()
}

// Value is that of the parent. A context that is derived from it finds in it the one
// with the timer, so that no goroutine is needed between them.
func (b *bound) Value(key any) any { return b.started().Value(key) }
