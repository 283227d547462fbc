package main

import (
	"net/netip"
	"testing"
	"time"

	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

const (
	testUser     = "operator"
	testPassword = "a-Heron-by-the-river"
)

// startBMC runs one simulated BMC until the test ends.
func startBMC(tb testing.TB, o bmc.Options) *bmc.BMC {
	tb.Helper()
	o.Count = 1
	return startFleet(tb, o).BMC(0)
}

// startFleet runs simulated BMCs until the test ends.
func startFleet(tb testing.TB, o bmc.Options) *bmc.Fleet {
	tb.Helper()
	o.Username, o.Password = testUser, testPassword
	if o.Limit == 0 {
		o.Limit = bmc.Operator
	}
	if o.CycleOff == 0 {
		o.CycleOff = 800 * time.Millisecond
	}
	f, err := bmc.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// paramsOf reach a simulated BMC.
func paramsOf(addr netip.AddrPort) model.Params {
	return model.Params{
		paramAddress: addr.Addr().String(), paramPort: int64(addr.Port()),
		paramUsername: testUser, paramPassword: testPassword,
	}
}

// simName is a command of the vocabulary as the simulator counts it.
var simName = map[string]string{
	model.PowerOn: bmc.PowerOn, model.PowerOff: bmc.PowerOff, model.PowerSoft: bmc.PowerSoft,
	model.PowerCycle: bmc.PowerCycle, model.PowerReset: bmc.PowerReset, model.PowerNMI: bmc.PowerDiag,
	model.Identify: bmc.ChassisIdentify, drivertest.SetBoot: bmc.SetBoot,
}

// breakIt arranges a fault that hits a command, by the simulator's name of it.
func breakIt(b *bmc.BMC, f drivertest.Fault, command string) {
	if f == drivertest.Refuse { // it is off, which is the one state a BMC refuses in, and says on
		b.SetPower(false)
	}
	always := map[string]int{command: bmc.Always}
	b.SetFaults(map[drivertest.Fault]bmc.Faults{
		drivertest.LoseReply:   {DropReplies: always},
		drivertest.LoseRequest: {DropRequests: always},
		drivertest.Refuse:      {LiesAboutPower: true},
		drivertest.Silent:      {Silent: true},
		drivertest.Stuck:       {AppliesLate: time.Hour, SoftIgnored: true},
	}[f])
}

// override is the simulator's boot override in the words of the model.
func override(f bmc.BootFlags) model.BootOverride {
	return model.BootOverride{
		Device: model.BootDevice(f.Device), Persistent: f.Persistent, UEFI: f.EFI, Valid: f.Valid,
	}
}
