package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/model"
)

// put appends a record that must not be refused.
func put(t *testing.T, s *Store, id string, after uint64, data string) uint64 {
	t.Helper()
	seq, err := s.PutRecord(context.Background(), Record{Prefix: "machines", ID: id, Seq: after, Data: []byte(data)})
	must(t, err)
	return seq
}

// scanned returns the data of all records of an object, or of all.
func scanned(t *testing.T, s *Store, prefix, id string) string {
	t.Helper()
	var got []string
	must(t, s.ScanRecords(context.Background(), prefix, id, func(r Record) error {
		got = append(got, r.ID+"="+string(r.Data))
		return nil
	}))
	return strings.Join(got, " ")
}

func TestRecordsOfAnObject(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	none, err := s.LastRecord(ctx, "machines", "m.1")
	if err != nil || none.Seq != 0 {
		t.Fatalf("LastRecord of nothing = %+v, %v", none, err)
	}
	if got := scanned(t, s, "", ""); got != "" {
		t.Fatalf("an empty store scans as %q", got)
	}
	one := put(t, s, "m.1", 0, "one")
	put(t, s, "m.2", 0, "other")
	two := put(t, s, "m.1", one, "two")
	s = reopen(t, s, dir)
	last, err := s.LastRecord(ctx, "machines", "m.1")
	if err != nil || last.Seq != two || string(last.Data) != "two" || last.Time.IsZero() {
		t.Errorf("LastRecord = %+v, %v", last, err)
	}
	if got := scanned(t, s, "machines", "m.1"); got != "m.1=one m.1=two" {
		t.Errorf("one object scans as %q", got)
	}
	if got := scanned(t, s, "", ""); got != "m.1=one m.2=other m.1=two" {
		t.Errorf("everything scans as %q", got)
	}
	r, err := s.ReadRecord(ctx, one)
	if err != nil || r.Prefix != "machines" || r.ID != "m.1" || string(r.Data) != "one" {
		t.Errorf("ReadRecord = %+v, %v", r, err)
	}
	must(t, s.DeleteRecord(ctx, one))
	must(t, s.DeleteRecord(ctx, one))
	_, err = s.ReadRecord(ctx, one)
	wantKind(t, err, model.NotFound)
	if got := scanned(t, s, "machines", "m.1"); got != "m.1=two" {
		t.Errorf("after a delete one object scans as %q", got)
	}
	put(t, s, "m.1", two, "three")
}

func TestRecordIsWrittenAfterTheOneItFollowsOnly(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	one := put(t, s, "a", 0, "one")
	for _, after := range []uint64{0, one - 1, one + 1, one + 100} {
		if after == one {
			continue
		}
		_, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "a", Seq: after, Data: []byte("x")})
		wantKind(t, err, model.Conflict)
	}
	_, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "b", Seq: one, Data: []byte("x")})
	wantKind(t, err, model.Conflict)
	if got := scanned(t, s, "", ""); got != "a=one" {
		t.Errorf("refused records were written: %q", got)
	}
}

func TestOneOfManyRecordsWins(t *testing.T) {
	s := open(t, t.TempDir())
	var seq uint64
	for round := range 10 {
		wins := make(chan uint64, 16)
		var writers sync.WaitGroup
		for i := range 16 {
			writers.Go(func() {
				r := Record{Prefix: "machines", ID: "a", Seq: seq, Data: fmt.Appendf(nil, "%d-%d", round, i)}
				if got, err := s.PutRecord(context.Background(), r); err == nil {
					wins <- got
				} else if model.KindOf(err) != model.Conflict {
					t.Errorf("a loser got %v", err)
				}
			})
		}
		writers.Wait()
		if len(wins) != 1 {
			t.Fatalf("%d of 16 records won, want 1", len(wins))
		}
		seq = <-wins
	}
}

func TestRecordsOfAnObjectAreBounded(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, "b", 0, "b")
	var seq uint64
	for range recordsPerObject + 5 {
		seq = put(t, s, "a", seq, "x")
	}
	n := strings.Count(scanned(t, s, "machines", "a"), "x")
	if n != recordsPerObject || scanned(t, s, "machines", "b") != "b=b" {
		t.Errorf("%d records of one object are kept, want %d; the other has %q", n, recordsPerObject, scanned(t, s, "machines", "b"))
	}
}

func TestSitesDoNotSeeEachOther(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a", 0, "local")
	must(t, s.Close())
	s, err := Open(ctx, Options{Dir: dir, Site: "hall.2"})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	put(t, s, "a", 0, "hall")
	if got := scanned(t, s, "", ""); got != "a=hall" {
		t.Errorf("the site hall.2 has %q", got)
	}
	_, err = s.ReadRecord(ctx, 1)
	if err == nil {
		t.Error("a record of another site was read")
	}
}

func TestScanEndsAtTheFirstError(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	put(t, s, "b", put(t, s, "b", 0, "1"), "2")
	enough := errors.New("enough")
	n := 0
	err := s.ScanRecords(ctx, "", "", func(Record) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("the scan went on for %d records and returned %v", n, err)
	}
	stopped, cancel := context.WithCancel(ctx)
	err = s.ScanRecords(stopped, "", "", func(Record) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a scan whose context ended returned %v", err)
	}
}

func TestScanOfMoreThanOneBatch(t *testing.T) {
	s := open(t, t.TempDir())
	const objects = 2*scanBatch + 7
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := w; i < objects; i += 16 {
				if _, err := s.PutRecord(context.Background(), Record{Prefix: "machines", ID: fmt.Sprint(i), Data: []byte("x")}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	seen := map[string]bool{}
	var last uint64
	must(t, s.ScanRecords(context.Background(), "", "", func(r Record) error {
		if r.Seq <= last {
			t.Errorf("sequence %d after %d", r.Seq, last)
		}
		last = r.Seq
		seen[r.ID] = true
		return nil
	}))
	if len(seen) != objects {
		t.Errorf("%d records seen, want %d", len(seen), objects)
	}
}

func TestRecordsThatCannotBe(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	for _, r := range []Record{
		{ID: "a"}, {Prefix: "machines"},
		{Prefix: strings.Repeat("p", maxPrefix+1), ID: "a"},
		{Prefix: "machines", ID: strings.Repeat("i", maxID+1)},
		{Prefix: "machines", ID: "a", Data: make([]byte, MaxValue+1)},
	} {
		_, err := s.PutRecord(ctx, r)
		wantKind(t, err, model.Invalid)
	}
}
