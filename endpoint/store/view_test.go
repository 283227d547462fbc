package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
)

// copyIndex is an index that keeps the objects themselves.
type copyIndex struct {
	mu   sync.Mutex // guards both
	has  map[string]uint64
	lost []string // what was removed that was not there
}

func (x *copyIndex) Load(objects []*Object) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.has = map[string]uint64{}
	for _, o := range objects {
		x.has[o.ID] = o.Rev
	}
}

func (x *copyIndex) Put(o *Object) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.has[o.ID] = o.Rev
}

func (x *copyIndex) Remove(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.has[id]; !ok {
		x.lost = append(x.lost, id)
	}
	delete(x.has, id)
}

// wantSame compares an index with what the store lists.
func wantSame(t *testing.T, when string, x *copyIndex, s *Store) {
	t.Helper()
	want := map[string]uint64{}
	for _, o := range s.List("machines") {
		want[o.ID] = o.Rev
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !maps.Equal(x.has, want) || len(x.lost) > 0 {
		t.Fatalf("%s the index has %v, the store %v (removed in vain: %v)", when, x.has, want, x.lost)
	}
}

// TestIndexesKeepStep changes objects at random from many sides, starts again, and
// has the store written anew: an index has what the store has.
func TestIndexesKeepStep(t *testing.T) {
	dir, seed := t.TempDir(), rand.Uint64()
	x := &copyIndex{}
	o := Options{Dir: dir, Indexes: map[string]Index{"machines": x}, compactAbove: 20}
	for round := range 3 {
		s, err := Open(t.Context(), o)
		must(t, err)
		wantSame(t, fmt.Sprintf("seed %d: after start %d", seed, round), x, s)
		var writers sync.WaitGroup
		for w := range uint64(4) {
			writers.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, w))
				for range 25 {
					id := fmt.Sprint("m", rnd.IntN(6))
					// Others write to the same objects: some of these are refused.
					if found, err := s.Get("machines", id); err != nil {
						_, _ = s.Create(t.Context(), machine(id, raw(`{"n":%d}`, rnd.IntN(9))), nil)
					} else if rnd.IntN(2) == 0 {
						_, _ = s.Delete(t.Context(), "machines", id, found.Rev)
					} else {
						_, _ = s.Update(t.Context(), found, nil)
					}
				}
			})
		}
		writers.Wait()
		wantSame(t, fmt.Sprintf("seed %d: after changes %d", seed, round), x, s)
		must(t, s.Close())
	}
}

// TestIndexOfNothing wants an index of a prefix without objects to be loaded too.
func TestIndexOfNothing(t *testing.T) {
	x := &copyIndex{has: map[string]uint64{"before": 1}}
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), Indexes: map[string]Index{"machines": x}})
	must(t, err)
	defer s.Close()
	wantSame(t, "of an empty store", x, s)
}
