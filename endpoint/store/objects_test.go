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

func TestObjectLifeCycle(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	a := create(t, s, "a", "one")
	if got, err := s.Get("machines", "a"); err != nil || got.Rev != a.Rev || string(got.Value) != `{"Name":"one"}` {
		t.Fatalf("Get = %+v, %v", got, err)
	}
	b, err := s.Update(ctx, Object{Prefix: "machines", ID: "a", Rev: a.Rev, Value: raw(`{"Name": "<two>"}`)}, named("two"))
	must(t, err)
	if b.Rev <= a.Rev {
		t.Errorf("revision %d after %d", b.Rev, a.Rev)
	}
	s = reopen(t, s, dir)
	got, err := s.Find("machines", "Name", "two")
	if err != nil || got.ID != "a" || got.Rev != b.Rev || string(got.Value) != `{"Name":"<two>"}` {
		t.Fatalf("after reopening Find = %+v, %v", got, err)
	}
	_, err = s.Find("machines", "Name", "one")
	wantKind(t, err, model.NotFound)
	old, err := s.Delete(ctx, "machines", "a", got.Rev)
	if err != nil || string(old.Value) != `{"Name":"<two>"}` {
		t.Fatalf("Delete = %+v, %v", old, err)
	}
	_, err = s.Get("machines", "a")
	wantKind(t, err, model.NotFound)
	again := create(t, s, "a", "two")
	if again.Rev <= b.Rev {
		t.Errorf("a recreated object has revision %d, not above %d", again.Rev, b.Rev)
	}
	if list := s.List("machines"); len(list) != 1 || list[0].Rev != again.Rev {
		t.Errorf("List = %+v", list)
	}
}

func TestRevisionsAreNeverUsedAgain(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	var last uint64
	for range 4 {
		o := create(t, s, "a", "n")
		if o.Rev <= last {
			t.Fatalf("revision %d after %d", o.Rev, last)
		}
		last = o.Rev
		_, err := s.Delete(ctx, "machines", "a", 0)
		must(t, err)
		s = reopen(t, s, dir) // the delete marker is the newest record of all
	}
}

func TestCompareAndSet(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	a := create(t, s, "a", "n")
	a.Value = raw(`1`)
	b, err := s.Update(ctx, a, named("n"))
	must(t, err)
	_, err = s.Update(ctx, a, named("n"))
	wantKind(t, err, model.Conflict)
	_, err = s.Delete(ctx, "machines", "a", a.Rev)
	wantKind(t, err, model.Conflict)
	_, err = s.Create(ctx, machine("a", raw(`2`)), nil)
	wantKind(t, err, model.Conflict)
	_, err = s.Update(ctx, machine("absent", raw(`2`)), nil)
	wantKind(t, err, model.NotFound)
	_, err = s.Delete(ctx, "machines", "absent", 0)
	wantKind(t, err, model.NotFound)
	if got, err := s.Get("machines", "a"); err != nil || got.Rev != b.Rev || string(got.Value) != `1` {
		t.Errorf("refused writes changed the object: %+v, %v", got, err)
	}
}

