package main

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/model"
)

func TestFanIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		var got []int
		began := time.Now()
		fan[int, int]{
			parallel: 3,
			call: func(n int) int {
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
			call: func(n int) int {
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

func TestFanBeginsNothingAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var skipped []int
	fan[int, int]{
		parallel: 2,
		call:     func(int) int { t.Error("called"); return 0 },
		skip: func(n int, why *model.Error) int {
			if why.Kind() != model.Busy {
				t.Errorf("skipped for %v", why)
			}
			return n
		},
		each: func(n int) { skipped = append(skipped, n) },
	}.run(ctx, []int{1, 2, 3})
	if !slices.Equal(skipped, []int{1, 2, 3}) {
		t.Errorf("skipped %v", skipped)
	}
}

// paced is a fan whose calls take a second each, and the times at which they
// begin.
func paced(t *testing.T, f fan[int, int]) (fan[int, int], func() []int) {
	t.Helper()
	began := time.Now()
	var mu sync.Mutex // guards at
	var at []int
	f.call = func(n int) int {
		mu.Lock()
		at = append(at, int(time.Since(began)/time.Second))
		mu.Unlock()
		<-time.After(time.Second)
		return n
	}
	if f.each == nil {
		f.each = func(int) {}
	}
	f.skip = func(n int, _ *model.Error) int { return -n }
	return f, func() []int { slices.Sort(at); return at }
}

func TestFanInBatches(t *testing.T) {
	tests := map[string]struct {
		parallel, batch int
		pause           time.Duration
		want            []int
	}{
		"no batches":              {9, 0, 0, []int{0, 0, 0, 0, 0, 0, 0}},
		"batches":                 {9, 3, 0, []int{0, 0, 0, 1, 1, 1, 2}},
		"batches and pauses":      {9, 3, 10 * time.Second, []int{0, 0, 0, 11, 11, 11, 22}},
		"batches of one":          {9, 1, time.Second, []int{0, 2, 4, 6, 8, 10, 12}},
		"a batch of all":          {9, 7, time.Hour, []int{0, 0, 0, 0, 0, 0, 0}},
		"a batch larger than all": {9, 100, time.Hour, []int{0, 0, 0, 0, 0, 0, 0}},
		"fewer at once than that": {2, 4, 10 * time.Second, []int{0, 0, 1, 1, 12, 12, 13}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, at := paced(t, fan[int, int]{parallel: tt.parallel, batch: tt.batch, pause: tt.pause})
				f.run(t.Context(), []int{1, 2, 3, 4, 5, 6, 7})
				if got := at(); !slices.Equal(got, tt.want) {
					t.Errorf("begun at %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestFanStopsWhenItIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		f, at := paced(t, fan[int, int]{parallel: 2, each: func(n int) { got = append(got, n) }})
		f.enough = func() *model.Error {
			if len(got) < 3 {
				return nil
			}
			return tooManyFailed(len(got))
		}
		f.run(t.Context(), []int{1, 2, 3, 4, 5, 6, 7})
		// Four were begun when the third answer came.
		if begun := at(); len(begun) != 4 {
			t.Errorf("begun at %v", begun)
		}
		slices.Sort(got[:4])
		if want := []int{1, 2, 3, 4, -5, -6, -7}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestFanWaitsForWhatWasBegun(t *testing.T) {
	for name, tt := range map[string]struct {
		cut     time.Duration // when the context ends
		pause   time.Duration
		atWork  []int
		answers []int
		took    time.Duration
	}{
		"while calls are at work": {cut: 500 * time.Millisecond, atWork: []int{2}, answers: []int{1, 2, -3, -4}, took: time.Second},
		"in a pause":              {cut: 90 * time.Second, pause: time.Hour, answers: []int{1, 2, -3, -4}, took: 90 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), tt.cut)
				defer cancel()
				var got, told []int
				f, _ := paced(t, fan[int, int]{
					parallel: 2, batch: 2, pause: tt.pause,
					each:   func(n int) { got = append(got, n) },
					ending: func(n int) { told = append(told, n) },
				})
				f.run(ctx, []int{1, 2, 3, 4})
				slices.Sort(got[:2])
				if !slices.Equal(got, tt.answers) || !slices.Equal(told, tt.atWork) {
					t.Errorf("answers %v, told of %v at work", got, told)
				}
				if took := time.Since(began); took != tt.took {
					t.Errorf("took %s, want %s", took, tt.took)
				}
			})
		})
	}
}

// TestSilentCallsGiveUpTheirPlaces asks many of which a tenth never answers: all
// others are answered before the first of the silent ones is given up, whatever
// their order, and no more run at once than may.
func TestSilentCallsGiveUpTheirPlaces(t *testing.T) {
	const count, silence = 1000, 2 * time.Second
	for name, silent := range map[string]func(n int) bool{
		"one in ten":   func(n int) bool { return n%10 == 0 },
		"the first":    func(n int) bool { return n < count/10 },
		"the last":     func(n int) bool { return n >= count-count/10 },
		"none":         func(int) bool { return false },
		"all but some": func(n int) bool { return n%10 != 0 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var items, order []int
				for n := range count {
					items = append(items, n)
				}
				var quick, most atomic.Int32
				began := time.Now()
				fan[int, int]{
					parallel: 16, patience: 250 * time.Millisecond,
					call: func(n int) int {
						if silent(n) {
							<-time.After(silence)
							return n
						}
						most.Store(max(most.Load(), quick.Add(1)))
						defer quick.Add(-1)
						<-time.After(time.Millisecond)
						return n
					},
					each: func(n int) { order = append(order, n) },
				}.run(t.Context(), items)
				if len(order) != count || most.Load() > 16 {
					t.Fatalf("%d answers, %d at once that have their place", len(order), most.Load())
				}
				if name == "all but some" { // there is no room for everybody's silence
					return
				}
				first := slices.IndexFunc(order, silent)
				if first >= 0 && slices.ContainsFunc(order[first:], func(n int) bool { return !silent(n) }) {
					t.Error("a live one was answered after a silent one was given up")
				}
				if took := time.Since(began); took > 2*silence {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestPlacesAreKeptWithoutPatience holds everybody up behind a silent one where
// how many run at once is a promise.
func TestPlacesAreKeptWithoutPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		f := fan[int, int]{parallel: 1, each: func(int) {}, call: func(int) int { <-time.After(time.Minute); return 0 }}
		if f.run(t.Context(), []int{1, 2, 3}); time.Since(began) != 3*time.Minute {
			t.Errorf("took %v", time.Since(began))
		}
	})
}

// TestSilentCallsAreBounded asks only silent ones: no more run at once than
// maxParallel.
func TestSilentCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		fan[int, int]{
			parallel: 1024, patience: time.Second, each: func(int) {},
			call: func(n int) int {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				<-time.After(time.Hour)
				return n
			},
		}.run(t.Context(), make([]int, 2*maxParallel))
		if most.Load() != maxParallel {
			t.Errorf("%d at once", most.Load())
		}
	})
}
