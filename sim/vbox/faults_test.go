package vbox

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestFaults: each kind does what it says, as often as it was asked to, and to
// whom.
func TestFaults(t *testing.T) {
	tests := map[string]struct {
		executed int
		code     int
		err      string // in stderr
		ok       bool   // the answer is that of a success
	}{
		FaultNotReady:   {0, 1, "E_ACCESSDENIED (0x80070005)", false},
		FaultClosing:    {0, 1, "VBOX_E_VM_ERROR (0x80bb0003)", false},
		FaultLocked:     {0, 1, "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)", false},
		FaultService:    {0, 1, "NS_ERROR_FACTORY_NOT_REGISTERED (0x80040154)", false},
		FaultServerExec: {0, 1, "CO_E_SERVER_EXEC_FAILURE (0x80080005)", false},
		FaultZero:       {0, 0, "VBOX_E_INVALID_VM_STATE (0x80bb0002)", false},
		FaultIgnored:    {0, 0, "", true},
		FaultStuck:      {1, 0, "", true},
		FaultLost:       {1, 1, "E_ACCESSDENIED (0x80070005)", false},
		FaultPartial:    {1, 1, "E_ACCESSDENIED (0x80070005)", false},
		FaultFlood:      {1, 0, "", false},
		FaultGarbage:    {1, 0, "", false},
		FaultOldStart:   {1, 1, "VBOX_E_VM_ERROR (0x80bb0003)", false},
	}
	for _, kind := range FaultKinds() {
		tt, ok := tests[kind]
		if !ok {
			if !strings.HasPrefix(kind, "hang") && kind != FaultChild {
				t.Errorf("%s has no test", kind)
			}
			continue
		}
		h := newHost(t, Options{})
		vm, other := create(t, h, "vm"), create(t, h, "other")
		check(t, h.SetFaults(Fault{Kind: kind, VM: vm, Command: "modifyvm", Skip: 1, Count: 1}))
		change := []string{"modifyvm", vm, "--cpus", "2"}
		must(t, h, change, []string{"modifyvm", other, "--cpus", "2"}, []string{"showvminfo", vm, "--machinereadable"})
		before := executed(t, h, "modify")
		a := ask(h, change...)
		if n := executed(t, h, "modify") - before; n != tt.executed || a.code != tt.code || !strings.Contains(a.err, tt.err) || tt.err == "" && a.err != "" || tt.ok != (a == answer{}) {
			t.Errorf("%s: executed %d, %d, %s%.100s", kind, n, a.code, a.err, a.out)
		}
		must(t, h, change)
	}
	h := newHost(t, Options{})
	if err := h.SetFaults(Fault{Kind: "frob"}); err == nil || !strings.Contains(err.Error(), FaultGarbage) {
		t.Errorf("%v", err)
	}
}

// TestHangs: a command that hangs has done its work, or not, by its kind.
func TestHangs(t *testing.T) {
	for kind, want := range map[string]int{FaultHang: 0, FaultHangAfter: 1} {
		h := newHost(t, Options{})
		vm := create(t, h, "vm")
		check(t, h.SetFaults(Fault{Kind: kind, Count: 1}))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		done := make(chan error, 1)
		go func() {
			done <- exec.CommandContext(ctx, h.Command(), "modifyvm", vm, "--cpus", "2").Run()
		}()
		if want > 0 {
			until(t, "its work", func() bool { return executed(t, h, "modify") == want })
		}
		cancel()
		if err := <-done; err == nil || executed(t, h, "modify") > want {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestChild: the command ends, and its output does not.
func TestChild(t *testing.T) {
	h := newHost(t, Options{})
	create(t, h, "vm")
	check(t, h.SetFaults(Fault{Kind: FaultChild, Count: 1}))
	cmd := exec.CommandContext(t.Context(), h.Command(), "list", "vms")
	var out strings.Builder
	cmd.Stdout = &out
	cmd.WaitDelay = 100 * time.Millisecond
	if err := cmd.Run(); !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("%v", err)
	}
	if !cmd.ProcessState.Success() || !strings.HasPrefix(out.String(), `"vm" {`) {
		t.Errorf("%v, %q", cmd.ProcessState, out.String())
	}
}
