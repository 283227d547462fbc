package store

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/model"
)

// reserved reports who holds a machine name, by the bucket itself.
func reserved(t *testing.T, s *Store, name string) string {
	t.Helper()
	msg, err := s.last(context.Background(), objectsStream, bucketSubject+uniqueKey("machines", "Name", name))
	must(t, err)
	if msg == nil || removed(msg) {
		return ""
	}
	return string(msg.Data)
}

func TestUniqueValueIsHeldOnce(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	create(t, s, "a", "n")
	_, err := s.Create(ctx, machine("b", raw(`1`)), named("n"))
	wantKind(t, err, model.Conflict)
	if !strings.Contains(err.Error(), `Name "n" is taken by machines/a`) {
		t.Errorf("error %q does not name the holder", err)
	}
	b := create(t, s, "b", "other")
	_, err = s.Update(ctx, b, named("n"))
	wantKind(t, err, model.Conflict)
	if reserved(t, s, "other") != "machines.b" {
		t.Error("a refused update gave the object's own name up")
	}
	// The same value under another prefix is another thing.
	_, err = s.Create(ctx, Object{Prefix: "profiles", ID: "p", Value: raw(`1`)}, named("n"))
	must(t, err)
}

func TestUniqueValueIsFreedByRenameAndDelete(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	a := create(t, s, "a", "one")
	a, err := s.Update(ctx, a, named("two"))
	must(t, err)
	if reserved(t, s, "one") != "" || reserved(t, s, "two") != "machines.a" {
		t.Errorf("after the rename one=%q two=%q", reserved(t, s, "one"), reserved(t, s, "two"))
	}
	create(t, s, "b", "one")
	_, err = s.Delete(ctx, "machines", "a", a.Rev)
	must(t, err)
	create(t, s, "c", "two")
}

func TestSeveralIndexesAreTakenTogetherOrNotAtAll(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	both := func(name, addr string) map[string]string { return map[string]string{"Name": name, "Address": addr} }
	_, err := s.Create(ctx, machine("a", raw(`1`)), both("n1", "10.0.0.1"))
	must(t, err)
	_, err = s.Create(ctx, machine("b", raw(`1`)), both("n1", "10.0.0.2")) // Address is taken first, then given up
	wantKind(t, err, model.Conflict)
	_, err = s.Create(ctx, machine("c", raw(`1`)), both("n3", "10.0.0.2"))
	must(t, err)
	_, err = s.Create(ctx, machine("d", raw(`1`)), both("n4", "")) // an empty value is none
	must(t, err)
	_, err = s.Create(ctx, machine("e", raw(`1`)), both("n5", ""))
	must(t, err)
}

func TestRefusedCreateLeavesNoReservation(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	create(t, s, "a", "one")
	_, err := s.Create(ctx, machine("a", raw(`1`)), named("two"))
	wantKind(t, err, model.Conflict)
	if got := reserved(t, s, "two"); got != "" {
		t.Errorf("two is held by %q", got)
	}
	if got := reserved(t, s, "one"); got != "machines.a" {
		t.Errorf("one is held by %q", got)
	}
}

// leaveReservation does the first half of a create whose process then died.
func leaveReservation(t *testing.T, s *Store, name, owner string) {
	t.Helper()
	_, err := s.putNew(context.Background(), uniqueKey("machines", "Name", name), []byte(owner))
	must(t, err)
}

func TestLeftOverReservationsAreSweptAtStart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	create(t, s, "a", "one")
	leaveReservation(t, s, "two", "machines.a")   // its owner has another name
	leaveReservation(t, s, "three", "machines.b") // its owner is not there
	leaveReservation(t, s, "four", "strange")
	s = reopen(t, s, dir)
	for name, want := range map[string]string{"one": "machines.a", "two": "", "three": "", "four": ""} {
		if got := reserved(t, s, name); got != want {
			t.Errorf("%s is held by %q, want %q", name, got, want)
		}
	}
}

func TestLeftOverReservationIsTakenOver(t *testing.T) {
	s := open(t, t.TempDir())
	leaveReservation(t, s, "two", "machines.gone")
	create(t, s, "b", "two")
	if got := reserved(t, s, "two"); got != "machines.b" {
		t.Errorf("two is held by %q", got)
	}
}

func TestManyCreatesOfOneName(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	for round := range 20 {
		name := fmt.Sprintf("n%d", round)
		wins := make(chan string, 16)
		var writers sync.WaitGroup
		for i := range 16 {
			writers.Go(func() {
				o, err := s.Create(ctx, machine(fmt.Sprintf("m%d-%d", round, i), raw(`1`)), named(name))
				if err == nil {
					wins <- o.ID
				} else if model.KindOf(err) != model.Conflict {
					t.Errorf("a loser got %v", err)
				}
			})
		}
		writers.Wait()
		if len(wins) != 1 {
			t.Fatalf("%d machines hold the name %s", len(wins), name)
		}
		if o, err := s.Find("machines", "Name", name); err != nil || o.ID != <-wins {
			t.Errorf("the index finds %q, %v", o.ID, err)
		}
	}
}

// TestNamesChangeHands has writers pass two names around: at every moment a
// name has one holder, and at the end the bucket and the view agree.
func TestNamesChangeHands(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, dir)
	names := []string{"x", "y", "z"}
	var writers sync.WaitGroup
	for i := range 3 {
		id := fmt.Sprintf("m%d", i)
		create(t, s, id, "own-"+id)
		writers.Go(func() {
			for n := range 30 {
				o, err := s.Get("machines", id)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = s.Update(ctx, o, named(names[(n+i)%len(names)]))
				if err != nil && model.KindOf(err) != model.Conflict {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for range 2 {
		for _, name := range names {
			holder := ""
			if o, err := s.Find("machines", "Name", name); err == nil {
				holder = key(o.Prefix, o.ID)
			}
			if got := reserved(t, s, name); got != holder {
				t.Errorf("%s: the bucket says %q, the view %q", name, got, holder)
			}
		}
		s = reopen(t, s, dir)
	}
}
