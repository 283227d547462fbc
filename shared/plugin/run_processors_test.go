package plugin

import (
	"runtime"
	"testing"
	"time"
)

// TestOneProcessorUntilItIsNotEnough: it is not once it was busy for five looks
// in a row.
func TestOneProcessorUntilItIsNotEnough(t *testing.T) {
	for name, row := range map[string]struct {
		shares []float64
		at     int // the look that has enough of it; -1 for none
	}{
		"idle":          {[]float64{0, 0.1, 0.2, 0, 0.7, 0.3, 0.1, 0.79}, -1},
		"busy in turns": {[]float64{1, 1, 1, 1, 0.5, 1, 1, 1, 1, 0.2}, -1},
		"busy":          {[]float64{0.2, 0.9, 0.95, 1, 0.85, 0.81, 0}, 5},
		"busy at once":  {[]float64{3, 3, 3, 3, 3}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			now, spent := time.Unix(0, 0), time.Second
			w := workload{at: now, spent: spent}
			for i, share := range row.shares {
				now, spent = now.Add(busyLook), spent+time.Duration(share*float64(busyLook))
				if got := w.tooMuch(now, spent); got != (i == row.at) {
					t.Fatalf("look %d: too much is %v", i, got)
				}
				if i == row.at {
					return
				}
			}
		})
	}
}

// TestLateLooksAreNoBusyOnes: on a machine with other work a look comes late, and
// the CPU time is measured against the time that has passed.
func TestLateLooksAreNoBusyOnes(t *testing.T) {
	w := workload{at: time.Unix(0, 0)}
	for i := range 3 * busyLooks {
		if w.tooMuch(time.Unix(int64(i+1), 0), time.Duration(i+1)*2*busyLook) {
			t.Fatal("a tenth of a processor is too much for one")
		}
	}
}

// TestRunBeginsOnOneProcessor: with work to do it gets the others, and they are
// there afterwards.
func TestRunBeginsOnOneProcessor(t *testing.T) {
	const all = 3
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(all))
	restore := narrowly(func(name string) string {
		if name != "GOMAXPROCS" {
			t.Errorf("asks for %s", name)
		}
		return ""
	})
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("%d processors at the begin", got)
	}
	restore()
	if got := runtime.GOMAXPROCS(0); got != all {
		t.Errorf("%d processors after the run, want %d", got, all)
	}
}

// TestRunLeavesTheOperatorsProcessors: GOMAXPROCS is the operator's.
func TestRunLeavesTheOperatorsProcessors(t *testing.T) {
	const all = 3
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(all))
	restore := narrowly(func(string) string { return "3" })
	defer restore()
	if got := runtime.GOMAXPROCS(0); got != all {
		t.Errorf("%d processors, want the operator's %d", got, all)
	}
}

// TestCPUSpentGrows as this process works.
func TestCPUSpentGrows(t *testing.T) {
	before := cpuSpent()
	end := time.Now().Add(20 * time.Second)
	for cpuSpent() == before {
		if time.Now().After(end) {
			t.Fatal("working takes no CPU")
		}
	}
}
