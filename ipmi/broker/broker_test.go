package broker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"go.uber.org/goleak"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// TestMain is also the other process of fleet_test.go.
func TestMain(m *testing.M) {
	if count := os.Getenv(envFleet); count != "" {
		os.Exit(serveFleet(count))
	}
	goleak.VerifyTestMain(m)
}

// login is that of the simulated BMCs.
var login = rmcp.Login{Username: "admin", Password: "password"}

// startFleet runs simulated BMCs until the test ends.
func startFleet(tb testing.TB, o bmc.Options) *bmc.Fleet {
	tb.Helper()
	f, err := bmc.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// patience is longer than this machine stalls: what is sent again is then not the
// machine's doing. brisk sends again as soon as the plugin does, to BMCs that
// leave something unanswered.
const (
	patience = 3 * time.Second
	brisk    = 350 * time.Millisecond
)

// newBroker returns a broker that is closed with the test. It sends nothing again
// for long, unless the options say otherwise.
func newBroker(tb testing.TB, o Options) *Broker {
	tb.Helper()
	if o.FirstTry == 0 {
		o.FirstTry = patience
	}
	b := New(o)
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

// bounded is a context for what should not hang.
func bounded(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

// open returns a handle that is closed with the test.
func open(tb testing.TB, b *Broker, peer netip.AddrPort) *Handle {
	tb.Helper()
	h, err := b.Open(bounded(tb), Target{Peer: peer, Login: login})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(h.Close)
	return h
}

// status is a read.
func status(ctx context.Context, h *Handle) (on bool, err error) {
	var res chassis.GetChassisStatusResponse
	err = h.Do(ctx, &Call{Call: rmcp.Call{
		Request: &chassis.GetChassisStatusRequest{}, Response: &res, Class: model.Read,
	}})
	return res.PowerIsOn, err
}

// control is a change.
func control(ctx context.Context, h *Handle, c chassis.ChassisControl, class model.Class) error {
	return h.Do(ctx, &Call{Operator: true, Call: rmcp.Call{
		Request: &chassis.ChassisControlRequest{ChassisControl: c}, Class: class, Wait: 300 * time.Millisecond,
	}})
}

// reasonIn is the reason of err, or "".
func reasonIn(err error) rmcp.Reason {
	var e *rmcp.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// free is how many places are.
func free(b *Broker) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.free
}

// eventually polls until the condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx := bounded(tb)
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatalf("not seen: %s", what)
		}
	}
}

// TestOneSession: many callers of one BMC share one session.
func TestOneSession(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	b := newBroker(t, Options{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			h, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: login})
			if err != nil {
				t.Error(err)
				return
			}
			defer h.Close()
			if on, err := status(bounded(t), h); err != nil || !on {
				t.Errorf("on = %v, %v", on, err)
			}
		})
	}
	wg.Wait()
	if got := sim.Executed(bmc.SessionOpen); got != 1 {
		t.Errorf("%d sessions opened, want 1", got)
	}
	if got := sim.Executed(bmc.ChassisStatus); got < 1 || got > 50 {
		t.Errorf("%d reads, want 50 or less", got)
	}
}

// TestReadsStayAtUser: nothing is raised before the first control, and then once.
func TestReadsStayAtUser(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	h := open(t, newBroker(t, Options{}), sim.Addr())
	if _, err := status(bounded(t), h); err != nil {
		t.Fatal(err)
	}
	if got := sim.Executed(bmc.SetPrivilege); got != 0 {
		t.Errorf("raised %d times by a read", got)
	}
	for range 3 {
		if err := control(bounded(t), h, chassis.ChassisControlHardReset, model.Once); err != nil {
			t.Fatal(err)
		}
	}
	if got := sim.Executed(bmc.SetPrivilege); got != 1 {
		t.Errorf("raised %d times, want once", got)
	}
}

// TestUserOnly: a login without OPERATOR reads, and is told why it may not more.
func TestUserOnly(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true, Limit: bmc.User}).BMC(0)
	b := newBroker(t, Options{})
	h := open(t, b, sim.Addr())
	if on, err := status(bounded(t), h); err != nil || !on {
		t.Errorf("on = %v, %v", on, err)
	}
	err := control(bounded(t), h, chassis.ChassisControlHardReset, model.Once)
	if reasonIn(err) != rmcp.Privilege {
		t.Errorf("%v, want %q", err, rmcp.Privilege)
	}
	refusals := sim.Executed(bmc.SessionRequest)
	b.owners[sim.Addr()].drop()
	if _, err := status(bounded(t), h); err != nil {
		t.Fatal(err)
	}
	if got := sim.Executed(bmc.SessionRequest) - refusals; got != 1 {
		t.Errorf("%d tries to open the second session, want 1: the privilege was known", got)
	}
}

