package main

import (
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
	manage "provision-plugins/virtualbox-ipmi/vbox"
)

// simPlugin is a plugin with one simulated VM, which is off.
func simPlugin(tb testing.TB, o vbox.Options) (*impl, *vbox.Host, string) {
	tb.Helper()
	h := startHost(tb, o)
	return startPlugin(tb, vboxOptions(tb, h)), h, newVM(tb, h, "node 01_a")
}

// Every word of VirtualBox's for a state has its right answer; one that nobody
// knows is unknown, and above all not off.
func TestStates(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	for _, row := range []struct {
		word string
		want model.PowerState
		says string
	}{
		{"running", model.StateOn, ""},
		{"paused", model.StateOn, "CPUs stand still"},
		{"gurumeditation", model.StateOn, "only poweroff is possible"},
		{"livesnapshotting", model.StateOn, "snapshot"},
		{"poweroff", model.StateOff, ""},
		{"aborted", model.StateOff, "without being asked"},
		{"saved", model.StateOff, "does not boot"},
		{"aborted-saved", model.StateOff, "saved"},
		{"starting", model.StateTransition, ""},
		{"stopping", model.StateTransition, ""},
		{"saving", model.StateTransition, ""},
		{"hesitating", model.StateUnknown, ""},
	} {
		if err := h.Force(vm, row.word); err != nil {
			t.Fatal(err)
		}
		res := mustAct(t, i, model.PowerStatus, vm)
		if res.Power != row.want || !strings.HasPrefix(res.Raw, row.word) || !strings.Contains(res.Raw, row.says) {
			t.Errorf("%s: %s, %q", row.word, res.Power, res.Raw)
		}
	}
}

// A VM whose session is still closing is not off yet; one that somebody has open
// for long is.
func TestSessionOfVMThatIsOff(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		changed, session string
		want             model.PowerState
	}{
		{"2026-11-20T09:59:59.500000000", "headless", model.StateTransition},
		{"2026-11-20T09:59:59.500000000", "", model.StateOff},
		{"2026-11-20T09:00:00.000000000", "GUI/Qt", model.StateOff},
		{"yesterday", "headless", model.StateTransition},
	} {
		info := &manage.Info{State: manage.StateOf("poweroff"), Session: row.session, ChangedAt: row.changed}
		if got := powerOf(info, now); got.State != row.want {
			t.Errorf("%+v: %+v", row, got)
		}
	}
}

// Right after a stop a VM can be started: the start waits for the session.
func TestStartRightAfterStop(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, vbox.Options{Behaviour: vbox.Behaviour{SessionLag: 600 * time.Millisecond, StartDelay: 100 * time.Millisecond, Flaky: true}})
	for range 3 {
		if res := mustAct(t, i, model.PowerOn, vm); res.Outcome != model.Verified || look(t, h, vm).State != "running" {
			t.Errorf("poweron: %+v; the VM is %s", res, look(t, h, vm).State)
		}
		res := mustAct(t, i, model.PowerOff, vm)
		if now := look(t, h, vm); res.Outcome != model.Verified || now.State != "poweroff" || now.Session != "" {
			t.Errorf("poweroff: %+v; the VM is %s, session %q", res, now.State, now.Session)
		}
	}
	if n := executed(t, h, vm, "start"); n != 3 {
		t.Errorf("started %d times", n)
	}
}

// What a guru meditation allows is done, and the rest is refused with what to do.
func TestGuru(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	if err := h.Force(vm, "gurumeditation"); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{model.PowerReset, model.PowerSoft, actionPause} {
		_, err := act(i, command, vm)
		want(t, err, model.Conflict)
	}
	res := mustAct(t, i, model.PowerOn, vm)
	if res.Changed == nil || *res.Changed || !strings.Contains(res.Raw, "only poweroff") {
		t.Errorf("poweron of a guru meditation: %+v", res)
	}
	if res := mustAct(t, i, model.PowerCycle, vm); res.Outcome != model.Verified || look(t, h, vm).State != "running" {
		t.Errorf("powercycle: %+v", res)
	}
}

// A saved VM goes on where it was, and says so; what was asked for its next boot
// waits.
func TestSaved(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	res := mustAct(t, i, actionSaveState, vm)
	if res.Power != model.StateOff || res.Raw != "saved" || look(t, h, vm).Session != "" {
		t.Errorf("saveState: %+v", res)
	}
	if again := mustAct(t, i, actionSaveState, vm); again.Changed == nil || *again.Changed {
		t.Errorf("saveState again: %+v", again)
	}
	if res := mustAct(t, i, model.NextBootPXE, vm); res.Boot == nil || res.Boot.Device != model.BootPXE || look(t, h, vm).Boot[0] != "disk" {
		t.Errorf("nextbootpxe: %+v, order %v", res, look(t, h, vm).Boot)
	}
	res = mustAct(t, i, model.PowerOn, vm)
	if res.Outcome != model.Verified || !strings.Contains(res.Note, "goes on where it was") || !strings.Contains(res.Note, "waits") {
		t.Errorf("poweron: %+v", res)
	}
	mustAct(t, i, model.PowerCycle, vm)
	if got := look(t, h, vm).Boot[0]; got != "net" {
		t.Errorf("after the cycle it booted from %s", got)
	}
}

// A VM that was killed can be started; it says what it was.
func TestAborted(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	if err := h.Crash(vm); err != nil {
		t.Fatal(err)
	}
	if res := mustAct(t, i, model.PowerStatus, vm); res.Power != model.StateOff || !strings.HasPrefix(res.Raw, "aborted") {
		t.Errorf("powerstatus: %+v", res)
	}
	if res := mustAct(t, i, model.PowerOn, vm); !strings.Contains(res.Note, "aborted") {
		t.Errorf("poweron: %+v", res)
	}
}

