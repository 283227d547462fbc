package bmc

import (
	"testing"
	"time"
)

func TestPowerFollowsItsDelay(t *testing.T) {
	b, clock := newOne(t, Options{PowerDelay: 3 * time.Second})
	c := operator(t, b)
	c.must(callOn)
	executed(t, b, PowerOn, 1)
	if b.Power() || c.on() {
		t.Fatal("on before the delay is over")
	}
	clock.advance(3*time.Second - 1)
	if b.Power() || c.on() {
		t.Fatal("on a nanosecond early")
	}
	clock.advance(1)
	if !b.Power() || !c.on() {
		t.Fatal("off after the delay")
	}
	c.must(callOff)
	clock.advance(3 * time.Second)
	if b.Power() || c.on() {
		t.Fatal("on after switching off")
	}
	executed(t, b, PowerOff, 1)
}

func TestPowerIsImmediateByDefault(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for _, on := range []bool{true, false, true} {
		q := callOff
		if on {
			q = callOn
		}
		c.must(q)
		if c.on() != on {
			t.Fatalf("on is %v after %x", !on, []byte(q))
		}
	}
}

func TestCycleShowsOffThenOn(t *testing.T) {
	b, clock := newOne(t, Options{On: true, PowerDelay: time.Second, CycleOff: 2 * time.Second})
	c := operator(t, b)
	c.must(callCycle)
	var seen []bool
	for range 5 {
		seen = append(seen, c.on())
		clock.advance(time.Second)
	}
	for i, want := range []bool{true, false, false, true, true} {
		if seen[i] != want {
			t.Fatalf("states by second %v", seen)
		}
	}
	executed(t, b, PowerCycle, 1)
	if _, boots := b.Booted(); boots != 1 {
		t.Errorf("%d boots, want 1", boots)
	}
}

func TestCycleWithoutTimeOff(t *testing.T) {
	b, _ := newOne(t, Options{On: true, CycleOff: -1})
	c := operator(t, b)
	c.must(callCycle)
	if _, boots := b.Booted(); boots != 1 || !c.on() {
		t.Errorf("%d boots, on %v, want 1 and on", boots, c.on())
	}
}

func TestWhatNeedsAMachineThatIsOn(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for name, q := range map[string]call{
		PowerCycle: callCycle, PowerReset: callReset, PowerDiag: callDiag, PowerSoft: callSoft,
	} {
		c.refused(q, ccNotNow)
		executed(t, b, name, 0)
	}
	c.must(callOff) // already so
	executed(t, b, PowerOff, 1)
	c.must(callOn)
	for name, q := range map[string]call{PowerReset: callReset, PowerDiag: callDiag} {
		c.must(q)
		executed(t, b, name, 1)
		if !c.on() {
			t.Errorf("off after %s", name)
		}
	}
	c.must(callSoft)
	executed(t, b, PowerSoft, 1)
	if c.on() {
		t.Error("on after a soft shutdown")
	}
}

func TestCycleWhileOffForACycle(t *testing.T) {
	b, clock := newOne(t, Options{On: true, CycleOff: time.Second})
	c := operator(t, b)
	c.must(callCycle)
	c.refused(callCycle, ccNotNow)
	clock.advance(time.Second)
	if !c.on() {
		t.Error("the refused cycle undid the first")
	}
}

func TestANewCommandReplacesWhatWasToCome(t *testing.T) {
	b, clock := newOne(t, Options{On: true, PowerDelay: time.Second, CycleOff: time.Second})
	c := operator(t, b)
	c.must(callCycle)
	clock.advance(time.Second)
	c.must(callOff)
	clock.advance(time.Hour)
	if b.Power() {
		t.Error("the cycle switched on a machine that was switched off meanwhile")
	}
}

