package plugin

import (
	"runtime"
	"syscall"
	"time"
)

// A run waits for the network most of the time. On several processors goroutines
// then wake one another across them, and each processor that finds nothing to do
// spins for a while: on two that was a tenth of the CPU of a fleet's run. So a run
// begins on one, and gets the others when that one is not enough.
const (
	// busyLook is how often it is looked at.
	busyLook = 50 * time.Millisecond
	// busyLooks is how many times in a row the one must have been busy.
	busyLooks = 5
	// busyShare is how much of the time it is then at work.
	busyShare = 0.8
)

// workload is what one processor has had to do.
type workload struct {
	at    time.Time
	spent time.Duration // CPU
	busy  int           // looks in a row
}

// tooMuch takes the CPU time spent until now, and reports whether one processor is
// not enough.
func (w *workload) tooMuch(now time.Time, spent time.Duration) bool {
	if float64(spent-w.spent) >= busyShare*float64(now.Sub(w.at)) {
		w.busy++
	} else {
		w.busy = 0
	}
	w.at, w.spent = now, spent
	return w.busy >= busyLooks
}

// cpuSpent is the CPU time that this process has used.
func cpuSpent() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0 // it looks idle, and keeps the one
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// narrowly keeps the process on one processor until that is not enough, or the
// returned function is called. What the operator has set stays.
func narrowly(getenv func(string) string) (restore func()) {
	if getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	all := runtime.GOMAXPROCS(1)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		suffice(over)
		runtime.GOMAXPROCS(all)
	}()
	return func() {
		close(over)
		<-ended
	}
}

// suffice returns when one processor is not enough, or the run is over.
func suffice(over <-chan struct{}) {
	look := time.NewTicker(busyLook)
	defer look.Stop()
	w := workload{at: time.Now(), spent: cpuSpent()}
	for {
		select {
		case <-over:
			return
		case <-look.C:
			if w.tooMuch(time.Now(), cpuSpent()) {
				return
			}
		}
	}
}
