package store

import (
	"context"
	"errors"
	"testing"

	"provision-plugins/shared/model"
)

var errNoAnswer = errors.New("no answer")

// TestAmbiguousWriteIsResolvedByReading gives resolve each state that a write
// whose acknowledgement was lost can have left.
func TestAmbiguousWriteIsResolvedByReading(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	before := write{stream: recordsStream, subject: s.subject("machines", "a"), data: []byte("before")}
	seq, err := s.put(ctx, before)
	must(t, err)
	w := write{stream: recordsStream, subject: before.subject, data: []byte("mine"), expect: seq}

	_, err = s.resolve(ctx, w, errNoAnswer)
	wantKind(t, told(err), model.Internal)
	if !errors.Is(told(err), errNoAnswer) {
		t.Errorf("a write that did not land: %v, want its cause", err)
	}
	mine, err := s.put(ctx, w)
	must(t, err)
	if got, err := s.resolve(ctx, w, errNoAnswer); err != nil || got != mine {
		t.Errorf("a write that landed resolves to %d, %v, want %d", got, err, mine)
	}
	other := w
	other.data = []byte("somebody else's")
	if _, err := s.resolve(ctx, other, errNoAnswer); !errors.Is(err, errStale) {
		t.Errorf("a write that another came before resolves to %v", err)
	}
	gone := w
	gone.remove = true
	if _, err := s.resolve(ctx, gone, errNoAnswer); !errors.Is(err, errStale) {
		t.Errorf("a value is taken for a delete marker: %v", err)
	}
	must(t, s.Close())
	_, err = s.resolve(ctx, w, errNoAnswer)
	wantKind(t, told(err), model.Internal)
	if !errors.Is(told(err), errNoAnswer) {
		t.Errorf("what cannot be resolved loses its cause: %v", err)
	}
}

// TestWriteGoesOnWhenItsCallerLeaves cancels writes at any moment: what they say
// is what the stream has.
func TestWriteGoesOnWhenItsCallerLeaves(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		last, err := s.LastRecord(context.Background(), "machines", "a")
		must(t, err)
		seq, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "a", Seq: last.Seq, Data: []byte{byte('a' + i)}})
		now, lastErr := s.LastRecord(context.Background(), "machines", "a")
		must(t, lastErr)
		if err == nil != (now.Seq == seq && seq != last.Seq) {
			t.Fatalf("write %d says %d, %v, and the stream has %d", i, seq, err, now.Seq)
		}
		cancel()
	}
}
