package store

import (
	"context"
	"strconv"
	"sync"
	"testing"
)

// TestCutIsOfOneMoment takes cuts while each writer changes its object and then tells
// of that in a record: no cut has the record without the change.
func TestCutIsOfOneMoment(t *testing.T) {
	ctx, end := context.WithCancel(context.Background())
	s := open(t, t.TempDir())
	var writers sync.WaitGroup
	defer writers.Wait()
	defer end()
	for w := range 4 {
		id := "m" + strconv.Itoa(w)
		o := create(t, s, id, id)
		writers.Go(func() { countUntil(ctx, t, s, o) })
	}
	for range 20 {
		cut, err := s.Cut(ctx)
		must(t, err)
		changes := map[string]int{}
		for _, o := range cut.Objects() {
			changes[o.ID], _ = strconv.Atoi(string(o.Value)) // 0 before the first
		}
		err = cut.Records(ctx, func(r Record) error {
			told, err := strconv.Atoi(string(r.Data))
			if told > changes[r.ID] {
				t.Errorf("%s: change %d is told of, %d is the last there is", r.ID, told, changes[r.ID])
			}
			return err
		})
		must(t, err)
	}
}

// countUntil changes an object, and tells of each change, until ctx ends.
func countUntil(ctx context.Context, t *testing.T, s *Store, o Object) {
	var last uint64
	for n := 1; ctx.Err() == nil; n++ {
		var err error
		o.Value = raw("%d", n)
		if o, err = s.Update(context.Background(), o, named(o.ID)); err != nil {
			t.Error(err)
			return
		}
		last, err = s.PutRecord(context.Background(), Record{Prefix: o.Prefix, ID: o.ID, Seq: last, Data: raw("%d", n)})
		if err != nil {
			t.Error(err)
			return
		}
	}
}
