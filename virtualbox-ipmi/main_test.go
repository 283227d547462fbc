package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"provision-plugins/sim/vbox"
)

// roleOf is what this program is when it was not started as a test: VBoxManage,
// one that is watched, or a plugin that may be killed. It is nil for a test.
func roleOf(argv []string) func([]string) int {
	switch {
	case vbox.Called(argv):
		return vbox.Main
	case filepath.Base(argv[0]) == spyName:
		return spyMain
	case os.Getenv(envActions) != "":
		return actionsMain
	}
	return nil
}

// TestMain lets the test's program be VBoxManage too, and more tests run side by
// side than there are processors: they wait for processes.
func TestMain(m *testing.M) {
	if role := roleOf(os.Args); role != nil {
		// Not os.Exit: under the race detector it takes a second, for each VBoxManage.
		syscall.Exit(role(os.Args))
	}
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	dir, err := os.MkdirTemp("", "vbox-helper")
	if err == nil {
		helper, err = buildHelper(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir) // it is in the folder of temporary files
		os.Exit(code)
	}))
}
