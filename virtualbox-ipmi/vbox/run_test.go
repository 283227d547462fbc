package vbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/model"
	sim "provision-plugins/sim/vbox"
)

// TestLife takes one virtual machine through its life.
func TestLife(t *testing.T) {
	r := newRig(t, nil)
	ctx := t.Context()
	steps := []struct {
		args []string
		word string
	}{
		{[]string{"modifyvm", r.vm, "--boot1", "net", "--boot2", "disk", "--boot3", "none", "--boot4", "none"}, WordPowerOff},
		{[]string{"startvm", r.vm, "--type", "headless"}, WordRunning},
		{[]string{"controlvm", r.vm, "pause"}, WordPaused},
		{[]string{"controlvm", r.vm, "resume"}, WordRunning},
		{[]string{"controlvm", r.vm, "reset"}, WordRunning},
		{[]string{"controlvm", r.vm, "savestate"}, WordSaved},
		{[]string{"startvm", r.vm, "--type", "headless"}, WordRunning},
		{[]string{"controlvm", r.vm, "poweroff"}, WordPowerOff},
		{[]string{"unregistervm", r.vm, "--delete"}, ""},
	}
	for _, step := range steps {
		if _, err := r.Run(ctx, step.args...); err != nil {
			t.Fatalf("%v: %v", step.args, err)
		}
		info, err := r.Info(ctx, r.vm)
		if step.word == "" {
			if ClassOf(err) != NotFound || model.KindOf(Wire(err)) != model.NotFound {
				t.Errorf("after %v: %v", step.args, err)
			}
			continue
		}
		if err != nil || info.State.Word != step.word {
			t.Errorf("after %v: %+v, %v", step.args, info, err)
		}
	}
	if list, err := r.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

// TestReads asks everything that can be asked.
func TestReads(t *testing.T) {
	r := newRig(t, func(_ *Options, so *sim.Options) { so.Warning = true })
	ctx := t.Context()
	for i := range 2 {
		v, err := r.Version(ctx)
		if err != nil || v.Text != "7.2.22_Debianr175245" || !v.AtLeast(7, 2) || !v.AtLeast(6, 9) || v.AtLeast(7, 3) || v.AtLeast(8, 0) {
			t.Errorf("version %+v, %v", v, err)
		}
		if i == 0 {
			r.faults(t, sim.Fault{Kind: sim.FaultService, Command: "--version"}) // nobody asks again
		}
	}
	if _, set, err := r.ExtraData(ctx, r.vm, "a/b"); set || err != nil {
		t.Errorf("nothing is kept, and is told: %v, %v", set, err)
	}
	for _, value := range []string{"net;disk", "two\nlines = x", `"quoted" \`, ""} {
		if err := r.SetExtraData(ctx, r.vm, "a/b", value); err != nil {
			t.Fatal(err)
		}
		got, set, err := r.ExtraData(ctx, r.vm, "a/b")
		if got != value || set != (value != "") || err != nil {
			t.Errorf("kept %q, read %q, %v, %v", value, got, set, err)
		}
	}
	if log, err := r.Log(ctx, r.vm); err != nil || strings.Contains(string(log), "BIOS") {
		t.Errorf("log before the first start: %q, %v", log, err)
	}
	if _, err := r.Run(ctx, "startvm", r.vm, "--type", "headless"); err != nil {
		t.Fatal(err)
	}
	if running, err := r.Running(ctx); err != nil || len(running) != 1 || running[0].UUID != r.vm || running[0].Name != "node 01_a" {
		t.Errorf("running: %v, %v", running, err)
	}
	if log, err := r.BootLog(ctx, r.vm); err != nil || len(log.Attempts) != 1 || log.Attempts[0].Device != "disk" {
		t.Errorf("boot log: %+v, %v", log, err)
	}
	if _, err := r.Run(ctx, "controlvm", r.vm, "reset"); err != nil {
		t.Fatal(err)
	}
	if properties, err := r.GuestProperties(ctx, r.vm); err != nil || properties["/VirtualBox/VMInfo/ResetCounter"] != "1" {
		t.Errorf("properties: %v, %v", properties, err)
	}
}

// repeats are faults that come once or twice, with how often the command is
// executed in the end and whether it fails.
var repeats = []struct {
	name     string
	fault    sim.Fault
	args     []string // the virtual machine's UUID stands for VM
	what     string
	executed int
	class    Class // of the error; "" for none
	unknown  bool
}{
	{"read while starting", sim.Fault{Kind: sim.FaultNotReady, Count: 4}, []string{"showvminfo", "VM", "--machinereadable"}, "", 0, "", false},
	{"read while closing", sim.Fault{Kind: sim.FaultClosing, Count: 4}, []string{"showvminfo", "VM", "--machinereadable"}, "", 0, "", false},
	{"read for too long", sim.Fault{Kind: sim.FaultClosing, Command: "showvminfo"}, []string{"showvminfo", "VM", "--machinereadable"}, "", 0, NotReady, false},
	{"half of a read", sim.Fault{Kind: sim.FaultPartial, Count: 2}, []string{"showvminfo", "VM", "--machinereadable"}, "", 0, "", false},
	{"no service for a moment", sim.Fault{Kind: sim.FaultServerExec, Count: 1}, []string{"list", "vms"}, "", 0, "", false},
	{"no service", sim.Fault{Kind: sim.FaultService}, []string{"list", "vms"}, "", 0, Service, false},
	{"start of a locked one", sim.Fault{Kind: sim.FaultLocked, Count: 3}, []string{"startvm", "VM", "--type", "headless"}, "start", 1, "", false},
	{"start of one that stays locked", sim.Fault{Kind: sim.FaultLocked}, []string{"startvm", "VM", "--type", "headless"}, "start", 0, Locked, false},
	{"start without service", sim.Fault{Kind: sim.FaultService, Count: 1}, []string{"startvm", "VM", "--type", "headless"}, "start", 0, Service, false},
	{"change of a locked one", sim.Fault{Kind: sim.FaultLocked, Count: 3}, []string{"modifyvm", "VM", "--cpus", "2"}, "modify", 1, "", false},
	{"error with exit code 0", sim.Fault{Kind: sim.FaultZero, Count: 1}, []string{"modifyvm", "VM", "--cpus", "2"}, "modify", 0, InvalidState, false},
	{"exit code 1 after a start", sim.Fault{Kind: sim.FaultOldStart, Count: 1}, []string{"startvm", "VM", "--type", "headless"}, "start", 1, Failed, false},
	{"garbage", sim.Fault{Kind: sim.FaultGarbage, Count: 1}, []string{"list", "vms"}, "", 0, "", false},
	{"too much", sim.Fault{Kind: sim.FaultFlood, Count: 1}, []string{"list", "vms"}, "", 0, Garbled, false},
	{"a child that keeps the output", sim.Fault{Kind: sim.FaultChild, Count: 1}, []string{"modifyvm", "VM", "--cpus", "2"}, "modify", 1, "", false},
	{"hung read", sim.Fault{Kind: sim.FaultHang, Count: 1}, []string{"list", "vms"}, "", 0, TimedOut, false},
	{"hung change", sim.Fault{Kind: sim.FaultHang, Count: 1}, []string{"modifyvm", "VM", "--cpus", "2"}, "modify", 0, TimedOut, true},
}

// TestRepeats holds what is run again, and what must not be.
func TestRepeats(t *testing.T) {
	for _, tt := range repeats {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(o *Options, _ *sim.Options) {
				switch tt.class {
				case Locked:
					o.LockedFor = 100 * time.Millisecond
				case TimedOut:
					o.ReadTimeout, o.ChangeTimeout = time.Second, time.Second
				}
			})
			r.faults(t, tt.fault)
			args := slices.Clone(tt.args)
			if args[1] == "VM" {
				args[1] = r.vm
			}
			_, err := r.Run(t.Context(), args...)
			if ClassOf(err) != tt.class || tt.class == "" && err != nil {
				t.Errorf("error %v, want class %q", err, tt.class)
			}
			if err != nil && (Wire(err).Kind() == model.UnknownOutcome) != tt.unknown {
				t.Errorf("unknown outcome is not %v: %v", tt.unknown, err)
			}
			if n := r.executed(t, tt.what); tt.what != "" && n != tt.executed {
				t.Errorf("executed %d times, want %d", n, tt.executed)
			}
		})
	}
}

// TestKilledBehind: a change that is killed after its work was done is an unknown
// outcome, also when the caller's time was over and not its own.
func TestKilledBehind(t *testing.T) {
	r := newRig(t, nil)
	r.faults(t, sim.Fault{Kind: sim.FaultHangAfter, Count: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		defer cancel()
		for {
			if n, err := r.host.Executed("", "modify"); n > 0 || err != nil || !pause(ctx, 20*time.Millisecond) {
				return
			}
		}
	}()
	_, err := r.Run(ctx, "modifyvm", r.vm, "--cpus", "2")
	cancel()
	<-worked
	if ClassOf(err) != TimedOut || Wire(err).Kind() != model.UnknownOutcome || r.executed(t, "modify") != 1 {
		t.Errorf("executed %d: %v", r.executed(t, "modify"), err)
	}
}

// TestOnceIsOnce sends what must not be sent twice into every fault: it is
// executed at most once.
func TestOnceIsOnce(t *testing.T) {
	for _, kind := range sim.FaultKinds() {
		if strings.HasPrefix(kind, "hang") {
			continue // TestRepeats has them
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(_ *Options, so *sim.Options) { so.Behaviour.SoftIgnored = true })
			if _, err := r.Run(t.Context(), "startvm", r.vm, "--type", "headless"); err != nil {
				t.Fatal(err)
			}
			for verb, what := range map[string]string{"reset": "reset", "acpipowerbutton": "soft"} {
				// Were it sent again, the second would be executed.
				r.faults(t, sim.Fault{Kind: kind, Command: "controlvm " + verb, Count: 1})
				_, err := r.Run(t.Context(), "controlvm", r.vm, verb)
				if n := r.executed(t, what); n > 1 || n == 1 && kind == sim.FaultLocked {
					t.Errorf("%s was executed %d times, %v", verb, n, err)
				}
			}
		})
	}
}

// TestClassesOfKinds: every class has a kind on the wire, and what may have been
// executed is an unknown outcome whatever its class.
func TestClassesOfKinds(t *testing.T) {
	for class := range classes {
		e := &Error{Command: "startvm", Class: class, Exit: 1}
		if e.Kind() == model.Internal || !strings.HasPrefix(e.Error(), "cannot run VBoxManage startvm: ") {
			t.Errorf("%s: %s, %v", class, e.Kind(), e)
		}
		e.Unknown = true
		if Wire(fmt.Errorf("step: %w", e)).Kind() != model.UnknownOutcome {
			t.Errorf("%s: %v", class, Wire(e))
		}
	}
	other := errors.New("other")
	if ClassOf(other) != "" || Wire(other).Kind() != model.Internal || (&Error{Class: "none"}).Kind() != model.Internal {
		t.Error("what is none of ours has a class")
	}
	if !errors.Is(&Error{cause: other}, other) {
		t.Error("the cause is lost")
	}
}

// TestMissingDriver: the mend is named, but not where the driver's device is
// there and something else ended the start.
func TestMissingDriver(t *testing.T) {
	r := newRig(t, func(_ *Options, so *sim.Options) { so.NoDriver = true })
	_, err := r.Run(t.Context(), "startvm", r.vm, "--type", "headless")
	if ClassOf(err) != NoDriver || !strings.Contains(err.Error(), "modprobe vboxdrv") {
		t.Errorf("no driver: %v", err)
	}
	r = newRig(t, func(o *Options, so *sim.Options) { so.NoDriver, o.Device = true, "/dev/null" })
	_, err = r.Run(t.Context(), "startvm", r.vm, "--type", "headless")
	if ClassOf(err) != StartFailed || strings.Contains(err.Error(), "modprobe") {
		t.Errorf("driver there: %v", err)
	}
}

// TestInaccessible: it is told from one that is not ready, in any language.
func TestInaccessible(t *testing.T) {
	for _, language := range []string{"", "ru"} {
		r := newRig(t, func(o *Options, so *sim.Options) { so.Language, o.LockedFor = language, 50*time.Millisecond })
		if err := r.host.Break(r.vm, true); err != nil {
			t.Fatal(err)
		}
		_, err := r.Info(t.Context(), r.vm)
		if ClassOf(err) != Inaccessible {
			t.Errorf("in %q: info: %v", language, err)
		}
		if _, err = r.Run(t.Context(), "startvm", r.vm, "--type", "headless"); ClassOf(err) != Inaccessible || !strings.Contains(err.Error(), "settings file") {
			t.Errorf("in %q: start: %v", language, err)
		}
		if list, err := r.List(t.Context()); err != nil || len(list) != 1 || !list[0].Inaccessible || list[0].UUID != r.vm {
			t.Errorf("in %q: list %v, %v", language, list, err)
		}
	}
}

// TestOtherInfo: what is told of another virtual machine than was asked for is
// not believed, and neither is what is no virtual machine at all.
func TestOtherInfo(t *testing.T) {
	r := newRig(t, nil)
	if info, err := r.Info(t.Context(), "node 01_a"); err != nil || info.UUID != r.vm {
		t.Errorf("by name: %v", err)
	}
	r.faults(t, sim.Fault{Kind: sim.FaultIgnored, Count: 1}, sim.Fault{Kind: sim.FaultGarbage, Count: 1})
	for range 2 {
		if _, err := r.Info(t.Context(), r.vm); ClassOf(err) != Garbled {
			t.Errorf("garbage: %v", err)
		}
	}
	r.faults(t, sim.Fault{Kind: sim.FaultIgnored, Count: 1})
	if _, err := r.Version(t.Context()); ClassOf(err) != Garbled {
		t.Errorf("no version: %v", err)
	}
}

// TestEnvironment: a command gets an argument list as it is, and nothing of the
// environment but what it needs.
func TestEnvironment(t *testing.T) {
	t.Setenv("OOB_SECRET", "hunter2")
	t.Setenv("LC_ALL", "ru_RU.KOI8-R")
	t.Setenv("LANG", "ru_RU.KOI8-R")
	t.Setenv("VBOX_USER_HOME", "/somewhere")
	m := New(Options{Command: link(t, "env"), LockDir: t.TempDir()})
	args := []string{"modifyvm", "a b", "--description", "$(reboot); `x` 'y' \"z\"\n*"}
	out, err := m.Run(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Args, Env []string
		Dir       string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Args, args) || got.Dir != "/" {
		t.Errorf("called with %q in %s", got.Args, got.Dir)
	}
	for _, want := range []string{"LC_ALL=C.UTF-8", "VBOX_USER_HOME=/somewhere", "PATH=" + os.Getenv("PATH")} {
		if !slices.Contains(got.Env, want) {
			t.Errorf("the environment lacks %s: %q", want, got.Env)
		}
	}
	for _, entry := range got.Env {
		name, value, _ := strings.Cut(entry, "=")
		if name != "LC_ALL" && !slices.Contains(passed, name) || value == "" {
			t.Errorf("the environment has %s", entry)
		}
	}
}

// TestOtherUser runs commands through sudo, but only for another user.
func TestOtherUser(t *testing.T) {
	r := newRig(t, nil)
	t.Setenv("PATH", filepath.Dir(link(t, "sudo")))
	for user, class := range map[string]Class{"": "", "somebody": "", "stranger": NoUser} {
		o := r.opts
		o.User = user
		_, err := New(o).List(t.Context())
		if ClassOf(err) != class || class == "" && err != nil {
			t.Errorf("as %q: %v", user, err)
		}
		argv, err := New(o).argv([]string{"list", "vms"})
		if sudo := filepath.Base(argv[0]) == "sudo"; err != nil || sudo != (user != "") {
			t.Errorf("as %q: %v, %v", user, argv, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	o := r.opts
	o.User = "somebody"
	if _, err := New(o).List(t.Context()); ClassOf(err) != NoCommand || !strings.Contains(err.Error(), "somebody") {
		t.Errorf("no sudo: %v", err)
	}
}

// TestCommandIsFound on PATH, under both names, and told to be missing.
func TestCommandIsFound(t *testing.T) {
	for _, name := range []string{"VBoxManage", "vboxmanage"} {
		path := link(t, name)
		t.Setenv("PATH", filepath.Dir(path))
		if got, err := New(Options{}).command(); got != path || err != nil {
			t.Errorf("%s: found %q, %v", name, got, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	for _, command := range []string{"", "/does/not/exist", t.TempDir()} {
		_, err := New(Options{Command: command}).Version(t.Context())
		if ClassOf(err) != NoCommand || !strings.Contains(err.Error(), "virtualbox/command") {
			t.Errorf("%q: %v", command, err)
		}
	}
}

// TestEndedContext: what was not run is no unknown outcome.
func TestEndedContext(t *testing.T) {
	r := newRig(t, func(o *Options, _ *sim.Options) { o.Concurrency = 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"controlvm", r.vm, "reset"}, {"list", "vms"}} {
		if _, err := r.Run(ctx, args...); !errors.Is(err, context.Canceled) || ClassOf(err) != "" {
			t.Errorf("%v: %v", args, err)
		}
	}
	r.slots <- struct{}{} // somebody else's command
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.List(ctx); !errors.Is(err, context.DeadlineExceeded) || ClassOf(err) != "" {
		t.Errorf("no place: %v", err)
	}
	<-r.slots
}

// TestGroupIsKilled: with a command that does not end its children end too.
func TestGroupIsKilled(t *testing.T) {
	r := newRig(t, func(o *Options, _ *sim.Options) { o.ReadTimeout = time.Second })
	r.faults(t, sim.Fault{Kind: sim.FaultHang, Count: 1})
	pids := make(chan int, 1)
	r.kill = func(pid int) error {
		pids <- pid
		return sigkill(pid)
	}
	if _, err := r.List(t.Context()); ClassOf(err) != TimedOut {
		t.Fatal(err)
	}
	if pid := <-pids; pid >= 0 {
		t.Errorf("killed process %d alone", pid)
	} else if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the group is there still: %v", err)
	}
}

// TestUnkillable: a command that cannot be killed is given up, and keeps its
// place until it ends.
func TestUnkillable(t *testing.T) {
	r := newRig(t, func(o *Options, _ *sim.Options) { o.ReadTimeout, o.Concurrency = time.Second, 1 })
	r.faults(t, sim.Fault{Kind: sim.FaultHang, Count: 1})
	pids := make(chan int, 1)
	r.kill = func(pid int) error {
		pids <- pid
		return syscall.EPERM
	}
	_, err := r.List(t.Context())
	// exec kills the process itself when the group's killer cannot, which here it
	// may; either way the call has come back.
	if ClassOf(err) != TimedOut {
		t.Errorf("%v", err)
	}
	if err := sigkill(<-pids); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
	r.opts.ReadTimeout = time.Minute
	if _, err := r.List(t.Context()); err != nil {
		t.Errorf("after its end: %v", err)
	}
	c := callOf([]string{"controlvm", r.vm, "poweroff"})
	e := r.judge(&outcome{call: &c, stdout: &capped{}, stderr: &capped{}, err: errUnkillable, started: true, stopped: true})
	if ClassOf(e) != TimedOut || Wire(e).Kind() != model.UnknownOutcome || !strings.Contains(e.Error(), "goes on") {
		t.Errorf("given up: %v", e)
	}
}

// TestConcurrency: no more commands run at once than the option says.
func TestConcurrency(t *testing.T) {
	r := newRig(t, nil)
	most := 0
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		look := time.NewTicker(time.Millisecond)
		defer look.Stop()
		for {
			most = max(most, len(r.slots))
			select {
			case <-look.C:
			case <-stop:
				return
			}
		}
	}()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := r.List(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(stop)
	<-watched
	if most > 4 || most == 0 || len(r.slots) != 0 {
		t.Errorf("%d at once, %d left", most, len(r.slots))
	}
}