// An inaccessible VM is no state: it is refused with what to do about it.
func TestInaccessible(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	if err := h.Break(vm, true); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{model.PowerStatus, model.PowerOn, model.PowerOff, model.NextBootPXE, model.BootStatus} {
		_, err := act(i, command, vm, model.Params{"oob/timeout": 5})
		want(t, err, model.Conflict, "inaccessible", "unregistervm")
	}
	got, err := act(i, model.Status, vm)
	if h, ok := got.(health); err != nil || !ok || h.Status != healthCritical || h.Note == "" {
		t.Errorf("status: %+v, %v", got, err)
	}
}

// A VM whose process still runs is not started a second time, whatever VirtualBox
// tells of it.
func TestProcessStillRuns(t *testing.T) {
	t.Parallel()
	o := simOptions()
	o.Behaviour.Process = true
	i, h, vm := simPlugin(t, o)
	mustAct(t, i, model.PowerOn, vm)
	if err := h.KillService(); err != nil {
		t.Fatal(err)
	}
	if res := mustAct(t, i, model.PowerStatus, vm); res.Power != model.StateOff {
		t.Fatalf("VirtualBox does not take it for off: %+v", res)
	}
	_, err := act(i, model.PowerOn, vm)
	want(t, err, model.Conflict, "its process", "nothing was started")
	if n := executed(t, h, vm, "second process"); n != 0 {
		t.Errorf("%d second processes", n)
	}
	got, err := act(i, model.Doctor, vm)
	report, _ := got.(*model.Checkup)
	if err != nil || report == nil || report.Check("process").Verdict != model.VerdictFailed {
		t.Errorf("doctor: %+v, %v", got, err)
	}
}

// A process is waited for only while it may be about to end.
func TestEndsWithin(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 10, 0, time.UTC)
	for changed, wanted := range map[string]time.Duration{
		"2026-11-20T12:00:10.000000000": processWait, // just now
		"2026-11-20T12:00:08.000000000": time.Second, // what is left
		"2026-11-20T12:00:06.800000000": processLeft, // it had its time
		"2020-01-01T00:00:00.000000000": processLeft,
		"2030-01-01T00:00:00.000000000": processWait, // a clock that was set back does not make it longer
		"":                              processWait,
		"yesterday":                     processWait,
	} {
		if got := endsWithin(&manage.Info{ChangedAt: changed}, now); got != wanted {
			t.Errorf("%q: %v, want %v", changed, got, wanted)
		}
	}
}

// A reset is proven by VirtualBox's count of them.
func TestReset(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	mustAct(t, i, model.PowerOn, vm)
	for n := 1; n <= 2; n++ {
		res := mustAct(t, i, model.PowerReset, vm)
		if res.Outcome != model.Verified || !strings.Contains(res.Evidence, "reset counter") || executed(t, h, vm, "reset") != n {
			t.Errorf("powerreset: %+v", res)
		}
	}
	mustAct(t, i, model.NextBootPXE, vm)
	if res := mustAct(t, i, model.PowerReset, vm); !strings.Contains(res.Note, "waits for a power cycle") {
		t.Errorf("powerreset with an override: %+v", res)
	}
	for _, text := range []string{"", "x", "-1", "99999999999999"} {
		if s := resetSigns(map[string]string{resetCounter: text}); len(s) != 0 {
			t.Errorf("%q is a count: %v", text, s)
		}
	}
}

// A start without the kernel driver says what is missing, and spends no boot
// override.
func TestStartFails(t *testing.T) {
	t.Parallel()
	o := simOptions()
	o.NoDriver = true
	h := startHost(t, o)
	vm := newVM(t, h, "n1")
	options := vboxOptions(t, h)
	options.Device = "/nonexistent/vboxdrv"
	i := startPlugin(t, options)
	mustAct(t, i, model.NextBootPXE, vm)
	_, err := act(i, model.PowerOn, vm)
	want(t, err, model.Unsupported, "modprobe vboxdrv")
	if res := mustAct(t, i, model.BootStatus, vm); res.Boot.Device != model.BootPXE || res.Boot.Persistent {
		t.Errorf("bootstatus after it: %+v", res.Boot)
	}
	if err := h.Set(func(o *vbox.Options) { o.NoDriver = false }); err != nil {
		t.Fatal(err)
	}
	mustAct(t, i, model.PowerOn, vm)
	if got := look(t, h, vm).Boot[0]; got != "net" {
		t.Errorf("it booted from %s", got)
	}
}

// Params are checked by name before anything is run.
func TestParams(t *testing.T) {
	t.Parallel()
	i, h, vm := simPlugin(t, simOptions())
	for _, row := range []struct {
		params model.Params
		kind   model.Kind
		says   string
	}{
		{model.Params{paramID: ""}, model.Invalid, paramID},
		{model.Params{paramID: "--help"}, model.Invalid, paramID},
		{model.Params{paramID: "node 01_a"}, model.Invalid, "VBoxManage list vms"},
		{model.Params{paramID: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"}, model.NotFound, paramUser},
		{model.Params{paramFrontend: "x11"}, model.Invalid, paramFrontend},
		{model.Params{paramFrontend: 7}, model.Invalid, paramFrontend},
	} {
		_, err := act(i, model.PowerOn, vm, row.params)
		want(t, err, row.kind, row.says)
	}
	mustAct(t, i, model.PowerOn, vm, model.Params{paramID: strings.ToUpper(vm), paramFrontend: ""})
	if n := executed(t, h, vm, "start"); n != 1 {
		t.Errorf("started %d times", n)
	}
	// What is run, and as whom, is none of a request's business.
	mustAct(t, i, model.PowerStatus, vm, model.Params{paramCommand: "/bin/false", paramUser: "nobody"})
}
