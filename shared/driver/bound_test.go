package driver

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A bound ends as a context with a deadline does, whoever looks first and how.
func TestBoundsEnd(t *testing.T) {
	errEnough := errors.New("enough")
	for name, c := range map[string]struct {
		end   func(b *bound, parent context.CancelCauseFunc)
		err   error
		cause error
	}{
		"by its time":     {func(*bound, context.CancelCauseFunc) { <-time.After(time.Minute) }, context.DeadlineExceeded, context.DeadlineExceeded},
		"by cancel":       {func(b *bound, _ context.CancelCauseFunc) { b.cancel() }, context.Canceled, context.Canceled},
		"by its parent":   {func(_ *bound, parent context.CancelCauseFunc) { parent(errEnough) }, context.Canceled, errEnough},
		"cancelled twice": {func(b *bound, _ context.CancelCauseFunc) { b.cancel(); b.cancel() }, context.Canceled, context.Canceled},
	} {
		for how, look := range map[string]func(b *bound){
			"nobody": func(*bound) {}, "a waiter": func(b *bound) { b.Done() }, "a look": func(b *bound) { _ = b.Err() }, "a value": func(b *bound) { b.Value(t) },
		} {
			t.Run(name+" after "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					b := boundTo(parent, time.Minute)
					defer b.cancel()
					look(b)
					if err := b.Err(); err != nil {
						t.Fatalf("ended at its begin: %v", err)
					}
					c.end(b, cancel)
					synctest.Wait()
					if err := b.Err(); !errors.Is(err, c.err) {
						t.Errorf("ended by %v, want %v", err, c.err)
					}
					<-b.Done()
					if err := context.Cause(b); !errors.Is(err, c.cause) {
						t.Errorf("cause %v, want %v", err, c.cause)
					}
				})
			})
		}
	}
}

// What is derived from a bound ends with it, without a goroutine between them.
func TestContextsOfABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		b := boundTo(context.WithValue(t.Context(), key{}, "v"), time.Minute)
		before := runtime.NumGoroutine()
		child, cancel := context.WithTimeout(b, time.Hour)
		defer cancel()
		if now := runtime.NumGoroutine(); now != before {
			t.Errorf("%d goroutines more", now-before)
		}
		if deadline, ok := child.Deadline(); !ok || time.Until(deadline) != time.Minute {
			t.Errorf("ends at %v", deadline)
		}
		if v := child.Value(key{}); v != "v" {
			t.Errorf("value %v", v)
		}
		select {
		case <-child.Done():
			t.Error("ended at its begin")
		default:
		}
		b.cancel()
		<-child.Done()
	})
}

// A bound is not longer than its parent.
func TestBoundsOfTheParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b := boundTo(parent, time.Minute)
		defer b.cancel()
		if deadline, ok := b.Deadline(); !ok || time.Until(deadline) != time.Second {
			t.Errorf("ends at %v", deadline)
		}
		<-b.Done()
		if !errors.Is(b.Err(), context.DeadlineExceeded) {
			t.Error(b.Err())
		}
	})
}

// A bound that nobody waits for takes no timer.
func TestBoundsWithoutATimer(t *testing.T) {
	parent := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		b := boundTo(parent, time.Minute)
		_, _ = b.Deadline()
		_ = b.Err()
		b.cancel()
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
