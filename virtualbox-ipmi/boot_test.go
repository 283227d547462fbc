package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
	"provision-plugins/virtualbox-ipmi/bootonce"
)

// bootsOf lists what a VM booted from, by what the host executed: the first of the
// order at each start.
func bootsOf(tb testing.TB, h *vbox.Host, vm, first string) (boots []string) {
	tb.Helper()
	all, err := h.Ledger()
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range all {
		if e.VM != vm {
			continue
		}
		if at := slices.Index(e.Args, "--boot1"); e.What == "modify" && at > 0 {
			first = e.Args[at+1]
		}
		if e.What == "start" {
			boots = append(boots, first)
		}
	}
	return boots
}

// clean checks that nothing of a boot override is left with a VM, and its order.
func clean(tb testing.TB, h *vbox.Host, vm string, order ...string) {
	tb.Helper()
	now := look(tb, h, vm)
	if !slices.Equal(now.Boot[:], order) {
		tb.Errorf("the boot order is %v, want %v", now.Boot, order)
	}
	for _, key := range []string{bootonce.KeyPending, bootonce.KeyRestore, bootonce.KeyOnce} {
		if v := now.Extra[key]; v != "" {
			tb.Errorf("%s is still %q", key, v)
		}
	}
}

// A VM that runs boots once from the network after a power cycle, which says that
// it is a stop and a start; the VM's log proves it; then the order is as before.
func TestBootOnceWhenOn(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	res := mustAct(t, i, model.NextBootPXE, vm)
	if res.Outcome != model.Verified || !strings.Contains(res.Note, "not by a reset") || look(t, h, vm).Boot[0] != "disk" {
		t.Errorf("nextbootpxe: %+v", res)
	}
	if res := mustAct(t, i, model.BootStatus, vm); !strings.Contains(res.Boot.Raw, "pending") || !strings.Contains(res.Evidence, "Booting from Hard Disk...") {
		t.Errorf("bootstatus before the cycle: %+v, %+v", res, res.Boot)
	}
	res = mustAct(t, i, model.PowerCycle, vm)
	if res.Outcome != model.Verified || !strings.Contains(res.Note, "a stop and a start") || !strings.Contains(res.Note, "boots once from net") {
		t.Errorf("powercycle: %+v", res)
	}
	res = mustAct(t, i, model.BootStatus, vm)
	if res.Boot.Device != model.BootDisk || !res.Boot.Persistent || !strings.Contains(res.Evidence, "Booting from LAN...") {
		t.Errorf("bootstatus after the cycle: %+v, %+v", res, res.Boot)
	}
	if res := mustAct(t, i, model.PowerCycle, vm); strings.Contains(res.Note, "once") {
		t.Errorf("the second cycle: %+v", res)
	}
	clean(t, h, vm, "disk", "none", "none", "none")
	if got := bootsOf(t, h, vm, "disk"); !slices.Equal(got, []string{"disk", "net", "disk"}) {
		t.Errorf("booted from %v", got)
	}
}

// A VM that is off has the order at once, all four slots, and gets it back.
func TestBootOnceWhenOff(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	run(t, h, "modifyvm", vm, "--boot1", "disk", "--boot2", "dvd", "--boot3", "floppy", "--boot4", "none")
	mustAct(t, i, model.NextBootPXE, vm)
	if got := look(t, h, vm).Boot; got != [4]string{"net", "disk", "dvd", "floppy"} {
		t.Errorf("the order is %v", got)
	}
	mustAct(t, i, model.NextBootCD, vm) // the last counts
	mustAct(t, i, model.PowerOn, vm)
	if got := look(t, h, vm).Boot; got != [4]string{"dvd", "disk", "floppy", "none"} {
		t.Errorf("it booted with %v", got)
	}
	mustAct(t, i, model.PowerOff, vm)
	clean(t, h, vm, "disk", "dvd", "floppy", "none")
}

// run runs the host's VBoxManage.
func run(tb testing.TB, h *vbox.Host, args ...string) {
	tb.Helper()
	if out, err := exec.Command(h.Command(), args...).CombinedOutput(); err != nil {
		tb.Fatalf("%v: %v: %s", args, err, out)
	}
}

// For every boot, from the next on.
func TestBootAlways(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	mustAct(t, i, model.ForceBootPXE, vm)
	if res := mustAct(t, i, model.PowerCycle, vm); !strings.Contains(res.Note, "a stop and a start") {
		t.Errorf("powercycle: %+v", res)
	}
	mustAct(t, i, model.PowerCycle, vm)
	clean(t, h, vm, "net", "disk", "none", "none")
	mustAct(t, i, model.PowerOff, vm)
	mustAct(t, i, model.ForceBootDisk, vm)
	clean(t, h, vm, "disk", "net", "none", "none")
}

