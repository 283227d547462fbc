package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"provision-plugins/shared/model"
)

// contents is the bucket as it was found at start.
type contents struct {
	schema       *schema
	items        []*item // in no order
	reservations []reservation
	markers      int    // of what was deleted
	messages     int    // of all kinds
	last         uint64 // the newest sequence
}

// entry is a message of the bucket.
type entry struct {
	key    string
	data   []byte
	seq    uint64
	marker bool // it says that the key was deleted
}

// load fills the view with what the bucket's files have and clears away what
// unfinished writes left there.
func (s *Store) load(ctx context.Context, c *contents) error {
	known, err := s.agrees(ctx, c)
	if err == nil && !known {
		s.log.Info("the store's files do not tell by themselves what is in them; the engine is asked")
		c, err = s.ask(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.checkSchema(ctx, c.schema); err != nil {
		return err
	}
	s.view.load(c.items)
	s.markers = c.markers
	if err := s.upgrade(ctx, c.schema); err != nil {
		return err
	}
	return s.sweepReservations(ctx, c.reservations)
}

// agrees reports whether the engine found in the bucket's files what the store did:
// as many messages, one of each key, up to the same sequence.
func (s *Store) agrees(ctx context.Context, c *contents) (bool, error) {
	info, err := s.stream(objectsStream).Info(ctx)
	if err != nil {
		return false, model.Errorf(model.Internal, "cannot read the store: %w", err)
	}
	have := uint64(c.messages) //nolint:gosec // a count
	return info.State.Msgs == have && info.State.NumSubjects == have && info.State.LastSeq == c.last, nil
}

// ask reads the bucket through the engine.
func (s *Store) ask(ctx context.Context) (*contents, error) {
	c := &contents{}
	return c, s.scan(ctx, objectsStream, bucketSubject+">", func(msg jetstream.Msg, meta *jetstream.MsgMetadata) error {
		return c.add(entry{strings.TrimPrefix(msg.Subject(), bucketSubject), msg.Data(), meta.Sequence.Stream, isMarker(msg.Headers())})
	})
}

// add sorts one message of the bucket in. What cannot be read stops the start:
// going on without it would make its names free for others. It keeps nothing of the
// data.
func (c *contents) add(e entry) error {
	c.messages++
	switch {
	case e.marker:
		// It stays. The engine notes on disk what was removed by its sequence, but not
		// what a newer message of the key made obsolete: after a crash it reads its log
		// anew, and the value from before would be the newest one of a key whose marker
		// is gone. See compact.
		c.markers++
	case e.key == beatKey:
	case e.key == schemaKey:
		c.schema = &schema{rev: e.seq}
		return decodeRecord(schemaKey, e.data, c.schema)
	case strings.HasPrefix(e.key, uniquePrefix+"."):
		c.reservations = append(c.reservations, reservation{key: e.key, owner: string(e.data), rev: e.seq})
	default:
		it, err := itemOf(e.key, e.data, e.seq)
		if err != nil {
			return err
		}
		c.items = append(c.items, it)
	}
	return nil
}

// join takes over what another part of the bucket has.
func (c *contents) join(part *contents) {
	if part.schema != nil {
		c.schema = part.schema
	}
	c.items = append(c.items, part.items...)
	c.reservations = append(c.reservations, part.reservations...)
	c.markers += part.markers
	c.messages += part.messages
}

// sweepEvery is how often reservations are looked for that no object holds. A write
// that cannot give one up leaves it.
const sweepEvery = 24 * time.Hour

// sweepDaily sweeps until the store is closed.
func (s *Store) sweepDaily() {
	ticker := time.NewTicker(s.opts.sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closed:
			return
		case <-ticker.C:
		}
		ctx, stop := s.dog.until(context.Background())
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot look for left-over reservations; the next day does", "err", err)
		}
		stop()
	}
}

// sweep removes the reservations whose owner lacks the value, while others write.
func (s *Store) sweep(ctx context.Context) error {
	var left []reservation
	err := s.scan(ctx, objectsStream, bucketSubject+uniquePrefix+".>", func(msg jetstream.Msg, meta *jetstream.MsgMetadata) error {
		r := reservation{strings.TrimPrefix(msg.Subject(), bucketSubject), string(msg.Data()), meta.Sequence.Stream}
		if !isMarker(msg.Headers()) && !s.holds(r) {
			left = append(left, r)
		}
		return nil
	})
	for _, r := range left {
		err = errors.Join(err, s.dropLeft(ctx, r))
	}
	return err
}

// dropLeft removes a reservation, unless it is of a write that is under way, or of
// one that may come true.
func (s *Store) dropLeft(ctx context.Context, r reservation) error {
	defer s.entered(r.key)()
	if s.holds(r) || s.doubts.has(r.owner) {
		return nil
	}
	s.log.Info("removing a left-over reservation", "key", r.key, "owner", r.owner)
	if err := s.drop(ctx, r); !errors.Is(err, errStale) {
		return err
	}
	return nil
}

// sweepReservations removes the reservations whose owner lacks the value.
func (s *Store) sweepReservations(ctx context.Context, list []reservation) error {
	for _, r := range list {
		if s.holds(r) {
			continue
		}
		s.log.Info("removing a left-over reservation", "key", r.key, "owner", r.owner)
		if err := s.drop(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
