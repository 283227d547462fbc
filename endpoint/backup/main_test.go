package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/endpoint/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a store for the time of a test.
func open(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Dir: dir})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// machine stores a machine.
func machine(t testing.TB, s *store.Store, i int) store.Object {
	t.Helper()
	name := fmt.Sprintf("m%04d", i)
	o, err := s.Create(context.Background(), store.Object{
		Prefix: "machines", ID: fmt.Sprintf("u.%d/ü", i), Value: json.RawMessage(fmt.Sprintf(`{"Name":%q,"Text":"<&>","N":12345678901234567890}`, name)), Key: []byte{0, byte(i), 255},
	}, map[string]string{"Name": name})
	must(t, err)
	return o
}

// fleet fills a store with machines, two run records for each, and an audit trail.
func fleet(t testing.TB, s *store.Store, n int) {
	t.Helper()
	ctx := context.Background()
	var audit uint64
	for i := range n {
		o := machine(t, s, i)
		seq, err := s.PutRecord(ctx, store.Record{Prefix: "machines", ID: o.ID, Data: fmt.Appendf(nil, `{"ID":"r%d","State":"sent"}`, i)})
		must(t, err)
		_, err = s.PutRecord(ctx, store.Record{Prefix: "machines", ID: o.ID, Seq: seq, Data: fmt.Appendf(nil, `{"ID":"r%d", "State": "done"}`, i)})
		must(t, err)
		audit, err = s.AppendAudit(ctx, fmt.Appendf(nil, `{"Before":"<%d>"}`, i), audit)
		must(t, err)
	}
}

// source is what snapshots are taken of in tests.
func source(s *store.Store) Source {
	return Source{Store: s, Site: "local", Version: "v1", Now: func() time.Time { return time.Unix(1e9, 0) }}
}

// snapshot takes one into a file.
func snapshot(t testing.TB, src Source) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	_, err := WriteFile(context.Background(), path, src)
	must(t, err)
	return path
}

// lines is a file's lines.
func lines(t testing.TB, path string) [][]byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	must(t, err)
	return bytes.SplitAfter(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
}

// body is all data of a snapshot, without the head, which tells the time, and the
// end. The records of different objects are in no order.
func body(t testing.TB, path string) string {
	t.Helper()
	all := lines(t, path)
	all = all[1 : len(all)-1]
	for i, line := range all {
		_, all[i], _ = bytes.Cut(line, []byte(`","type"`))
	}
	slices.SortFunc(all, bytes.Compare)
	return string(bytes.Join(all, nil))
}
