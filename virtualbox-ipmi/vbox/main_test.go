package vbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	sim "provision-plugins/sim/vbox"
)

// TestMain is also VBoxManage, where it is called so, and sudo. VBoxManage ends by
// syscall.Exit: under the race detector os.Exit would take a second each time, and
// the environment that says otherwise does not reach it.
func TestMain(m *testing.M) {
	switch {
	case sim.Called(os.Args):
		syscall.Exit(sim.Main(os.Args))
	case filepath.Base(os.Args[0]) == "sudo":
		os.Exit(fakeSudo(os.Args))
	case filepath.Base(os.Args[0]) == "env":
		os.Exit(printCall(os.Args))
	case os.Getenv(lockHelperEnv) != "":
		os.Exit(holdLock(os.Getenv(lockHelperEnv)))
	}
	goleak.VerifyTestMain(m)
}

// fakeSudo refuses a user named stranger, as sudo -n does, and for any other
// runs the command as it is.
func fakeSudo(argv []string) int {
	if len(argv) > 6 && argv[4] == "stranger" {
		os.Stderr.WriteString("sudo: a password is required\n")
		return 1
	}
	if want := []string{"-n", "-H", "-u"}; len(argv) < 7 || strings.Join(argv[1:4], " ") != strings.Join(want, " ") || argv[5] != "--" {
		os.Stderr.WriteString("sudo: not called as it should be: " + strings.Join(argv, " ") + "\n")
		return 1
	}
	err := syscall.Exec(argv[6], argv[6:], os.Environ())
	os.Stderr.WriteString(err.Error() + "\n")
	return 1
}

// printCall prints what it was called with and where.
func printCall(argv []string) int {
	dir, err := os.Getwd()
	if err != nil {
		return 1
	}
	if json.NewEncoder(os.Stdout).Encode(map[string]any{"args": argv[1:], "env": os.Environ(), "dir": dir}) != nil {
		return 1
	}
	return 0
}

// link makes a link to this program under a name in a folder of its own.
func link(t testing.TB, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// rig is a simulated host and a Manager for it.
type rig struct {
	*Manager
	host *sim.Host
	vm   string // the UUID of the one virtual machine it has at first
}

// newRig makes a host with one virtual machine, and a Manager that waits little
// between tries.
func newRig(t testing.TB, change func(*Options, *sim.Options)) *rig {
	t.Helper()
	var so sim.Options
	o := Options{
		Gap: 5 * time.Millisecond, LockDir: filepath.Join(t.TempDir(), "locks"), Device: "/dev/null/none",
		// A busy machine is no failure.
		ReadTimeout: time.Minute, ChangeTimeout: time.Minute, StartTimeout: time.Minute, LockedFor: 30 * time.Second,
	}
	if change != nil {
		change(&o, &so)
	}
	dir, err := os.MkdirTemp("", "vbox") // short: sockets have long enough names
	if err != nil {
		t.Fatal(err)
	}
	host, err := sim.New(dir, so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	o.Command = host.Command()
	vm, err := host.Create("node 01_a")
	if err != nil {
		t.Fatal(err)
	}
	return &rig{New(o), host, vm}
}

// executed is how often something was done.
func (r *rig) executed(t testing.TB, what string) int {
	t.Helper()
	n, err := r.host.Executed("", what)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// faults sets the host's faults.
func (r *rig) faults(t testing.TB, faults ...sim.Fault) {
	t.Helper()
	if err := r.host.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
}
