package vbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
	sim "provision-plugins/sim/vbox"
)

// soon is a context for what must not wait.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestLockIsExclusive within a process: by the name in any case, and given back.
func TestLockIsExclusive(t *testing.T) {
	m := New(Options{LockDir: filepath.Join(t.TempDir(), "a", "b")})
	locked, unlock, err := m.Lock(t.Context(), "AB-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Lock(soon(t), "ab-1"); !errors.Is(err, context.DeadlineExceeded) || Wire(err).Kind() != model.Timeout {
		t.Fatalf("a second time: %v", err)
	}
	if _, other, err := m.Lock(t.Context(), "ab-2"); err != nil {
		t.Errorf("another virtual machine: %v", err)
	} else {
		other()
	}
	_, again, err := m.Lock(locked, "ab-1")
	if err != nil {
		t.Fatalf("by who has it: %v", err)
	}
	again() // gives nothing back
	if _, _, err := m.Lock(soon(t), "ab-1"); err == nil {
		t.Error("was given back by who did not take it")
	}
	unlock()
	unlock()
	if _, unlock, err := m.Lock(t.Context(), "ab-1"); err != nil {
		t.Errorf("given back: %v", err)
	} else {
		unlock()
	}
	if len(m.locks.held) != 0 {
		t.Errorf("%d locks are remembered", len(m.locks.held))
	}
}

