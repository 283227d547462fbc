package main

import (
	"context"
	"slices"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/quirks"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// What a session can prove besides the power state and the boot override.
var (
	_ driver.RestartWitness = (*session)(nil)
	_ driver.LocatorReader  = (*session)(nil)
	_ driver.UEFIBooter     = (*session)(nil)
)

// How long after a restart its signs are watched for. A BMC knows the cause of a
// restart that it made itself; the flags are consumed by the machine's firmware,
// some time into its self-test.
const (
	causeWithin = 5 * time.Second
	flagsWithin = 30 * time.Second
)

// The names of the signs.
const (
	signCause = "restart cause"
	signFlags = "boot flags"
)

// restartCommand is the restart cause of Chassis Control (IPMI 2.0 §28.11). The
// cause stays after that, so that another restart cannot be told by it.
const restartCommand chassis.SystemRestartCause = 1

// RestartSigns reads the restart cause and, if they are for one boot, the boot
// flags. Power-on hours or a lost session are none: a BMC that restarts by
// itself changes them too.
func (s *session) RestartSigns(ctx context.Context, names ...string) ([]driver.Sign, error) {
	var out []driver.Sign
	for _, known := range []struct {
		name string
		read func(context.Context) (driver.Sign, error)
	}{{signCause, s.causeSign}, {signFlags, s.flagsSign}} {
		if len(names) > 0 && !slices.Contains(names, known.name) {
			continue
		}
		sign, err := known.read(ctx)
		kind := model.KindOf(err)
		switch {
		case err == nil:
			out = append(out, sign)
		case kind != model.Unsupported && kind != model.DeviceAuth: // those: the BMC, or the account, has no such thing
			return out, err
		}
	}
	return out, nil
}

// causeSign reads the restart cause (IPMI 2.0 §28.11).
func (s *session) causeSign(ctx context.Context) (driver.Sign, error) {
	if s.has(ctx, quirks.NoRestartCause) {
		return driver.Sign{}, model.Errorf(model.Unsupported, "the restart cause means nothing")
	}
	var res chassis.GetSystemRestartCauseResponse
	if err := s.read(ctx, false, &chassis.GetSystemRestartCauseRequest{}, &res); err != nil {
		return driver.Sign{}, err
	}
	const causeMask = 0x0f // the rest is reserved
	return driver.Sign{
		Name: signCause, Value: (res.SystemRestartCause & causeMask).String(),
		Proof: restartCommand.String(), Within: causeWithin,
	}, nil
}

// The values of the sign of the boot flags.
const (
	flagsSet   = "set"
	flagsGone  = "consumed"
	flagsUnset = "not set"
)

// flagsSign reads whether boot flags for one boot are set (IPMI 2.0 §28.13).
// That they are gone proves something only if nothing else clears them, before
// and after: without bit 3 of parameter 3 a timer does, and a BMC that restarts
// by itself may forget both.
func (s *session) flagsSign(ctx context.Context) (driver.Sign, error) {
	now, err := s.Boot(ctx)
	if err != nil {
		return driver.Sign{}, err
	}
	kept, err := s.flagsKept(ctx)
	if err != nil {
		return driver.Sign{}, err
	}
	sign := driver.Sign{Name: signFlags, Value: flagsUnset, Within: flagsWithin}
	switch {
	case now.Valid:
		sign.Value = flagsSet
	case kept:
		sign.Value = flagsGone
	}
	if kept && !(now.Valid && now.Persistent) { // else they go by themselves, or stay
		sign.Proof = flagsGone
	}
	return sign, nil
}

// flagsKept reads whether the boot flags are kept from the timer.
func (s *session) flagsKept(ctx context.Context) (bool, error) {
	var res chassis.GetSystemBootOptionsParamResponse
	req := &chassis.GetSystemBootOptionsParamRequest{ParamSelector: types.BootOptionParamSelector_BMCBootFlagValidBitClear}
	if err := s.read(ctx, true, req, &res); err != nil {
		return false, err
	}
	var timer types.BootOptionParam_BMCBootFlagValidBitClear
	return timer.Unpack(res.ParamData) == nil && timer.DontClearOnCommandReceivedTimeout, nil
}

// Locator reads whether the locator is lit (IPMI 2.0 §28.2).
func (s *session) Locator(ctx context.Context) (bool, error) {
	var res chassis.GetChassisStatusResponse
	if err := s.read(ctx, false, &chassis.GetChassisStatusRequest{}, &res); err != nil {
		return false, err
	}
	if !res.ChassisIdentifySupported {
		return false, model.Errorf(model.Unsupported, "the BMC does not tell its locator")
	}
	return res.ChassisIdentifyState != chassis.ChassisIdentifyStateOff, nil
}

// BootUEFI reports how SetBoot set the EFI bit. A BMC that is known to lose it
// is not held to it.
func (s *session) BootUEFI() (uefi, told bool) {
	return s.uefi, s.told && !s.devices.quirksOf(s.peer, s.override).Has(quirks.NoEFIBoot)
}

// sentFor is what an action that changes a machine sends (IPMI 2.0).
var sentFor = map[string]string{
	model.PowerOn:       "Chassis Control §28.3, 01h",
	model.PowerOff:      "Chassis Control §28.3, 00h",
	model.PowerSoft:     "Chassis Control §28.3, 05h, once",
	model.PowerCycle:    "Chassis Control §28.3, 02h, once; from off: 01h",
	model.PowerReset:    "Chassis Control §28.3, 03h, once",
	model.PowerNMI:      "Chassis Control §28.3, 04h, once",
	model.NextBootPXE:   sentForBoot,
	model.NextBootDisk:  sentForBoot,
	model.NextBootCD:    sentForBoot,
	model.NextBootBIOS:  sentForBoot,
	model.ForceBootPXE:  sentForBoot,
	model.ForceBootDisk: sentForBoot,
	model.Identify:      "Chassis Identify §28.5",
}

// sentForBoot is sentFor of the boot override.
const sentForBoot = "Set System Boot Options §28.12, parameter 3 (no 60-second timer; a BMC without it is no failure), then 5"

// seenBy is how a sighting is made on a BMC, in two readings in a row.
var seenBy = map[driver.Sighting]string{
	driver.SawOn:       "Get Chassis Status §28.2 tells on",
	driver.SawOff:      "Get Chassis Status §28.2 tells off",
	driver.SawRestart:  "Get System Restart Cause §28.11 changes to Chassis Control within 5 s, or boot flags for one boot are consumed within 30 s (parameter 5, §28.13; only where parameter 3 keeps the timer from clearing them, before and after)",
	driver.SawOverride: "Get System Boot Options §28.13, parameter 5, reads back as set: device, once or always, valid bits, and the EFI bit where `detected-bios-mode` is known",
	driver.SawLocator:  "the identify bits of Get Chassis Status §28.2 tell so, where the BMC says that it supports them",
}
