package broker

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/sim/bmc"
)

// handClock is a Clock that goes on only when told to.
type handClock struct {
	mu     sync.Mutex // guards the rest
	now    time.Time
	timers []*handTimer
}

// handTimer is one that waits.
type handTimer struct {
	at time.Time
	f  func()
}

// newClock returns a clock that stands still.
func newClock() *handClock {
	return &handClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

// Now returns the present time.
func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc calls f once the clock was moved by d.
func (c *handClock) AfterFunc(d time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &handTimer{c.now.Add(d), f}
	c.timers = append(c.timers, t)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.timers, t)
		if i >= 0 {
			c.timers = slices.Delete(c.timers, i, i+1)
		}
		return i >= 0
	}
}

// move moves the clock, and returns when all that is due was called.
func (c *handClock) move(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []*handTimer
	c.timers = slices.DeleteFunc(c.timers, func(t *handTimer) bool {
		if t.at.After(c.now) {
			return false
		}
		due = append(due, t)
		return true
	})
	c.mu.Unlock()
	for _, t := range due {
		t.f()
	}
}

// waiting is how many timers wait.
func (c *handClock) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// wrong is a login that the simulated BMCs refuse.
var wrong = rmcp.Login{Username: "admin", Password: "guess"}

// tryOpen opens and closes a handle.
func tryOpen(ctx context.Context, b *Broker, sim *bmc.BMC, l rmcp.Login) error {
	h, err := b.Open(ctx, Target{Peer: sim.Addr(), Login: l, Interval: -1})
	if err == nil {
		h.Close()
	}
	return err
}

// queued is how many jobs wait for the BMC.
func queued(b *Broker, sim *bmc.BMC) int { return b.Inspect(sim.Addr(), login).Waiting }

// heldUp takes the turn of the BMC with a job that lasts until release is called.
// It runs as the kind of job says.
func heldUp(tb testing.TB, b *Broker, sim *bmc.BMC) (release func()) {
	tb.Helper()
	o, _, err := b.use(&Target{Peer: sim.Addr(), Login: login, Interval: -1})
	if err != nil {
		tb.Fatal(err)
	}
	begun, end := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := o.do(bounded(tb), &job{work: func(context.Context, *place) ([]byte, error) {
			close(begun)
			<-end
			return nil, nil
		}})
		b.unuse(o)
		done <- err
	}()
	<-begun
	return sync.OnceFunc(func() {
		close(end)
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
}

// logBook takes what is logged.
type logBook struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

// Write takes a line.
func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String is all lines.
func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logger returns a logger and what it was told.
func logger() (*slog.Logger, *logBook) {
	book := &logBook{}
	return slog.New(slog.NewTextHandler(book, nil)), book
}
