package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"provision-plugins/shared/model"
)

// doubtful is the error of a write that may be there all the same.
type doubtful struct{ cause error }

// Error says what is not known.
func (d *doubtful) Error() string {
	return "cannot tell whether a write reached the store: " + d.cause.Error()
}

// Unwrap returns why it is not known.
func (d *doubtful) Unwrap() error { return d.cause }

// told is an error as callers see it: one that is doubtful has the status of its
// cause.
func told(err error) error {
	d := (*doubtful)(nil)
	if !errors.As(err, &d) {
		return err
	}
	e := model.Errorf(model.Internal, "%w", d)
	if cause := (*model.Error)(nil); errors.As(d.cause, &cause) {
		e.Code = cause.Code
	}
	return e
}

// doubts are the keys of the objects of which the view may be behind: of their
// last write it is not known whether it is there.
type doubts struct {
	mu   sync.Mutex // guards keys
	keys map[string]bool
}

// add notes a key.
func (d *doubts) add(k string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys == nil {
		d.keys = map[string]bool{}
	}
	d.keys[k] = true
}

// has reports whether a key is in doubt.
func (d *doubts) has(k string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[k]
}

// drop ends the doubt about a key.
func (d *doubts) drop(k string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.keys, k)
}

// all lists the keys.
func (d *doubts) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.keys))
}

// doubt notes a failed write of an object if it may be there all the same, and
// returns the error as callers see it. The caller holds the key.
func (s *Store) doubt(k string, err error) error {
	d := (*doubtful)(nil)
	if errors.As(err, &d) {
		s.doubts.add(k)
	}
	return told(err)
}

// certain brings an object of which it is not known what the store has into the
// view. The caller holds its key.
func (s *Store) certain(ctx context.Context, k string) error {
	if !s.doubts.has(k) {
		return nil
	}
	msg, err := s.last(ctx, objectsStream, bucketSubject+k)
	if err != nil {
		return err
	}
	prefix, id, _ := splitKey(k)
	old := s.view.get(prefix, id)
	switch {
	case msg == nil || old != nil && msg.Sequence <= old.Rev:
	case removed(msg):
		if s.view.remove(prefix, id, msg.Sequence) {
			s.emit(Change{Old: old.object()})
		}
	default:
		next, err := itemOf(k, msg.Data, msg.Sequence)
		if err != nil {
			return err
		}
		s.commit(old, next, msg.Sequence)
	}
	s.doubts.drop(k)
	return nil
}

// settleDoubts ends the doubts that can be ended.
func (s *Store) settleDoubts(ctx context.Context) {
	for _, k := range s.doubts.all() {
		unlock := s.locks.lock(k)
		err := s.certain(ctx, k)
		unlock()
		if err != nil {
			s.log.Debug("cannot tell yet what the store has", "key", k, "err", err)
			return
		}
	}
}

// settleBeside is settleDoubts in a goroutine of the watchdog's, which must not
// wait for a key: who has it may wait for an engine that is ill.
func (s *Store) settleBeside() {
	if len(s.doubts.all()) == 0 || s.dog.settling.Swap(true) {
		return
	}
	s.dog.done.Go(func() {
		defer s.dog.settling.Store(false)
		s.settleDoubts(context.Background())
	})
}
