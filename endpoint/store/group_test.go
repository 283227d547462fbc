package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"provision-plugins/shared/model"
)

// memberOf is a write of an object's first record, ready for a group.
func memberOf(s *Store, id, data string, expect uint64) *member {
	return &member{
		write: write{stream: recordsStream, subject: s.subject("machines", id), data: []byte(data), expect: expect},
		done:  make(chan struct{}),
	}
}

// settled reports whether a member has been written, or refused.
func (m *member) settled() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// What many write at once is there under the sequences that each was told, also
// after the next start, and most of it was written together.
func TestWhatComesAtOnceIsWrittenTogether(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	const writers, each = 64, 12
	var wg sync.WaitGroup
	last := make([]uint64, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				seq, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: fmt.Sprint("m", w), Seq: last[w], Data: fmt.Appendf(nil, "%d of %d", i, w)})
				if err != nil {
					t.Error(err)
					return
				}
				r, err := s.ReadRecord(ctx, seq)
				if err != nil || r.ID != fmt.Sprint("m", w) || string(r.Data) != fmt.Sprintf("%d of %d", i, w) {
					t.Errorf("record %d of %d is %+v, %v", i, w, r, err)
				}
				last[w] = seq
			}
		})
	}
	wg.Wait()
	together := 0
	for seq := range uint64(writers * each) {
		msg, err := s.stream(recordsStream).GetMsg(ctx, seq+1)
		must(t, err)
		if msg.Header.Get(batchIDHeader) != "" {
			together++
		}
	}
	if together < writers {
		t.Errorf("%d of %d were written together", together, writers*each)
	}
	s = reopen(t, s, dir)
	for w := range writers {
		r, err := s.LastRecord(ctx, "machines", fmt.Sprint("m", w))
		if err != nil || r.Seq != last[w] || string(r.Data) != fmt.Sprintf("%d of %d", each-1, w) {
			t.Errorf("after a restart the last of %d is %+v, %v; want sequence %d", w, r, err, last[w])
		}
	}
	n := 0
	must(t, s.ScanRecords(ctx, "", "", func(Record) error { n++; return nil }))
	if n != writers*each {
		t.Errorf("%d records", n)
	}
}

// One write of a group that has lost its compare-and-set takes none of the others
// with it, and hears of it.
func TestAStaleWriteInAGroupIsRefusedAlone(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	first, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: "m3", Data: []byte("before")})
	must(t, err)
	var members []*member
	for i := range groupFrom {
		members = append(members, memberOf(s, fmt.Sprint("m", i), "mine", 0))
	}
	if s.groups[recordsStream].together(members) {
		t.Fatal("a group with a stale write was written")
	}
	for i, m := range members {
		r, err := s.LastRecord(ctx, "machines", fmt.Sprint("m", i))
		if m.settled() || err != nil || (i != 3 && r.Seq != 0) || (i == 3 && r.Seq != first) {
			t.Fatalf("a refused group left %+v of %d, %v", r, i, err)
		}
	}
	s.groups[recordsStream].apart(members)
	for i, m := range members {
		r, err := s.LastRecord(ctx, "machines", fmt.Sprint("m", i))
		must(t, err)
		switch {
		case !m.settled():
			t.Errorf("write %d is not settled", i)
		case i == 3 && (!errors.Is(m.err, errStale) || string(r.Data) != "before"):
			t.Errorf("the stale one: %v, and there is %q", m.err, r.Data)
		case i != 3 && (m.err != nil || r.Seq != m.seq || string(r.Data) != "mine"):
			t.Errorf("write %d: %v, sequence %d, and there is %+v", i, m.err, m.seq, r)
		}
	}
}

