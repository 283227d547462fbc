package store

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"provision-plugins/shared/model"
)

const (
	// writeTimeout bounds one write. The engine answers in well under a
	// millisecond, or its disk is in trouble.
	writeTimeout = 10 * time.Second
	readTimeout  = 10 * time.Second

	// wrongLastSequence and wrongLastSequenceConstant are the engine's two
	// codes for a lost compare-and-set.
	wrongLastSequence         jetstream.ErrorCode = 10071
	wrongLastSequenceConstant jetstream.ErrorCode = 10164

	opHeader = "KV-Operation"
	opDelete = "DEL"
	opPurge  = "PURGE"
)

// errStale is a lost compare-and-set.
var errStale = errors.New("the last sequence is another one")

// errClosed is what every call after Close gets.
func errClosed() error {
	return model.Errorf(model.Busy, "cannot use the store: it is closed")
}

// write is one compare-and-set: data go under subject if the last message there
// has the sequence expect, 0 meaning that there is none.
type write struct {
	stream  jetstream.Stream
	subject string
	data    []byte
	expect  uint64
	remove  bool // write a delete marker instead of data
}

// put carries a write out and returns its sequence, or errStale. It does not
// stop half way when ctx ends: the caller going away must not leave a write
// nobody knows the outcome of.
func (s *Store) put(ctx context.Context, w write) (uint64, error) {
	if err := s.usable(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	msg := &nats.Msg{Subject: w.subject, Data: w.data, Header: nats.Header{}}
	if w.remove {
		msg.Header.Set(opHeader, opDelete)
	}
	// The client must not publish again by itself: a second copy of a write
	// that did land would lose the compare-and-set and hide that it landed.
	ack, err := s.js.PublishMsg(ctx, msg,
		jetstream.WithExpectLastSequencePerSubject(w.expect), jetstream.WithRetryAttempts(0))
	if err == nil {
		return ack.Sequence, nil
	}
	if apiErr := (*jetstream.APIError)(nil); errors.As(err, &apiErr) {
		if apiErr.ErrorCode == wrongLastSequence || apiErr.ErrorCode == wrongLastSequenceConstant {
			return 0, errStale
		}
		return 0, model.Errorf(model.Internal, "cannot write to the store: %w", err)
	}
	return s.resolve(ctx, w, err)
}

// resolve finds out whether a write whose acknowledgement did not come is there.
func (s *Store) resolve(ctx context.Context, w write, cause error) (uint64, error) {
	msg, err := s.last(context.WithoutCancel(ctx), w.stream, w.subject)
	switch {
	case err != nil:
		return 0, model.Errorf(model.Internal, "cannot tell whether a write reached the store: %w", errors.Join(cause, err))
	case msg != nil && msg.Sequence > w.expect && bytes.Equal(msg.Data, w.data) && removed(msg) == w.remove:
		return msg.Sequence, nil
	case msg != nil && msg.Sequence > w.expect:
		return 0, errStale
	}
	return 0, model.Errorf(model.Internal, "cannot write to the store: %w", cause)
}

// last returns the last message of a subject, as the stream itself has it, or
// nil.
func (s *Store) last(ctx context.Context, stream jetstream.Stream, subject string) (*jetstream.RawStreamMsg, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	msg, err := stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, model.Errorf(model.Internal, "cannot read from the store: %w", err)
	}
	return msg, nil
}

// removed reports whether a message of the bucket is a delete marker.
func removed(msg *jetstream.RawStreamMsg) bool { return isMarker(msg.Header) }

// isMarker reports whether headers are those of a delete marker.
func isMarker(h nats.Header) bool {
	op := h.Get(opHeader)
	return op == opDelete || op == opPurge
}

// usable refuses calls that cannot succeed any more.
func (s *Store) usable(ctx context.Context) error {
	select {
	case <-s.closed:
		return errClosed()
	default:
	}
	if err := ctx.Err(); err != nil {
		return model.Errorf(model.Timeout, "cannot use the store: %w", context.Cause(ctx))
	}
	return nil
}
