package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// faultRow is something wrong with a network, or with the BMCs in it.
type faultRow struct {
	name   string
	faults bmc.Faults
	// long marks a row that takes real time: outside the nightly tests it is run
	// without the slowest action.
	long bool
	// nightly marks a row that only the nightly tests have the time for.
	nightly bool
	// fails is the kind of the answer to all that is asked, where there can be
	// no other; "" if all can be answered.
	fails model.Kind
	// closed sends to ports nobody listens on.
	closed bool
	// brief is the oob/timeout, in seconds, outside the nightly tests, of rows
	// whose answer comes when the time is over; only the state is asked for then.
	brief int
}

// fleetSize is how many BMCs a row has, sliceSize how many outside the nightly
// tests.
const (
	fleetSize = 64
	sliceSize = 8
)

// jolts are the commands that are sent once, one a BMC in turn.
var jolts = []string{model.PowerReset, model.PowerNMI, model.PowerCycle}

// jolted is a count for each of them.
func jolted(n int) map[string]int {
	out := make(map[string]int)
	for _, command := range jolts {
		out[simName[command]] = n
	}
	return out
}

// faultRows are the faults. Together with its loss a BMC that drops replayed
// sequence numbers, as all do that do not accept them, would leave a client
// without an answer that sends the same datagram again.
var faultRows = []faultRow{
	{name: "nothing wrong"},
	{name: "loss 5 %", faults: bmc.Faults{LossRate: 0.05}, long: true},
	{name: "loss 20 %", faults: bmc.Faults{LossRate: 0.2}, long: true},
	{name: "loss 20 %, accepts replays", faults: bmc.Faults{LossRate: 0.2, AcceptsReplays: true}, long: true},
	{name: "loss 5 %, round trip 100 ms", faults: bmc.Faults{LossRate: 0.05, Latency: 50 * time.Millisecond}, long: true},
	{name: "duplicates 30 %, jitter 30 ms", faults: bmc.Faults{DuplicateRate: 0.3, Latency: 5 * time.Millisecond, Jitter: 30 * time.Millisecond}},
	{
		name: "duplicates 30 %, jitter 30 ms, loss 5 %", long: true,
		faults: bmc.Faults{LossRate: 0.05, DuplicateRate: 0.3, Latency: 5 * time.Millisecond, Jitter: 30 * time.Millisecond},
	},
	{name: "round trip 100 ms", faults: bmc.Faults{Latency: 50 * time.Millisecond}},
	{name: "round trip 800 ms", faults: bmc.Faults{Latency: 400 * time.Millisecond}, long: true},
	{name: "round trip 1.2 s", faults: bmc.Faults{Latency: 600 * time.Millisecond}, nightly: true},
	{name: "reorder 10 %", faults: bmc.Faults{ReorderRate: 0.1}, long: true},
	{name: "commands delayed past the next", faults: bmc.Faults{DelayRequests: jolted(bmc.Always)}, long: true},
	{name: "replies delayed past the next", faults: bmc.Faults{HoldReplies: jolted(bmc.Always)}, long: true},
	{name: "garbage", faults: bmc.Faults{GarbageRate: 1}},
	{name: "forged", faults: bmc.Faults{ForgeRate: 1}},
	{name: "replayed", faults: bmc.Faults{ReplayRate: 1}},
	{name: "garbage, forged, replayed, duplicates", faults: bmc.Faults{
		GarbageRate: 0.5, ForgeRate: 0.5, ReplayRate: 0.5, DuplicateRate: 0.3, Jitter: 5 * time.Millisecond,
	}},
	{name: "busy at first", faults: bmc.Faults{Busy: map[string]int{bmc.ChassisStatus: 1, bmc.PowerOff: 1}}},
	{name: "never answers the cipher-suite query", faults: bmc.Faults{
		DropRequests: map[string]int{bmc.CipherSuites: bmc.Always, bmc.AuthCapabilities: bmc.Always},
	}},
	{name: "reboots at a read", long: true, faults: bmc.Faults{
		Reboots: map[string]int{bmc.ChassisStatus: 1}, RebootTime: 2 * time.Second,
	}},
	{name: "reboots at power off", long: true, faults: bmc.Faults{
		Reboots: map[string]int{bmc.PowerOff: 1}, RebootTime: 2 * time.Second,
	}},
	{name: "reboots having done it", long: true, faults: bmc.Faults{Reboots: jolted(1), RebootTime: 2 * time.Second}},
	{name: "reboots before it does it", long: true, faults: bmc.Faults{
		Reboots: jolted(1), RebootTime: 2 * time.Second, RebootsEarly: true,
	}},
	{name: "closed port", closed: true, fails: model.Unreachable, long: true},
	{name: "silent", faults: bmc.Faults{Silent: true}, fails: model.Unreachable, long: true, brief: 3},
	{name: "busy", faults: bmc.Faults{Busy: map[string]int{bmc.Any: bmc.Always}}, fails: model.Busy, long: true, brief: 4},
	{name: "session slots taken", faults: bmc.Faults{SessionsFull: true}, fails: model.Busy, long: true, brief: 6},
	{name: "another password", faults: bmc.Faults{WrongPassword: true}, fails: model.DeviceAuth},
}

// TestFaults asks whole fleets through networks and of BMCs that are not well:
// what can be answered is answered rightly within the default time, and nothing
// that is sent once is executed twice.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, row := range faultRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.nightly && os.Getenv("OOB_NIGHTLY") == "" {
				return
			}
			row.run(t)
		})
	}
}