func TestSoftIsIgnoredByTheOperatingSystem(t *testing.T) {
	b, clock := newOne(t, Options{On: true})
	b.SetFaults(Faults{SoftIgnored: true})
	c := operator(t, b)
	c.must(callSoft)
	clock.advance(time.Hour)
	c2 := operator(t, b)
	if !c2.on() {
		t.Error("off")
	}
	executed(t, b, PowerSoft, 1)
}

func TestUnknownControlIsRefused(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for _, q := range []call{{0, 2, 6}, {0, 2, 0x0f}} {
		if a := c.do(q); a.cc == ccOK {
			t.Errorf("%x: accepted", []byte(q))
		}
	}
	if a := c.do(call{0, 2}); a.cc != 0xc7 {
		t.Errorf("control without data: %#x", a.cc)
	}
	// The high nibble is reserved: such a command is executed, and counted.
	c.must(call{0, 2, 0xf1})
	executed(t, b, PowerOn, 1)
	executed(t, b, Other, 0)
}

func TestFaultsOfTheMachine(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{LiesAboutPower: true})
	if !c.on() || b.Power() {
		t.Error("no lie about a machine that is off")
	}
	b.SetFaults(Faults{AppliesLate: 5 * time.Second})
	c.must(callOn)
	clock.advance(5*time.Second - 1)
	if c.on() {
		t.Error("applied early")
	}
	clock.advance(1)
	if !c.on() {
		t.Error("not applied")
	}
	b.SetFaults(Faults{Ignore: map[string]int{PowerOff: 1}})
	c.must(callOff)
	executed(t, b, PowerOff, 0)
	c.must(callOff)
	executed(t, b, PowerOff, 1)
}

func TestRestartCauseAndLastEvent(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	if got := c.must(callCause)[0]; got != 0 {
		t.Errorf("restart cause %d before any", got)
	}
	if got := c.must(callStatus)[1]; got != 0 {
		t.Errorf("last power event %#x before any", got)
	}
	c.must(callOn)
	if got := c.must(callCause)[0]; got != restartByCommand {
		t.Errorf("restart cause %d, want %d", got, restartByCommand)
	}
	if got := c.must(callStatus)[1]; got != 0x10 {
		t.Errorf("last power event %#x, want 0x10", got)
	}
}

func TestSetPowerIsNoCommand(t *testing.T) {
	b, clock := newOne(t, Options{On: true, CycleOff: time.Second})
	c := operator(t, b)
	c.must(callCycle)
	b.SetPower(false)
	clock.advance(time.Hour)
	if b.Power() {
		t.Error("what was to come came")
	}
	b.SetPower(true)
	if _, boots := b.Booted(); !b.Power() || boots != 0 {
		t.Errorf("on %v after %d boots, want on after none", b.Power(), boots)
	}
	executed(t, b, PowerOn, 0)
}

func TestIdentify(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	state := func() byte { return c.must(callStatus)[2] >> 4 & 7 }
	const supported, timed, forced = 4, 5, 6
	for _, row := range []struct {
		name    string
		data    []byte
		want    Light
		state   byte
		advance time.Duration
	}{
		{"default", nil, Light{On: true, Left: 15 * time.Second}, timed, 0},
		{"interval", []byte{7}, Light{On: true, Left: 7 * time.Second}, timed, 0},
		{"interval, force bit clear", []byte{7, 0}, Light{On: true, Left: 7 * time.Second}, timed, 0},
		{"interval over", []byte{7}, Light{}, supported, 7 * time.Second},
		{"forced", []byte{7, 1}, Light{On: true, Forced: true}, forced, 50 * time.Second},
		{"off", []byte{0}, Light{}, supported, 0},
	} {
		c.must(append(call{0, 0x04}, row.data...))
		clock.advance(row.advance)
		if got := b.Identify(); got != row.want {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
		if got := state(); got != row.state {
			t.Errorf("%s: state bits %#x, want %#x", row.name, got, row.state)
		}
	}
	executed(t, b, ChassisIdentify, 6)
}
