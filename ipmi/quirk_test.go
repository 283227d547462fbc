package main

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"provision-plugins/ipmi/quirks"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// oddBMC is a BMC with a quirk, and what is tried on it: without the flag it does
// not end well.
type oddBMC struct {
	flag    quirks.Set
	options bmc.Options
	faults  bmc.Faults
	params  model.Params
	do      func(tb testing.TB, p *driver.Provider, b *bmc.BMC, params model.Params) string // what was seen
	without string
	with    string
}

// outcomeOf runs an action and tells how it ended, in a word or two.
func outcomeOf(command string) func(testing.TB, *driver.Provider, *bmc.BMC, model.Params) string {
	return func(_ testing.TB, p *driver.Provider, b *bmc.BMC, params model.Params) string {
		res, err := act(p, command, b.Addr(), params)
		if err != nil {
			return string(model.KindOf(err))
		}
		return strings.TrimSpace(string(res.Outcome) + " " + string(res.Power))
	}
}

// offAgain switches a machine off that is off.
func offAgain(tb testing.TB, _ *driver.Provider, b *bmc.BMC, params model.Params) string {
	tb.Helper()
	d := patientDriver()
	all := paramsOf(b.Addr())
	for name, v := range params {
		all[name] = v
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer func() {
		if err := d.Stop(ctx); err != nil {
			tb.Error(err)
		}
	}()
	opened, err := d.Open(ctx, &driver.Target{Name: "m1", Params: all})
	if err != nil {
		return err.Error()
	}
	defer func() { _ = opened.Close(ctx) }() // never fails
	if err := opened.(driver.PowerSetter).SetPower(ctx, false); err != nil {
		return string(model.KindOf(err))
	}
	return "done"
}

// authVerdict is the doctor's of the authentication capabilities.
func authVerdict(tb testing.TB, p *driver.Provider, b *bmc.BMC, params model.Params) string {
	return string(examine(tb, p, b, params).Check("auth capabilities").Verdict)
}

// afterUpgrade reads the state of a machine whose BMC was known to have suite 3,
// and has it no more.
func afterUpgrade(tb testing.TB, p *driver.Provider, b *bmc.BMC, params model.Params) string {
	mustAct(tb, p, model.PowerStatus, b.Addr(), model.Params{paramQuirks: "suite3"})
	b.SetFaults(bmc.Faults{Odd: bmc.Odd{DeadIn: []int{3}}})
	return outcomeOf(model.PowerStatus)(tb, p, b, params)
}

// oddTable has a row for each quirk.
var oddTable = []oddBMC{
	{
		flag: quirks.OpenSessPriv, faults: bmc.Faults{Odd: bmc.Odd{OpenPrivilege: true}},
		do: outcomeOf(model.PowerStatus), without: "unsupported", with: "on",
	},
	{
		flag: quirks.NoChecksumCheck, faults: bmc.Faults{Odd: bmc.Odd{BadChecksums: true}},
		do: outcomeOf(model.PowerStatus), without: "unreachable", with: "on",
	},
	{
		flag: quirks.Suite3, faults: bmc.Faults{Odd: bmc.Odd{DeafTo: []int{17}}},
		params: model.Params{"oob/timeout": 3},
		do:     outcomeOf(model.PowerStatus), without: "unreachable", with: "on",
	},
	{
		flag: quirks.Suite17, params: model.Params{"oob/timeout": 4},
		do: afterUpgrade, without: "unreachable", with: "on",
	},
	{
		flag: quirks.AuthCap, faults: bmc.Faults{Odd: bmc.Odd{AuthCapabilities: true}},
		do: authVerdict, without: "warning", with: "skipped",
	},
	{
		flag: quirks.NoParam3, faults: bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SetBootTimer: 0xc1}}},
		do: outcomeOf(model.NextBootPXE), without: "unsupported", with: "verified",
	},
	{
		flag: quirks.NoEFIBoot, faults: bmc.Faults{Odd: bmc.Odd{NoEFI: true}},
		params: model.Params{paramBIOSMode: "uefi", "oob/timeout": 8},
		do:     outcomeOf(model.NextBootPXE), without: "timeout", with: "verified",
	},
	{
		flag: quirks.NoRestartCause, options: bmc.Options{On: true},
		faults: bmc.Faults{Ignore: map[string]int{bmc.PowerReset: bmc.Always}, Odd: bmc.Odd{EagerCause: true}},
		do:     outcomeOf(model.PowerReset), without: "verified on", with: "acknowledged on",
	},
	{
		flag: quirks.OffErrors, faults: bmc.Faults{Odd: bmc.Odd{RefusesSame: 0xcc}},
		do: offAgain, without: "unsupported", with: "done",
	},
	{
		flag: quirks.Slow, options: bmc.Options{On: true}, faults: bmc.Faults{Odd: bmc.Odd{Pace: 250 * time.Millisecond}},
		do: outcomeOf(model.PowerNMI), without: "unknown-outcome", with: "acknowledged on",
	},
}

