package vbox

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestOrders holds each order against each state: what it leads to, and where it
// is refused that nothing is done.
func TestOrders(t *testing.T) {
	const refused = ""
	states := map[string][]string{ // how to get there from off
		stateRunning:   {},
		statePaused:    {"pause"},
		stateSaved:     {"savestate"},
		statePowerOff:  {"poweroff"},
		stateGuru:      nil, // forced
		"frobnicating": nil,
	}
	leads := map[string]map[string]string{
		"poweroff":        {stateRunning: statePowerOff, statePaused: statePowerOff, stateGuru: statePowerOff},
		"pause":           {stateRunning: statePaused},
		"resume":          {statePaused: stateRunning},
		"reset":           {stateRunning: stateRunning},
		"savestate":       {stateRunning: stateSaved, statePaused: stateSaved},
		"acpipowerbutton": {stateRunning: stateRunning}, // off comes later
		"acpisleepbutton": {stateRunning: stateRunning},
		"screenshotpng":   {stateRunning: stateRunning, statePaused: statePaused},
		"setlinkstate1":   {stateRunning: stateRunning, statePaused: statePaused},
		"reboot":          {},
		"shutdown":        {},
	}
	for _, verb := range slices.Sorted(maps.Keys(leads)) {
		for state, path := range states {
			h := newHost(t, Options{Behaviour: Behaviour{SoftDelay: time.Hour}})
			vm := create(t, h, "vm")
			must(t, h, []string{"startvm", vm, "--type", "headless"})
			for _, step := range path {
				must(t, h, []string{"controlvm", vm, step})
			}
			if path == nil {
				check(t, h.Force(vm, state))
			}
			before, err := h.Ledger()
			check(t, err)
			a := ask(h, "controlvm", vm, verb, file(h, "x.png"))
			after, err := h.Ledger()
			check(t, err)
			want, done := leads[verb][state], len(after)-len(before)
			if want == refused {
				if a.code != 1 || done != 0 || field(t, h, vm, "VMState") != state {
					t.Errorf("%s while %s: %+v, %d done, then %s", verb, state, a, done, field(t, h, vm, "VMState"))
				}
				continue
			}
			if a.code != 0 || done != 1 || field(t, h, vm, "VMState") != want {
				t.Errorf("%s while %s: %+v, %d done, then %s", verb, state, a, done, field(t, h, vm, "VMState"))
			}
		}
	}
}

// TestSavedIsKept: a saved virtual machine cannot be changed, goes on from where
// it was, and its state can be thrown away.
func TestSavedIsKept(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	start, save := []string{"startvm", vm, "--type", "headless"}, []string{"controlvm", vm, "savestate"}
	must(t, h, start, save)
	if a := ask(h, "modifyvm", vm, "--memory", "1"); a.code != 1 || !strings.Contains(a.err, "not mutable") {
		t.Errorf("%+v", a)
	}
	if path := field(t, h, vm, "VMStateFile"); !strings.HasSuffix(path, ".sav") {
		t.Errorf("saved in %q", path)
	}
	must(t, h, start)
	if path := field(t, h, vm, "VMStateFile"); path != "" {
		t.Errorf("running, and saved in %q", path)
	}
	must(t, h, save, []string{"discardstate", vm})
	if state := field(t, h, vm, "VMState"); state != statePowerOff || executed(t, h, "discard") != 1 {
		t.Errorf("thrown away, and %s", state)
	}
	// Nothing to throw away is an error with exit code 0.
	if a := ask(h, "discardstate", vm); a.code != 0 || !strings.Contains(a.err, "error: Details: code VBOX_E_INVALID_VM_STATE") || executed(t, h, "discard") != 1 {
		t.Errorf("%+v", a)
	}
}

