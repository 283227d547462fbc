package store

import (
	"context"
	"errors"
	"testing"

	"provision-plugins/shared/model"
)

// behind writes an object without the view, as a write does whose answer is lost,
// and has that known.
func behind(t *testing.T, s *Store, w write) {
	t.Helper()
	w.stream, w.subject = objectsStream, bucketSubject+"machines.a"
	_, err := s.put(context.Background(), w)
	must(t, err)
	if err := s.doubt("machines.a", &doubtful{errors.New("no answer")}); model.KindOf(err) != model.Internal {
		t.Errorf("who wrote is told %v", err)
	}
}

// A write whose answer was lost, and that is there, is in the view before the next
// write of the object, and everybody is told of it.
func TestDoubtEndsWithTheNextWrite(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	o := create(t, s, "a", "n")
	var told []Change
	s.OnChange(func(c Change) { told = append(told, c) })
	behind(t, s, write{data: []byte(`{"u":{"Name":"n"},"v":{"Name":"n","X":1}}`), expect: o.Rev})
	o.Value = raw(`{"Name":"n","X":2}`)
	_, err := s.Update(ctx, o, named("n"))
	wantKind(t, err, model.Conflict)
	now, err := s.Get("machines", "a")
	if err != nil || string(now.Value) != `{"Name":"n","X":1}` || len(told) != 1 || told[0].New.Rev != now.Rev {
		t.Fatalf("the view has %s, %v; told %d", now.Value, err, len(told))
	}
	o.Rev = now.Rev
	o, err = s.Update(ctx, o, named("n"))
	must(t, err)
	// The same of a delete.
	behind(t, s, write{remove: true, expect: o.Rev})
	_, err = s.Delete(ctx, "machines", "a", 0)
	wantKind(t, err, model.NotFound)
	if len(told) != 3 || told[2].New != nil {
		t.Errorf("told of %d changes", len(told))
	}
	// And of a create: until then nobody gets its name.
	behind(t, s, write{data: []byte(`{"u":{"Name":"new"},"v":{"Name":"new"}}`), expect: s.revision(t)})
	_, err = s.put(ctx, write{stream: objectsStream, subject: bucketSubject + uniqueKey("machines", "Name", "new"), data: []byte("machines.a")})
	must(t, err)
	_, err = s.Create(ctx, machine("b", raw(`1`)), named("new"))
	wantKind(t, err, model.Busy)
	s.settleDoubts(ctx)
	_, err = s.Create(ctx, machine("b", raw(`1`)), named("new"))
	wantKind(t, err, model.Conflict)
	if _, err := s.Find("machines", "Name", "new"); err != nil || len(s.doubts.all()) != 0 {
		t.Errorf("%v, in doubt: %v", err, s.doubts.all())
	}
}

// revision is that of the last message of machine a.
func (s *Store) revision(t *testing.T) uint64 {
	t.Helper()
	msg, err := s.last(context.Background(), objectsStream, bucketSubject+"machines.a")
	must(t, err)
	return msg.Sequence
}

// What was not written ends in no doubt either.
func TestDoubtAboutNothing(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	o := create(t, s, "a", "n")
	s.doubts.add("machines.a")
	s.doubts.add("machines.none")
	o.Value = raw(`2`)
	_, err := s.Update(ctx, o, named("n"))
	must(t, err)
	s.settleDoubts(ctx)
	if left := s.doubts.all(); len(left) != 0 {
		t.Errorf("in doubt: %v", left)
	}
	if err := s.doubt("machines.a", errStale); !errors.Is(err, errStale) || s.doubts.has("machines.a") {
		t.Errorf("a lost compare-and-set is no doubt: %v", err)
	}
}

// TestSameContentIsNotTheWrite has a write in doubt whose data are those that are
// there already: the message of before does not show that it landed.
func TestSameContentIsNotTheWrite(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	seq, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "a", Data: []byte("{}")})
	must(t, err)
	cause := errors.New("no answer")
	w := write{stream: recordsStream, subject: s.subject("machines", "a"), data: []byte("{}"), expect: seq}
	var d *doubtful
	if at, err := s.resolve(ctx, w, cause); at != 0 || !errors.As(err, &d) || !errors.Is(err, cause) {
		t.Errorf("%d, %v: want doubt", at, err)
	}
	w.expect = seq - 1
	if at, err := s.resolve(ctx, w, cause); at != seq || err != nil {
		t.Errorf("%d, %v: want it found", at, err)
	}
	w.data = []byte("[]")
	if _, err := s.resolve(ctx, w, cause); !errors.Is(err, errStale) {
		t.Errorf("%v: want that of another writer", err)
	}
}
