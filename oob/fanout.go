package main

import (
	"context"
	"sync"
	"time"
)

// fan says how items are worked on.
type fan[T, R any] struct {
	// parallel is how many calls run at once.
	parallel int
	// call works on one item. Every item is called: it must look at ctx.
	call func(context.Context, T) R
	// each takes the answers as they come; tick, unless nil, is called every
	// tickEvery in between. Both run on the calling goroutine.
	each func(R)
	tick func()
}

// tickEvery is the time between two ticks.
const tickEvery = 200 * time.Millisecond

// run works on all items. All its goroutines have ended when it returns.
func (f fan[T, R]) run(ctx context.Context, items []T) {
	queue := make(chan T)
	answers := make(chan R)
	var workers sync.WaitGroup
	for range min(f.parallel, len(items)) {
		workers.Go(func() {
			for item := range queue {
				answers <- f.call(ctx, item)
			}
		})
	}
	workers.Go(func() {
		defer close(queue)
		for _, item := range items {
			queue <- item
		}
	})
	go func() {
		workers.Wait()
		close(answers)
	}()
	var ticks <-chan time.Time
	if f.tick != nil {
		ticker := time.NewTicker(tickEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		select {
		case answer, ok := <-answers:
			if !ok {
				return
			}
			f.each(answer)
		case <-ticks:
			f.tick()
		}
	}
}
