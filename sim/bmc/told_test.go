package bmc

import (
	"testing"
	"time"
)

func TestPowerIsToldLate(t *testing.T) {
	b, clock := newOne(t, Options{On: true, CycleOff: 3 * time.Second})
	c := operator(t, b)
	b.SetFaults(Faults{Tells: Tells{Behind: 20 * time.Second}})
	c.must(callCycle)
	if b.Power() || !c.on() {
		t.Fatal("the machine is to be off, and told as on")
	}
	var seen []bool
	for range 26 {
		clock.advance(time.Second)
		seen = append(seen, c.on())
	}
	for i, on := range seen {
		if second := i + 1; on != (second < 20 || second >= 23) {
			t.Fatalf("on is %v at second %d", on, second)
		}
	}
	b.SetPower(false)
	if !c.on() {
		t.Error("what the front panel does is told at once")
	}
	clock.advance(20 * time.Second)
	if c.on() {
		t.Error("what the front panel did is never told")
	}
	executed(t, b, PowerCycle, 1)
}

func TestPowerIsToldLateForLong(t *testing.T) {
	b, clock := newOne(t, Options{})
	b.SetFaults(Faults{Tells: Tells{Behind: time.Hour}})
	for i := range 3 * maxPast {
		b.SetPower(i%2 == 0)
		clock.advance(time.Minute)
	}
	if n := len(b.chassis.told.past); n > maxPast {
		t.Errorf("%d changes are kept", n)
	}
	clock.advance(time.Hour)
	if operator(t, b).on() {
		t.Error("the last change is not told")
	}
}

func TestPowerReadsThisAndThat(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	b.SetFaults(Faults{Tells: Tells{Flaps: true}})
	for i := range 6 {
		if on := c.on(); on != (i%2 == 1) {
			t.Fatalf("reading %d is %v", i+1, on)
		}
	}
	stray := []int{2, 5}
	b.SetFaults(Faults{Tells: Tells{Stray: stray}})
	stray[0] = 1 // the BMC has its own copy
	for i := range 6 {
		if on := c.on(); on != (i != 1 && i != 4) {
			t.Fatalf("reading %d is %v", i+1, on)
		}
	}
}

func TestBootFlagsAreKeptOtherwise(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Tells: Tells{NotPersistent: true}})
	c.must(setFlags(0xe0, 0x04, 0, 0, 0))
	if f := b.Boot(); f.Persistent || !f.Valid || !f.EFI {
		t.Errorf("flags %+v", f)
	}
	b.SetFaults(Faults{Tells: Tells{NotValid: true}})
	c.must(setFlags(0xe0, 0x04, 0, 0, 0))
	if f := b.Boot(); !f.Persistent || f.Valid {
		t.Errorf("flags %+v", f)
	}
	executed(t, b, SetBoot, 2)
}

func TestLocatorIsToldOtherwise(t *testing.T) {
	const supported, lit = 0x40, 0x30
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for _, row := range []struct {
		tells Tells
		want  byte
	}{
		{Tells{}, supported | 0x10}, {Tells{NotLit: true}, supported}, {Tells{NoLocator: true}, 0x10},
	} {
		b.SetFaults(Faults{Tells: row.tells})
		c.must(call{0, 0x04, 30})
		if got := c.must(callStatus)[2] & (supported | lit); got != row.want || !b.Identify().On {
			t.Errorf("%+v: misc state %#x, want %#x; light %+v", row.tells, got, row.want, b.Identify())
		}
	}
}