func TestWhatCannotBeStored(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	for name, o := range map[string]Object{
		"not JSON":      machine("a", raw(`{`)),
		"empty":         machine("a", nil),
		"too large":     machine("a", raw(`"%s"`, strings.Repeat("x", MaxValue))),
		"no key":        machine("", raw(`1`)),
		"own prefix":    {Prefix: uniquePrefix, ID: "a", Value: raw(`1`)},
		"system prefix": {Prefix: systemPrefix, ID: "schema", Value: raw(`1`)},
	} {
		if _, err := s.Create(ctx, o, nil); model.KindOf(err) != model.Invalid || err == nil {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	_, err := s.Create(ctx, machine("a", raw(`1`)), named(strings.Repeat("n", maxID+1)))
	wantKind(t, err, model.Invalid)
	_, err = s.Delete(ctx, "", "", 0)
	wantKind(t, err, model.Invalid)
	large, err := s.Create(ctx, machine("large", raw(`"%s"`, strings.Repeat("x", MaxValue-100))), nil)
	if err != nil || len(large.Value) != MaxValue-98 {
		t.Errorf("the largest value: %d bytes, %v", len(large.Value), err)
	}
}

func TestAnyKeyAndValueSurvives(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ids := []string{"a.b", "a b", "*", ">", "=", "ü/..", "a\x00b", "$KV.objects.>", strings.Repeat("\xff", maxID)}
	for i, id := range ids {
		create(t, s, id, fmt.Sprintf("n%d.* >", i))
	}
	s = reopen(t, s, dir)
	for i, id := range ids {
		if o, err := s.Find("machines", "Name", fmt.Sprintf("n%d.* >", i)); err != nil || o.ID != id {
			t.Errorf("%q is found as %q, %v", id, o.ID, err)
		}
	}
	if n := len(s.List("machines")); n != len(ids) {
		t.Errorf("%d objects, want %d", n, len(ids))
	}
}

func TestListIsOrderedAndOfOnePrefix(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	for _, id := range []string{"c", "a", "d", "b"} {
		create(t, s, id, id)
	}
	_, err := s.Create(ctx, Object{Prefix: "profiles", ID: "global", Value: raw(`{}`)}, nil)
	must(t, err)
	_, err = s.Delete(ctx, "machines", "b", 0)
	must(t, err)
	for range 2 {
		got := ""
		for _, o := range s.List("machines") {
			got += o.ID
		}
		if got != "acd" {
			t.Errorf("List = %s, want acd", got)
		}
		s = reopen(t, s, dir)
	}
	if got := s.List("nothing"); len(got) != 0 {
		t.Errorf("List of an unknown prefix = %v", got)
	}
}

// TestChangesComeInRevisionOrder has many writers at few objects; each change
// must begin where the one before it of the same object ended.
func TestChangesComeInRevisionOrder(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	var mu sync.Mutex
	last := map[string]uint64{} // revision by ID, 0 once deleted
	count := 0
	s.OnChange(func(c Change) {
		mu.Lock()
		defer mu.Unlock()
		count++
		id, was, is := "", uint64(0), uint64(0)
		if c.Old != nil {
			id, was = c.Old.ID, c.Old.Rev
		}
		if c.New != nil {
			id, is = c.New.ID, c.New.Rev
			if got, err := s.Get("machines", id); err != nil || got.Rev < is {
				t.Errorf("%s: revision %d is told before the view has it (%d, %v)", id, is, got.Rev, err)
			}
		}
		if last[id] != was || is != 0 && is <= was {
			t.Errorf("%s: a change from %d to %d after %d", id, was, is, last[id])
		}
		last[id] = is
	})
	var writers sync.WaitGroup
	done := make(chan int, 8)
	for w := range 8 {
		writers.Go(func() {
			n := 0
			for i := range 40 {
				n += churn(ctx, s, fmt.Sprintf("m%d", i%3), w)
			}
			done <- n
		})
	}
	writers.Wait()
	close(done)
	want := 0
	for n := range done {
		want += n
	}
	if count != want || want == 0 {
		t.Errorf("%d changes were told, %d writes were acknowledged", count, want)
	}
}

// churn creates, updates or deletes an object and counts what was acknowledged.
func churn(ctx context.Context, s *Store, id string, w int) int {
	o, err := s.Get("machines", id)
	switch {
	case err != nil:
		_, err = s.Create(ctx, machine(id, raw(`%d`, w)), named(id))
	case w == 0:
		_, err = s.Delete(ctx, "machines", id, o.Rev)
	default:
		o.Value = raw(`%d`, w)
		_, err = s.Update(ctx, o, named(id))
	}
	if err != nil {
		return 0
	}
	return 1
}

func TestOneOfManyUpdatesWins(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	a := create(t, s, "a", "n")
	wins := make(chan uint64, 32)
	var writers sync.WaitGroup
	for i := range 32 {
		writers.Go(func() {
			o := a
			o.Value = raw(`%d`, i)
			if got, err := s.Update(ctx, o, named("n")); err == nil {
				wins <- got.Rev
			} else if model.KindOf(err) != model.Conflict {
				t.Errorf("a loser got %v, want a conflict", err)
			}
		})
	}
	writers.Wait()
	if len(wins) != 1 {
		t.Errorf("%d of 32 updates of one revision won, want 1", len(wins))
	}
}

func TestEndedContextWritesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.Create(ctx, machine("a", raw(`1`)), nil)
	wantKind(t, err, model.Timeout)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not carry its cause", err)
	}
	create(t, s, "a", "n")
}
