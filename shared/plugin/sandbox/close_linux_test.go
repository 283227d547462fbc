package sandbox

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// envClosed is the variable that makes the test binary a process that has closed
// itself, and looks whether it still works.
const envClosed = "SANDBOX_TEST_CLOSED"

// secretOfClosed is what its environment holds.
const secretOfClosed = "SANDBOX_TEST_SECRET=in-the-environment"

// beClosed closes the process, tries what an endpoint does and waits to be looked
// at.
func beClosed(mode string) int {
	if mode == "closed" {
		if err := Close(); err != nil {
			return fail(err)
		}
	}
	if _, err := Marked(os.Getpid()); err != nil {
		return fail(err)
	}
	if _, err := os.ReadDir("/proc/self/fd"); err != nil {
		return fail(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return fail(err)
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return fail(err)
	}
	fmt.Println(dumpable, limit.Max == 0)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test has looked
	return 0
}

// fail says why and is the exit code.
func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// Another process of the same user sees the environment of a process that is open,
// and not that of one that has closed itself, which still works.
func TestClosed(t *testing.T) {
	// Root reads everything: the looking is done by somebody else.
	as := &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		as.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	self := copied(t)
	for mode, sees := range map[string]bool{"open": true, "closed": false} {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = []string{envClosed + "=" + mode, secretOfClosed, "GORACE=atexit_sleep_ms=0"}
		cmd.SysProcAttr, cmd.Stderr = as, os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		if !sees && said != "0 true\n" {
			t.Errorf("%s: dumpable and without core: %s", mode, said)
		}
		look := exec.CommandContext(t.Context(), "cat", fmt.Sprintf("/proc/%d/environ", cmd.Process.Pid))
		look.SysProcAttr = as
		seen, err := look.Output()
		if got := strings.Contains(string(seen), secretOfClosed); got != sees || (err == nil) != sees {
			t.Errorf("%s: its environment is seen: %t, %v", mode, got, err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// copied is the test binary where everybody may run it.
func copied(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.CreateTemp("", "sandbox-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Error(err)
		}
	})
	if _, err := f.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := f.Chmod(0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}
