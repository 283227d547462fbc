package bmc

import (
	"context"

	"github.com/bougou/go-ipmi/pkg/hal"
	"github.com/bougou/go-ipmi/pkg/types"
)

// hardware is what go-ipmi's handlers see of a BMC: a chassis and nothing
// else. Through it a handler also finds the BMC it works for, whose mutex is
// held while it does.
type hardware struct{ bmc *BMC }

var (
	_ hal.HAL        = hardware{}
	_ hal.ChassisHAL = hardware{}
)

// Chassis returns the chassis.
func (h hardware) Chassis() hal.ChassisHAL { return h }

// Sensors returns nil: there are none.
func (hardware) Sensors() hal.SensorHAL { return nil }

// Storage returns nil: there is none.
func (hardware) Storage() hal.StorageHAL { return nil }

// Network returns nil: the address is not configured through IPMI.
func (hardware) Network() hal.NetworkHAL { return nil }

// GPIO returns nil: there is none.
func (hardware) GPIO() hal.GPIOHAL { return nil }

// I2C returns nil: there is none.
func (hardware) I2C() hal.I2CHAL { return nil }

// Console returns nil: there is no serial port.
func (hardware) Console() hal.ConsoleHAL { return nil }

// Close does nothing: the fleet ends its BMCs.
func (hardware) Close() error { return nil }

// PowerState returns what the BMC reports, which may be a lie.
func (h hardware) PowerState(context.Context) (bool, error) {
	return h.bmc.chassis.reported(), nil
}

// SetPower switches on or off.
func (h hardware) SetPower(_ context.Context, on bool) error {
	h.bmc.chassis.setPower(on)
	return nil
}

// PowerCycle switches off and on again.
func (h hardware) PowerCycle(context.Context) error { return h.bmc.chassis.cycle() }

// ColdReset is what go-ipmi calls a hard reset of the system.
func (h hardware) ColdReset(context.Context) error { return h.bmc.chassis.reset() }

// WarmReset is what go-ipmi calls a shutdown by the operating system.
func (h hardware) WarmReset(context.Context) error { return h.bmc.chassis.soft() }

// Identify lights the locator for some seconds.
func (h hardware) Identify(_ context.Context, seconds uint8) error {
	h.bmc.chassis.identify(seconds, false)
	return nil
}

// IntrusionState is not known.
func (hardware) IntrusionState(context.Context) (bool, error) { return false, hal.ErrNotSupported }

// SetBootFlags sets the boot override.
func (h hardware) SetBootFlags(_ context.Context, f *types.BootOptionParam_BootFlags) error {
	c := &h.bmc.chassis
	if h.bmc.faults.Odd.NoEFI {
		legacy := *f
		legacy.BIOSBootType = false
		f = &legacy
	}
	c.boot.set(c.told.flags(*f), c.now())
	return nil
}

// GetBootFlags returns the boot override.
func (h hardware) GetBootFlags(context.Context) (*types.BootOptionParam_BootFlags, error) {
	return &h.bmc.chassis.boot.flags, nil
}

// SetBootInfoAcknowledge is not supported: go-ipmi loses the write mask, so
// this package has a handler of its own.
func (hardware) SetBootInfoAcknowledge(context.Context, *types.BootOptionParam_BootInfoAcknowledge) error {
	return hal.ErrNotSupported
}

// GetBootInfoAcknowledge is not supported, as SetBootInfoAcknowledge.
func (hardware) GetBootInfoAcknowledge(context.Context) (*types.BootOptionParam_BootInfoAcknowledge, error) {
	return nil, hal.ErrNotSupported
}
