package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a log without a disk, whose writes can be made to fail.
type memory struct {
	mu      sync.Mutex // guards all below
	batches [][]byte
	fail    error // of the next write
	lands   bool  // the write that fails is there all the same
	hold    chan struct{}
}

// AppendAudit keeps a batch.
func (m *memory) AppendAudit(_ context.Context, data []byte, last uint64) (uint64, error) {
	if m.hold != nil {
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(len(m.batches)) != last {
		return 0, errors.New("another sequence")
	}
	err := m.fail
	m.fail = nil
	if err == nil || m.lands {
		m.batches = append(m.batches, data)
	}
	return uint64(len(m.batches)), err
}

// LastAudit returns the newest batch.
func (m *memory) LastAudit(context.Context) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.batches) == 0 {
		return nil, 0, nil
	}
	return m.batches[len(m.batches)-1], uint64(len(m.batches)), nil
}

// open continues the trail of a log.
func open(t *testing.T, m *memory) *Trail {
	t.Helper()
	trail, err := Open(t.Context(), m, [32]byte{1}, func() time.Time { return time.Unix(1000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

// write writes some records, one after another.
func write(t *testing.T, trail *Trail, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := trail.Write(t.Context(), Record{Who: name}); err != nil {
			t.Fatal(err)
		}
	}
}

// check looks at a whole log.
func check(trail *Trail, batches [][]byte) Verdict {
	c := trail.NewCheck()
	for _, b := range batches {
		c.Take(b)
	}
	return c.Verdict
}

func TestTrailIsWholeOverRestarts(t *testing.T) {
	m := &memory{}
	write(t, open(t, m), "a", "b")
	trail := open(t, m)
	write(t, trail, "c")
	v := check(trail, m.batches)
	if v.Broken != "" || v.Records != 3 || v.First != 1 || v.Last != 3 || v.Hash == "" {
		t.Errorf("%+v", v)
	}
	if v := check(trail, m.batches[1:]); v.Broken != "" || v.First != 2 { // the oldest is dropped for its age
		t.Errorf("without the first: %+v", v)
	}
	if v := check(trail, nil); v.Broken != "" || v.Records != 0 {
		t.Errorf("nothing: %+v", v)
	}
}

// Whatever is changed, left out, put in or moved is noticed.
func TestTamperedTrails(t *testing.T) {
	m := &memory{}
	trail := open(t, m)
	write(t, trail, "alice", "bob", "carol", "dave")
	edit := func(i int, old, with string) [][]byte {
		out := append([][]byte(nil), m.batches...)
		out[i] = []byte(strings.Replace(string(out[i]), old, with, 1))
		return out
	}
	other, err := Open(t.Context(), &memory{}, [32]byte{2}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for name, batches := range map[string][][]byte{
		"a name":          edit(1, "bob", "eve"),
		"the first":       edit(0, "alice", "eve"),
		"a number":        edit(1, `"N":2`, `"N":5`),
		"a hash":          edit(2, `"Hash":"`, `"Hash":"0`),
		"left out":        {m.batches[0], m.batches[2], m.batches[3]},
		"moved":           {m.batches[0], m.batches[2], m.batches[1], m.batches[3]},
		"twice":           {m.batches[0], m.batches[1], m.batches[1]},
		"no JSON":         {m.batches[0], []byte("{")},
		"what was before": edit(1, `"Before":"`, `"Before":"0`),
	} {
		if v := check(trail, batches); v.Broken == "" {
			t.Errorf("%s is not noticed: %+v", name, v)
		}
	}
	if v := check(other, m.batches); v.Broken == "" {
		t.Error("a trail of another key is taken for whole")
	}
}

// A genuine record of another history, such as one from before a restore, does
// not fit in the place of the one that was there.
func TestSplicedTrails(t *testing.T) {
	one, two := &memory{}, &memory{}
	trail := open(t, one)
	write(t, trail, "a", "b", "c")
	write(t, open(t, two), "a", "x")
	var b, x, c Batch
	for raw, batch := range map[string]*Batch{string(one.batches[1]): &b, string(two.batches[1]): &x, string(one.batches[2]): &c} {
		if err := model.Unmarshal([]byte(raw), batch); err != nil {
			t.Fatal(err)
		}
	}
	c.Before = x.Records[0].Hash
	spliced, err := model.Marshal(c)
	if err != nil || b.Records[0].Hash == c.Before {
		t.Fatal(err)
	}
	if v := check(trail, [][]byte{one.batches[0], two.batches[1], spliced}); v.Broken == "" {
		t.Errorf("not noticed: %+v", v)
	}
}

// Records that come while one is being written are one write.
func TestRecordsAreWrittenTogether(t *testing.T) {
	const many = 100
	m := &memory{hold: make(chan struct{})}
	trail := open(t, m)
	var writers sync.WaitGroup
	for i := range many {
		writers.Go(func() {
			if err := trail.Write(t.Context(), Record{Who: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	writes := 0
	for running := true; running; {
		select {
		case m.hold <- struct{}{}:
			writes++
		case <-done:
			running = false
		}
	}
	if v := check(trail, m.batches); v.Broken != "" || v.Records != many || len(m.batches) != writes {
		t.Errorf("%d writes, %d batches: %+v", writes, len(m.batches), v)
	}
}

// What cannot be written is told, and does not break the chain, whether or not
// it was written after all.
func TestWritesThatFail(t *testing.T) {
	for _, lands := range []bool{false, true} {
		m := &memory{lands: lands}
		trail := open(t, m)
		write(t, trail, "a")
		m.fail = errors.New("the disk is gone")
		err := trail.Write(t.Context(), Record{Who: "lost"})
		if model.KindOf(err) != model.Internal || !strings.Contains(err.Error(), "nothing was done") || !errors.Is(err, err) {
			t.Errorf("%v", err)
		}
		write(t, trail, "b")
		want := 2
		if lands {
			want = 3
		}
		if v := check(trail, m.batches); v.Broken != "" || v.Records != want {
			t.Errorf("lands %v: %+v", lands, v)
		}
	}
}

func TestDamagedEnd(t *testing.T) {
	for _, raw := range []string{"{", "[]", `{"Records":[]}`} {
		_, err := Open(t.Context(), &memory{batches: [][]byte{[]byte(raw)}}, [32]byte{}, time.Now)
		if model.KindOf(err) != model.Internal || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestDigests(t *testing.T) {
	trail, other := open(t, &memory{}), &Trail{key: [32]byte{9}}
	a := trail.Digest([]byte("password"))
	if a != trail.Digest([]byte("password")) || a == trail.Digest([]byte("passwore")) || a == other.Digest([]byte("password")) {
		t.Error("digests do not tell bodies apart, or are the same for all")
	}
}

// Whether the trail can be written is known from its last record.
func TestAFaultLastsUntilTheNextRecord(t *testing.T) {
	m := &memory{}
	trail := open(t, m)
	if _, fault := trail.Fault(); fault != nil {
		t.Errorf("before anything: %v", fault)
	}
	m.fail = errors.New("no space")
	if err := trail.Write(t.Context(), Record{Who: "a"}); err == nil {
		t.Error("written all the same")
	}
	at, fault := trail.Fault()
	if fault == nil || !at.Equal(time.Unix(1000, 0)) {
		t.Errorf("%v at %v", fault, at)
	}
	write(t, trail, "b")
	if _, fault := trail.Fault(); fault != nil {
		t.Errorf("after a record that was written: %v", fault)
	}
}
