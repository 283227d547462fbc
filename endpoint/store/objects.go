package store

import (
	"context"
	"encoding/json"

	"provision-plugins/shared/model"
)

var errNotYet = model.Errorf(model.Unsupported, "store: not built yet")

// Object is one stored object. Value is shared with the view: do not change
// its bytes.
type Object struct {
	Prefix string
	ID     string
	Rev    uint64 // revision; grows with every write of the store
	Value  json.RawMessage
}

// Change is one committed write of an object: Old is nil for a create, New is
// nil for a delete.
type Change struct {
	Old, New *Object
}

// Get returns an object from the view, or a not-found error.
func (s *Store) Get(prefix, id string) (Object, error) {
	return Object{}, errNotYet
}

// List returns the objects of a prefix from the view, ordered by ID.
func (s *Store) List(prefix string) []Object {
	return nil
}

// Find returns the object that holds a value of a unique index, or a not-found
// error.
func (s *Store) Find(prefix, index, value string) (Object, error) {
	return Object{}, errNotYet
}

// Create stores a new object. Each of unique's values (index to value; empty
// values are skipped) is reserved first: a value that another object of the
// prefix holds, or an ID that exists, is a conflict.
func (s *Store) Create(ctx context.Context, o Object, unique map[string]string) (Object, error) {
	return Object{}, errNotYet
}

// Update replaces the object whose revision is o.Rev; any other revision is a
// conflict, an absent object not-found. Unique is the whole new set of unique
// values.
func (s *Store) Update(ctx context.Context, o Object, unique map[string]string) (Object, error) {
	return Object{}, errNotYet
}

// Delete removes an object, if its revision is rev or rev is 0, and returns
// what it was.
func (s *Store) Delete(ctx context.Context, prefix, id string, rev uint64) (Object, error) {
	return Object{}, errNotYet
}

// OnChange has fn called for every committed change from now on, in revision
// order per object, before the write that made it returns. Fn must be quick
// and must not write to the store.
func (s *Store) OnChange(fn func(Change)) {
}
