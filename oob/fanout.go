package main

import (
	"context"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// fan says how items are worked on.
type fan[T, R any] struct {
	// parallel is how many calls run at once.
	parallel int
	// patience is how long a call keeps its place: one that takes longer lets
	// another begin beside it, so that machines that are silent hold nobody up;
	// 0 is for ever. No more than maxParallel run at once, whatever they take.
	patience time.Duration
	// batch is after how many items all of them must be answered before more are
	// begun, and pause how much longer that takes; 0 is no batch.
	batch int
	pause time.Duration
	// call works on one item.
	call func(T) R
	// skip is the answer for an item that is not begun, and why.
	skip func(T, *model.Error) R
	// enough, unless nil, is asked after every answer; an error has no more
	// items begun.
	enough func() *model.Error
	// each takes the answers as they come; tick, unless nil, is called every
	// tickEvery in between; ending, unless nil, once if ctx ends while calls are
	// at work. All run on the calling goroutine.
	each   func(R)
	tick   func()
	ending func(atWork int)
}

// tickEvery is the time between two ticks.
const tickEvery = 200 * time.Millisecond

// run works on all items until ctx ends, after which none is begun. All its
// goroutines have ended when it returns.
func (f fan[T, R]) run(ctx context.Context, items []T) {
	r := fanRun[T, R]{fan: f, items: items, answers: make(chan answered[R]), ended: ctx.Done()}
	defer r.workers.Wait()
	if f.patience > 0 {
		ticker := time.NewTicker(f.patience / 4)
		defer ticker.Stop()
		r.looks = ticker.C
	}
	if f.tick != nil {
		ticker := time.NewTicker(tickEvery)
		defer ticker.Stop()
		r.ticks = ticker.C
	}
	if ctx.Err() != nil { // however the select below would choose
		r.stop(notSent())
	}
	for r.atWork > 0 || r.next < len(items) && r.stopped == nil {
		r.step()
	}
	for _, item := range items[r.next:] {
		f.each(f.skip(item, r.stopped))
	}
}

// fanRun is a fan at work.
type fanRun[T, R any] struct {
	fan[T, R]
	items   []T
	workers sync.WaitGroup
	answers chan answered[R]
	begun   []*begun // those that have their place, the first begun first
	slow    int      // calls at work that gave up their place
	looks   <-chan time.Time
	ticks   <-chan time.Time
	ended   <-chan struct{}  // of the context; nil once that is known
	resume  <-chan time.Time // the end of a pause; nil when there is none
	next    int              // the first item not begun
	atWork  int
	stopped *model.Error // why no more are begun
}

// begun is a call at work.
type begun struct {
	at   time.Time
	slow bool // it has given up its place
	done bool
}

// answered is the answer of a call.
type answered[R any] struct {
	answer R
	of     *begun
}

// begin begins the next item.
func (r *fanRun[T, R]) begin() {
	item, b := r.items[r.next], &begun{at: time.Now()}
	r.next++
	r.atWork++
	if r.patience > 0 {
		r.begun = append(r.begun, b)
	}
	r.workers.Go(func() { r.answers <- answered[R]{r.call(item), b} })
}

// look has calls that take too long give up their places.
func (r *fanRun[T, R]) look() {
	for len(r.begun) > 0 {
		b := r.begun[0]
		if !b.done && time.Since(b.at) < r.patience {
			return
		}
		if r.begun = r.begun[1:]; !b.done {
			b.slow = true
			r.slow++
		}
	}
}

// step begins an item or waits for what comes next.
func (r *fanRun[T, R]) step() {
	select { // an answer may forbid the next item
	case answer := <-r.answers:
		r.take(answer)
		return
	case <-r.ended:
		r.stop(notSent())
		return
	default:
	}
	if r.mayBegin() {
		r.begin()
		return
	}
	select {
	case answer := <-r.answers:
		r.take(answer)
	case <-r.resume:
		r.resume = nil
	case <-r.looks:
		r.look()
	case <-r.ticks:
		r.tick()
	case <-r.ended:
		r.stop(notSent())
	}
}

// mayBegin reports whether an item may be begun now.
func (r *fanRun[T, R]) mayBegin() bool {
	switch {
	case r.stopped != nil || r.resume != nil || r.next == len(r.items):
		return false
	case r.atWork-r.slow >= r.parallel || r.atWork >= maxParallel:
		return false
	case r.batch > 0 && r.next%r.batch == 0:
		return r.atWork == 0
	}
	return true
}

// take takes an answer, and begins the pause that follows the last of a batch.
func (r *fanRun[T, R]) take(a answered[R]) {
	r.atWork--
	if a.of.done = true; a.of.slow {
		r.slow--
	}
	r.each(a.answer)
	if r.enough != nil && r.stopped == nil {
		r.stopped = r.enough()
	}
	between := r.batch > 0 && r.atWork == 0 && r.next%r.batch == 0 && r.next < len(r.items)
	if between && r.pause > 0 && r.stopped == nil {
		r.resume = time.After(r.pause)
	}
}

// stop has no more items begun, since the context has ended.
func (r *fanRun[T, R]) stop(why *model.Error) {
	r.ended = nil
	if r.stopped == nil {
		r.stopped = why
	}
	if r.ending != nil && r.atWork > 0 {
		r.ending(r.atWork)
	}
}
