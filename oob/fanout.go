package main

import (
	"context"
	"sync"
)

// fanOut calls call for each item, at most parallel at once, and each with
// each answer as it comes, from the calling goroutine. Every item is answered:
// call itself must look at ctx. All its goroutines have ended when it returns.
func fanOut[T, R any](ctx context.Context, items []T, parallel int, call func(context.Context, T) R, each func(R)) {
	queue := make(chan T)
	answers := make(chan R)
	var workers sync.WaitGroup
	for range min(parallel, len(items)) {
		workers.Go(func() {
			for item := range queue {
				answers <- call(ctx, item)
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
	for answer := range answers {
		each(answer)
	}
}
