package vbox

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also VBoxManage and VBoxHeadless, where it is called so. They end by
// syscall.Exit: under the race detector os.Exit takes a second.
func TestMain(m *testing.M) {
	if Called(os.Args) {
		syscall.Exit(Main(os.Args))
	}
	goleak.VerifyTestMain(m)
}

// newHost makes a host that ends with the test.
func newHost(t testing.TB, o Options) *Host {
	t.Helper()
	dir, err := os.MkdirTemp("", "sim") // short: it is in the names of sockets
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return h
}

// answer is what a command printed and returned.
type answer struct {
	out, err string
	code     int
}

// ask runs a command in this process.
func ask(h *Host, args ...string) answer {
	var out, errs bytes.Buffer
	code := h.manage(args, true, &out, &errs)
	return answer{out.String(), errs.String(), code}
}

// must runs commands that succeed.
func must(t testing.TB, h *Host, lines ...[]string) {
	t.Helper()
	for _, args := range lines {
		if a := ask(h, args...); a.code != 0 {
			t.Fatalf("%q: %+v", args, a)
		}
	}
}

// create makes a virtual machine and returns its UUID.
func create(t testing.TB, h *Host, name string) string {
	t.Helper()
	uuid, err := h.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	return uuid
}

// executed is how often something was done.
func executed(t testing.TB, h *Host, what string) int {
	t.Helper()
	n, err := h.Executed("", what)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// check fails the test on an error.
func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// file is a file in the host's folder.
func file(h *Host, name string) string { return filepath.Join(h.Dir(), name) }
