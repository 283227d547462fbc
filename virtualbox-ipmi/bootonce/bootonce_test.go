package bootonce

import (
	"fmt"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// order makes an order of words.
func order(t testing.TB, text string) Order {
	t.Helper()
	o, ok := ParseOrder(text)
	if !ok {
		t.Fatalf("%q is no order", text)
	}
	return o
}

// vm is a VM that can be stopped and started, and what its owner sees of it.
type vm struct {
	State
	clock   int
	booted  []string // the first device of each boot
	applied int
}

// newVM is a VM that is off, with an order.
func newVM(t testing.TB, text string) *vm {
	v := &vm{State: State{Order: order(t, text)}}
	v.stop()
	return v
}

// tick changes the time of the state.
func (v *vm) tick() {
	v.clock++
	v.Changed = fmt.Sprintf("2026-11-20T09:%02d:%02d.500000000", v.clock/60, v.clock%60)
}

// stop switches off.
func (v *vm) stop() { v.tick(); v.Mutable = true }

// start boots.
func (v *vm) start() { v.tick(); v.Mutable = false; v.booted = append(v.booted, v.Order.First()) }

// steps takes steps until there are none, or until so many were taken; a
// negative number is all. It reports whether there are no more.
func (v *vm) steps(t testing.TB, next func(State) *Step, most int) bool {
	t.Helper()
	for n := 0; ; n++ {
		st := next(v.State)
		if st == nil {
			return true
		}
		if n == most {
			return false
		}
		if n > 20 {
			t.Fatalf("no end of steps: %+v in %+v", st, v.State)
		}
		if st.Order != nil && !v.Mutable {
			t.Fatalf("the order is changed while it cannot be: %+v", v.State)
		}
		v.State = v.State.Apply(*st)
		v.applied++
	}
}

// ask records a Want.
func (v *vm) ask(w Want) { v.State = v.State.Apply(Request(w)) }

// powerOn starts as the driver does.
func (v *vm) powerOn(t testing.TB) {
	v.steps(t, Start, -1)
	v.start()
}

// powerOff stops as the driver does.
func (v *vm) powerOff(t testing.TB) {
	v.stop()
	v.steps(t, Settle, -1)
}

// clean checks that nothing is kept any more, and the order.
func (v *vm) clean(t testing.TB, want string) {
	t.Helper()
	if v.Order.String() != want || v.Pending+v.Restore+v.Once != "" {
		t.Errorf("the order is %s, want %s; kept: %q %q %q", v.Order, want, v.Pending, v.Restore, v.Once)
	}
}

func TestOrder(t *testing.T) {
	for _, row := range []struct{ from, device, want string }{
		{"floppy,dvd,disk,none", "net", "net,floppy,dvd,disk"},
		{"disk,disk,none,none", "net", "net,disk,none,none"},
		{"net,disk,none,none", "disk", "disk,net,none,none"},
		{"net,disk,dvd,floppy", "floppy", "floppy,net,disk,dvd"},
		{"none,none,none,none", "dvd", "dvd,none,none,none"},
		{"none,disk,none,net", "net", "net,disk,none,none"},
		{"disk,net,dvd,floppy", "disk", "disk,net,dvd,floppy"},
	} {
		if got := order(t, row.from).With(row.device); got.String() != row.want {
			t.Errorf("%s with %s is %s, want %s", row.from, row.device, got, row.want)
		}
	}
	for _, text := range []string{"", "net", "net,disk,none", "net,disk,none,none,none", "net,disk,none,cdrom", "net,disk,none,"} {
		if _, ok := ParseOrder(text); ok {
			t.Errorf("%q is taken for an order", text)
		}
	}
}

func TestDevices(t *testing.T) {
	for _, d := range []model.BootDevice{model.BootPXE, model.BootDisk, model.BootCD} {
		if Device(Word(d)) != d {
			t.Errorf("%s is %q, which is %s", d, Word(d), Device(Word(d)))
		}
	}
	if Word(model.BootBIOS) != "" || Device("none") != model.BootNone || Device("") != model.BootNone || Device("floppy") != model.BootOther {
		t.Error("what cannot be booted from is taken for what can")
	}
}

// A VM that is off boots so once, and then as before.
func TestOnceWhenOff(t *testing.T) {
	v := newVM(t, "disk,dvd,none,none")
	v.ask(Want{Device: "net"})
	v.steps(t, Settle, -1)
	if v.Order.String() != "net,disk,dvd,none" {
		t.Errorf("the order is %s", v.Order)
	}
	v.powerOn(t)
	v.powerOff(t)
	v.clean(t, "disk,dvd,none,none")
	v.powerOn(t)
	if got := strings.Join(v.booted, " "); got != "net disk" {
		t.Errorf("booted %s", got)
	}
}

// On a VM that runs it waits for the stop; who stops and starts it otherwise
// changes nothing about it.
func TestOnceWhenOn(t *testing.T) {
	v := newVM(t, "disk,net,none,none")
	v.powerOn(t)
	v.ask(Want{Device: "net"})
	if v.steps(t, Settle, 0); v.Pending == "" || !v.Waits() {
		t.Errorf("a VM that runs was changed: %+v", v.State)
	}
	v.stop() // by itself: nobody settles
	v.powerOn(t)
	v.stop()
	v.powerOn(t)
	if got := strings.Join(v.booted, " "); got != "disk net disk" {
		t.Errorf("booted %s", got)
	}
	v.powerOff(t)
	v.clean(t, "disk,net,none,none")
}

// Every boot, from then on; it ends one for the next boot.
func TestAlways(t *testing.T) {
	v := newVM(t, "disk,dvd,none,none")
	v.ask(Want{Device: "net"})
	v.steps(t, Settle, -1)
	v.ask(Want{Device: "dvd", Always: true})
	v.steps(t, Settle, -1)
	v.clean(t, "dvd,disk,none,none")
	v.powerOn(t)
	v.powerOff(t)
	v.clean(t, "dvd,disk,none,none")
}

// The last wish counts, and the order of before is not forgotten.
func TestAnotherOnce(t *testing.T) {
	v := newVM(t, "disk,dvd,none,none")
	for _, d := range []string{"net", "dvd", "net", "dvd"} {
		v.ask(Want{Device: d})
		v.steps(t, Settle, -1)
	}
	if v.Order.String() != "dvd,disk,none,none" || v.Restore != "disk,dvd,none,none" {
		t.Errorf("the order is %s, and %s to be restored", v.Order, v.Restore)
	}
	v.powerOn(t)
	v.ask(Want{Device: "net"}) // while the first goes on
	v.powerOff(t)
	v.powerOn(t)
	v.powerOff(t)
	v.clean(t, "disk,dvd,none,none")
	if got := strings.Join(v.booted, " "); got != "dvd net" {
		t.Errorf("booted %s", got)
	}
}

// A start that fails leaves the boot to the next.
func TestStartFails(t *testing.T) {
	v := newVM(t, "disk,none,none,none")
	v.ask(Want{Device: "net"})
	v.steps(t, Start, -1)
	v.tick() // it was starting, and is off again
	v.steps(t, NotStarted, -1)
	v.powerOn(t)
	v.powerOff(t)
	v.powerOn(t)
	if got := strings.Join(v.booted, " "); got != "net disk" {
		t.Errorf("booted %s", got)
	}
	if NotStarted(State{}) != nil || NotStarted(State{Once: "net armed"}) != nil {
		t.Error("a start that was none has a step")
	}
}

// Who has changed the order meanwhile keeps it.
func TestChangedByHand(t *testing.T) {
	v := newVM(t, "disk,none,none,none")
	v.ask(Want{Device: "net"})
	v.powerOn(t)
	v.stop()
	v.Order = order(t, "dvd,disk,none,none")
	v.steps(t, Settle, -1)
	v.clean(t, "dvd,disk,none,none")

	v.ask(Want{Device: "net"})
	v.steps(t, Settle, -1)
	v.Order = order(t, "floppy,disk,none,none") // before the boot that is for once
	v.powerOn(t)
	v.powerOff(t)
	v.clean(t, "floppy,disk,none,none")
	if got := strings.Join(v.booted, " "); got != "net net" {
		t.Errorf("booted %s", got)
	}
}

// Keys that somebody else wrote are removed, and the order is left alone.
func TestGarbage(t *testing.T) {
	for _, text := range []string{"x", "net", "net sometimes", "none once", "net armed", "net once more", "disk starting", "none armed"} {
		for _, s := range []State{{Pending: text}, {Restore: text}, {Once: text}, {Pending: text, Restore: text, Once: text}} {
			v := newVM(t, "disk,net,none,none")
			s.Order, s.Mutable, s.Changed = v.Order, true, v.Changed
			v.State = s
			v.powerOn(t)
			v.powerOff(t)
			v.clean(t, "disk,net,none,none")
		}
	}
}

// kills are the moments at which an owner dies: after so many steps of a way.
const kills = 12

// Whoever dies after any step leaves a VM that the next owner puts right: it
// boots once from the device that was asked for, not twice, and the order is
// then what it was.
func TestKilledAtEachStep(t *testing.T) {
	for _, before := range []string{"disk,net,none,none", "net,disk,none,none", "floppy,dvd,disk,net"} {
		for first := range kills {
			for second := range kills {
				v := newVM(t, before)
				v.ask(Want{Device: "net"})
				v.steps(t, Settle, first) // killed while it is set
				if v.steps(t, Start, second) {
					v.start() // killed after the start
				}
				if v.Mutable {
					v.powerOn(t) // the next owner
				}
				v.stop()
				v.steps(t, Settle, first) // killed while it is restored
				v.powerOn(t)
				v.powerOff(t)
				v.clean(t, before)
				if got, want := strings.Join(v.booted, " "), "net "+order(t, before).First(); got != want {
					t.Errorf("from %s, killed after %d and %d steps: booted %s, want %s", before, first, second, got, want)
				}
			}
		}
	}
}

// The same of an order for every boot, over one for the next.
func TestKilledWhileAlways(t *testing.T) {
	for first := range kills {
		for second := range kills {
			v := newVM(t, "disk,dvd,none,none")
			v.ask(Want{Device: "net"})
			v.steps(t, Settle, first)
			v.ask(Want{Device: "dvd", Always: true})
			v.steps(t, Settle, second)
			v.powerOn(t)
			v.powerOff(t)
			v.clean(t, "dvd,disk,none,none")
			if got := strings.Join(v.booted, " "); got != "dvd" {
				t.Errorf("killed after %d and %d steps: booted %s", first, second, got)
			}
		}
	}
}

// The service of VirtualBox forgets fractions of seconds when it starts anew.
func TestTimes(t *testing.T) {
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"2026-11-20T09:53:05.490000000", "2026-11-20T09:53:05.490000000", true},
		{"2026-11-20T09:53:05.490000000", "2026-11-20T09:53:05.000000000", true},
		{"2026-11-20T09:53:05", "2026-11-20T09:53:05.490000000", true},
		{"2026-11-20T09:53:05.490000000", "2026-11-20T09:53:05.500000000", false},
		{"2026-11-20T09:53:05.000000000", "2026-11-20T09:53:06.000000000", false},
		{"unknown", "", false},
		{"", "", true},
	} {
		if got := sameTime(row.a, row.b); got != row.same {
			t.Errorf("%s and %s: same is %v", row.a, row.b, got)
		}
	}
}

