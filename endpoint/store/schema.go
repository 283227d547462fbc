package store

import (
	"context"
	"encoding/json"

	"provision-plugins/shared/model"
)

// SchemaVersion is the layout that this program reads and writes.
//
//	1: the objects, their reservations, run records and the audit trail
//	2: the bucket is written to in batches, and holds the store's own beat, which
//	   programs of layout 1 take for an object
const SchemaVersion = 2

// schemaKey is the key of the record of the layout.
const schemaKey = systemPrefix + ".schema"

// schema is the record of the layout.
type schema struct {
	Version int
	rev     uint64
}

// upgrades bring a store from the layout of the key to the next one. Each may be
// cut off and is then done again.
var upgrades = map[int]func(ctx context.Context, s *Store) error{
	1: func(context.Context, *Store) error { return nil }, // the streams are as they have to be once they are open
}

// checkSchema refuses a store that a later program made, and marks a new one.
func (s *Store) checkSchema(ctx context.Context, found *schema) error {
	switch {
	case found == nil:
		return s.markSchema(ctx, 0, SchemaVersion)
	case found.Version > SchemaVersion || found.Version < 1:
		return model.Errorf(model.Invalid,
			"cannot open the store: its layout is version %d, this program knows version %d; use the program that made it, or restore a snapshot of before",
			found.Version, SchemaVersion)
	}
	return nil
}

// upgrade brings a store of an earlier layout to the present one.
func (s *Store) upgrade(ctx context.Context, found *schema) error {
	if found == nil || found.Version == SchemaVersion {
		return nil
	}
	s.log.Info("the store is brought to another layout", "from", found.Version, "to", SchemaVersion)
	if s.opts.Upgrade != nil {
		if err := s.opts.Upgrade(ctx, s, found.Version); err != nil {
			return model.Errorf(model.Internal, "cannot bring the store from layout %d to %d, and has left it as it was: %w", found.Version, SchemaVersion, err)
		}
	}
	for v := found.Version; v < SchemaVersion; v++ {
		if err := upgrades[v](ctx, s); err != nil {
			return model.Errorf(model.Internal, "cannot bring the store from layout %d to %d: %w", v, v+1, err)
		}
	}
	return s.markSchema(ctx, found.rev, SchemaVersion)
}

// markSchema writes the record of the layout in the place of the one of that
// revision, 0 for none.
func (s *Store) markSchema(ctx context.Context, rev uint64, version int) error {
	data, err := json.Marshal(schema{Version: version})
	if err != nil {
		return err
	}
	_, err = s.put(ctx, write{stream: objectsStream, subject: bucketSubject + schemaKey, data: data, expect: rev})
	return told(err)
}
