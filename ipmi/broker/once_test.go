package broker

import (
	"errors"
	"testing"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/sim/bmc"
)

// A login that is refused is tried with one handshake, and counts for all.
func TestOpenOnceRefused(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	b := newBroker(t, Options{})
	target := Target{Peer: sim.Addr(), Login: wrong}
	for range opensAt {
		_, err := b.OpenOnce(bounded(t), target)
		if reasonIn(err) != rmcp.BadPassword {
			t.Fatalf("%v", err)
		}
	}
	if n := sim.Executed(bmc.SessionRequest); n != opensAt {
		t.Errorf("%d handshakes for %d calls", n, opensAt)
	}
	if _, err := b.OpenOnce(bounded(t), target); reasonIn(err) != Suspended {
		t.Errorf("with the breaker open: %v", err)
	}
	if _, err := b.Open(bounded(t), target); reasonIn(err) != Suspended {
		t.Errorf("others do not hear of it: %v", err)
	}
	if n := sim.Executed(bmc.SessionRequest); n != opensAt {
		t.Errorf("%d handshakes", n)
	}
}

// An open session is taken, and slots that are taken are not waited for.
func TestOpenOnce(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	b := newBroker(t, Options{})
	sim.SetFaults(bmc.Faults{SessionsFull: true})
	if _, err := b.OpenOnce(bounded(t), Target{Peer: sim.Addr(), Login: login}); reasonIn(err) != rmcp.NoSlot {
		t.Fatalf("%v", err)
	}
	if n := sim.Executed(bmc.SessionRequest); n != 0 {
		t.Errorf("%d sessions were begun", n)
	}
	sim.SetFaults(bmc.Faults{})
	for range 2 {
		h, err := b.OpenOnce(bounded(t), Target{Peer: sim.Addr(), Login: login})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := status(bounded(t), h); err != nil {
			t.Error(err)
		}
		h.Close()
	}
	if n := sim.Executed(bmc.SessionOpen); n != 1 {
		t.Errorf("%d logins", n)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	var e *rmcp.Error
	if _, err := b.OpenOnce(bounded(t), Target{Peer: sim.Addr(), Login: login}); !errors.As(err, &e) || e.Reason != rmcp.Closed {
		t.Errorf("after Close: %v", err)
	}
}
