package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"provision-plugins/shared/model"
)

// Record is one run record. Prefix and ID name the object acted on.
type Record struct {
	Prefix string
	ID     string
	Seq    uint64
	Time   time.Time // when it was stored
	Data   []byte
}

// subject is the subject of an object's records.
func (s *Store) subject(prefix, id string) string {
	return recordSubject + s.site + "." + key(prefix, id)
}

// LastRecord returns the last record of an object, read from the stream and
// not from a copy. Without one the record's Seq is 0.
func (s *Store) LastRecord(ctx context.Context, prefix, id string) (Record, error) {
	r := Record{Prefix: prefix, ID: id}
	msg, err := s.last(ctx, recordsStream, s.subject(prefix, id))
	if err != nil || msg == nil {
		return r, err
	}
	r.Seq, r.Time, r.Data = msg.Sequence, msg.Time, msg.Data
	return r, nil
}

// PutRecord appends a record if the last one of its object still has the
// sequence r.Seq (0: there is none) and returns its own sequence. Another
// sequence is a conflict. When it returns the record is on disk.
func (s *Store) PutRecord(ctx context.Context, r Record) (uint64, error) {
	if r.Prefix == "" || r.ID == "" || len(r.Prefix) > maxPrefix || len(r.ID) > maxID {
		return 0, model.Errorf(model.Invalid, "cannot write a run record: no object is named %.40q/%.40q", r.Prefix, r.ID)
	}
	if len(r.Data) > MaxValue {
		return 0, model.Errorf(model.Invalid, "cannot write a run record: larger than %d bytes", MaxValue)
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	seq, err := s.put(ctx, write{stream: recordsStream, subject: s.subject(r.Prefix, r.ID), data: r.Data, expect: r.Seq})
	if errors.Is(err, errStale) {
		return 0, model.Errorf(model.Conflict, "cannot write a run record: %s/%s has a newer one", r.Prefix, r.ID)
	}
	return seq, told(err)
}

// ScanRecords calls fn with every record in the order they were written: those
// of one object, or with an empty prefix those of the whole site.
func (s *Store) ScanRecords(ctx context.Context, prefix, id string, fn func(Record) error) error {
	filter := recordSubject + s.site + ".>"
	if prefix != "" {
		filter = s.subject(prefix, id)
	}
	return s.scan(ctx, recordsStream, filter, func(msg jetstream.Msg, meta *jetstream.MsgMetadata) error {
		r, err := s.record(msg.Subject())
		if err != nil {
			return err
		}
		r.Seq, r.Time, r.Data = meta.Sequence.Stream, meta.Timestamp, msg.Data()
		return fn(r)
	})
}

// ReadRecord returns the record at a sequence, or a not-found error.
func (s *Store) ReadRecord(ctx context.Context, seq uint64) (Record, error) {
	if err := s.usable(ctx); err != nil {
		return Record{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	msg, err := s.stream(recordsStream).GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Record{}, model.Errorf(model.NotFound, "run record %d does not exist", seq)
	}
	if err != nil {
		return Record{}, model.Errorf(model.Internal, "cannot read from the store: %w", err)
	}
	r, err := s.record(msg.Subject)
	if err != nil {
		return Record{}, err
	}
	r.Seq, r.Time, r.Data = msg.Sequence, msg.Time, msg.Data
	return r, nil
}

// DeleteRecord removes the record at a sequence; an absent one is no error.
func (s *Store) DeleteRecord(ctx context.Context, seq uint64) error {
	return s.deleteMsg(ctx, recordsStream, seq)
}

// record returns a record with the names that a subject of this site spells.
func (s *Store) record(subject string) (Record, error) {
	k, found := strings.CutPrefix(subject, recordSubject+s.site+".")
	prefix, id, ok := splitKey(k)
	if !found || !ok {
		return Record{}, fmt.Errorf("cannot read the store: strange subject %.80q", subject)
	}
	return Record{Prefix: prefix, ID: id}, nil
}

// deleteMsg removes a message by its sequence.
func (s *Store) deleteMsg(ctx context.Context, id streamID, seq uint64) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	stream := s.stream(id)
	err := stream.DeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	// The client hides the engine's code for an absent message.
	if _, getErr := stream.GetMsg(ctx, seq); errors.Is(getErr, jetstream.ErrMsgNotFound) {
		return nil
	}
	return model.Errorf(model.Internal, "cannot delete from the store: %w", err)
}
