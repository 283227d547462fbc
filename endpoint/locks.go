package endpoint

import "sync"

// keyLocks is a lock per object, and who holds it: the store tells of a change
// before the write that made it returns, so the holder is its author.
type keyLocks struct {
	mu   sync.Mutex // guards held and all but the mutex of its locks
	held map[string]*keyLock
}

// keyLock is the lock of one object while anybody wants it.
type keyLock struct {
	mu    sync.Mutex // held by the one who may write the object
	users int
	who   string
	saves bool // the holder changes a part of the object on its own
}

// lock takes the lock of an object for a writer and returns what gives it back.
func (k *keyLocks) lock(prefix, id, who string) (unlock func()) {
	name := prefix + "." + id
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*keyLock{}
	}
	l := k.held[name]
	if l == nil {
		l = &keyLock{}
		k.held[name] = l
	}
	l.users++
	k.mu.Unlock()

	l.mu.Lock()
	k.setWho(l, who)
	return func() {
		k.setWho(l, "")
		l.mu.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.held, name)
		}
	}
}

// setWho notes the lock's holder.
func (k *keyLocks) setWho(l *keyLock, who string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l.who, l.saves = who, false
}

// save notes that the holder changes a part of the object on its own.
func (k *keyLocks) save(prefix, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.held[prefix+"."+id]; l != nil {
		l.saves = true
	}
}

// saving reports whether the holder does.
func (k *keyLocks) saving(prefix, id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.held[prefix+"."+id]
	return l != nil && l.saves
}

// holder answers who holds an object's lock.
func (k *keyLocks) holder(prefix, id string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l := k.held[prefix+"."+id]; l != nil {
		return l.who
	}
	return ""
}
