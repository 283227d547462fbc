package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"provision-plugins/shared/model"
)

// Object is one stored object. Value and Key are shared with the view: do not
// change their bytes.
type Object struct {
	Prefix string
	ID     string
	Rev    uint64 // revision; grows with every write of the store
	Value  json.RawMessage
	// Key is kept beside the value and means nothing to the store: the sealed
	// key of the object's secrets.
	Key []byte
	// Note is where readers of the view keep what they derived from this
	// revision. It is nil for objects that are not of the view; who writes one may
	// give it another Note, with what is known of the value already.
	Note *Note
}

// Note holds one value, which ends with the revision it was derived from. It may
// be used concurrently.
type Note struct{ value atomic.Value }

// Load returns the value, or nil.
func (n *Note) Load() any { return n.value.Load() }

// Keep sets the value, unless one is there already, and returns the one that is
// there. All values must be of one type.
func (n *Note) Keep(v any) any {
	if n.value.CompareAndSwap(nil, v) {
		return v
	}
	return n.value.Load()
}

// Change is one committed write of an object: Old is nil for a create, New is
// nil for a delete.
type Change struct {
	Old, New *Object
}

// listeners are told of every change.
type listeners struct {
	mu  sync.RWMutex // guards fns
	fns []func(Change)
}

// envelope is an object as it is stored: what it is, and which unique values it
// holds.
type envelope struct {
	Unique map[string]string `json:"u,omitempty"`
	Value  json.RawMessage   `json:"v"`
	Key    []byte            `json:"k,omitempty"`
}

// OnChange has fn called for every committed change from now on, in revision
// order per object, before the write that made it returns. Fn must be quick
// and must not write to the store.
func (s *Store) OnChange(fn func(Change)) {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	s.listeners.fns = append(s.listeners.fns, fn)
}

// emit tells the listeners. The caller holds the object's key, which keeps the
// changes of one object in order.
func (s *Store) emit(c Change) {
	s.listeners.mu.RLock()
	defer s.listeners.mu.RUnlock()
	for _, fn := range s.listeners.fns {
		fn(c)
	}
}

// Get returns an object from the view, or a not-found error.
func (s *Store) Get(prefix, id string) (Object, error) {
	it := s.view.get(prefix, id)
	if it == nil {
		return Object{}, notFound(prefix, id)
	}
	return it.Object, nil
}

// List returns the objects of a prefix from the view, ordered by ID.
func (s *Store) List(prefix string) []Object { return s.view.list(prefix) }

// Snapshot is List without a copy of each object, for lists that are long. Until
// an object of the prefix changes it is the same slice. Neither it nor the
// objects may be changed.
func (s *Store) Snapshot(prefix string) []*Object { return s.view.snapshot(prefix) }

// Find returns the object that holds a value of a unique index, or a not-found
// error.
func (s *Store) Find(prefix, index, value string) (Object, error) {
	it := s.view.find(prefix, index, value)
	if it == nil {
		return Object{}, notFound(prefix, index+":"+value)
	}
	return it.Object, nil
}

// Create stores a new object. Each of unique's values (index to value; empty
// values are skipped) is reserved first: a value that another object of the
// prefix holds, or an ID that exists, is a conflict. It needs Room.
func (s *Store) Create(ctx context.Context, o Object, unique map[string]string) (Object, error) {
	next, data, err := newItem(o, unique)
	if err != nil {
		return Object{}, err
	}
	k := key(o.Prefix, o.ID)
	defer s.entered(k)()
	if err := s.certain(ctx, k); err != nil {
		return Object{}, err
	}
	if s.view.get(o.Prefix, o.ID) != nil {
		return Object{}, exists(o.Prefix, o.ID)
	}
	if o.Note != nil {
		next.Note = o.Note
	}
	if err := s.Room(); err != nil {
		return Object{}, err
	}
	release, err := s.reserve(ctx, nil, next)
	if err != nil {
		return Object{}, told(err)
	}
	rev, err := s.putNew(ctx, k, data)
	if errors.Is(err, errStale) {
		err = exists(o.Prefix, o.ID)
	}
	defer release(err) // once the view has the object: a claim is judged by the view
	if err != nil {
		return Object{}, s.doubt(k, err)
	}
	return s.commit(nil, next, rev), nil
}

// Update replaces the object whose revision is o.Rev; any other revision is a
// conflict, an absent object not-found. Unique is the whole new set of unique
// values.
func (s *Store) Update(ctx context.Context, o Object, unique map[string]string) (Object, error) {
	next, data, err := newItem(o, unique)
	if err != nil {
		return Object{}, err
	}
	k := key(o.Prefix, o.ID)
	defer s.entered(k)()
	if err := s.certain(ctx, k); err != nil {
		return Object{}, err
	}
	old, err := s.current(o.Prefix, o.ID, o.Rev)
	if err != nil {
		return Object{}, err
	}
	if o.Note != nil && o.Note != old.Note {
		next.Note = o.Note
	}
	release, err := s.reserve(ctx, old, next)
	if err != nil {
		return Object{}, told(err)
	}
	rev, err := s.put(ctx, write{stream: objectsStream, subject: bucketSubject + k, data: data, expect: old.Rev})
	if errors.Is(err, errStale) {
		err = changed(o.Prefix, o.ID)
	}
	defer release(err)
	if err != nil {
		return Object{}, s.doubt(k, err)
	}
	return s.commit(old, next, rev), nil
}