// TestQuirks shows for each quirk that a BMC that has it is not driven well
// without its flag, and is with it.
func TestQuirks(t *testing.T) {
	t.Parallel()
	for _, row := range oddTable {
		for _, set := range []bool{false, true} {
			name, want := row.flag.String(), row.without
			if set {
				name, want = name+" set", row.with
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				options := row.options // two subtests share the row
				options.On = options.On || row.flag != quirks.OffErrors
				b := startBMC(t, options)
				b.SetFaults(row.faults)
				params := model.Params{}
				for name, v := range row.params {
					params[name] = v
				}
				if set {
					params[paramQuirks] = row.flag.String()
					delete(params, "oob/timeout") // it must not run into it
				}
				if got := row.do(t, briskProvider(t), b, params); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		}
	}
}

// Every flag has its row: a quirk without a BMC to show it on is a guess.
func TestEveryQuirkIsShown(t *testing.T) {
	t.Parallel()
	for _, f := range quirks.Flags() {
		if !slices.ContainsFunc(oddTable, func(o oddBMC) bool { return o.flag == f.Set }) {
			t.Errorf("%s is shown on no BMC", f.Name)
		}
	}
}

// What the BMC says it is decides, unless the param does; it is asked once.
func TestQuirksByDevice(t *testing.T) {
	t.Parallel()
	openBMC := bmc.Options{Device: bmc.Device{Manufacturer: 49871, Product: 1, Major: 2, Minor: 14}}
	for name, tc := range map[string]struct {
		options bmc.Options
		param   string
		want    string
		asked   int
	}{
		"known product":    {openBMC, "", "done", 1},
		"another one":      {bmc.Options{}, "", "timeout", 1},
		"taken away":       {openBMC, "-offerrors", "timeout", 0},
		"none":             {openBMC, "none", "timeout", 0},
		"added":            {bmc.Options{}, "offerrors", "done", 0},
		"none, then added": {openBMC, "none,offerrors", "done", 0},
		"another added":    {openBMC, "authcap", "done", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBMC(t, tc.options)
			b.SetFaults(bmc.Faults{Odd: bmc.Odd{RefusesSame: 0xc3}})
			got := offAgain(t, nil, b, model.Params{paramQuirks: tc.param})
			if got == string(model.UnknownOutcome) { // C3h does not tell whether it was executed
				got = "timeout"
			}
			if got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			if n := b.Executed(bmc.DeviceID); n != tc.asked {
				t.Errorf("asked %d times what it is, want %d", n, tc.asked)
			}
		})
	}
}

// A status never asks a BMC what it is: a fleet's first answer is not for quirks.
func TestStatusAsksForNoDevice(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true})
	mustAct(t, newProvider(t), model.PowerStatus, b.Addr())
	if n := b.Executed(bmc.DeviceID); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

func TestBadQuirks(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{})
	p := newProvider(t)
	for _, v := range []any{"fast", "slow,-slow", "suite3,suite17", 7, []any{"slow"}} {
		_, err := act(p, model.PowerStatus, b.Addr(), model.Params{paramQuirks: v})
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), paramQuirks) {
			t.Errorf("%v: %v", v, err)
		}
	}
	if in, _ := b.Datagrams(); in != 0 {
		t.Errorf("%d datagrams were sent", in)
	}
}

// A product that is known to send wrong checksums is driven without a word; unless
// the param takes that away.
func TestKnownChecksums(t *testing.T) {
	t.Parallel()
	supermicro := bmc.Options{On: true, Device: bmc.Device{Manufacturer: 10876, Product: 1576}}
	b := startBMC(t, supermicro)
	b.SetFaults(bmc.Faults{Odd: bmc.Odd{BadChecksums: true}})
	p := newProvider(t)
	mustAct(t, p, model.PowerStatus, b.Addr())
	mustAct(t, p, model.PowerReset, b.Addr())
	if n := b.Executed(bmc.PowerReset); n != 1 || b.Executed(bmc.SessionOpen) != 2 {
		t.Errorf("reset executed %d times, ledger %v", n, b.Ledger())
	}
	if c := examine(t, newProvider(t), b); c.Check(rungLogin).Verdict != model.VerdictOK {
		t.Errorf("doctor: %s", verdicts(c))
	}
	_, err := act(newProvider(t), model.PowerStatus, b.Addr(), model.Params{paramQuirks: "-nochecksumcheck"})
	if model.KindOf(err) != model.Unreachable {
		t.Errorf("taken away: %v", err)
	}
}

// The errors that a quirk would cure name it.
func TestErrorsNameTheQuirk(t *testing.T) {
	t.Parallel()
	for want, odd := range map[string]bmc.Odd{
		"opensesspriv": {OpenPrivilege: true}, "nochecksumcheck": {BadChecksums: true},
	} {
		b := startBMC(t, bmc.Options{})
		b.SetFaults(bmc.Faults{Odd: odd})
		_, err := act(newProvider(t), model.PowerStatus, b.Addr())
		if err == nil || !strings.Contains(err.Error(), "set ipmi/quirks to "+want) {
			t.Errorf("%v, want the advice to set %s", err, want)
		}
	}
}

// ipmi/min-interval goes before the distance of slow.
func TestSlowInterval(t *testing.T) {
	t.Parallel()
	d := patientDriver()
	peer := netip.MustParseAddrPort("127.0.0.1:623")
	for _, row := range []struct {
		params model.Params
		want   time.Duration
	}{
		{model.Params{}, 20 * time.Millisecond},
		{model.Params{paramQuirks: "slow"}, slowInterval},
		{model.Params{paramQuirks: "slow", paramInterval: 0.02}, slowInterval}, // the default, as an endpoint fills it in
		{model.Params{paramQuirks: "slow", paramInterval: 0.1}, 100 * time.Millisecond},
	} {
		p := paramsOf(peer)
		for name, v := range row.params {
			p[name] = v
		}
		b, err := parseBoard(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.reach(peer, b).Interval; got != row.want {
			t.Errorf("%v: %v, want %v", row.params, got, row.want)
		}
	}
}
