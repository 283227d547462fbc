package auth

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

// newClock makes a clock at some time.
func newClock() *clock { return &clock{at: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)} }

// now is the clock's time.
func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// move moves the clock.
func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// places are where logins of the tests are from.
var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("192.0.2.2")
)

// wantKind fails the test unless err is of a kind.
func wantKind(t *testing.T, err error, kind model.Kind) {
	t.Helper()
	if err == nil || model.KindOf(err) != kind {
		t.Fatalf("error %v, want one of kind %s", err, kind)
	}
}