// Who stops a VM in another way than by the plugin changes nothing about its
// override: it is applied before the next start.
func TestBootOnceStoppedByOthers(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	mustAct(t, i, model.NextBootPXE, vm)
	mustAct(t, i, model.PowerSoft, vm)
	mustAct(t, i, model.PowerOn, vm)
	if err := h.Crash(vm); err != nil {
		t.Fatal(err)
	}
	mustAct(t, i, model.PowerOn, vm)
	clean(t, h, vm, "disk", "none", "none", "none")
	if got := bootsOf(t, h, vm, "disk"); !slices.Equal(got, []string{"disk", "net", "disk"}) {
		t.Errorf("booted from %v", got)
	}
}

// EFI has an order of its own, which is said.
func TestBootOfEFI(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	run(t, h, "modifyvm", vm, "--firmware", "efi")
	for _, command := range []string{model.NextBootPXE, model.ForceBootDisk, model.BootStatus} {
		_, err := act(i, command, vm)
		want(t, err, model.Unsupported, "EFI", "use firmware BIOS")
	}
	mustAct(t, i, model.PowerOn, vm)
	for command, says := range map[string]string{model.NextBootBIOS: "no setup to enter", model.Identify: "no locator"} {
		_, err := act(i, command, vm)
		want(t, err, model.Unsupported, says)
	}
}

// Reads that are prepared, as an endpoint asks for many, carry the proof too.
func TestBootStatusPrepared(t *testing.T) {
	t.Parallel()
	i, _, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	a := &model.Action{Model: &model.Machine{Name: "m1", Uuid: vm}, Command: model.BootStatus, Params: model.Params{paramID: vm}}
	perform, err := i.PrepareRead(a)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := perform(t.Context())
		if res, _ := got.(model.Result); err != nil || !strings.Contains(res.Evidence, "Booting from Hard Disk...") {
			t.Errorf("%+v, %v", got, err)
		}
	}
	a.Params = model.Params{paramID: 7}
	if perform, err = i.PrepareRead(a); err == nil {
		_, err = perform(t.Context())
	}
	want(t, err, model.Invalid, paramID)
}

// way is what a plugin does of which each step may be its last.
var way = []string{model.NextBootPXE, model.PowerCycle, model.PowerCycle}

// killedAt runs the way and kills the plugin at its n-th command, before or after
// that; a negative n is none. It checks what is left once another plugin has
// stopped and started the VM, and returns how many commands the first one ran.
func killedAt(t *testing.T, n int, when string) int {
	h := startHost(t, vbox.Options{})
	vm := newVM(t, h, "n1")
	run(t, h, "startvm", vm, "--type", "headless")
	s := newSpy(t, h.Command())
	s.killAt(t, n, when)
	e := errand{Command: s.command(), LockDir: t.TempDir(), Actions: way, Params: model.Params{paramID: vm}}
	if killed := runErrand(t, e); killed != (n >= 0) {
		t.Errorf("killed is %v", killed)
	}
	asked := asksOf(t, h)
	commands := s.runs(t)

	i := startPlugin(t, vboxOptions(t, h))
	for range 2 {
		mustAct(t, i, model.PowerOff, vm)
		mustAct(t, i, model.PowerOn, vm)
	}
	mustAct(t, i, model.PowerOff, vm)
	clean(t, h, vm, "disk", "none", "none", "none")
	net := 0
	for _, first := range bootsOf(t, h, vm, "disk") {
		if first == "net" {
			net++
		}
	}
	if net != asked {
		t.Errorf("asked for the network %d times, and booted from it %d times", asked, net)
	}
	return commands
}

// asksOf counts the overrides that were asked for.
func asksOf(tb testing.TB, h *vbox.Host) (n int) {
	tb.Helper()
	all, err := h.Ledger()
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range all {
		if e.What == "extradata" && len(e.Args) == 4 && e.Args[2] == bootonce.KeyPending {
			n++
		}
	}
	return n
}

// TestKilledAtEachStep kills the plugin at the steps of a boot once: after that the
// VM boots once, and only once, from what was asked for, and its order is what it
// was. All steps are tried by night, some of them always.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	steps := killedAt(t, -1, "")
	if steps < 20 {
		t.Fatalf("only %d steps", steps)
	}
	stride := steps / 4
	if nightly() {
		stride = 1
	}
	// The last few read what was done, and how many they are is a matter of time.
	for n := 0; n < steps-4; n += stride {
		for i, when := range []string{"before", "after"} {
			if !nightly() && i != n%2 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", when, n), func(t *testing.T) {
				t.Parallel()
				killedAt(t, n, when)
			})
		}
	}
}