// TestStartDelay: while it starts it is in between, and the command waits.
func TestStartDelay(t *testing.T) {
	h := newHost(t, Options{Behaviour: Behaviour{StartDelay: time.Hour}})
	vm := create(t, h, "vm")
	cmd := exec.CommandContext(t.Context(), h.Command(), "startvm", vm, "--type", "headless")
	check(t, cmd.Start())
	until(t, "starting", func() bool { return field(t, h, vm, "VMState") == stateStarting })
	if a := ask(h, "startvm", vm, "--type", "headless"); a.code != 1 || !strings.Contains(a.err, "VBOX_E_INVALID_OBJECT_STATE") {
		t.Errorf("a second start: %+v", a)
	}
	if a := ask(h, "controlvm", vm, "poweroff"); a.code != 1 || !strings.Contains(a.err, "Invalid machine state: Starting") {
		t.Errorf("a stop: %+v", a)
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // killed
	check(t, h.Behave(vm, Behaviour{StartDelay: 20 * time.Millisecond}))
	check(t, h.Crash(vm))
	if a := ask(h, "startvm", vm, "--type", "headless"); a.code != 0 || !strings.HasSuffix(a.out, "has been successfully started.\n") || field(t, h, vm, "VMState") != stateRunning {
		t.Errorf("%+v", a)
	}
}

// TestStartOfMany starts that come at once: one wins, the others find it locked.
func TestStartOfMany(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	codes := make(chan int)
	for range 6 {
		go func() {
			err := exec.CommandContext(t.Context(), h.Command(), "startvm", vm, "--type", "headless").Run()
			if err != nil {
				codes <- 1
				return
			}
			codes <- 0
		}()
	}
	failed := 0
	for range 6 {
		failed += <-codes
	}
	if failed != 5 || executed(t, h, "start") != 1 {
		t.Errorf("%d of 6 failed, %d were executed", failed, executed(t, h, "start"))
	}
}

// TestLostStart: after a start whose answer is lost it runs.
func TestLostStart(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	check(t, h.SetFaults(Fault{Kind: FaultLost, Command: "startvm", Count: 1}))
	if a := ask(h, "startvm", vm, "--type", "headless"); a.code != 1 || a.out != "" || field(t, h, vm, "VMState") != stateRunning {
		t.Errorf("%+v", a)
	}
}

// TestRegisterAgain: a settings file that was left can be registered.
func TestRegisterAgain(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	settings := field(t, h, vm, "CfgFile")
	must(t, h, []string{"unregistervm", vm}, []string{"registervm", settings})
	if a := ask(h, "list", "vms"); !strings.HasPrefix(a.out, `"vm" {`) {
		t.Errorf("%+v", a)
	}
}

// TestCalledByName: the program finds its host also when it is called by its name
// alone, as a shell does.
func TestCalledByName(t *testing.T) {
	h := newHost(t, Options{})
	vm := create(t, h, "vm")
	t.Setenv("PATH", h.Dir())
	cmd := exec.CommandContext(t.Context(), manageName, "list", "vms")
	cmd.Args[0] = manageName
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "\"vm\" {"+vm+"}\n" {
		t.Errorf("%s, %v", out, err)
	}
	// By a name that is nowhere it says so.
	cmd = exec.CommandContext(t.Context(), h.Command())
	cmd.Args, cmd.Env = []string{manageName}, []string{"PATH=/nowhere"}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "not found") {
		t.Errorf("%s, %v", out, err)
	}
}

// TestHeadlessAlone: the process of a virtual machine does not start for none, and
// ends with its host's folder.
func TestHeadlessAlone(t *testing.T) {
	h := newHost(t, Options{Behaviour: Behaviour{Process: true}})
	for _, args := range [][]string{{}, {"--startvm"}, {"--comment", "x", "--startvm", "nobody"}} {
		if err := exec.CommandContext(t.Context(), filepath.Join(h.Dir(), headlessName), args...).Run(); err == nil {
			t.Errorf("%v: it started", args)
		}
	}
	vm := create(t, h, "vm")
	must(t, h, []string{"startvm", vm, "--type", "headless"})
	got, err := h.VM(vm)
	check(t, err)
	check(t, os.Rename(file(h, stateFile), file(h, "away")))
	until(t, "its end", func() bool { return !alive(got.Pid, vm) })
	check(t, os.Rename(file(h, "away"), file(h, stateFile)))
	if state := field(t, h, vm, "VMState"); state != stateAborted {
		t.Errorf("its process ended and it is %s", state)
	}
}

// TestShown holds what showvminfo prints of settings against what was set.
func TestShown(t *testing.T) {
	h := newHost(t, Options{Interfaces: []string{"vboxnet0"}})
	vm := create(t, h, `a "b" \c`)
	must(t, h, []string{"modifyvm", vm, "--memory", "512", "--cpus", "4", "--vram", "32", "--firmware", "efi", "--description", `x "y"` + "\n" + `\z`})
	out := ask(h, "showvminfo", vm, "--machinereadable").out
	for _, want := range []string{
		`name="a \"b\" \\c"` + "\n", "memory=512\n", "cpus=4\n", "vram=32\n", `firmware="EFI"` + "\n", `description="x \"y\"` + "\n" + `\\z"` + "\n",
		" rec_screen0\n", `VMState="poweroff"` + "\n", `"SATA Controller-1-0"="emptydrive"` + "\n", `"SATA Controller-ImageUUID-0-0"="`,
		`nic1="nat"` + "\n", `nic8="none"` + "\n", `uart1="off"` + "\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(out, "SessionName") || strings.Contains(out, "VRDEClients") {
		t.Error("it is off and has a session")
	}
	must(t, h, []string{"startvm", vm, "--type", "headless"})
	out = ask(h, "showvminfo", vm, "--machinereadable").out
	for _, want := range []string{`SessionName="headless"` + "\n", `VideoMode="720,400,0"@0,0 1` + "\n", "VRDEClients==0\n", "GuestAdditionsRunLevel=0\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q", want)
		}
	}
	list := ask(h, "list", "hostonlyifs")
	if !strings.HasPrefix(list.out, "Name:            vboxnet0\n") {
		t.Errorf("%+v", list)
	}
}
