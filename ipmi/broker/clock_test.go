package broker

import (
	"testing"
	"time"

	"provision-plugins/sim/bmc"
)

// steady reports whether a time counts by what has gone by, and not by the clock that
// an administrator or NTP sets: with a monotonic reading, which == sees.
func steady(t time.Time) bool { return t != t.Round(0) }

// Who sets the clock while this runs, by an hour or a year, changes nothing about the
// distance between commands, nor about when a session that nobody uses is closed: all
// of it is kept in times that the setting does not move.
func TestNothingIsPacedByTheClockOnTheWall(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	b := newBroker(t, Options{})
	if !steady(b.clock.Now()) {
		t.Fatal("the clock can be set")
	}
	h, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: login, Interval: 30 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := status(bounded(t), h); err != nil {
			t.Fatal(err)
		}
	}
	h.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.owners[sim.Addr()]
	for name, at := range map[string]time.Time{"the next command": o.next, "the last use": o.rested} {
		if at.IsZero() || !steady(at) {
			t.Errorf("%s: %v", name, at)
		}
	}
}
