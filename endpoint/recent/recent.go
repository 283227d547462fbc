// Package recent keeps for a short while what was worked out for a question that is
// asked again and again.
package recent

import (
	"sync"
	"time"
)

const (
	// For is how long something is kept that is not asked for: secrets may be in it.
	For = time.Minute
	// Max bounds what is kept.
	Max = 10_000
)

// Key is what is asked, of which object.
type Key struct{ Object, Asked string }

// Book keeps what was worked out. The zero value is empty and ready.
type Book[T any] struct {
	mu    sync.Mutex // guards the below
	pages map[Key]*page[T]
	sweep *time.Timer // nil while nothing is kept
}

// page is one thing that is kept.
type page[T any] struct {
	value T
	used  time.Time
}

// Get returns what is kept, if it is. What does not hold any more is forgotten.
func (b *Book[T]) Get(k Key, holds func(T) bool) (value T, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.pages[k]
	if p == nil {
		return value, false
	}
	if !holds(p.value) {
		delete(b.pages, k)
		return value, false
	}
	p.used = time.Now()
	return p.value, true
}

// Put keeps a value, in place of the one before. A full book stays as it is.
func (b *Book[T]) Put(k Key, value T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pages[k] == nil && len(b.pages) >= Max {
		return
	}
	if b.pages == nil {
		b.pages = map[Key]*page[T]{}
	}
	b.pages[k] = &page[T]{value, time.Now()}
	if b.sweep == nil {
		b.sweep = time.AfterFunc(For, b.forget)
	}
}

// forget forgets what has not been asked for, and comes back for the rest.
func (b *Book[T]) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := For
	for k, p := range b.pages {
		left := For - time.Since(p.used)
		if left <= 0 {
			delete(b.pages, k)
		} else {
			next = min(next, left)
		}
	}
	if b.sweep = nil; len(b.pages) > 0 {
		b.sweep = time.AfterFunc(max(next, For/10), b.forget)
	}
}

// Close forgets everything. Nothing is to be kept from then on.
func (b *Book[T]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages = nil
	if b.sweep != nil {
		b.sweep.Stop()
		b.sweep = nil
	}
}
