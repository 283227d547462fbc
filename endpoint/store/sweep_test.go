package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// left writes a reservation of an object that does not hold the value.
func left(t *testing.T, s *Store, name, owner string) {
	t.Helper()
	_, err := s.putNew(t.Context(), uniqueKey("machines", "Name", name), []byte(owner))
	must(t, err)
}

func TestSweepRemovesWhatNobodyHolds(t *testing.T) {
	s := open(t, t.TempDir())
	create(t, s, "a", "one")
	left(t, s, "ghost", "machines.nobody")
	left(t, s, "other", "machines.a")
	left(t, s, "strange", "no key")
	doubted, doubtedKey := "doubted", key("machines", "b")
	left(t, s, doubted, doubtedKey)
	s.dog.settling.Store(true) // so that it stays in doubt
	s.doubts.add(doubtedKey)
	must(t, s.sweep(t.Context()))
	for name, want := range map[string]string{"one": "machines.a", "ghost": "", "other": "", "strange": "", doubted: doubtedKey} {
		if got := reserved(t, s, name); got != want {
			t.Errorf("%s is reserved for %q, want %q", name, got, want)
		}
	}
}

// TestSweepWhileOthersWrite has objects come, go and change their names while the
// sweep runs again and again: no name is lost, and none is held twice.
func TestSweepWhileOthersWrite(t *testing.T) {
	s := open(t, t.TempDir())
	done := make(chan struct{})
	var writers, sweeps sync.WaitGroup
	sweeps.Go(func() {
		for {
			if err := s.sweep(t.Context()); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for w := range 4 {
		writers.Go(func() {
			id := fmt.Sprint("m", w)
			for round := range 30 {
				o, err := s.Create(t.Context(), machine(id, raw(`{}`)), named(fmt.Sprint(id, "-", round)))
				if err == nil {
					o, err = s.Update(t.Context(), o, named(fmt.Sprint(id, "+", round)))
				}
				if err == nil && round < 29 {
					_, err = s.Delete(t.Context(), "machines", id, o.Rev)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	sweeps.Wait()
	for w := range 4 {
		if name, want := fmt.Sprint("m", w, "+29"), fmt.Sprint("machines.m", w); reserved(t, s, name) != want {
			t.Errorf("%s is reserved for %q, want %q", name, reserved(t, s, name), want)
		}
		_, err := s.Create(t.Context(), machine("thief", raw(`{}`)), named(fmt.Sprint("m", w, "+29")))
		wantKind(t, err, model.Conflict)
	}
}

// TestSweepRunsByItself waits for the sweep of a store that sweeps all the time.
func TestSweepRunsByItself(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), sweepEvery: time.Millisecond})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	left(t, s, "ghost", "machines.nobody")
	tick, late := time.NewTicker(10*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for reserved(t, s, "ghost") != "" {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("what nobody holds is still reserved")
		}
	}
}