// Delete removes an object, if its revision is rev or rev is 0, and returns
// what it was.
func (s *Store) Delete(ctx context.Context, prefix, id string, rev uint64) (Object, error) {
	if err := checkName(prefix, id); err != nil {
		return Object{}, err
	}
	k := key(prefix, id)
	defer s.entered(k)()
	if err := s.certain(ctx, k); err != nil {
		return Object{}, err
	}
	if rev == 0 {
		if it := s.view.get(prefix, id); it != nil {
			rev = it.Rev
		}
	}
	old, err := s.current(prefix, id, rev)
	if err != nil {
		return Object{}, err
	}
	release, err := s.reserve(ctx, old, nil)
	if err != nil {
		return Object{}, err
	}
	gone, err := s.put(ctx, write{stream: objectsStream, subject: bucketSubject + k, expect: old.Rev, remove: true})
	if errors.Is(err, errStale) {
		err = changed(prefix, id)
	}
	defer release(err)
	if err != nil {
		return Object{}, s.doubt(k, err)
	}
	if s.view.remove(prefix, id, gone) {
		s.emit(Change{Old: old.object()})
	}
	return old.Object, nil
}

// entered waits for a key, and until nobody looks at the store as a whole. The
// key comes first: who waits for a key must not keep the others from writing.
func (s *Store) entered(k string) (leave func()) {
	unlock := s.locks.lock(k)
	s.gate.RLock()
	return func() {
		s.gate.RUnlock()
		unlock()
	}
}

// current returns the item a write is based on, if it still has that revision.
// The caller holds its key.
func (s *Store) current(prefix, id string, rev uint64) (*item, error) {
	it := s.view.get(prefix, id)
	if it == nil {
		return nil, notFound(prefix, id)
	}
	if it.Rev != rev {
		return nil, changed(prefix, id)
	}
	return it, nil
}

// commit brings a write that is on disk into the view and tells the listeners.
func (s *Store) commit(old, next *item, rev uint64) Object {
	next.Rev = rev
	if s.view.put(next) {
		s.emit(Change{Old: old.object(), New: next.object()})
	}
	return next.Object
}

// putNew writes a key that has no value: none ever, or a delete marker.
func (s *Store) putNew(ctx context.Context, k string, data []byte) (uint64, error) {
	w := write{stream: objectsStream, subject: bucketSubject + k, data: data}
	rev, err := s.put(ctx, w)
	if !errors.Is(err, errStale) {
		return rev, err
	}
	msg, err := s.last(ctx, objectsStream, w.subject)
	if err != nil {
		return 0, err
	}
	if msg != nil && !removed(msg) {
		return 0, errStale
	}
	if msg != nil {
		w.expect = msg.Sequence
	}
	return s.put(ctx, w)
}

// newItem checks an object and makes what the view and the bucket hold of it.
func newItem(o Object, unique map[string]string) (*item, []byte, error) {
	if err := checkName(o.Prefix, o.ID); err != nil {
		return nil, nil, err
	}
	var value bytes.Buffer
	if err := json.Compact(&value, o.Value); err != nil {
		return nil, nil, model.Errorf(model.Invalid, "cannot store %s/%s: %w", o.Prefix, o.ID, err)
	}
	kept := json.RawMessage(value.Bytes())
	if bytes.Equal(kept, o.Value) { // so that what was derived from it is of the same memory
		kept = o.Value
	}
	own := make(map[string]string, len(unique))
	maps.Copy(own, unique)
	maps.DeleteFunc(own, func(_, value string) bool { return value == "" })
	for index, value := range own {
		if len(index) > maxPrefix || len(value) > maxID {
			return nil, nil, model.Errorf(model.Invalid, "cannot store %s/%s: %s is longer than %d bytes", o.Prefix, o.ID, index, maxID)
		}
	}
	it := &item{Object: Object{Prefix: o.Prefix, ID: o.ID, Value: kept, Note: &Note{}, Key: o.Key}, unique: heldOf(own)}
	data, err := joinEnvelope(own, it.Value, it.Key)
	if err != nil {
		return nil, nil, model.Errorf(model.Invalid, "cannot store %s/%s: %w", o.Prefix, o.ID, err)
	}
	if len(data) > MaxValue {
		return nil, nil, model.Errorf(model.Invalid, "cannot store %s/%s: larger than %d bytes", o.Prefix, o.ID, MaxValue)
	}
	return it, data, nil
}

// notFound, exists and changed are the three refusals of the objects.
func notFound(prefix, id string) error {
	return model.Errorf(model.NotFound, "%s/%s does not exist", prefix, id).On(prefix, id)
}

// exists refuses a create.
func exists(prefix, id string) error {
	return model.Errorf(model.Conflict, "%s/%s already exists", prefix, id).On(prefix, id)
}

// changed refuses an update or a delete that is based on an old revision.
func changed(prefix, id string) error {
	return model.Errorf(model.Conflict, "%s/%s was changed by somebody else; read it again", prefix, id).On(prefix, id)
}
