package main

import (
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// TestConformance judges the driver by the suite that all drivers pass.
func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Config{
		New: newRig,
		Without: map[string]string{
			model.Status: "the health of sensors is not read yet",
			model.Doctor: "not there yet",
		},
		NoFault: map[drivertest.Fault]string{drivertest.Strange: "the state is one bit on the wire"},
		Short:   time.Second,
	})
}

// newRig is one simulated BMC and a driver of its own.
func newRig(tb testing.TB, _ *slog.Logger) *drivertest.Rig {
	b := startBMC(tb, bmc.Options{On: true})
	return &drivertest.Rig{
		Driver:   newDriver(),
		Params:   paramsOf(b.Addr()),
		Device:   device{b},
		Fault:    func(f drivertest.Fault, command string) model.Params { return breakIt(tb, b, f, command) },
		Boot:     func() model.BootOverride { return override(b.Boot()) },
		Sessions: b.Sessions,
	}
}

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

// device is a simulated BMC as the suite looks at it.
type device struct{ *bmc.BMC }

// Executed counts a command.
func (d device) Executed(command string) int { return d.BMC.Executed(simName[command]) }

// breakIt arranges a fault.
func breakIt(tb testing.TB, b *bmc.BMC, f drivertest.Fault, command string) model.Params {
	once := map[string]int{simName[command]: bmc.Always}
	switch f {
	case drivertest.Unreachable:
		return model.Params{paramPort: int64(closedPort(tb))}
	case drivertest.Credentials:
		return model.Params{paramPassword: "not-the-Heron-at-all"}
	case drivertest.Refuse: // it is off, which is the one state a BMC refuses in, and says on
		b.SetPower(false)
	}
	b.SetFaults(map[drivertest.Fault]bmc.Faults{
		drivertest.LoseReply:   {DropReplies: once},
		drivertest.LoseRequest: {DropRequests: once},
		drivertest.Refuse:      {LiesAboutPower: true},
		drivertest.Silent:      {Silent: true},
		drivertest.Stuck:       {AppliesLate: time.Hour, SoftIgnored: true},
	}[f])
	return nil
}

// closedPort returns a port of 127.0.0.1 that nobody listens on.
func closedPort(tb testing.TB) int {
	tb.Helper()
	return int(freeAddr(tb, netip.AddrFrom4([4]byte{127, 0, 0, 1})).Port())
}

// freeAddr returns an address that nobody has. Its port is below those that the
// kernel gives to whoever asks for any, so that no other test gets it meanwhile.
func freeAddr(tb testing.TB, host netip.Addr) netip.AddrPort {
	tb.Helper()
	for range 100 {
		addr := netip.AddrPortFrom(host, uint16(10_000+rand.IntN(20_000)))
		if c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr)); err == nil {
			_ = c.Close()
			return addr
		}
	}
	tb.Fatalf("no free port on %v", host)
	return netip.AddrPort{}
}

// override is the simulator's boot override in the words of the model.
func override(f bmc.BootFlags) model.BootOverride {
	return model.BootOverride{
		Device: model.BootDevice(f.Device), Persistent: f.Persistent, UEFI: f.EFI, Valid: f.Valid,
	}
}
