package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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
	stream  streamID
	subject string
	data    []byte
	expect  uint64
	remove  bool // write a delete marker instead of data
}

// put carries a write out and returns its sequence, or errStale. It does not
// stop half way when ctx ends: the caller going away must not leave a write
// nobody knows the outcome of.
func (s *Store) put(ctx context.Context, w write) (uint64, error) {
	if err := s.writable(ctx, len(w.data)); err != nil {
		return 0, err
	}
	began := time.Now()
	seq, err := s.write(ctx, w)
	if err == nil && s.opts.Written != nil {
		s.opts.Written(time.Since(began))
	}
	return seq, err
}

// write is put by itself, or together with others where that can be.
func (s *Store) write(ctx context.Context, w write) (uint64, error) {
	if w.stream == auditStream { // has one subject, so that nothing can be written together
		return s.putOne(ctx, w)
	}
	return s.groups[w.stream].put(w)
}

// putOne is put of a write by itself.
func (s *Store) putOne(ctx context.Context, w write) (uint64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	msg := &nats.Msg{Subject: w.subject, Data: w.data, Header: w.header()}
	// The client must not publish again by itself: a second copy of a write
	// that did land would lose the compare-and-set and hide that it landed.
	ack, err := s.engine().js.PublishMsg(ctx, msg,
		jetstream.WithExpectLastSequencePerSubject(w.expect), jetstream.WithRetryAttempts(0))
	if err == nil {
		s.dog.wrote()
		return ack.Sequence, nil
	}
	if apiErr := (*jetstream.APIError)(nil); errors.As(err, &apiErr) {
		if apiErr.ErrorCode == wrongLastSequence || apiErr.ErrorCode == wrongLastSequenceConstant {
			return 0, errStale
		}
		return 0, model.Errorf(model.Internal, "cannot write to the store: %w", err)
	}
	s.dog.ill(err.Error())
	return s.resolve(ctx, w, err)
}

// bounded returns the context of a write: one that ends neither with its caller
// nor waits for an engine that is given up.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	ctx, stop := s.dog.until(ctx)
	return ctx, func() { stop(); cancel() }
}

// header is the header of a write's message.
func (w write) header() nats.Header {
	h := nats.Header{}
	if w.remove {
		h.Set(opHeader, opDelete)
	}
	return h
}

// resolve finds out whether a write whose acknowledgement did not come is there.
func (s *Store) resolve(ctx context.Context, w write, cause error) (uint64, error) {
	msg, err := s.last(context.WithoutCancel(ctx), w.stream, w.subject)
	switch {
	case err != nil:
		return 0, &doubtful{fmt.Errorf("%w; %w", cause, err)}
	case msg != nil && msg.Sequence > w.expect && bytes.Equal(msg.Data, w.data) && removed(msg) == w.remove:
		return msg.Sequence, nil
	case msg != nil && msg.Sequence > w.expect:
		return 0, errStale
	}
	return 0, &doubtful{cause} // it may still be on its way
}

// last returns the last message of a subject, as the stream itself has it, or
// nil.
func (s *Store) last(ctx context.Context, stream streamID, subject string) (*jetstream.RawStreamMsg, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	if err := s.dog.fault(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	ctx, stop := s.dog.until(ctx)
	defer stop()
	msg, err := s.stream(stream).GetLastMsgForSubject(ctx, subject)
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

// writable refuses a write of n bytes that cannot succeed.
func (s *Store) writable(ctx context.Context, n int) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	if err := s.dog.fault(); err != nil {
		return err
	}
	return s.spaceFor(n)
}
