package store

import (
	"context"
	"errors"
	"slices"

	"provision-plugins/shared/model"
)

// reservation is a record that an object holds a unique value.
type reservation struct {
	key   string
	owner string // key of the object
	rev   uint64
}

// claim is one unique value that a write takes or gives up.
type claim struct {
	index, value string
	key          string
}

// reserve takes the unique values that next has and old has not, and keeps
// everybody else off these and those that are given up until release is called.
// Release(nil) gives up what old had and next has not, release of an error what
// was taken here; of one that leaves it open whether the object was written,
// neither: the next start does. Either of old and next may be nil. The caller holds the object's
// key.
func (s *Store) reserve(ctx context.Context, old, next *item) (release func(error), err error) {
	taken, given := claims(next, old), claims(old, next)
	unlock := s.lockClaims(taken, given)
	owner := ownerKey(old, next)
	for i, c := range taken {
		if err := s.take(ctx, c, owner); err != nil {
			s.giveUp(ctx, taken[:i], owner)
			unlock()
			return nil, err
		}
	}
	return func(err error) {
		defer unlock()
		if err == nil {
			s.giveUp(ctx, given, owner)
		} else if d := (*doubtful)(nil); !errors.As(err, &d) {
			s.giveUp(ctx, taken, owner)
		}
	}, nil
}

// claims lists the unique values that a has and b has not.
func claims(a, b *item) []claim {
	if a == nil {
		return nil
	}
	var out []claim
	for _, h := range a.unique {
		if b != nil && slices.Contains(b.unique, h) {
			continue
		}
		out = append(out, claim{h.index, h.value, uniqueKey(a.Prefix, h.index, h.value)})
	}
	return out
}

// ownerKey is the key of the object that is written.
func ownerKey(old, next *item) string {
	if next == nil {
		next = old
	}
	return key(next.Prefix, next.ID)
}

// lockClaims locks the keys of claims in an order all writers keep.
func (s *Store) lockClaims(lists ...[]claim) (unlock func()) {
	var keys []string
	for _, list := range lists {
		for _, c := range list {
			keys = append(keys, c.key)
		}
	}
	slices.Sort(keys)
	var unlocks []func()
	for _, k := range slices.Compact(keys) {
		unlocks = append(unlocks, s.locks.lock(k))
	}
	return func() {
		for _, fn := range slices.Backward(unlocks) {
			fn()
		}
	}
}

// take writes a reservation. One whose owner does not hold the value is left
// over from a write that did not come to its end, and is taken over: while the
// claim is locked no other write can be between the two.
func (s *Store) take(ctx context.Context, c claim, owner string) error {
	_, err := s.putNew(ctx, c.key, []byte(owner))
	if !errors.Is(err, errStale) {
		return err
	}
	msg, err := s.last(ctx, objectsStream, bucketSubject+c.key)
	if err != nil {
		return err
	}
	if msg != nil && !removed(msg) {
		held := reservation{key: c.key, owner: string(msg.Data), rev: msg.Sequence}
		if held.owner != owner && s.doubts.has(held.owner) {
			return model.Errorf(model.Busy, "cannot tell yet whether %s %q is taken; try again", c.index, c.value).After(beatEvery)
		}
		if prefix, id, ok := splitKey(held.owner); ok && held.owner != owner && s.holds(held) {
			return model.Errorf(model.Conflict, "%s %q is taken by %s/%s", c.index, c.value, prefix, id).On(prefix, id)
		}
		_, err = s.put(ctx, write{stream: objectsStream, subject: bucketSubject + c.key, data: []byte(owner), expect: held.rev})
	}
	if errors.Is(err, errStale) {
		return model.Errorf(model.Conflict, "%s %q was just taken by somebody else", c.index, c.value)
	}
	return err
}

// giveUp removes reservations of an owner. A failure leaves one behind that the
// next taker or the next start removes.
func (s *Store) giveUp(ctx context.Context, list []claim, owner string) {
	for _, c := range list {
		msg, err := s.last(context.WithoutCancel(ctx), objectsStream, bucketSubject+c.key)
		if err == nil && msg != nil && !removed(msg) && string(msg.Data) == owner {
			err = s.drop(ctx, reservation{key: c.key, rev: msg.Sequence})
		}
		if err != nil {
			s.log.Warn("cannot give a unique value up", "index", c.index, "owner", owner, "err", err)
		}
	}
}

// drop writes the delete marker of a reservation.
func (s *Store) drop(ctx context.Context, r reservation) error {
	_, err := s.put(context.WithoutCancel(ctx), write{
		stream: objectsStream, subject: bucketSubject + r.key, expect: r.rev, remove: true,
	})
	return err
}

// holds reports whether the owner of a reservation has the value it reserves.
func (s *Store) holds(r reservation) bool {
	prefix, id, ok := splitKey(r.owner)
	if !ok {
		return false
	}
	it := s.view.get(prefix, id)
	if it == nil {
		return false
	}
	for _, h := range it.unique {
		if uniqueKey(prefix, h.index, h.value) == r.key {
			return true
		}
	}
	return false
}