// Writers of the same subjects fight for them in groups: of those that expect the
// same, one wins.
func TestOneWinsOfThoseThatExpectTheSame(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	const subjects, rivals = 24, 4
	for round := range 5 {
		var wins [subjects]atomic.Int64
		var expect [subjects]uint64
		for i := range subjects {
			r, err := s.LastRecord(ctx, "machines", fmt.Sprint("m", i))
			must(t, err)
			expect[i] = r.Seq
		}
		var wg sync.WaitGroup
		for n := range subjects * rivals {
			wg.Go(func() {
				i := n % subjects
				_, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: fmt.Sprint("m", i), Seq: expect[i], Data: fmt.Append(nil, round, n)})
				switch {
				case err == nil:
					wins[i].Add(1)
				case model.KindOf(err) != model.Conflict:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := range wins {
			if got := wins[i].Load(); got != 1 {
				t.Fatalf("round %d: %d won the record of m%d", round, got, i)
			}
		}
	}
}

func TestGroupsAreBounded(t *testing.T) {
	g := &group{}
	for range maxGroup + 1 {
		g.waiting = append(g.waiting, &member{})
	}
	if first, second, none := g.take(), g.take(), g.take(); len(first) != maxGroup || len(second) != 1 || len(none) != 0 {
		t.Errorf("by number: %d, %d, %d", len(first), len(second), len(none))
	}
	if g.writing {
		t.Error("it goes on without anything to write")
	}
	for _, size := range []int{maxGroupBytes + 1, maxGroupBytes / 2, maxGroupBytes / 2, 1} {
		g.waiting = append(g.waiting, &member{write: write{data: make([]byte, size)}})
	}
	var sizes []int
	for members := g.take(); len(members) > 0; members = g.take() {
		sizes = append(sizes, len(members))
	}
	if fmt.Sprint(sizes) != "[1 2 1]" {
		t.Errorf("by size: %v", sizes)
	}
}

// A group whose answer does not come says of each write what can be told.
func TestAGroupWithoutAnAnswer(t *testing.T) {
	s := open(t, t.TempDir())
	var members []*member
	for i := range groupFrom {
		members = append(members, memberOf(s, fmt.Sprint("m", i), "mine", 0))
	}
	s.engine().conn.Close()
	if !s.groups[recordsStream].together(members) {
		t.Fatal("to be written again, although it may be there")
	}
	for _, m := range members {
		if !m.settled() || model.KindOf(m.err) != model.Internal {
			t.Errorf("%v", m.err)
		}
	}
}

// While the store closes, each write is either there or refused.
func TestGroupsWhileTheStoreCloses(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	const writers = 48
	acked := make([]uint64, writers)
	var begun, wg sync.WaitGroup
	begun.Add(writers)
	for w := range writers {
		wg.Go(func() {
			once := sync.OnceFunc(begun.Done)
			for {
				seq, err := s.PutRecord(ctx, Record{Prefix: "machines", ID: fmt.Sprint("m", w), Seq: acked[w], Data: []byte("x")})
				once()
				if err != nil {
					return
				}
				acked[w] = seq
			}
		})
	}
	begun.Wait()
	must(t, s.Close())
	wg.Wait()
	s = open(t, dir)
	for w, seq := range acked {
		if r, err := s.LastRecord(ctx, "machines", fmt.Sprint("m", w)); err != nil || r.Seq < seq {
			t.Errorf("record %d of %d was acknowledged; the last is %d, %v", seq, w, r.Seq, err)
		}
	}
}

// A stream of before there were groups takes them from the next start on.
func TestAStreamOfBeforeTakesGroups(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	cfg := s.stream(recordsStream).CachedInfo().Config
	cfg.AllowAtomicPublish = false
	_, err := s.engine().js.UpdateStream(ctx, cfg)
	must(t, err)
	var members []*member
	for i := range groupFrom {
		members = append(members, memberOf(s, fmt.Sprint("m", i), "mine", 0))
	}
	if s.groups[recordsStream].together(members) {
		t.Error("an engine that takes no groups took one")
	}
	s = reopen(t, s, dir)
	if !s.stream(recordsStream).CachedInfo().Config.AllowAtomicPublish {
		t.Fatal("not changed at the start")
	}
	if !s.groups[recordsStream].together(members) || members[0].err != nil {
		t.Errorf("a group: %v", members[0].err)
	}
}

// BenchmarkRecord64Writers is what group commits are for.
func BenchmarkRecord64Writers(b *testing.B) {
	s := open(b, b.TempDir())
	data := make([]byte, 700)
	var next atomic.Int64
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		id := fmt.Sprint(next.Add(1))
		var seq uint64
		for pb.Next() {
			var err error
			if seq, err = s.PutRecord(b.Context(), Record{Prefix: "machines", ID: id, Seq: seq, Data: data}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
