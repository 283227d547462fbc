package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/quirks"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// bootTable ties boot devices to selectors (IPMI 2.0 Table 28-14). The first
// selector of a device is the one that is set.
var bootTable = []struct {
	selector types.BootDeviceSelector
	device   model.BootDevice
}{
	{types.BootDeviceSelectorNoOverride, model.BootNone},
	{types.BootDeviceSelectorForcePXE, model.BootPXE},
	{types.BootDeviceSelectorForceHardDrive, model.BootDisk},
	{types.BootDeviceSelectorForceCDROM, model.BootCD},
	{types.BootDeviceSelectorForceBIOSSetup, model.BootBIOS},
	{types.BootDeviceSelectorForceHardDriveSafe, model.BootDisk},
	{types.BootDeviceSelectorForceRemoteCDROM, model.BootCD},
}

// BootDevices lists what SetBoot takes.
func (*session) BootDevices(persistent bool) []model.BootDevice {
	if persistent {
		return []model.BootDevice{model.BootPXE, model.BootDisk}
	}
	return []model.BootDevice{model.BootPXE, model.BootDisk, model.BootCD, model.BootBIOS}
}

// SetBoot sets the boot flags (IPMI 2.0 §28.12). Without a word to the contrary
// a BMC forgets them after 60 seconds, which is less than many machines take to
// get to their boot.
func (s *session) SetBoot(ctx context.Context, device model.BootDevice, persistent bool) error {
	i := slices.IndexFunc(bootTable, func(r struct {
		selector types.BootDeviceSelector
		device   model.BootDevice
	}) bool {
		return r.device == device
	})
	if i < 0 {
		return model.Errorf(model.Unsupported, "IPMI cannot boot from %q", device)
	}
	if !s.has(ctx, quirks.NoParam3) {
		if err := s.keepFlags(ctx); err != nil {
			return err
		}
	}
	return s.setParam(ctx, &types.BootOptionParam_BootFlags{
		BootFlagsValid:     true,
		Persist:            persistent,
		BIOSBootType:       types.BIOSBootType(s.uefi),
		BootDeviceSelector: bootTable[i].selector,
	})
}

// noTimer are the completion codes of BMCs that have no timer to switch off.
var noTimer = []types.CompletionCode{
	types.CodeParameterNotSupported, types.CodeParameterOutOfRange, types.CodeRequestDataFieldInvalid,
}

// keepFlags switches off the timer that clears the flags, where there is one.
func (s *session) keepFlags(ctx context.Context) error {
	err := s.setParam(ctx, &types.BootOptionParam_BMCBootFlagValidBitClear{DontClearOnCommandReceivedTimeout: true})
	var refusal *rmcp.Refusal
	if errors.As(err, &refusal) && slices.Contains(noTimer, refusal.Code) {
		return nil
	}
	return err
}

// setParam sets one boot option. While somebody else sets them a BMC may refuse.
func (s *session) setParam(ctx context.Context, p types.BootOptionParameter) error {
	selector, _, _ := p.BootOptionParameter()
	err := s.change(ctx, model.Idempotent, &chassis.SetSystemBootOptionsParamRequest{
		ParamSelector: selector,
		ParamData:     p.Pack(),
	})
	var refusal *rmcp.Refusal
	if errors.As(err, &refusal) && refusal.Code == types.CodeParamConfigSetInProgressConflict {
		return model.Errorf(model.Busy, "BMC %s: %w, somebody else is setting the boot options; try again", s.peer, refusal)
	}
	return err
}

// Boot reads the boot flags (IPMI 2.0 §28.13).
func (s *session) Boot(ctx context.Context) (model.BootOverride, error) {
	var res chassis.GetSystemBootOptionsParamResponse
	req := &chassis.GetSystemBootOptionsParamRequest{ParamSelector: types.BootOptionParamSelector_BootFlags}
	if err := s.read(ctx, true, req, &res); err != nil {
		return model.BootOverride{}, err
	}
	return bootOverride(&res)
}

// bootOverride reads an answer. The BMC honours it only if both the parameter
// and the flags in it are marked valid.
func bootOverride(res *chassis.GetSystemBootOptionsParamResponse) (model.BootOverride, error) {
	var flags types.BootOptionParam_BootFlags
	if err := flags.Unpack(res.ParamData); err != nil {
		return model.BootOverride{}, model.Errorf(model.Unsupported, "cannot read the boot flags the BMC sent: %w", err)
	}
	over := model.BootOverride{
		Device:     model.BootOther,
		Persistent: flags.Persist,
		UEFI:       bool(flags.BIOSBootType),
		Valid:      flags.BootFlagsValid && !res.ParameterInValid,
		Raw:        fmt.Sprintf("% x", res.ParamData),
	}
	for _, row := range bootTable {
		if row.selector == flags.BootDeviceSelector {
			over.Device = row.device
		}
	}
	return over, nil
}
