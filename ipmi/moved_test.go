package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// waitUntil waits for a condition.
func waitUntil(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	timeout := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			tb.Fatalf("did not come: %s", what)
		}
	}
}

// mute loses all that a plan asks after the identity.
var mute = bmc.Faults{DropRequests: map[string]int{
	bmc.ChassisStatus: bmc.Always, bmc.SetPrivilege: bmc.Always, bmc.DeviceID: bmc.Always, bmc.GetBoot: bmc.Always,
}}

// touched are the commands that a BMC executed and that change something.
func touched(b *bmc.BMC) string {
	var out []string
	for _, name := range []string{
		bmc.PowerOn, bmc.PowerOff, bmc.PowerSoft, bmc.PowerCycle, bmc.PowerReset, bmc.PowerDiag, bmc.SetBoot, bmc.SetBootTimer,
	} {
		if b.Executed(name) > 0 {
			out = append(out, name)
		}
	}
	return strings.Join(out, ", ")
}

// moving is an address that moves from one BMC to another.
type moving struct {
	from, to *bmc.BMC
	proxy    *udptest.Proxy
	pin      model.Params
}

// newMoving starts both, and learns the pin of the first.
func newMoving(tb testing.TB, to bmc.Options) *moving {
	tb.Helper()
	m := &moving{from: startBMC(tb, bmc.Options{On: true, Seed: 1})}
	to.On, to.Seed = true, 2
	m.to = startBMC(tb, to)
	m.proxy = udptest.New(tb, m.from.Addr(), udptest.Pass)
	id, err := identityOf(tb, m.from)
	if err != nil {
		tb.Fatal(err)
	}
	m.pin = model.Params{model.ParamIdentity: id.ID}
	return m
}

// TestAddressMovesAfterTheComparison moves the address while a plan, which has
// compared the identity, waits for an answer. What the plan then opens anew leads
// elsewhere, and nothing is executed there.
func TestAddressMovesAfterTheComparison(t *testing.T) {
	for _, command := range []string{
		model.PowerOff, model.PowerSoft, model.PowerCycle, model.PowerReset, model.PowerNMI, model.NextBootPXE,
	} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			m := newMoving(t, bmc.Options{})
			p := briskProvider(t)
			mustAct(t, p, model.PowerStatus, m.proxy.Addr())
			m.from.SetFaults(mute)
			compared := m.from.Executed(bmc.SystemGUID)
			var err error
			var done sync.WaitGroup
			done.Go(func() { _, err = act(p, command, m.proxy.Addr(), m.pin) })
			waitUntil(t, "the identity is compared", func() bool { return m.from.Executed(bmc.SystemGUID) > compared })
			m.proxy.Move(m.to.Addr())
			done.Wait()
			kind := model.KindOf(err)
			// What comes first of a boot override was tried already, unless the
			// address moved before the answer about the identity was back.
			tried := kind == model.UnknownOutcome && command == model.NextBootPXE
			if kind != model.Conflict && !tried || !strings.Contains(err.Error(), "another machine; nothing was sent") {
				t.Errorf("%v", err)
			}
			if got := touched(m.from) + touched(m.to); got != "" {
				t.Errorf("executed: %s", got)
			}
		})
	}
}

// TestAddressMovesAfterASoftOff moves the address between the request to shut down
// and the time at which the machine is switched off by force.
func TestAddressMovesAfterASoftOff(t *testing.T) {
	t.Parallel()
	m := newMoving(t, bmc.Options{})
	p := briskProvider(t)
	m.from.SetFaults(bmc.Faults{SoftIgnored: true})
	var err error
	var done sync.WaitGroup
	done.Go(func() {
		_, err = act(p, model.PowerSoft, m.proxy.Addr(), m.pin, model.Params{"oob/force-after": 2})
	})
	waitUntil(t, "the machine is asked", func() bool { return m.from.Executed(bmc.PowerSoft) > 0 })
	m.proxy.Move(m.to.Addr())
	done.Wait()
	if model.KindOf(err) != model.UnknownOutcome || !strings.Contains(err.Error(), "another machine") {
		t.Errorf("%v", err)
	}
	if got := touched(m.to); got != "" {
		t.Errorf("the other machine executed %s", got)
	}
}

// A BMC that has forgotten its sessions is asked for its identity again, and the
// plan goes on.
func TestBMCRebootsAfterTheComparison(t *testing.T) {
	for _, command := range []string{model.PowerOff, model.PowerSoft, model.PowerReset, model.NextBootPXE} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			m := newMoving(t, bmc.Options{})
			m.from.SetFaults(bmc.Faults{Reboots: map[string]int{bmc.ChassisStatus: 1, bmc.DeviceID: 1}, RebootsEarly: true})
			if _, err := act(briskProvider(t), command, m.from.Addr(), m.pin); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is known of the BMC that was at an address says nothing of the one that is
// there now: its restart cause means nothing, and proves nothing.
func TestQuirksOfWhoIsThereNow(t *testing.T) {
	t.Parallel()
	m := newMoving(t, bmc.Options{Device: bmc.Device{Manufacturer: 49871}})
	p := briskProvider(t)
	if res := mustAct(t, p, model.PowerReset, m.proxy.Addr()); res.Outcome != model.Verified {
		t.Fatalf("%+v", res)
	}
	m.to.SetFaults(bmc.Faults{Ignore: map[string]int{bmc.PowerReset: bmc.Always}, Odd: bmc.Odd{EagerCause: true}})
	m.proxy.Move(m.to.Addr())
	if res := mustAct(t, p, model.PowerReset, m.proxy.Addr()); res.Outcome != model.Acknowledged {
		t.Errorf("a reset that was not done is %s by the restart cause of another product: %+v", res.Outcome, res)
	}
}

// The other way round nothing is taken for granted either: the flags of an OpenBMC
// are not those of what is there now.
func TestQuirksOfWhoWasThere(t *testing.T) {
	t.Parallel()
	m := newMoving(t, bmc.Options{Device: bmc.Device{Manufacturer: 49871}})
	m.proxy.Move(m.to.Addr())
	p := briskProvider(t)
	mustAct(t, p, model.PowerReset, m.proxy.Addr())
	m.proxy.Move(m.from.Addr())
	if res := mustAct(t, p, model.PowerReset, m.proxy.Addr()); res.Outcome != model.Verified {
		t.Errorf("the restart cause does not count: %+v", res)
	}
}

// The restart cause of another machine is no proof of a reset whose reply was lost.
func TestRestartCauseOfWhoIsThereNow(t *testing.T) {
	t.Parallel()
	m := newMoving(t, bmc.Options{})
	p := briskProvider(t)
	mustAct(t, p, model.PowerReset, m.to.Addr())
	m.from.SetFaults(bmc.Faults{DropReplies: map[string]int{bmc.PowerReset: bmc.Always}})
	var res model.Result
	var err error
	var done sync.WaitGroup
	done.Go(func() { res, err = act(p, model.PowerReset, m.proxy.Addr(), m.pin) })
	waitUntil(t, "the reset is executed", func() bool { return m.from.Executed(bmc.PowerReset) > 0 })
	m.proxy.Move(m.to.Addr())
	done.Wait()
	if model.KindOf(err) != model.UnknownOutcome || m.to.Executed(bmc.PowerReset) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}
