package bmc

import (
	"bytes"
	"testing"
	"time"
)

func TestBootFlagsRoundTrip(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for _, row := range []struct {
		flags []byte
		want  BootFlags
	}{
		{[]byte{0x80, 0x04, 0, 0, 0}, BootFlags{Valid: true, Device: "pxe"}},
		{[]byte{0xa0, 0x04, 0, 0, 0}, BootFlags{Valid: true, EFI: true, Device: "pxe"}},
		{[]byte{0xc0, 0x08, 0, 0, 0}, BootFlags{Valid: true, Persistent: true, Device: "disk"}},
		{[]byte{0xe0, 0x14, 0, 0, 0}, BootFlags{Valid: true, Persistent: true, EFI: true, Device: "cd"}},
		{[]byte{0x80, 0x18, 0, 0, 0}, BootFlags{Valid: true, Device: "bios"}},
		{[]byte{0x80, 0x28, 0, 0, 0}, BootFlags{Valid: true, Device: "0x0a"}},
		{[]byte{0x00, 0x04, 0, 0, 0}, BootFlags{Device: "pxe"}},
		{[]byte{0xe0, 0xff, 0xff, 0x0f, 0x1f}, BootFlags{Valid: true, Persistent: true, EFI: true, Device: "floppy"}},
		{[]byte{0, 0, 0, 0, 0}, BootFlags{Device: "none"}},
	} {
		c.must(setFlags(row.flags...))
		got := c.must(callGetFlags)
		if want := append([]byte{1, 5}, row.flags...); !bytes.Equal(got, want) {
			t.Errorf("read back %x, want %x", got, want)
		}
		copy(row.want.Raw[:], row.flags)
		if got := b.Boot(); got != row.want {
			t.Errorf("%+v, want %+v", got, row.want)
		}
	}
	executed(t, b, SetBoot, 9)
	executed(t, b, GetBoot, 9)
}

func TestFlagsAreConsumedByABoot(t *testing.T) {
	for name, row := range map[string]struct {
		on   bool
		call call
	}{
		"power on": {false, callOn}, "power cycle": {true, callCycle}, "power reset": {true, callReset},
	} {
		t.Run(name, func(t *testing.T) {
			b, clock := newOne(t, Options{On: row.on, PowerDelay: time.Second, CycleOff: time.Second})
			c := operator(t, b)
			c.must(setFlags(0xa0, 0x04, 0, 0, 0))
			c.must(row.call)
			if !b.Boot().Valid {
				t.Fatal("consumed before the boot")
			}
			clock.advance(2 * time.Second)
			if b.Boot().Valid {
				t.Error("still there after the boot")
			}
			got, boots := b.Booted()
			if boots != 1 || !got.Valid || !got.EFI || got.Device != "pxe" {
				t.Errorf("boot %d with %+v", boots, got)
			}
			c.must(callReset)
			clock.advance(time.Second)
			if got, boots := b.Booted(); boots != 2 || got.Valid {
				t.Errorf("boot %d with %+v, want none", boots, got)
			}
		})
	}
}

func TestNoBootNoConsumption(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	c.must(setFlags(0x80, 0x04, 0, 0, 0))
	for _, q := range []call{callOn, callDiag, callSoft, callOff} {
		c.refusedOrOK(q)
	}
	if !b.Boot().Valid {
		t.Error("consumed without a boot")
	}
}

// refusedOrOK sends a command whatever comes of it.
func (c *console) refusedOrOK(q call) {
	c.t.Helper()
	c.do(q)
}

func TestPersistentFlagsStay(t *testing.T) {
	b, clock := newOne(t, Options{On: true})
	c := operator(t, b)
	c.must(setFlags(0xc0, 0x08, 0, 0, 0))
	for want := 1; want <= 3; want++ {
		c.must(callReset)
		if got, boots := b.Booted(); boots != want || got.Device != "disk" || !got.Valid {
			t.Fatalf("boot %d with %+v", boots, got)
		}
	}
	clock.advance(time.Hour) // the firmware has them now
	if !b.Boot().Valid {
		t.Error("lost")
	}
}

