package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
)

// simVBoxMain is a part of a simulated VirtualBox, as main is under its names. The
// path it was called by, which tells its host, is no longer in os.Args under
// testscript.
func simVBoxMain() int {
	raw, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return vbox.Main(strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00"))
}

// TestVBoxOddities: each name changes something, and what is asked for is there.
func TestVBoxOddities(t *testing.T) {
	plain, err := vboxOptions(simVBoxOptions{count: 1})
	if err != nil || plain.Behaviour.SessionLag != 1100*time.Millisecond || !plain.Behaviour.Process {
		t.Errorf("%+v, %v", plain, err)
	}
	for _, name := range vboxOddNames() {
		odd, err := vboxOptions(simVBoxOptions{count: 1, odd: []string{name}})
		if err != nil || odd.Behaviour == plain.Behaviour && odd.Language == "" && !odd.Warning && !odd.NoDriver {
			t.Errorf("%s changes nothing: %+v, %v", name, odd, err)
		}
	}
}

// TestSimVBoxCannotPrint: a host that cannot be told of is not kept.
func TestSimVBoxCannotPrint(t *testing.T) {
	for _, args := range [][]string{{"sim", "vbox"}, {"sim", "vbox", "--json"}} {
		a, _, stderr := testApp("")
		a.stdout = brokenWriter{}
		if code := run(t.Context(), a, args); code != model.Internal.Info().Exit || !strings.Contains(stderr.String(), "Error: cannot ") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

// TestSimVBoxLeavesNothing: without --dir the host's folder goes with it.
func TestSimVBoxLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, stdout, stderr := testApp("")
	if code := run(ctx, a, []string{"sim", "vbox"}); code != 0 || !strings.Contains(stdout.String(), " vm1\n") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
