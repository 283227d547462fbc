package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// proofRow is an action on a BMC of some kind, what must be answered, and what
// the BMC must have executed.
type proofRow struct {
	name    string
	off     bool // the machine starts off
	faults  bmc.Faults
	before  string // an action done first, without faults
	command string
	params  model.Params

	outcome model.Outcome
	kind    model.Kind // of the error, if there is no outcome
	says    string     // in evidence and note, or in the error
	done    map[string]int
	nightly bool // takes its time
}

// times makes what a BMC executed; the names that are not there count 0.
func times(name string, n int) map[string]int { return map[string]int{name: n} }

// minute is the timeout of rows that take as long as they take.
var minute = model.Params{"oob/timeout": 180}

// byDefault has the timeout of an action that nobody gave one.
var byDefault = model.Params{"oob/timeout": nil}

// brief is that of rows that must run into it.
var brief = model.Params{"oob/timeout": 5}

// noCause is a BMC without a restart cause.
var noCause = bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.RestartCause: 0xc1}}}

// proofRows are BMCs that are behind, or lie, or flap, or keep something else.
var proofRows = []proofRow{
	{name: "off", command: model.PowerOff, outcome: model.Verified, says: "state off at", done: times(bmc.PowerOff, 1)},
	{name: "off when off", off: true, command: model.PowerOff, outcome: model.Verified, says: "off already; nothing was sent"},
	{name: "cycle from off", off: true, command: model.PowerCycle, outcome: model.Verified, says: "switched on instead", done: times(bmc.PowerOn, 1)},
	{
		name: "off, shown 2 s late", faults: bmc.Faults{Tells: bmc.Tells{Behind: 2 * time.Second}},
		command: model.PowerOff, params: minute, outcome: model.Verified, says: "state off at 2.", done: times(bmc.PowerOff, 1),
	},
	{
		name: "cycle, shown 2 s late", faults: bmc.Faults{Tells: bmc.Tells{Behind: 2 * time.Second}},
		command: model.PowerCycle, params: minute, outcome: model.Verified, says: "state off at 2.", done: times(bmc.PowerCycle, 1),
	},
	{
		name: "off, shown 60 s late", faults: bmc.Faults{Tells: bmc.Tells{Behind: time.Minute}}, nightly: true,
		command: model.PowerOff, params: byDefault, outcome: model.Verified, says: "state off at 6", done: times(bmc.PowerOff, 1),
	},
	{
		name: "on, shown 60 s late", faults: bmc.Faults{Tells: bmc.Tells{Behind: time.Minute}}, nightly: true, off: true,
		command: model.PowerOn, params: byDefault, outcome: model.Verified, says: "state on at 6", done: times(bmc.PowerOn, 1),
	},
	{
		name: "soft, shown 60 s late", faults: bmc.Faults{Tells: bmc.Tells{Behind: time.Minute}}, nightly: true,
		command: model.PowerSoft, params: byDefault, outcome: model.Verified, says: "state off at 6", done: times(bmc.PowerSoft, 1),
	},
	{
		name: "cycle, shown 60 s late", faults: bmc.Faults{Tells: bmc.Tells{Behind: time.Minute}}, nightly: true,
		command: model.PowerCycle, params: byDefault, outcome: model.Verified, says: "state off at 6", done: times(bmc.PowerCycle, 1),
	},
	{
		name: "off, done 60 s late", faults: bmc.Faults{AppliesLate: time.Minute}, nightly: true,
		command: model.PowerOff, params: byDefault, outcome: model.Verified, says: "state off at 6", done: times(bmc.PowerOff, 1),
	},
	{
		name: "on, flapping", off: true, faults: bmc.Faults{Tells: bmc.Tells{Flaps: true}},
		command: model.PowerOn, params: brief, kind: model.Timeout, says: "on was not seen within 5s", done: times(bmc.PowerOn, 1),
	},
	{
		name: "on when on, flapping", faults: bmc.Faults{AppliesLate: time.Hour, Tells: bmc.Tells{Flaps: true}},
		command: model.PowerOn, params: brief, kind: model.Timeout, says: "on was not seen within 5s", done: times(bmc.PowerOn, 1),
	},
	{
		name: "soft, flapping", faults: bmc.Faults{Tells: bmc.Tells{Flaps: true}},
		command: model.PowerSoft, kind: model.Conflict, says: "one reading of the state says off, the next on; nothing was sent",
	},
	{
		name: "off, one reading astray", faults: bmc.Faults{Tells: bmc.Tells{Stray: []int{1}}},
		command: model.PowerOff, outcome: model.Verified, says: "state off at", done: times(bmc.PowerOff, 1),
	},
	{
		name: "cycle, one reading astray", faults: bmc.Faults{Tells: bmc.Tells{Stray: []int{1}}},
		command: model.PowerCycle, outcome: model.Verified, says: "state off at", done: times(bmc.PowerCycle, 1),
	},
	{
		name: "off, taken and not done", faults: bmc.Faults{AppliesLate: time.Hour},
		command: model.PowerOff, params: brief, kind: model.Timeout, says: `was taken, but off was not seen within 5s; last state on ("Chassis Power is on")`, done: times(bmc.PowerOff, 1),
	},
	{
		name: "on, says off and is on", faults: bmc.Faults{LiesAboutPower: true},
		command: model.PowerOn, params: brief, kind: model.Timeout, says: `last state off ("Chassis Power is off")`, done: times(bmc.PowerOn, 1),
	},
	{
		name: "off, says on and goes off", faults: bmc.Faults{LiesAboutPower: true}, off: true,
		command: model.PowerOff, params: brief, kind: model.Timeout, says: `last state on ("Chassis Power is on")`, done: times(bmc.PowerOff, 1),
	},
	{
		name: "reset, says off and is on", faults: bmc.Faults{LiesAboutPower: true},
		command: model.PowerReset, kind: model.Conflict, says: "the machine is off; nothing was sent",
	},
	{
		name: "off when off, refused, and shown 2 s late", faults: bmc.Faults{Odd: bmc.Odd{RefusesSame: 0xd5}, Tells: bmc.Tells{Behind: 2 * time.Second}},
		before: "plug", command: model.PowerOff, params: minute, outcome: model.Verified, says: `the device refused "power off", and is off`,
	},
	{
		name: "off, refused", faults: bmc.Faults{Refuse: map[string]int{bmc.PowerOff: bmc.Always}},
		command: model.PowerOff, params: brief, kind: model.Conflict, says: "completion code D5h, not supported in the present state; last state on",
	},
	{
		name: "cycle, refused once it went off", faults: bmc.Faults{Tells: bmc.Tells{Behind: time.Second / 4}}, before: "plug",
		command: model.PowerCycle, params: minute, outcome: model.Verified, says: "it was off: switched on instead of cycled", done: times(bmc.PowerOn, 1),
	},
	{
		name: "soft, and the system does not react", faults: bmc.Faults{SoftIgnored: true}, params: model.Params{"oob/force-after": 1},
		command: model.PowerSoft, outcome: model.Verified, says: "did not shut down in 1s; switched off", done: map[string]int{bmc.PowerSoft: 1, bmc.PowerOff: 1},
	},
	{
		name: "reset", command: model.PowerReset, outcome: model.Verified,
		says: "restart cause unknown, then chassis power control command at", done: times(bmc.PowerReset, 1),
	},
	{
		name: "reset, reply lost", faults: bmc.Faults{DropReplies: times(bmc.PowerReset, bmc.Always)}, command: model.PowerReset,
		outcome: model.Verified, says: `the reply to "reset" was lost; it was sent once and the restart was seen`, done: times(bmc.PowerReset, 1),
	},
	{
		name: "reset, request lost", faults: bmc.Faults{DropRequests: times(bmc.PowerReset, bmc.Always)}, command: model.PowerReset,
		params: model.Params{"oob/timeout": 6}, kind: model.UnknownOutcome, says: "look at `oob power status`",
	},
	{
		name: "reset again", before: model.PowerReset, command: model.PowerReset,
		outcome: model.Acknowledged, done: times(bmc.PowerReset, 2),
	},
	{
		name: "reset, no restart cause", faults: noCause,
		command: model.PowerReset, outcome: model.Acknowledged, done: times(bmc.PowerReset, 1),
	},
	{
		name: "reset, taken and not done", faults: bmc.Faults{Ignore: times(bmc.PowerReset, 1)}, params: model.Params{"oob/timeout": 6},
		command: model.PowerReset, outcome: model.Acknowledged, says: "the device confirmed the reset, but restart cause still reads unknown",
	},
	{
		name: "reset, the BMC restarts in place of it and forgets the override", before: model.NextBootPXE, command: model.PowerReset,
		faults: bmc.Faults{Reboots: times(bmc.PowerReset, 1), RebootsEarly: true, RebootTime: time.Second, ForgetsBoot: true, Odd: noCause.Odd},
		params: model.Params{"oob/timeout": 12}, kind: model.UnknownOutcome, says: "nothing shows whether it was done",
	},
	{
		name: "reset into a boot override", faults: noCause, before: model.NextBootPXE,
		command: model.PowerReset, outcome: model.Verified, says: "boot flags set, then consumed at", done: times(bmc.PowerReset, 1),
	},
	{
		name: "reset into one for every boot", faults: noCause, before: model.ForceBootPXE,
		command: model.PowerReset, outcome: model.Acknowledged, done: times(bmc.PowerReset, 1),
	},
	{
		name: "reset into one that a timer may clear", before: "boot without parameter 3",
		faults:  noCause,
		command: model.PowerReset, outcome: model.Acknowledged, done: times(bmc.PowerReset, 1),
	},
	{name: "interrupt", command: model.PowerNMI, outcome: model.Acknowledged, done: times(bmc.PowerDiag, 1)},
	{
		name: "boot", command: model.NextBootPXE, params: model.Params{paramBIOSMode: "uefi"},
		outcome: model.Verified, says: "override reads pxe, next boot only, for UEFI", done: times(bmc.SetBoot, 1),
	},
	{
		name: "boot, no parameter 3 (80h)", faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SetBootTimer: 0x80}}},
		command: model.NextBootPXE, outcome: model.Verified, says: "override reads pxe", done: times(bmc.SetBoot, 1),
	},
	{
		name: "boot, no parameter 3 (CCh)", faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SetBootTimer: 0xcc}}},
		command: model.NextBootPXE, outcome: model.Verified, says: "override reads pxe", done: times(bmc.SetBoot, 1),
	},
	{
		name: "boot, EFI bit lost", faults: bmc.Faults{Odd: bmc.Odd{NoEFI: true}}, params: model.Params{paramBIOSMode: "uefi", "oob/timeout": 5},
		command: model.NextBootPXE, kind: model.Timeout, says: "the override pxe, next boot only, for UEFI was taken, but reads back as pxe, next boot only (", done: times(bmc.SetBoot, 1),
	},
	{
		name: "boot, EFI bit lost, as known", faults: bmc.Faults{Odd: bmc.Odd{NoEFI: true}}, params: model.Params{paramBIOSMode: "uefi", paramQuirks: "noefiboot"},
		command: model.NextBootPXE, outcome: model.Verified, says: "it was set as UEFI and reads legacy", done: times(bmc.SetBoot, 1),
	},
	{
		name: "boot, for every boot lost", faults: bmc.Faults{Tells: bmc.Tells{NotPersistent: true}}, params: brief,
		command: model.ForceBootPXE, kind: model.Timeout, says: "the override pxe, every boot was taken, but reads back as pxe, next boot only", done: times(bmc.SetBoot, 1),
	},
	{
		name: "boot, never valid", faults: bmc.Faults{Tells: bmc.Tells{NotValid: true}}, params: brief,
		command: model.NextBootPXE, kind: model.Timeout, says: "was taken, but reads back as pxe, next boot only, not valid", done: times(bmc.SetBoot, 1),
	},
	{
		name: "boot, set by somebody else at the time", faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SetBoot: 0x81}}}, params: brief,
		command: model.NextBootPXE, kind: model.Busy, says: "somebody else is setting the boot options",
	},
	{name: "identify", command: model.Identify, outcome: model.Verified, says: "locator reads on", done: times(bmc.ChassisIdentify, 1)},
	{
		name: "identify, off", command: model.Identify, params: model.Params{paramIdentify: 0},
		outcome: model.Verified, says: "locator reads off", done: times(bmc.ChassisIdentify, 1),
	},
	{
		name: "identify, told as off", faults: bmc.Faults{Tells: bmc.Tells{NotLit: true}}, params: brief,
		command: model.Identify, outcome: model.Acknowledged, says: "tells that the locator is off", done: times(bmc.ChassisIdentify, 1),
	},
	{
		name: "identify, not told", faults: bmc.Faults{Tells: bmc.Tells{NoLocator: true}},
		command: model.Identify, outcome: model.Acknowledged, done: times(bmc.ChassisIdentify, 1),
	},
}

