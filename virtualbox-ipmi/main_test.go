package main

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"provision-plugins/sim/vbox"
)

// TestMain lets the test's program be VBoxManage too, and more tests run side by
// side than there are processors: they wait for processes.
func TestMain(m *testing.M) {
	if vbox.Called(os.Args) {
		os.Exit(vbox.Main(os.Args))
	}
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
