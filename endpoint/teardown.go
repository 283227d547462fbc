package endpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// step is one thing to undo.
type step struct {
	name  string
	bound time.Duration
	undo  func(ctx context.Context) error
}

// teardown is a stack of steps, undone in the reverse order of their pushing.
// A failed start and a stop use the same stack.
type teardown struct {
	mu    sync.Mutex // guards steps
	steps []step
}

// push adds a step. Its undo should return within bound; when it does not it is
// left behind, named in the error, and the next step goes on.
func (t *teardown) push(name string, bound time.Duration, undo func(context.Context) error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.steps = append(t.steps, step{name, bound, undo})
}

// pop takes the newest step.
func (t *teardown) pop() (step, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.steps) == 0 {
		return step{}, false
	}
	last := t.steps[len(t.steps)-1]
	t.steps = t.steps[:len(t.steps)-1]
	return last, true
}

// unwind undoes everything; each step happens once, however often it is called.
func (t *teardown) unwind(ctx context.Context) error {
	var errs []error
	for {
		s, ok := t.pop()
		if !ok {
			return errors.Join(errs...)
		}
		errs = append(errs, s.run(ctx))
	}
}

// run undoes one step within its bound.
func (s step) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.bound)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.undo(ctx) }()
	// The grace lets an undo that obeys its context say why it gave up.
	grace := time.NewTimer(s.bound + time.Second)
	defer grace.Stop()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("cannot stop %s: %w", s.name, err)
		}
		return nil
	case <-grace.C:
		return fmt.Errorf("cannot stop %s: not done after %s", s.name, s.bound)
	}
}