// TestProofs holds what is said against what BMCs executed.
func TestProofs(t *testing.T) {
	t.Parallel()
	for _, row := range proofRows {
		if row.nightly && os.Getenv("OOB_NIGHTLY") == "" {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.run(t)
		})
	}
}

// prepare does what precedes a row's action.
func (row *proofRow) prepare(t *testing.T, b *bmc.BMC, p *driver.Provider) {
	switch row.before {
	case "plug": // the machine goes off, and the BMC shows it when it does
		b.SetFaults(row.faults)
		b.SetPower(false)
		return
	case "boot without parameter 3":
		b.SetFaults(bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SetBootTimer: 0x80}}})
		mustAct(t, p, model.NextBootPXE, b.Addr())
	case "":
	default:
		mustAct(t, p, row.before, b.Addr())
	}
	b.SetFaults(row.faults)
}

// run tries a row.
func (row *proofRow) run(t *testing.T) {
	b := startBMC(t, bmc.Options{On: !row.off})
	p := newProvider(t)
	if len(row.faults.Reboots) > 0 { // it leaves what it is asked unanswered
		p = briskProvider(t)
	}
	row.prepare(t, b, p)
	res, err := act(p, row.command, b.Addr(), row.params)
	text := res.Evidence + "\n" + res.Note
	switch {
	case err != nil:
		text = err.Error()
		if row.outcome != "" || model.KindOf(err) != row.kind {
			t.Errorf("want %s%s, got %v", row.outcome, row.kind, err)
		}
	case res.Outcome != row.outcome:
		t.Errorf("want %s%s, got %+v", row.outcome, row.kind, res)
	}
	if !strings.Contains(text, row.says) {
		t.Errorf("want %q in %q", row.says, text)
	}
	if (res.Outcome == model.Verified) != (res.Evidence != "") {
		t.Errorf("outcome %q, evidence %q", res.Outcome, res.Evidence)
	}
	for _, name := range []string{bmc.PowerOn, bmc.PowerOff, bmc.PowerSoft, bmc.PowerCycle, bmc.PowerReset, bmc.PowerDiag, bmc.ChassisIdentify} {
		if n := b.Executed(name); n != row.done[name] {
			t.Errorf("the BMC executed %s %d times, want %d", name, n, row.done[name])
		}
	}
	if want, ok := row.done[bmc.SetBoot]; ok && b.Executed(bmc.SetBoot) != want {
		t.Errorf("the BMC executed set boot %d times, want %d", b.Executed(bmc.SetBoot), want)
	}
}

// TestResetReadsWhatCanProveIt: without an override the boot options are looked at
// before the reset, and not again.
func TestResetReadsWhatCanProveIt(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	if res := mustAct(t, newProvider(t), model.PowerReset, b.Addr()); res.Outcome != model.Verified {
		t.Errorf("%+v", res)
	}
	if n := b.Executed(bmc.GetBoot); n < 1 || n > 4 { // parameters 5 and 3; on a bad day a read is sent twice
		t.Errorf("boot options were read %d times, want 2", n)
	}
}
