package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What a plugin may send of its own accord, a second and at once. What is beyond
// is dropped and counted. A run keeps more lines than go to the endpoint's log: a
// fleet that is switched at once must not lose those of its own.
const (
	lineRate, lineBurst       = 200, 1_000
	runLineRate, runLineBurst = 2_000, 10_000
	eventRate, eventBurst     = 500, 5_000
	// Log lines that are dropped cost their sender and the endpoint about as much as
	// those that are taken. Beyond so many the answer is held back: the plugin sends
	// one line at a time, and drops by itself what it has no room for.
	heldRate, heldBurst = 500, 5_000
	longestHold         = time.Second
)

// flood bounds what one plugin sends of one sort. It says so once when it begins
// to drop, and how much it was when the flood is over.
type flood struct {
	what  string // "log lines"
	limit *rate.Limiter
	lost  func() // is told of each one that is dropped

	mu      sync.Mutex // guards dropped
	dropped int        // in this flood
}

// newFlood bounds what a plugin sends; lost is told of each that is dropped.
func newFlood(what string, perSecond float64, burst int, lost func()) *flood {
	return &flood{what: what, limit: rate.NewLimiter(rate.Limit(perSecond), burst), lost: lost}
}

// hold waits, until ctx ends, while more is dropped than may be in a second.
func hold(ctx context.Context, limit *rate.Limiter) {
	wait := limit.Reserve()
	d := wait.Delay()
	if d <= 0 {
		return
	}
	if d > longestHold { // many senders at once must not wait for each other for ever
		wait.Cancel()
		d = longestHold
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// allow reports whether one more is taken.
func (f *flood) allow(log *slog.Logger) bool {
	taken := f.limit.Allow()
	if !taken {
		f.lost()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !taken:
		if f.dropped++; f.dropped == 1 {
			log.Warn(fmt.Sprintf("plugin sends more than %v %s a second: those beyond are dropped and counted", f.limit.Limit(), f.what))
		}
	case f.dropped > 0 && f.limit.Tokens() >= float64(f.limit.Burst())/2:
		log.Warn(fmt.Sprintf("%d %s of a plugin were dropped: it sent more than %v a second", f.dropped, f.what, f.limit.Limit()), "dropped", f.dropped)
		f.dropped = 0
	}
	return taken
}
