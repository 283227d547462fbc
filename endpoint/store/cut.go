package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"provision-plugins/shared/model"
)

// Stored is an object with the unique values that it holds.
type Stored struct {
	Object
	Unique map[string]string
}

// Cut is all that a store had at one moment: no write of before is missing and
// none of after is there.
type Cut struct {
	// Revision is that of the newest object or delete, Sequence that of the newest
	// run record.
	Revision, Sequence uint64

	store *Store
	items []*item
	audit uint64 // the sequence of the newest batch
}

// Cut returns what the store has now. Writers wait until those before them have
// ended, which takes as long as one write; the content is read after that.
func (s *Store) Cut(ctx context.Context) (*Cut, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	if keys := s.doubts.all(); len(keys) > 0 {
		return nil, model.Errorf(model.Busy, "cannot tell yet what the store has of %s; try again", keys[0]).After(beatEvery)
	}
	c := &Cut{store: s, items: s.view.all()}
	for id, last := range map[streamID]*uint64{objectsStream: &c.Revision, recordsStream: &c.Sequence, auditStream: &c.audit} {
		info, err := s.stream(id).Info(ctx)
		if err != nil {
			return nil, model.Errorf(model.Internal, "cannot read the store: %w", err)
		}
		*last = info.State.LastSeq
	}
	return c, nil
}

// Objects lists the objects, by prefix and ID.
func (c *Cut) Objects() []Stored {
	out := make([]Stored, len(c.items))
	for i, it := range c.items {
		out[i] = Stored{Object: it.Object, Unique: it.holding()}
	}
	slices.SortFunc(out, func(a, b Stored) int {
		return cmp.Or(cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// Records calls fn with the run records in the order they were written. What has
// been swept since is left out.
func (c *Cut) Records(ctx context.Context, fn func(Record) error) error {
	return c.store.ScanRecords(ctx, "", "", func(r Record) error {
		if r.Seq > c.Sequence {
			return nil
		}
		return fn(r)
	})
}

// Audit calls fn with the batches of the audit trail, oldest first.
func (c *Cut) Audit(ctx context.Context, fn func(data []byte) error) error {
	s := c.store
	return s.scan(ctx, auditStream, s.auditOf(), func(msg jetstream.Msg, meta *jetstream.MsgMetadata) error {
		if meta.Sequence.Stream > c.audit {
			return nil
		}
		return fn(msg.Data())
	})
}

// Continue has the revisions and the sequences of an empty store go on after
// those of another one: what somebody has noted of that one is then never taken
// for something else.
func (s *Store) Continue(ctx context.Context, revision, sequence uint64) error {
	for id, last := range map[streamID]uint64{objectsStream: revision, recordsStream: sequence} {
		stream := s.stream(id)
		info, err := stream.Info(ctx)
		if err != nil {
			return model.Errorf(model.Internal, "cannot read the store: %w", err)
		}
		if len(s.view.all()) > 0 || info.State.LastSeq >= last {
			continue
		}
		// It takes away the record of the layout, which is written again.
		if err := stream.Purge(ctx, jetstream.WithPurgeSequence(last+1)); err != nil {
			return model.Errorf(model.Internal, "cannot write to the store: %w", err)
		}
	}
	msg, err := s.last(ctx, objectsStream, bucketSubject+schemaKey)
	if err != nil || msg != nil {
		return err
	}
	return s.markSchema(ctx, 0, SchemaVersion)
}
