package drivertest

import (
	"flag"
	"fmt"
	"log/slog"
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
	return &Rig{
		Driver: d, Params: params, Device: device,
		Fault: func(f Fault, command string) { device.SetFault(string(f), command) },
		Meets: map[Fault]model.Params{
			Credentials: {"toy/password": "not-the-Heron"},
			Unreachable: {"toy/address": FreeAddr(tb, "tcp", loopback).String()},
		},
		Boot: func() model.BootOverride {
			name, often, _ := strings.Cut(device.Boot(), " ")
			return model.BootOverride{Device: model.BootDevice(name), Persistent: often == "always", Valid: true}
		},
		Sessions: device.Sessions, Refused: device.Refused,
	}
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
