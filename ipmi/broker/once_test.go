package broker

import (
	"errors"
	"testing"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
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

// Who does not insist does not do so either where the session that was open is
// lost, and the password is another by now.
func TestOnceAfterALostSession(t *testing.T) {
	for name, use := range map[string]func(*Handle) error{
		"read":    func(h *Handle) error { _, err := status(bounded(t), h); return err },
		"prepare": func(h *Handle) error { return h.Prepare(bounded(t), 0) },
		"change": func(h *Handle) error {
			return control(bounded(t), h, chassis.ChassisControlHardReset, model.Once)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := startFleet(t, bmc.Options{}).BMC(0)
			b := newBroker(t, Options{FirstTry: brisk})
			h, err := b.OpenOnce(bounded(t), Target{Peer: sim.Addr(), Login: login})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			forgets := map[string]int{bmc.ChassisStatus: 1, bmc.SetPrivilege: 1}
			sim.SetFaults(bmc.Faults{WrongPassword: true, Reboots: forgets, RebootsEarly: true})
			if err := use(h); reasonIn(err) != rmcp.BadPassword {
				t.Errorf("%v", err)
			}
			if n := sim.Executed(bmc.RAKP1) - 1; n != 1 {
				t.Errorf("%d logins failed", n)
			}
		})
	}
}

// What is for one session is executed in no other.
func TestOnlyInOneSession(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	b := newBroker(t, Options{FirstTry: brisk})
	h := open(t, b, sim.Addr())
	first := h.Session()
	read := func(only SessionID) (SessionID, error) {
		c := &Call{Call: rmcp.Call{Request: &chassis.GetChassisStatusRequest{}, Class: model.Read}, Only: only}
		err := h.Do(bounded(t), c)
		return c.In, err
	}
	reset := func(only SessionID) error {
		return h.Do(bounded(t), &Call{
			Call: rmcp.Call{Request: &chassis.ChassisControlRequest{ChassisControl: chassis.ChassisControlHardReset}, Class: model.Once},
			Only: only, Operator: true,
		})
	}
	if in, err := read(first); err != nil || in != first || first == 0 {
		t.Fatalf("in %d, want %d: %v", in, first, err)
	}
	if err := reset(first); err != nil {
		t.Fatal(err)
	}
	sim.SetFaults(bmc.Faults{Reboots: map[string]int{bmc.ChassisStatus: 1}, RebootsEarly: true})
	in, err := read(first)
	if reasonIn(err) != Reopened || in == first || in == 0 || in != h.Session() {
		t.Errorf("in %d, now %d: %v", in, h.Session(), err)
	}
	var e *rmcp.Error
	if err := reset(first); !errors.As(err, &e) || e.Reason != Reopened || e.Sent {
		t.Errorf("%v", err)
	}
	if err := h.Prepare(bounded(t), first); reasonIn(err) != Reopened {
		t.Errorf("%v", err)
	}
	if n := sim.Executed(bmc.PowerReset); n != 1 {
		t.Errorf("%d resets", n)
	}
	if err := reset(in); err != nil {
		t.Error(err)
	}
	other, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: rmcp.Login{Username: "nobody"}})
	if err == nil {
		other.Close()
		t.Error("nobody logs in")
	}
	if now := h.Session(); now != 0 {
		t.Errorf("session %d is open, and the BMC has one login at a time", now)
	}
}