func TestFlagsExpire(t *testing.T) {
	const timerOff, timerOn = 0x08, 0x17
	for _, row := range []struct {
		name  string
		do    func(c *console, clock *fakeClock)
		after time.Duration
		want  bool
	}{
		{"just before", nil, flagTimeout - 1, true},
		{"after 60 s", nil, flagTimeout, false},
		{"disabled", func(c *console, _ *fakeClock) { c.must(call{0, 8, 3, timerOff}) }, time.Hour, true},
		{"other conditions disabled", func(c *console, _ *fakeClock) { c.must(call{0, 8, 3, timerOn}) }, flagTimeout, false},
		{"restarted by chassis control", func(c *console, clock *fakeClock) {
			clock.advance(50 * time.Second)
			c.must(callOff)
		}, flagTimeout - 1, true},
		{"not restarted by other commands", func(c *console, clock *fakeClock) {
			clock.advance(50 * time.Second)
			c.must(callStatus)
		}, 10 * time.Second, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, clock := newOne(t, Options{})
			c := operator(t, b)
			c.must(setFlags(0x80, 0x04, 0, 0, 0))
			if row.do != nil {
				row.do(c, clock)
			}
			clock.advance(row.after)
			if got := b.Boot(); got.Valid != row.want || got.Device != "pxe" {
				t.Errorf("%+v, want valid %v", got, row.want)
			}
		})
	}
}

func TestExpiredFlagsDoNotBoot(t *testing.T) {
	b, clock := newOne(t, Options{PowerDelay: 2 * time.Minute})
	c := operator(t, b)
	c.must(setFlags(0x80, 0x04, 0, 0, 0))
	c.must(callOn)
	clock.advance(time.Hour) // the machine was on only after the flags expired
	if got, boots := b.Booted(); boots != 1 || got.Valid {
		t.Errorf("boot %d with %+v", boots, got)
	}
}

func TestOtherBootParameters(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for _, row := range []struct {
		name string
		call call
		cc   byte
		data []byte
	}{
		{"progress at first", call{0, 9, 0, 0, 0}, 0, []byte{1, 0, 0}},
		{"take", call{0, 8, 0, 1}, 0, nil},
		{"taken", call{0, 9, 0, 0, 0}, 0, []byte{1, 0, 1}},
		{"take again", call{0, 8, 0, 1}, 0x81, nil},
		{"flags may be set all the same", setFlags(0x80, 4, 0, 0, 0), 0, nil},
		{"commit", call{0, 8, 0, 2}, 0, nil},
		{"committed", call{0, 9, 0, 0, 0}, 0, []byte{1, 0, 0}},
		{"reserved", call{0, 8, 0, 3}, 0xcc, nil},
		{"progress too long", call{0, 8, 0, 1, 1}, 0xc7, nil},
		{"timer at first", call{0, 9, 3, 0, 0}, 0, []byte{1, 3, 0}},
		{"timer", call{0, 8, 3, 0xff}, 0, nil},
		{"timer, reserved bits gone", call{0, 9, 3, 0, 0}, 0, []byte{1, 3, 0x1f}},
		{"acknowledge", call{0, 8, 4, 0x03, 0xff}, 0, nil},
		{"only what the mask names", call{0, 9, 4, 0, 0}, 0, []byte{1, 4, 0, 0x03}},
		{"acknowledge more", call{0, 8, 4, 0x06, 0x04}, 0, nil},
		{"and less", call{0, 9, 4, 0, 0}, 0, []byte{1, 4, 0, 0x05}},
		{"lock only", call{0, 8, 0x80 | 4}, 0, nil},
		{"service partition", call{0, 8, 1, 0}, 0x80, nil},
		{"initiator info", call{0, 9, 6, 0, 0}, 0x80, nil},
		{"nothing to set", call{0, 8}, 0xc7, nil},
		{"nothing to get", call{0, 9}, 0xc7, nil},
		{"short flags", setFlags(0x80), 0xc6, nil},
	} {
		a := c.do(row.call)
		if a.cc != row.cc || !bytes.Equal(a.data, row.data) {
			t.Errorf("%s: completion code %#x data %x, want %#x %x", row.name, a.cc, a.data, row.cc, row.data)
		}
	}
	for name, want := range map[string]int{
		SetBootProgress: 2, SetBootTimer: 1, SetBootAck: 3, SetBoot: 1, SetBootOther: 0, GetBoot: 7,
	} {
		executed(t, b, name, want)
	}
}
