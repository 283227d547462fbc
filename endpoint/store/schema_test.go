package store

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// recorded unpacks a data directory that an earlier program wrote.
func recorded(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	must(t, err)
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	must(t, err)
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	for archive := tar.NewReader(unzipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		must(t, err)
		if h.FileInfo().IsDir() {
			must(t, root.MkdirAll(filepath.Clean(h.Name), 0o700))
			continue
		}
		raw, err := io.ReadAll(archive)
		must(t, err)
		must(t, root.WriteFile(filepath.Clean(h.Name), raw, 0o600))
	}
}

// layout is the version that a directory's store is marked with.
func layout(t *testing.T, s *Store) string {
	t.Helper()
	msg, err := s.last(context.Background(), objectsStream, bucketSubject+schemaKey)
	must(t, err)
	return string(msg.Data)
}

// checkRecorded fails unless a store has all that is in the recorded directory.
func checkRecorded(t *testing.T, s *Store) {
	t.Helper()
	ctx := context.Background()
	if n := len(s.List("machines")); n != 10 {
		t.Errorf("%d machines", n)
	}
	for i := range 12 {
		id, name := fmt.Sprintf("00000000-0000-4000-8000-%012d", i), fmt.Sprintf("m%02db", i)
		o, err := s.Find("machines", "Name", name)
		if deleted := i >= 10; deleted {
			wantKind(t, err, model.NotFound)
		} else if err != nil || o.ID != id || len(o.Key) != 3 || !strings.Contains(string(o.Value), `"rack":"r1"`) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
		if r, err := s.LastRecord(ctx, "machines", id); err != nil || !strings.Contains(string(r.Data), `"done"`) {
			t.Errorf("the last run of %s: %s, %v", name, r.Data, err)
		}
	}
	if _, err := s.Get("params", "ipmi/addr=ess ü"); err != nil {
		t.Error(err)
	}
	batches := 0
	must(t, s.ScanAudit(ctx, func([]byte) { batches++ }))
	if batches != 12 {
		t.Errorf("%d batches of the audit trail", batches)
	}
}

// A directory that a program of the first layout wrote is taken over whole, after
// the one who opens it had the chance to keep a snapshot.
func TestStoreOfAnEarlierLayoutIsTakenOver(t *testing.T) {
	ctx := context.Background()
	dir := recorded(t, "layout1.tar.gz")
	asked := 0
	s, err := Open(ctx, Options{Dir: dir, Upgrade: func(ctx context.Context, s *Store, from int) error {
		asked++
		if from != 1 || layout(t, s) != `{"Version":1}` {
			t.Errorf("asked about layout %d, and it is %s", from, layout(t, s))
		}
		cut, err := s.Cut(ctx)
		if err == nil && len(cut.Objects()) != 11 {
			t.Errorf("%d objects to keep", len(cut.Objects()))
		}
		return err
	}})
	must(t, err)
	checkRecorded(t, s)
	if asked != 1 || layout(t, s) != `{"Version":2}` {
		t.Errorf("asked %d times, the layout is %s", asked, layout(t, s))
	}
	create(t, s, "new", "m10b") // the name of one that was deleted
	must(t, s.Close())
	s, err = Open(ctx, Options{Dir: dir, Upgrade: func(context.Context, *Store, int) error {
		t.Error("asked again")
		return nil
	}})
	must(t, err)
	must(t, s.Close())
}

// Without a snapshot there is no upgrade, and the store stays as the earlier
// program knows it.
func TestNoUpgradeWithoutASnapshot(t *testing.T) {
	ctx := context.Background()
	dir := recorded(t, "layout1.tar.gz")
	full := errors.New("no room for a snapshot")
	for range 2 {
		_, err := Open(ctx, Options{Dir: dir, Upgrade: func(_ context.Context, s *Store, from int) error {
			if from != 1 || layout(t, s) != `{"Version":1}` {
				t.Errorf("asked about layout %d", from)
			}
			return full
		}})
		if !errors.Is(err, full) || !strings.Contains(err.Error(), "left it as it was") {
			t.Errorf("%v", err)
		}
	}
	s := open(t, dir)
	checkRecorded(t, s)
}

// A program that knows no later layout refuses it and leaves every file as it is.
func TestLaterLayoutIsLeftAlone(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := Open(ctx, Options{Dir: dir})
	must(t, err)
	o := create(t, s, "a", "n")
	msg, err := s.last(ctx, objectsStream, bucketSubject+schemaKey)
	must(t, err)
	must(t, s.markSchema(ctx, msg.Sequence, SchemaVersion+1))
	must(t, s.Close())
	for range 3 {
		_, err = Open(ctx, Options{Dir: dir})
		wantKind(t, err, model.Invalid)
	}
	// As the later program would find it.
	e, err := startEngine(Options{Dir: dir, Logger: s.log}, func(string) {})
	must(t, err)
	defer func() { must(t, e.stop()) }()
	stream, err := e.js.Stream(ctx, bucketName)
	must(t, err)
	found, err := stream.GetLastMsgForSubject(ctx, bucketSubject+"machines.a")
	if err != nil || found.Sequence != o.Rev {
		t.Errorf("%+v, %v", found, err)
	}
}

// Each layout of before can be taken over.
func TestEveryEarlierLayoutHasItsUpgrade(t *testing.T) {
	for v := 1; v <= SchemaVersion; v++ {
		if upgrades[v] != nil != (v < SchemaVersion) {
			t.Errorf("layout %d: an upgrade is there: %v", v, upgrades[v] != nil)
		}
	}
}