// run asks the fleet of a row, all BMCs at once.
func (row *faultRow) run(t *testing.T) {
	count, once, nightly := fleetSize, jolts, os.Getenv("OOB_NIGHTLY") != ""
	if !nightly {
		count = sliceSize
	}
	if row.long && !nightly { // a cycle that is not seen is looked out for for a minute
		once = jolts[:2]
	}
	f := startFleet(t, bmc.Options{Count: count, On: true, Seed: 11, Sessions: 4})
	s := &survey{p: briskProvider(t), row: row}
	if row.brief > 0 && !nightly {
		s.brief = model.Params{"oob/timeout": row.brief}
	}
	var all sync.WaitGroup
	for i := range count {
		b := f.BMC(i)
		b.SetFaults(row.faults)
		addr := b.Addr()
		if row.closed {
			addr = drivertest.FreeAddr(t, "udp", addr.Addr())
		}
		all.Go(func() { s.ask(t, b, addr, once[i%len(once)]) })
	}
	all.Wait()
	t.Logf("%d BMCs, %s: %s", count, row.name, s)
}

// survey is the answers of one fleet.
type survey struct {
	p     *driver.Provider
	row   *faultRow
	brief model.Params // what shortens the waiting, if anything

	mu      sync.Mutex // guards the rest
	right   int
	known   int             // commands sent once whose outcome was known
	slowest []time.Duration // by step
}

// String is the figures of the survey.
func (s *survey) String() string {
	var worst []string
	for _, d := range s.slowest {
		worst = append(worst, fmt.Sprintf("%.2f s", d.Seconds()))
	}
	return fmt.Sprintf("%d right, %d outcomes known; slowest of status, once, off: %s", s.right, s.known, strings.Join(worst, ", "))
}

// ask reads the state of a machine, sends one command that is sent once, and
// switches it off.
func (s *survey) ask(t *testing.T, b *bmc.BMC, addr netip.AddrPort, jolt string) {
	if s.row.fails != "" {
		s.askInVain(t, b, addr, jolt)
		return
	}
	began := time.Now()
	res, err := s.act(model.PowerStatus, b, addr)
	right := err == nil && res.Power == model.StateOn
	status := time.Since(began)
	if !right {
		t.Errorf("%v: powerstatus: %+v, %v", addr, res, err)
	}

	began = time.Now()
	res, err = s.act(jolt, b, addr)
	checkOnce(t, s.row.name, b.Executed(simName[jolt]), res, err)
	once := time.Since(began)
	known := err == nil
	if !known && model.KindOf(err) != model.UnknownOutcome {
		t.Errorf("%v: %s: %v", addr, jolt, err)
	}
	if known && len(s.row.faults.Reboots)+int(s.row.faults.LossRate*100) == 0 && b.Executed(simName[jolt]) != 1 {
		t.Errorf("%v: %s: %+v, executed %v", addr, jolt, res, b.Ledger())
	}

	began = time.Now()
	res, err = s.act(model.PowerOff, b, addr)
	if err != nil || res.Outcome != model.Verified || b.Power() {
		right = false
		t.Errorf("%v: poweroff: %+v, %v; on: %v", addr, res, err, b.Power())
	}
	off := time.Since(began)
	for _, command := range jolts { // also those that were not asked for
		if n := b.Executed(simName[command]); n > 1 || n > 0 && command != jolt {
			right = false
			t.Errorf("%v: %s executed %d times", addr, command, n)
		}
	}
	s.add(right, known, status, once, off)
}

// askInVain is ask where each answer is an error of one kind, and nothing may be
// executed.
func (s *survey) askInVain(t *testing.T, b *bmc.BMC, addr netip.AddrPort, jolt string) {
	right := true
	var took []time.Duration
	commands := []string{model.PowerStatus, jolt, model.PowerOff}
	if s.brief != nil {
		commands = commands[:1]
	}
	for _, command := range commands {
		began := time.Now()
		res, err := s.act(command, b, addr)
		took = append(took, time.Since(began))
		if model.KindOf(err) != s.row.fails {
			right = false
			t.Errorf("%v: %s: %+v, %v; want %s", addr, command, res, err, s.row.fails)
		}
	}
	for _, name := range simName {
		if n := b.Executed(name); n > 0 {
			right = false
			t.Errorf("%v: executed %s", addr, name)
		}
	}
	s.add(right, false, took...)
}

// add counts the answers of one BMC.
func (s *survey) add(right, known bool, took ...time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if right {
		s.right++
	}
	if known {
		s.known++
	}
	s.slowest = slices.Grow(s.slowest, len(took))[:max(len(s.slowest), len(took))]
	for i, d := range took {
		s.slowest[i] = max(s.slowest[i], d)
	}
}

// act runs an action within its default time, which it must keep by itself. The
// machine goes by the name of its BMC: two may share one closed port.
func (s *survey) act(command string, b *bmc.BMC, addr netip.AddrPort) (model.Result, error) {
	params := paramsOf(addr)
	for name, v := range s.brief {
		params[name] = v
	}
	a := &model.Action{Model: &model.Machine{Name: b.Addr().String(), Uuid: b.Addr().String()}, Command: command, Params: params}
	result, err := s.p.Action(context.Background(), a)
	res, _ := result.(model.Result)
	return res, err
}
