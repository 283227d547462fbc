package store

import (
	"context"
	"testing"
)

func TestWhatIsNotedEndsWithItsRevision(t *testing.T) {
	s := open(t, t.TempDir())
	o := create(t, s, "a", "n")
	if got := o.Note.Load(); got != nil {
		t.Errorf("a new object has the note %v", got)
	}
	if got := o.Note.Keep("first"); got != "first" {
		t.Errorf("kept %v", got)
	}
	if got := o.Note.Keep("second"); got != "first" {
		t.Errorf("kept %v, want what was there", got)
	}
	again, err := s.Get(o.Prefix, o.ID)
	if err != nil || again.Note.Load() != "first" {
		t.Errorf("read %v, %v", again.Note.Load(), err)
	}
	next, err := s.Update(context.Background(), again, named("n"))
	if err != nil || next.Note.Load() != nil {
		t.Errorf("the next revision has the note %v, %v", next.Note.Load(), err)
	}
}

func TestSnapshotIsInOrderAndOfItsMoment(t *testing.T) {
	s := open(t, t.TempDir())
	for _, id := range []string{"c", "a", "b"} {
		create(t, s, id, id)
	}
	before := s.Snapshot("machines")
	if _, err := s.Delete(context.Background(), "machines", "a", 0); err != nil {
		t.Fatal(err)
	}
	var ids string
	for _, o := range before {
		ids += o.ID
	}
	if ids != "abc" || len(s.Snapshot("machines")) != 2 || s.Snapshot("nothing") != nil {
		t.Errorf("before %s, now %d, of nothing %v", ids, len(s.Snapshot("machines")), s.Snapshot("nothing"))
	}
	for i, o := range s.List("machines") {
		if now := s.Snapshot("machines")[i]; now.ID != o.ID || now.Rev != o.Rev || string(now.Value) != string(o.Value) {
			t.Errorf("snapshot %+v, list %+v", now, o)
		}
	}
}

// A store that was opened again has a note for each object.
func TestNotesAfterAStart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	create(t, s, "a", "n")
	must(t, s.Close())
	s = open(t, dir)
	for _, o := range s.Snapshot("machines") {
		if o.Note.Keep(1) != 1 {
			t.Error("the note is not empty")
		}
	}
}

// TestNotesThatAreGiven wants a write to keep the Note it is given, and no write to
// keep that of the revision before.
func TestNotesThatAreGiven(t *testing.T) {
	s := open(t, t.TempDir())
	o := machine("a", raw(`{"n":1}`))
	o.Note = &Note{}
	o.Note.Keep("one")
	made, err := s.Create(t.Context(), o, nil)
	must(t, err)
	if made.Note.Load() != "one" {
		t.Errorf("the note of a new object is %v", made.Note.Load())
	}
	made.Value = raw(`{"n":2}`)
	second, err := s.Update(t.Context(), made, nil)
	must(t, err)
	if second.Note.Load() != nil {
		t.Errorf("the note of the next revision is %v", second.Note.Load())
	}
	second.Value, second.Note = raw(`{"n":3}`), &Note{}
	second.Note.Keep("three")
	third, err := s.Update(t.Context(), second, nil)
	must(t, err)
	if third.Note.Load() != "three" {
		t.Errorf("the note of the third revision is %v", third.Note.Load())
	}
}

// TestCompactValuesAreNotCopied wants what is derived from a value to be of its memory.
func TestCompactValuesAreNotCopied(t *testing.T) {
	s := open(t, t.TempDir())
	compact := raw(`{"n":[1,2]}`)
	made, err := s.Create(t.Context(), machine("a", compact), nil)
	must(t, err)
	if &made.Value[0] != &compact[0] {
		t.Error("a compact value was copied")
	}
	made, err = s.Create(t.Context(), machine("b", raw(`{ "n": 1 }`)), nil)
	must(t, err)
	if string(made.Value) != `{"n":1}` {
		t.Errorf("the value is %s", made.Value)
	}
}