// TestPrivilegeGiven: an account that got OPERATOR after it was found without
// may control at once, with a session open and without.
func TestPrivilegeGiven(t *testing.T) {
	for name, warm := range map[string]bool{"session open": true, "no session": false} {
		t.Run(name, func(t *testing.T) {
			sim := startFleet(t, bmc.Options{On: true}).BMC(0)
			b := newBroker(t, Options{})
			o, _, err := b.use(&Target{Peer: sim.Addr(), Login: login})
			if err != nil {
				t.Fatal(err)
			}
			o.login, o.known.UserOnly = login, true // what was learnt before
			h := open(t, b, sim.Addr())
			if o.session.MayControl() {
				t.Fatal("the session asked for OPERATOR")
			}
			if !warm {
				o.drop()
			}
			if err := control(bounded(t), h, chassis.ChassisControlHardReset, model.Once); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestIdleClose closes a session that nobody uses, and no other.
func TestIdleClose(t *testing.T) {
	f := startFleet(t, bmc.Options{Count: 2})
	b := newBroker(t, Options{Idle: 40 * time.Millisecond})
	used := open(t, b, f.BMC(0).Addr())
	idle, err := b.Open(bounded(t), Target{Peer: f.BMC(1).Addr(), Login: login})
	if err != nil {
		t.Fatal(err)
	}
	idle.Close()
	eventually(t, "the idle session closed", func() bool { return f.BMC(1).Sessions() == 0 })
	if f.BMC(0).Sessions() != 1 {
		t.Error("the session in use was closed")
	}
	if _, err := status(bounded(t), used); err != nil {
		t.Error(err)
	}
	again := open(t, b, f.BMC(1).Addr())
	if _, err := status(bounded(t), again); err != nil {
		t.Error(err)
	}
}

// TestSweeperEnds: with nothing open there is no goroutine but the reader.
func TestSweeperEnds(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	b := newBroker(t, Options{Idle: 20 * time.Millisecond})
	h, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: login})
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	eventually(t, "the sweeper ended", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return !b.sweeping
	})
}

// TestDeadSession: a BMC that forgot the session costs a read one more try, and
// a command that is sent once is not lost on it.
func TestDeadSession(t *testing.T) {
	t.Parallel()
	f := startFleet(t, bmc.Options{Count: 2, On: true})
	proxy := udptest.New(t, f.BMC(0).Addr(), udptest.Pass)
	for _, change := range []bool{false, true} {
		b := newBroker(t, Options{FirstTry: brisk})
		h := open(t, b, proxy.Addr())
		// Whatever comes in the present session is lost from now on.
		var dead []byte
		proxy.SetFilter(func(d udptest.Datagram) [][]byte {
			if d.Direction == udptest.ToServer && d.Data[5] == 0xc0 {
				if dead == nil {
					dead = d.Data[6:10]
				}
				if string(d.Data[6:10]) == string(dead) {
					return nil
				}
			}
			return udptest.Pass(d)
		})
		before := f.BMC(0).Executed(bmc.PowerReset)
		var err error
		if change {
			b.owners[proxy.Addr()].raised = true
			eventually(t, "the session is no longer just proven", func() bool {
				return time.Since(b.owners[proxy.Addr()].session.Heard()) > provenFor
			})
			err = control(bounded(t), h, chassis.ChassisControlHardReset, model.Once)
		} else {
			_, err = status(bounded(t), h)
		}
		if err != nil {
			t.Errorf("change %v: %v", change, err)
		}
		if got := f.BMC(0).Executed(bmc.PowerReset) - before; change && got != 1 {
			t.Errorf("%d resets, want 1", got)
		}
		proxy.SetFilter(udptest.Pass)
	}
}

// TestOtherLogin does not use the session of another login.
func TestOtherLogin(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	b := newBroker(t, Options{})
	open(t, b, sim.Addr())
	_, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: rmcp.Login{Username: "admin", Password: "other"}})
	if reasonIn(err) != rmcp.BadPassword {
		t.Fatalf("%v, want %q", err, rmcp.BadPassword)
	}
	open(t, b, sim.Addr())
}

