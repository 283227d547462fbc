package store

import "sync"

// keyLocks gives each key a lock of its own for as long as anybody wants it.
// The zero value is ready.
type keyLocks struct {
	mu   sync.Mutex // guards held and the counts in it
	held map[string]*keyLock
}

// keyLock is the lock of one key.
type keyLock struct {
	mu    sync.Mutex // held by the writer of the key
	users int        // holder and waiters; guarded by keyLocks.mu
}

// lock waits for the key and returns what gives it up. Who takes more than one
// key takes an object's first and then unique ones in order.
func (l *keyLocks) lock(k string) (unlock func()) {
	l.mu.Lock()
	if l.held == nil {
		l.held = map[string]*keyLock{}
	}
	own := l.held[k]
	if own == nil {
		own = &keyLock{}
		l.held[k] = own
	}
	own.users++
	l.mu.Unlock()

	own.mu.Lock()
	return func() {
		own.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if own.users--; own.users == 0 {
			delete(l.held, k)
		}
	}
}
