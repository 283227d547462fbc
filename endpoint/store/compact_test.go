package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// churned is a directory whose store has n objects, and the marks of many more.
func churned(t *testing.T, n int) string {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	s, err := Open(ctx, Options{Dir: dir})
	must(t, err)
	for i := range 4 * n {
		id := fmt.Sprint("m", i)
		create(t, s, id, "n"+id)
		if i >= n {
			_, err := s.Delete(ctx, "machines", id, 0)
			must(t, err)
		}
	}
	_, err = s.PutRecord(ctx, Record{Prefix: "machines", ID: "m0", Data: []byte("{}")})
	must(t, err)
	_, err = s.AppendAudit(ctx, []byte("{}"), 0)
	must(t, err)
	must(t, s.Close())
	return dir
}

// messages counts what the bucket has.
func messages(t *testing.T, s *Store) int {
	t.Helper()
	info, err := s.stream(objectsStream).Info(context.Background())
	must(t, err)
	return int(info.State.Msgs) //nolint:gosec // a few
}

// checkChurned fails unless a store has what churned left in it.
func checkChurned(t *testing.T, s *Store, n int) {
	t.Helper()
	ctx := context.Background()
	if list := s.List("machines"); len(list) != n {
		t.Errorf("%d machines, want %d", len(list), n)
	}
	for i := range n {
		id := fmt.Sprint("m", i)
		if o, err := s.Find("machines", "Name", "n"+id); err != nil || o.ID != id {
			t.Errorf("%s: %+v, %v", id, o, err)
		}
	}
	if r, err := s.LastRecord(ctx, "machines", "m0"); err != nil || r.Seq == 0 {
		t.Errorf("the run record: %+v, %v", r, err)
	}
	if data, _, err := s.LastAudit(ctx); err != nil || data == nil {
		t.Errorf("the audit trail: %s, %v", data, err)
	}
}

// A start with more marks of deletes than objects writes the bucket anew, and
// nothing comes back, also after crashes.
func TestMarksOfDeletesEnd(t *testing.T) {
	ctx := context.Background()
	const n = 10
	dir := churned(t, n)
	s, err := Open(ctx, Options{Dir: dir})
	must(t, err)
	if got := messages(t, s); got < 7*n {
		t.Fatalf("%d messages: there are no marks", got)
	}
	last := s.List("machines")[n-1].Rev
	must(t, s.Close())
	s, err = Open(ctx, Options{Dir: dir, compactAbove: n})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	if got := messages(t, s); got != 2*n+1 {
		t.Errorf("%d messages are left, want %d", got, 2*n+1)
	}
	checkChurned(t, s, n)
	if o := create(t, s, "m99", "nm12"); o.Rev <= last {
		t.Errorf("revision %d after %d", o.Rev, last)
	}
	crashed := filepath.Join(t.TempDir(), "crashed")
	must(t, os.CopyFS(crashed, os.DirFS(dir)))
	after := open(t, crashed)
	_, err = after.Delete(ctx, "machines", "m99", 0)
	must(t, err)
	checkChurned(t, after, n)
}

// A crash at any step of it leaves the old bucket or the new one: both have
// everything.
func TestCrashWhileTheBucketIsWrittenAnew(t *testing.T) {
	ctx := context.Background()
	const n = 4
	dir := churned(t, n)
	p := bucketPlace(dir)
	fill := func() error {
		s, err := Open(ctx, Options{Dir: dir})
		must(t, err)
		items := s.view.all()
		must(t, s.Close())
		return fillNew(ctx, Options{Dir: filepath.Join(dir, newDir)}, func(ctx context.Context, next *Store) error { return next.takeAll(ctx, items) })
	}
	for _, steps := range [][]func() error{
		{func() error { return os.MkdirAll(p.made, 0o700) }},
		{fill},
		{fill, func() error { return os.Rename(p.now, p.old) }},
		{fill, func() error { return os.Rename(p.now, p.old) }, func() error { return os.Rename(p.made, p.now) }},
	} {
		for _, step := range steps {
			must(t, step())
		}
		s, err := Open(ctx, Options{Dir: dir})
		must(t, err)
		checkChurned(t, s, n)
		must(t, s.Close())
	}
}

// A bucket that cannot be written anew goes on as it is.
func TestStartWithoutRoomToWriteTheBucketAnew(t *testing.T) {
	const n = 4
	dir := churned(t, n)
	d := &disk{}
	d.free.Store(minReserve - 1)
	s, err := Open(context.Background(), Options{Dir: dir, Space: d.space, compactAbove: 1})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	checkChurned(t, s, n)
	if got := messages(t, s); got < 7*n {
		t.Errorf("%d messages", got)
	}
}
