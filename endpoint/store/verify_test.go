package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/highwayhash"

	"provision-plugins/shared/model"
)

// nightlyEnv asks for the long versions.
const nightlyEnv = "OOB_NIGHTLY"

// nightly reports whether the long versions are to run.
func nightly() bool { return os.Getenv(nightlyEnv) == "1" }

// rich is a directory whose streams all have something, deletes among it.
func rich(t *testing.T) string {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	s, err := Open(ctx, Options{Dir: dir})
	must(t, err)
	var audit uint64
	for i := range 12 {
		id := fmt.Sprint("m", i)
		o := create(t, s, id, "n"+id)
		o.Value = raw(`{"Text":%q}`, strings.Repeat("x", 30*i))
		_, err := s.Update(ctx, o, named("n"+id))
		must(t, err)
		seq, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: id, Data: []byte(`{"ID":"r"}`)})
		must(t, err)
		if i > 8 {
			_, err := s.Delete(ctx, "machines", id, 0)
			must(t, err)
			must(t, s.DeleteRecord(ctx, seq))
		}
		audit, err = s.AppendAudit(ctx, []byte(`{"Before":""}`), audit)
		must(t, err)
	}
	must(t, s.Close())
	return dir
}

// contentOf is all that a store has, as text.
func contentOf(t *testing.T, s *Store) string {
	t.Helper()
	ctx := context.Background()
	cut, err := s.Cut(ctx)
	must(t, err)
	var out strings.Builder
	for _, o := range cut.Objects() {
		fmt.Fprintln(&out, o.Prefix, o.ID, o.Rev, string(o.Value), o.Unique)
	}
	must(t, cut.Records(ctx, func(r Record) error { _, err := fmt.Fprintln(&out, r.ID, r.Seq, string(r.Data)); return err }))
	must(t, cut.Audit(ctx, func(data []byte) error { _, err := fmt.Fprintln(&out, string(data)); return err }))
	return out.String()
}

// storeFiles lists the files of a directory's streams.
func storeFiles(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(filepath.Join(dir, "jetstream"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out = append(out, path)
		}
		return err
	}))
	return out
}

// A flipped bit anywhere in the files of a store is told at the start, or changes
// nothing of what the store has.
func TestFlippedBitIsFound(t *testing.T) {
	dir := rich(t)
	s := open(t, dir)
	want := contentOf(t, s)
	must(t, s.Close())
	flips := 60
	if nightly() {
		flips = 2000
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	refused, harmless := 0, 0
	for i := range flips {
		damaged := filepath.Join(t.TempDir(), "damaged")
		must(t, os.CopyFS(damaged, os.DirFS(dir)))
		files := storeFiles(t, damaged)
		path := files[i%len(files)]
		raw, err := os.ReadFile(path)
		must(t, err)
		if len(raw) == 0 {
			continue
		}
		at := rnd.IntN(len(raw))
		raw[at] ^= 1 << rnd.IntN(8)
		must(t, os.WriteFile(path, raw, 0o600))
		s, err := Open(context.Background(), Options{Dir: damaged})
		if err != nil {
			refused++
			if model.KindOf(err) != model.Internal || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("byte %d of %s: %v", at, path, err)
			}
		} else {
			harmless++
			if got := contentOf(t, s); got != want {
				t.Errorf("byte %d of %s: not told, and the store has\n%s\ninstead of\n%s", at, path, got, want)
			}
			must(t, s.Close())
		}
		must(t, os.RemoveAll(damaged))
	}
	t.Logf("%d bits flipped: %d told at the start, %d without effect, 0 unnoticed", flips, refused, harmless)
	if refused == 0 {
		t.Error("no damage was found")
	}
}

// What a crash cuts off at the end of the newest file was not acknowledged, and is
// no damage; after an orderly stop it is.
func TestTornEndIsNoDamageAfterACrash(t *testing.T) {
	dir := rich(t)
	files, err := blocks(streamDir(dir, bucketName))
	must(t, err)
	newest := files[len(files)-1].path
	whole, err := os.ReadFile(newest)
	must(t, err)
	for _, tail := range [][]byte{{1}, whole[:recordHead], whole[:recordHead+4], bytes.Repeat([]byte{0}, 200)} {
		must(t, os.WriteFile(newest, append(bytes.Clone(whole), tail...), 0o600))
		must(t, setClean(dir))
		err := verifyError(dir)
		wantKind(t, err, model.Internal)
		if !strings.Contains(err.Error(), fmt.Sprintf("at byte %d;", len(whole))) || !strings.Contains(err.Error(), newest) {
			t.Errorf("%v does not say where", err)
		}
		must(t, setInUse(dir))
		must(t, setInUse(dir)) // it is so already
		must(t, verifyError(dir))
		s, err := Open(context.Background(), Options{Dir: dir})
		must(t, err)
		if len(s.List("machines")) != 9 {
			t.Errorf("%d machines", len(s.List("machines")))
		}
		must(t, s.Close())
		must(t, os.WriteFile(newest, whole, 0o600))
	}
	// With something whole after it, it was not cut off.
	bad := bytes.Clone(whole)
	bad[recordHead] ^= 1
	must(t, os.WriteFile(newest, bad, 0o600))
	must(t, setInUse(dir))
	wantKind(t, verifyError(dir), model.Internal)
}

func TestVerifyOfWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	must(t, verifyError(dir)) // nothing there
	msgs := filepath.Join(streamDir(dir, bucketName), "msgs")
	must(t, os.MkdirAll(msgs, 0o700))
	must(t, os.WriteFile(filepath.Join(msgs, "x.blk"), []byte("not one of the engine's"), 0o600))
	must(t, verifyError(dir))
	must(t, os.Mkdir(filepath.Join(msgs, "1.blk"), 0o700))
	if err := verifyError(dir); err == nil {
		t.Error("a folder is taken for a file")
	}
}

// sumOf is a checksum of tests.
func sumOf(t testing.TB) hash.Hash64 {
	t.Helper()
	sum, err := highwayhash.New64(make([]byte, 32))
	must(t, err)
	return sum
}

// FuzzRecord looks at anything: no length in it leads out of it.
func FuzzRecord(f *testing.F) {
	record := make([]byte, recordHead+1+4+4+recordSum)
	binary.LittleEndian.PutUint32(record, uint32(len(record))|hasHeaders) //nolint:gosec // a few
	binary.LittleEndian.PutUint16(record[recordHead-2:], 1)
	f.Add(record)
	f.Add(make([]byte, recordHead+recordSum))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n := wholeRecord(raw, sumOf(t)); n < 0 || n > len(raw) {
			t.Errorf("%d of %d bytes", n, len(raw))
		}
		anyRecord(raw, sumOf(t))
	})
}

// verifyError is what verify refuses.
func verifyError(dir string) error {
	_, err := verify(dir)
	return err
}
