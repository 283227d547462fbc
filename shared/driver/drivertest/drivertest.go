// Package drivertest is the conformance suite of drivers. It drives a driver
// through driver.Provider against a device of the rig, and asserts what the
// device executed rather than what was said about it.
package drivertest

import "testing"

// Run runs the suite, each case as a subtest.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	if cfg.New == nil {
		t.Fatal("drivertest: Config.New is not set")
	}
}
