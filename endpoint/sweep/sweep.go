// Package sweep works on many items, a bounded number of them at once, such that
// items that take long hold nobody up.
package sweep

import (
	"context"
	"sync"
	"time"
)

// Sweep says how items are worked on.
type Sweep[T any] struct {
	// Parallel is how many are worked on at once.
	Parallel int
	// Patience is how long one keeps its place: one that takes longer lets another
	// begin beside it. No more than Most are at work, whatever they take.
	Patience time.Duration
	Most     int
	// Ask works on one item and returns what is sent for it.
	Ask func(item T) []byte
}

// Run works on all items, until ctx ends, and sends what comes of them. All its
// goroutines have ended when it returns.
func (s Sweep[T]) Run(ctx context.Context, items []T, answers chan<- []byte) {
	if len(items) == 0 {
		return
	}
	r := &running[T]{Sweep: s, ctx: ctx, answers: answers, left: items, workers: map[*worker]bool{}, idle: make(chan struct{})}
	r.begin()
	ticker := time.NewTicker(max(s.Patience/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.look()
		case <-r.idle:
			return
		}
	}
}

// running is a sweep at work.
type running[T any] struct {
	Sweep[T]
	ctx     context.Context // of the one call of Run
	answers chan<- []byte
	idle    chan struct{} // closed when the last worker ends

	mu      sync.Mutex // guards the below
	left    []T
	workers map[*worker]bool
	owed    int // places that were given up and that nobody has taken, since Most are at work
}

// worker works on one item after the other: its stack, once it has grown, serves
// them all.
type worker struct {
	since time.Time // of the item
	slow  bool      // it has given up its place
}

// begin employs the first workers.
func (r *running[T]) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range min(r.Parallel, r.Most, len(r.left)) {
		r.employ()
	}
}

// employ begins a worker. mu is held.
func (r *running[T]) employ() {
	w := &worker{since: time.Now()}
	r.workers[w] = true
	go r.toil(w) // ends with the items, or with ctx; Run waits for it
}

// toil is a worker's life.
func (r *running[T]) toil(w *worker) {
	for {
		item, more := r.next(w)
		if !more {
			return
		}
		answer := r.Ask(item)
		select {
		case r.answers <- answer:
		case <-r.ctx.Done():
		}
	}
}

// next returns the item that a worker begins now, unless it ends: none is left, or
// another has taken its place.
func (r *running[T]) next(w *worker) (item T, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	replaced := w.slow && r.owed == 0
	if w.slow && !replaced {
		r.owed--
	}
	if replaced || len(r.left) == 0 || r.ctx.Err() != nil {
		if delete(r.workers, w); len(r.workers) == 0 {
			close(r.idle)
		}
		return item, false
	}
	item, r.left = r.left[0], r.left[1:]
	w.since, w.slow = time.Now(), false
	return item, true
}

// look has those that take too long give up their places.
func (r *running[T]) look() {
	r.mu.Lock()
	defer r.mu.Unlock()
	late := time.Now().Add(-r.Patience)
	freed := 0
	for w := range r.workers {
		if !w.slow && !w.since.After(late) {
			w.slow = true
			freed++
		}
	}
	r.owed += freed
	for ; r.owed > 0 && len(r.workers) < r.Most && len(r.left) > 0 && r.ctx.Err() == nil; r.owed-- {
		r.employ()
	}
}
