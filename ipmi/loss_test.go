package main

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// TestCycleLosingEach loses each single datagram of a power cycle in turn: with
// no session open, and with a warm one.
func TestCycleLosingEach(t *testing.T) {
	t.Parallel()
	for _, warm := range []bool{false, true} {
		t.Run(fmt.Sprintf("warm=%v", warm), func(t *testing.T) {
			t.Parallel()
			all := cycleLosing(t, 0, warm)
			var wg sync.WaitGroup
			for n := 1; n <= all; n++ {
				wg.Go(func() { cycleLosing(t, n, warm) })
			}
			wg.Wait()
		})
	}
}

// cycleLosing cycles a machine, loses the n-th datagram (none for 0), and
// returns how many there were.
func cycleLosing(t *testing.T, n int, warm bool) int {
	t.Helper()
	b := startBMC(t, bmc.Options{On: true})
	p := briskProvider(t)
	if warm {
		if _, err := act(p, model.PowerStatus, b.Addr()); err != nil {
			t.Error(err)
		}
	}
	// Were anything sent again, under whatever number, the BMC would execute it.
	b.SetFaults(bmc.Faults{DropDatagram: n, AcceptsReplays: true})
	in, out := b.Datagrams()
	res, err := act(p, model.PowerCycle, b.Addr(), model.Params{"oob/timeout": 6})
	checkOnce(t, fmt.Sprintf("datagram %d", n), b.Executed(bmc.PowerCycle), res, err)
	if err != nil || res.Outcome != model.Verified {
		t.Logf("losing %d: %+v, %v", n, res, err)
	}
	if b.Executed(bmc.PowerOff)+b.Executed(bmc.PowerReset) > 0 {
		t.Errorf("losing %d: something else was executed: %v", n, b.Ledger())
	}
	inNow, outNow := b.Datagrams()
	return inNow + outNow - in - out
}

// TestOnceLosingReply loses the only reply: the command is not sent again, even
// to a BMC that would execute a replay. This one tells no restart cause, which
// would prove the reset.
func TestOnceLosingReply(t *testing.T) {
	t.Parallel()
	for command, name := range map[string]string{
		model.PowerReset: bmc.PowerReset, model.PowerNMI: bmc.PowerDiag, model.PowerCycle: bmc.PowerCycle,
		model.PowerSoft: bmc.PowerSoft,
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			b := startBMC(t, bmc.Options{On: true})
			b.SetFaults(bmc.Faults{DropReplies: map[string]int{name: bmc.Always}, AcceptsReplays: true, SoftIgnored: true, Odd: noCause.Odd})
			res, err := act(briskProvider(t), command, b.Addr(), model.Params{"oob/timeout": 6})
			checkOnce(t, "the reply", b.Executed(name), res, err)
			if command != model.PowerCycle && model.KindOf(err) != model.UnknownOutcome {
				t.Errorf("%+v, %v; want unknown-outcome", res, err)
			}
		})
	}
}

// TestStaleSessionIsDiscarded: after a reply was lost, the next change goes out
// in another session, and not before the BMC has confirmed that the first ended.
func TestStaleSessionIsDiscarded(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true, Sessions: 1})
	p := briskProvider(t)
	b.SetFaults(bmc.Faults{DropReplies: map[string]int{bmc.PowerReset: 1}, Odd: noCause.Odd})
	if _, err := act(p, model.PowerReset, b.Addr()); model.KindOf(err) != model.UnknownOutcome {
		t.Fatalf("error %v, want unknown-outcome", err)
	}
	if got := b.Executed(bmc.SessionClose); got != 0 {
		t.Fatalf("%d sessions closed before the next change, want 0", got)
	}
	b.SetFaults(bmc.Faults{DropRequests: map[string]int{bmc.SessionClose: 1}})
	mustAct(t, p, model.PowerOff, b.Addr())
	if got := b.Executed(bmc.SessionClose); got != 1 {
		t.Errorf("%d sessions closed, want 1", got)
	}
	if got := b.Executed(bmc.SessionOpen); got != 2 {
		t.Errorf("%d sessions opened, want 2", got)
	}
}

// TestSlowBMC answers later than a first try waits: that is no loss, and no wrong
// password.
func TestSlowBMC(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	b.SetFaults(bmc.Faults{Delay: 700 * time.Millisecond})
	p := briskProvider(t)
	if res := mustAct(t, p, model.PowerReset, b.Addr(), minute); res.Outcome != model.Verified {
		t.Errorf("%+v", res)
	}
	if b.Executed(bmc.PowerReset) != 1 || b.Executed(bmc.LoginRefused) != 0 {
		t.Errorf("executed %v", b.Ledger())
	}
}

// TestLossyFleet reads and switches machines through a network that loses and
// doubles a part of everything.
func TestLossyFleet(t *testing.T) {
	t.Parallel()
	const n = 24
	f := startFleet(t, bmc.Options{Count: n, On: true, Seed: 7})
	p := briskProvider(t)
	errs := make(chan error, n)
	for i := range n {
		b := f.BMC(i)
		b.SetFaults(bmc.Faults{LossRate: 0.05, DuplicateRate: 0.2})
		go func() {
			_, err := act(p, model.PowerOff, b.Addr())
			if err == nil && b.Power() {
				err = fmt.Errorf("%v is on", b.Addr())
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
