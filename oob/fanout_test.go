package main

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFanIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		var got []int
		began := time.Now()
		fan[int, int]{
			parallel: 3,
			call: func(_ context.Context, n int) int {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				<-time.After(time.Second)
				return n
			},
			each: func(n int) { got = append(got, n) },
		}.run(t.Context(), []int{1, 2, 3, 4, 5, 6, 7})
		slices.Sort(got)
		if !slices.Equal(got, []int{1, 2, 3, 4, 5, 6, 7}) || most.Load() != 3 {
			t.Errorf("got %v, %d at once", got, most.Load())
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestFanAnswersAsTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		ticks := 0
		fan[int, int]{
			parallel: 4,
			call: func(_ context.Context, n int) int {
				<-time.After(time.Duration(n) * time.Second)
				return n
			},
			each: func(n int) { got = append(got, n) },
			tick: func() { ticks++ },
		}.run(t.Context(), []int{3, 1, 4, 2})
		if !slices.Equal(got, []int{1, 2, 3, 4}) {
			t.Errorf("got %v", got)
		}
		if ticks < 15 {
			t.Errorf("%d ticks in 4 s", ticks)
		}
	})
}

func TestFanOfNothing(t *testing.T) {
	fan[int, int]{parallel: 4, each: func(int) { t.Error("an answer") }}.run(t.Context(), nil)
}

func TestFanCallsEveryItemAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	answers := 0
	fan[int, bool]{
		parallel: 2,
		call:     func(ctx context.Context, _ int) bool { return ctx.Err() != nil },
		each: func(ended bool) {
			if ended {
				answers++
			}
		},
	}.run(ctx, make([]int, 10))
	if answers != 10 {
		t.Errorf("%d of 10 answers", answers)
	}
}
