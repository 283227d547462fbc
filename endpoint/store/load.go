package store

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// contents is the bucket as it was found at start.
type contents struct {
	schema       *schema
	objects      *decoder
	reservations []reservation
	markers      int // of what was deleted
}

// load fills the view from the bucket and clears away what unfinished writes
// left there.
func (s *Store) load(ctx context.Context) error {
	c := contents{objects: newDecoder()}
	err := s.scan(ctx, objectsStream, bucketSubject+">", func(msg jetstream.Msg, meta *jetstream.MsgMetadata) error {
		return c.add(msg, meta.Sequence.Stream)
	})
	items, damage := c.objects.end()
	if err == nil {
		err = damage
	}
	if err != nil {
		return err
	}
	if err := s.checkSchema(ctx, c.schema); err != nil {
		return err
	}
	s.view.load(items)
	s.markers = c.markers
	if err := s.upgrade(ctx, c.schema); err != nil {
		return err
	}
	return s.sweepReservations(ctx, c.reservations)
}

// add sorts one message of the bucket in. What cannot be read stops the start:
// going on without it would make its names free for others.
func (c *contents) add(msg jetstream.Msg, seq uint64) error {
	k := strings.TrimPrefix(msg.Subject(), bucketSubject)
	if isMarker(msg.Headers()) {
		// It stays. The engine notes on disk what was removed by its sequence, but not
		// what a newer message of the key made obsolete: after a crash it reads its log
		// anew, and the value from before would be the newest one of a key whose marker
		// is gone. See compact.
		c.markers++
		return nil
	}
	if k == beatKey {
		return nil
	}
	if k == schemaKey {
		var err error
		c.schema, err = readSchema(msg, seq)
		return err
	}
	if strings.HasPrefix(k, uniquePrefix+".") {
		c.reservations = append(c.reservations, reservation{key: k, owner: string(msg.Data()), rev: seq})
		return nil
	}
	c.objects.add(stored{k, msg.Data(), seq})
	return nil
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
