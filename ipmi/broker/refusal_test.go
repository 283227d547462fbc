package broker

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/ipmi/udptest"
)

// The offsets in a datagram of session setup (IPMI 2.0 §13.6), and the payload
// types that tests look for.
const (
	kindAt       = 5
	statusAt     = 17
	openResponse = 0x11
)

// moving moves the clock until something is done.
func moving(tb testing.TB, clock *handClock, done <-chan error) (err error) {
	tb.Helper()
	eventually(tb, "it is done", func() bool {
		select {
		case err = <-done:
			return true
		default:
			clock.move(10 * time.Millisecond)
			return false
		}
	})
	return err
}

// TestLockoutBetweenSlots: a BMC that has no slot free between the logins that it
// refuses is not tried more often than another. This one says so at every second
// request for a session.
func TestLockoutBetweenSlots(t *testing.T) {
	sim := lockout(t)
	clock := newClock()
	b := newBroker(t, Options{Clock: clock})
	opened := 0
	proxy := udptest.New(t, sim.Addr(), func(d udptest.Datagram) [][]byte {
		if d.Direction == udptest.ToClient && d.Data[kindAt] == openResponse {
			if opened++; opened%2 == 0 {
				full := bytes.Clone(d.Data)
				full[statusAt] = 0x01
				return [][]byte{full}
			}
		}
		return udptest.Pass(d)
	})
	done := make(chan error, 1)
	go func() {
		_, err := b.Open(bounded(t), Target{Peer: proxy.Addr(), Login: wrong})
		done <- err
	}()
	if err := moving(t, clock, done); reasonIn(err) != rmcp.BadPassword {
		t.Errorf("%v, want %q", err, rmcp.BadPassword)
	}
	if _, err := b.Open(bounded(t), Target{Peer: proxy.Addr(), Login: wrong}); reasonIn(err) != Suspended {
		t.Errorf("%v, want %q", err, Suspended)
	}
	checkTried(t, sim, opensAt)
}

// TestFullAfterRefusals: a BMC without a free slot is not waited for with a login
// that it has refused too often by then.
func TestFullAfterRefusals(t *testing.T) {
	clock := newClock()
	b := newBreaker(clock)
	l, err := b.admit(peerOne, wrong)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []bool{false, true, true} {
		l.refused(rmcp.BadPassword)
		if l.spent() != want {
			t.Errorf("after %d refusals: %v, want %v", n+1, !want, want)
		}
	}
	clock.move(retryAfter)
	probe, err := b.admit(peerOne, wrong)
	if err != nil || !probe.probe || probe.spent() {
		t.Fatalf("a probe that was not made is spent: %+v, %v", probe, err)
	}
}

// peerOne is some BMC that is not there.
var peerOne = netip.MustParseAddrPort("10.0.0.5:623")
