package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"provision-plugins/shared/model"
)

// fillWith fills a new store with one machine.
func fillWith(id string) func(context.Context, *Store) error {
	return func(ctx context.Context, s *Store) error {
		_, err := s.Create(ctx, machine(id, raw(`1`)), named(id))
		return err
	}
}

// wantOnly fails unless the store of a directory has one machine alone.
func wantOnly(t *testing.T, dir, id string) {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: dir})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	if list := s.List("machines"); len(list) != 1 || list[0].ID != id {
		t.Errorf("there is %+v, want %s alone", list, id)
	}
	for _, name := range []string{newDir, oldName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
}

func TestReplacePutsAnotherStoreInItsPlace(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, Replace(ctx, Options{Dir: dir}, fillWith("first")))
	wantOnly(t, dir, "first")
	must(t, os.WriteFile(filepath.Join(dir, "other"), []byte("x"), 0o600))
	must(t, Replace(ctx, Options{Dir: dir}, fillWith("second")))
	wantOnly(t, dir, "second")
	if _, err := os.Stat(filepath.Join(dir, "other")); err != nil {
		t.Error("what else was there is gone")
	}
	bad := errors.New("bad")
	if err := Replace(ctx, Options{Dir: dir}, func(ctx context.Context, s *Store) error {
		return errors.Join(fillWith("third")(ctx, s), bad)
	}); !errors.Is(err, bad) {
		t.Errorf("%v", err)
	}
	wantOnly(t, dir, "second")
}

func TestReplaceNeedsAClosedStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	create(t, s, "a", "n")
	wantKind(t, Replace(context.Background(), Options{Dir: dir}, fillWith("b")), model.Conflict)
	create(t, s, "c", "c")
}

// A replacement that a crash cuts off, wherever that is, leaves the old store or
// the new one.
func TestReplacementThatWasCutOff(t *testing.T) {
	ctx := context.Background()
	step := func(t *testing.T, dir string, n int) {
		t.Helper()
		next := Options{Dir: filepath.Join(dir, newDir)}
		steps := []func() error{
			func() error { return os.MkdirAll(filepath.Join(next.Dir, "jetstream", "half"), 0o700) },
			func() error { return os.RemoveAll(next.Dir) },
			func() error { return fillNew(ctx, Options{Dir: next.Dir}, fillWith("new")) },
			func() error { return os.Rename(filepath.Join(dir, "jetstream"), filepath.Join(dir, oldName)) },
			func() error {
				return os.Rename(filepath.Join(next.Dir, "jetstream"), filepath.Join(dir, "jetstream"))
			},
			func() error { return os.RemoveAll(filepath.Join(dir, oldName)) },
		}
		for _, do := range steps[:n] {
			must(t, do())
		}
	}
	for n, want := range []string{"old", "old", "old", "old", "old", "new", "new"} {
		dir := t.TempDir()
		must(t, Replace(ctx, Options{Dir: dir}, fillWith("old")))
		step(t, dir, n)
		wantOnly(t, dir, want)
	}
}

// Revisions of a store that continues another are above that one's, and what is
// there already is left alone.
func TestContinue(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	must(t, s.Continue(ctx, 500, 900))
	o := create(t, s, "a", "n")
	seq, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "a", Data: []byte("{}")})
	must(t, err)
	if o.Rev <= 500 || seq <= 900 {
		t.Errorf("revision %d, sequence %d", o.Rev, seq)
	}
	must(t, s.Continue(ctx, 5000, 900))
	s = reopen(t, s, dir)
	if got, err := s.Get("machines", "a"); err != nil || got.Rev != o.Rev {
		t.Errorf("%+v, %v", got, err)
	}
	cut, err := s.Cut(ctx)
	must(t, err)
	if list := cut.Objects(); len(list) != 1 || list[0].Unique["Name"] != "n" || cut.Revision < o.Rev || cut.Sequence != seq {
		t.Errorf("a cut: %+v, %+v", cut, list)
	}
}

// What is in doubt is in no cut.
func TestNoCutOfWhatIsInDoubt(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	create(t, s, "a", "n")
	s.doubts.add("machines.a")
	_, err := s.Cut(ctx)
	wantKind(t, err, model.Busy)
	s.settleDoubts(ctx)
	_, err = s.Cut(ctx)
	must(t, err)
}
