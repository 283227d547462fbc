package main

import (
	"log/slog"
	"testing"
	"time"

	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
)

// without is what VirtualBox does not have.
var without = map[string]string{
	model.Identify:     "a VM has no locator",
	model.NextBootBIOS: "VirtualBox's BIOS has no setup to enter",
}

// TestConformance judges the driver by the suite that all drivers pass.
func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Config{
		New:     func(tb testing.TB, _ *slog.Logger) *drivertest.Rig { return simRig(tb) },
		Without: without,
		NoFault: map[drivertest.Fault]string{drivertest.Credentials: "there is no login: VBoxManage is run on this host"},
		Timeout: 40 * time.Second, Grace: 40 * time.Second,
		Short: 8 * time.Second, // each command gets a part of it, and starts slowly where much else runs
		Told:  time.Minute,     // a VBoxManage that is killed before it said that VBoxSVC is gone tells only that it was slow
	})
}