// TestSlotsExhausted waits for a slot, and says so if none comes.
func TestSlotsExhausted(t *testing.T) {
	t.Parallel()
	sim := startFleet(t, bmc.Options{Sessions: 1}).BMC(0)
	other := newBroker(t, Options{})
	open(t, other, sim.Addr())
	b := newBroker(t, Options{Work: 1})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := b.Open(ctx, Target{Peer: sim.Addr(), Login: login}); reasonIn(err) != rmcp.NoSlot {
		t.Fatalf("%v, want %q", err, rmcp.NoSlot)
	}
	done := make(chan error, 1)
	go func() {
		h, err := b.Open(bounded(t), Target{Peer: sim.Addr(), Login: login})
		if err == nil {
			h.Close()
		}
		done <- err
	}()
	eventually(t, "the place is free while it waits for a slot", func() bool {
		return sim.Executed(bmc.SessionRequest) >= 3 && free(b) == 1
	})
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSilentBMCLeavesItsPlace: one place is enough for a fleet with a dead BMC.
func TestSilentBMCLeavesItsPlace(t *testing.T) {
	f := startFleet(t, bmc.Options{Count: 2})
	f.BMC(0).SetFaults(bmc.Faults{Silent: true})
	b := newBroker(t, Options{FirstTry: brisk, Work: 1})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := b.Open(ctx, Target{Peer: f.BMC(0).Addr(), Login: login})
		done <- err
	}()
	eventually(t, "the silent BMC is asked", func() bool {
		in, _ := f.BMC(0).Datagrams()
		return in > 0
	})
	h := open(t, b, f.BMC(1).Addr())
	if _, err := status(bounded(t), h); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; reasonIn(err) != rmcp.Cancelled {
		t.Errorf("%v, want %q", err, rmcp.Cancelled)
	}
}

// TestCloseEndsEverything: sessions are closed on the BMCs, waits end, and
// nothing can be opened any more.
func TestCloseEndsEverything(t *testing.T) {
	f := startFleet(t, bmc.Options{Count: 20})
	b := New(Options{})
	for i := range 19 {
		h, err := b.Open(bounded(t), Target{Peer: f.BMC(i).Addr(), Login: login})
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
	}
	f.BMC(19).SetFaults(bmc.Faults{Silent: true})
	done := make(chan error, 1)
	go func() {
		_, err := b.Open(context.Background(), Target{Peer: f.BMC(19).Addr(), Login: login})
		done <- err
	}()
	eventually(t, "the silent BMC is asked", func() bool {
		in, _ := f.BMC(19).Datagrams()
		return in > 0
	})
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; reasonIn(err) != rmcp.Closed {
		t.Errorf("%v, want %q", err, rmcp.Closed)
	}
	eventually(t, "all sessions closed", func() bool {
		for i := range 19 {
			if f.BMC(i).Sessions() != 0 {
				return false
			}
		}
		return true
	})
	if _, err := b.Open(bounded(t), Target{Peer: f.BMC(0).Addr(), Login: login}); reasonIn(err) != rmcp.Closed {
		t.Errorf("Open after Close: %v", err)
	}
}

// TestUnsentIsNotInDoubt: what fails before a change is sent leaves no doubt.
func TestUnsentIsNotInDoubt(t *testing.T) {
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	h := open(t, newBroker(t, Options{}), sim.Addr())
	sim.SetFaults(bmc.Faults{Silent: true})
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err := control(ctx, h, chassis.ChassisControlPowerCycle, model.Once)
	var e *rmcp.Error
	if !errors.As(err, &e) || e.Sent {
		t.Errorf("%v: want an error of something not sent", err)
	}
	sim.SetFaults(bmc.Faults{DropReplies: map[string]int{bmc.PowerCycle: 1}})
	err = control(bounded(t), h, chassis.ChassisControlPowerCycle, model.Once)
	if !errors.As(err, &e) || !e.Sent {
		t.Errorf("%v: want an error of something sent", err)
	}
}

// TestPrepare opens what a BMC has forgotten before a command that is sent once,
// which then is the next datagram.
func TestPrepare(t *testing.T) {
	t.Parallel()
	f := startFleet(t, bmc.Options{On: true})
	b := f.BMC(0)
	h := open(t, newBroker(t, Options{FirstTry: brisk}), b.Addr())
	b.SetFaults(bmc.Faults{Reboots: map[string]int{bmc.SetPrivilege: 1}, RebootsEarly: true})
	if err := h.Prepare(bounded(t), 0); err != nil {
		t.Fatal(err)
	}
	if n := b.Executed(bmc.SessionOpen); n != 2 {
		t.Errorf("%d sessions opened, want 2", n)
	}
	in, _ := b.Datagrams()
	if err := control(bounded(t), h, chassis.ChassisControlHardReset, model.Once); err != nil {
		t.Fatal(err)
	}
	if now, _ := b.Datagrams(); now != in+1 || b.Executed(bmc.PowerReset) != 1 {
		t.Errorf("%d datagrams, executed %v", now-in, b.Ledger())
	}
}
