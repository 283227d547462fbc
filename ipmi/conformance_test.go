package main

import (
	"log/slog"
	"testing"

	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// TestConformance judges the driver by the suite that all drivers pass.
func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Config{
		New:     newRig,
		NoFault: map[drivertest.Fault]string{drivertest.Strange: "the state is one bit on the wire"},
	})
}

// newRig is one simulated BMC and a driver of its own.
func newRig(tb testing.TB, _ *slog.Logger) *drivertest.Rig {
	b := startBMC(tb, bmc.Options{On: true})
	return &drivertest.Rig{
		Driver: patientDriver(), Params: paramsOf(b.Addr()), Device: drivertest.Renamed(b, simName),
		Fault: func(f drivertest.Fault, command string) { breakIt(b, f, simName[command]) },
		Meets: map[drivertest.Fault]model.Params{
			drivertest.Credentials: {paramPassword: "not-the-Heron-at-all"},
			drivertest.Unreachable: {paramPort: int64(drivertest.ClosedPort(tb, "udp"))},
		},
		Boot:     func() model.BootOverride { return override(b.Boot()) },
		Sessions: b.Open, // who left while it asked for a session knows of none
	}
}