// TestLockBetweenManagers: another Manager, as another process, waits too, and
// gets it.
func TestLockBetweenManagers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	a, b := New(Options{LockDir: dir}), New(Options{LockDir: dir})
	_, unlock, err := a.Lock(t.Context(), "vm")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Lock(soon(t), "vm"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another process") {
		t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got := make(chan error, 1)
	go func() {
		_, unlock, err := b.Lock(ctx, "vm")
		if err == nil {
			unlock()
		}
		got <- err
	}()
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestLockFolder: locks are not put where others could take them away.
func TestLockFolder(t *testing.T) {
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(t.TempDir(), "linked")
	if err := os.Symlink(t.TempDir(), linked); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{open, linked, file} {
		if _, _, err := New(Options{LockDir: dir}).Lock(t.Context(), "vm"); err == nil {
			t.Errorf("%s was taken", dir)
		}
	}
	t.Setenv("TMPDIR", t.TempDir())
	m := New(Options{})
	_, unlock, err := m.Lock(t.Context(), "vm")
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	if dir, err := m.locks.folder(); err != nil || filepath.Dir(dir) != os.TempDir() {
		t.Errorf("folder %s, %v", dir, err)
	}
	// A link in place of a lock file is not followed.
	own := filepath.Join(t.TempDir(), "own")
	if err := errors.Join(os.Mkdir(own, 0o700), os.Symlink(file, filepath.Join(own, "vm.lock"))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := New(Options{LockDir: own}).Lock(t.Context(), "vm"); err == nil {
		t.Error("a link was followed")
	}
}

// TestFileNames: different virtual machines have different files, whatever they
// are called.
func TestFileNames(t *testing.T) {
	seen := map[string]string{}
	for _, vm := range []string{"", "a", "a/b", "a_b", "a=2fb", "../../x", "é", strings.Repeat("x", 300), strings.Repeat("x", 301), "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"} {
		name := fileName(vm)
		if other, ok := seen[name]; ok || strings.ContainsAny(name, "/.") || len(name) > 4*maxFileName {
			t.Errorf("%q is %q, and so is %q", vm, name, other)
		}
		seen[name] = vm
	}
}

// TestTwelveOnOne: twelve changes of one virtual machine at once all succeed, and
// each is executed once.
func TestTwelveOnOne(t *testing.T) {
	r := newRig(t, nil)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			if _, err := r.Run(t.Context(), "modifyvm", r.vm, "--memory", fmt.Sprint(64+i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.executed(t, "modify"); n != 12 {
		t.Errorf("executed %d, want 12", n)
	}
}

// TestTwelveCyclesOnOne: twelve callers each start and stop one virtual machine
// under its lock, with the session that stays after a stop. None fails, and no
// start finds it running.
func TestTwelveCyclesOnOne(t *testing.T) {
	r := newRig(t, func(o *Options, so *sim.Options) {
		so.Behaviour = sim.Behaviour{SessionLag: 60 * time.Millisecond, Flaky: true}
		o.ReadTries = 20
	})
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			if err := r.cycle(t.Context(), r.vm); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if starts, stops := r.executed(t, "start"), r.executed(t, "stop"); starts != 12 || stops != 12 {
		t.Errorf("executed %d starts and %d stops, want 12", starts, stops)
	}
}

// cycle starts and stops a virtual machine under its lock.
func (r *rig) cycle(ctx context.Context, vm string) error {
	ctx, unlock, err := r.Lock(ctx, vm)
	if err != nil {
		return err
	}
	defer unlock()
	for _, args := range [][]string{{"startvm", vm, "--type", "headless"}, {"controlvm", vm, "poweroff"}} {
		if _, err := r.Run(ctx, args...); err != nil {
			return err
		}
	}
	for {
		info, err := r.Info(ctx, vm)
		if err != nil {
			return err
		}
		if info.State.Power == model.StateOn {
			return fmt.Errorf("it is %s after its stop", info.State.Word)
		}
		if info.Idle() {
			return nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// TestTwelveOnTwelve: twelve virtual machines start and stop at once; nightly, ten
// times each.
func TestTwelveOnTwelve(t *testing.T) {
	times := 1
	if os.Getenv("OOB_NIGHTLY") == "1" {
		times = 10
	}
	r := newRig(t, func(o *Options, so *sim.Options) {
		so.Behaviour = sim.Behaviour{SessionLag: 30 * time.Millisecond, StartDelay: 10 * time.Millisecond, Flaky: true}
		o.ReadTries = 20
	})
	vms := []string{r.vm}
	for i := range 11 {
		vm, err := r.host.Create(fmt.Sprintf("vm %d", i))
		if err != nil {
			t.Fatal(err)
		}
		vms = append(vms, vm)
	}
	var all sync.WaitGroup
	for _, vm := range vms {
		all.Go(func() {
			for range times {
				if err := r.cycle(t.Context(), vm); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, vm := range vms {
		if n, err := r.host.Executed(vm, "start"); n != times || err != nil {
			t.Errorf("%s was started %d times, %v", vm, n, err)
		}
	}
}

// lockHelperEnv makes the test binary take a lock, for TestLockBetweenProcesses.
const lockHelperEnv = "VBOX_TEST_LOCK_DIR"

// holdLock takes the lock, says so and keeps it until its stdin ends.
func holdLock(dir string) int {
	_, unlock, err := New(Options{LockDir: dir}).Lock(context.Background(), "vm")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer unlock()
	fmt.Println("locked")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// TestLockBetweenProcesses: another process has the lock until it ends, also
// when it is killed.
func TestLockBetweenProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "locks")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), lockHelperEnv+"="+dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || lines.Text() != "locked" {
		t.Fatalf("the other process said %q", lines.Text())
	}
	m := New(Options{LockDir: dir})
	if _, _, err := m.Lock(soon(t), "vm"); err == nil {
		t.Error("both have it")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, unlock, err := m.Lock(ctx, "vm"); err != nil {
		t.Errorf("after its end: %v", err)
	} else {
		unlock()
	}
}

// TestProcess finds the process of a virtual machine, also when VirtualBox has
// forgotten it.
func TestProcess(t *testing.T) {
	r := newRig(t, func(_ *Options, so *sim.Options) { so.Behaviour.Process = true })
	if pid, err := r.Process(t.Context(), r.vm); pid != 0 || err != nil {
		t.Fatalf("before the start: %d, %v", pid, err)
	}
	if _, err := r.Run(t.Context(), "startvm", r.vm, "--type", "headless"); err != nil {
		t.Fatal(err)
	}
	vm, err := r.host.VM(r.vm)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{r.vm, strings.ToUpper(r.vm)} {
		if pid, err := r.Process(t.Context(), name); pid != vm.Pid || pid == 0 || err != nil {
			t.Errorf("while it runs: %d, want %d, %v", pid, vm.Pid, err)
		}
	}
	if pid, err := psProcess(t.Context(), r.vm); err == nil && pid != vm.Pid {
		t.Errorf("by ps: %d, want %d", pid, vm.Pid)
	}
	if err := r.host.KillService(); err != nil {
		t.Fatal(err)
	}
	info, err := r.Info(t.Context(), r.vm)
	if err != nil || !info.Idle() {
		t.Errorf("with VBoxSVC killed: %+v, %v", info, err)
	}
	if pid, err := r.Process(t.Context(), r.vm); pid != vm.Pid || err != nil {
		t.Errorf("with VBoxSVC killed: %d, %v", pid, err)
	}
	for line, want := range map[string]bool{
		"VBoxHeadless --comment x --startvm " + r.vm + " --vrde config": true, "VBoxManage startvm " + r.vm: false, "x --startvm": false,
		"x --startvm other": false,
	} {
		if startsVM(strings.Fields(line), r.vm) != want {
			t.Errorf("%s: not %v", line, want)
		}
	}
}
