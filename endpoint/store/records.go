package store

import (
	"context"
	"time"
)

// Record is one run record. Prefix and ID name the object acted on.
type Record struct {
	Prefix string
	ID     string
	Seq    uint64
	Time   time.Time // when it was stored
	Data   []byte
}

// LastRecord returns the last record of an object, read from the stream and
// not from a copy. Without one the record's Seq is 0.
func (s *Store) LastRecord(ctx context.Context, prefix, id string) (Record, error) {
	return Record{}, errNotYet
}

// PutRecord appends a record if the last one of its object still has the
// sequence r.Seq (0: there is none) and returns its own sequence. Another
// sequence is a conflict. When it returns the record is on disk.
func (s *Store) PutRecord(ctx context.Context, r Record) (uint64, error) {
	return 0, errNotYet
}

// ScanRecords calls fn with every record in the order they were written: those
// of one object, or with an empty prefix those of the whole site.
func (s *Store) ScanRecords(ctx context.Context, prefix, id string, fn func(Record) error) error {
	return errNotYet
}

// ReadRecord returns the record at a sequence, or a not-found error.
func (s *Store) ReadRecord(ctx context.Context, seq uint64) (Record, error) {
	return Record{}, errNotYet
}

// DeleteRecord removes the record at a sequence; an absent one is no error.
func (s *Store) DeleteRecord(ctx context.Context, seq uint64) error {
	return errNotYet
}