func TestOverride(t *testing.T) {
	v := newVM(t, "disk,net,none,none")
	check := func(what string, device model.BootDevice, persistent bool, says string) {
		t.Helper()
		got := v.Override()
		if got.Device != device || got.Persistent != persistent || !got.Valid || !strings.Contains(got.Raw, says) {
			t.Errorf("%s: %+v, want %s, persistent %v, with %q", what, got, device, persistent, says)
		}
	}
	check("nothing set", model.BootDisk, true, "boot order disk,net,none,none")
	v.powerOn(t)
	v.ask(Want{Device: "net"})
	check("pending", model.BootPXE, false, "pending")
	v.powerOff(t)
	check("set", model.BootPXE, false, "then disk,net,none,none again")
	v.powerOn(t)
	check("used", model.BootDisk, true, "for the boot that began")
	if !v.Using() {
		t.Error("the boot that began is not known")
	}
	v.ask(Want{Device: "net", Always: true})
	check("for every boot, pending", model.BootPXE, true, "pending")
	v.powerOff(t)
	check("for every boot", model.BootPXE, true, "boot order net,disk,none,none")
}

// FuzzSettle gives the machine whatever may be kept: it comes to an end, in a VM
// that starts.
func FuzzSettle(f *testing.F) {
	f.Add("net once", "disk,net,none,none", "net armed", "2026-11-20T09:53:05")
	f.Add("dvd always", "", "net starting 2026-11-20T09:53:05", "")
	f.Fuzz(func(t *testing.T, pending, restore, once, changed string) {
		v := &vm{State: State{
			Order: Order{"disk", "net", "none", "none"}, Mutable: true, Changed: changed,
			Pending: pending, Restore: restore, Once: once,
		}}
		v.Override()
		v.powerOn(t)
		v.powerOff(t)
		v.powerOn(t)
		v.powerOff(t)
		if v.Pending+v.Restore+v.Once != "" {
			t.Errorf("kept for good: %+v", v.State)
		}
	})
}
