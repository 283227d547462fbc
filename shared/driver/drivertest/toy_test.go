package drivertest

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// TestMain lets more tests run side by side than there are processors: they
// wait, and compute nothing.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// toyRig makes a rig of the toy device over TCP.
func toyRig(tb testing.TB, mode string, d driver.Driver) *Rig {
	device := toy.NewDevice()
	address, err := device.Listen()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(device.Close)
	params := model.Params{"toy/address": address, "toy/username": device.User, "toy/password": device.Password, "toy/mode": mode}
	fault := func(f Fault, command string) model.Params {
		switch f {
		case Credentials:
			return model.Params{"toy/password": "not-the-Heron"}
		case Unreachable:
			return model.Params{"toy/address": closedPort(tb)}
		}
		device.SetFault(string(f), command)
		return nil
	}
	boot := func() model.BootOverride {
		name, often, _ := strings.Cut(device.Boot(), " ")
		return model.BootOverride{Device: model.BootDevice(name), Persistent: often == "always", Valid: true}
	}
	return &Rig{Driver: d, Params: params, Device: device, Fault: fault, Boot: boot, Sessions: device.Sessions, Refused: device.Refused}
}

// closedPort returns an address nobody listens at. Its port is below those that
// the kernel gives to whoever asks for any, so that no other case gets it
// meanwhile.
func closedPort(tb testing.TB) string {
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
		return l.Addr().String()
	}
	tb.Fatal("no free port")
	return ""
}

// toyConfig is the toy driver's side of the suite.
func toyConfig(mode string, d driver.Driver) Config {
	return Config{
		New: func(tb testing.TB, _ *slog.Logger) *Rig {
			rig := toyRig(tb, mode, d)
			if device, ok := rig.Device.(*toy.Device); ok {
				device.CycleOff = 800 * time.Millisecond // long enough to be read twice on a slow machine
			}
			return rig
		},
		// A third of it goes into each try of a toy that is not answered.
		Timeout: 8 * time.Second, Short: time.Second,
	}
}

func TestNativeToy(t *testing.T) { Run(t, toyConfig(toy.Native, &toy.Driver{})) }

func TestStepsToy(t *testing.T) { Run(t, toyConfig(toy.Steps, &toy.Driver{})) }
