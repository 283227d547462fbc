package redfish

import (
	"context"
	"fmt"
	"slices"

	"github.com/stmcginnis/gofish/schemas"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

var (
	_ driver.BootSetter = (*Session)(nil)
	_ driver.BootReader = (*Session)(nil)
	_ driver.UEFIBooter = (*Session)(nil)
)

// boot is the boot override of a system (ComputerSystem, Boot).
type boot struct {
	Enabled string   `json:"BootSourceOverrideEnabled"`
	Target  string   `json:"BootSourceOverrideTarget"`
	Mode    *string  `json:"BootSourceOverrideMode"`
	Allowed []string `json:"BootSourceOverrideTarget@Redfish.AllowableValues"`
}

// bootTargets ties boot devices to targets (ComputerSystem, BootSource). The first
// target of a device that the BMC takes is set.
var bootTargets = []struct {
	target schemas.BootSource
	device model.BootDevice
}{
	{schemas.PxeBootSource, model.BootPXE},
	{schemas.HddBootSource, model.BootDisk},
	{schemas.CdBootSource, model.BootCD},
	{schemas.BiosSetupBootSource, model.BootBIOS},
	{schemas.NoneBootSource, model.BootNone},
}

// The words of the override.
const (
	modeUEFI   = string(schemas.UEFIBootSourceOverrideMode)
	modeLegacy = string(schemas.LegacyBootSourceOverrideMode)
	once       = string(schemas.OnceBootSourceOverrideEnabled)
	always     = string(schemas.ContinuousBootSourceOverrideEnabled)
	disabled   = string(schemas.DisabledBootSourceOverrideEnabled)
)

// BootDevices lists what SetBoot takes.
func (*Session) BootDevices(persistent bool) []model.BootDevice {
	if persistent {
		return []model.BootDevice{model.BootPXE, model.BootDisk}
	}
	return []model.BootDevice{model.BootPXE, model.BootDisk, model.BootCD, model.BootBIOS}
}

// SetBoot sets the override, with the mode of the machine's firmware, or the one that
// is set where nobody knows that: some BMCs fall back to another one without it.
func (s *Session) SetBoot(ctx context.Context, device model.BootDevice, persistent bool) error {
	sys, read, err := s.system(ctx)
	if err != nil {
		return err
	}
	target := ""
	for _, row := range bootTargets {
		if row.device == device && (len(sys.Boot.Allowed) == 0 || slices.Contains(sys.Boot.Allowed, string(row.target))) {
			target = string(row.target)
		}
	}
	if target == "" {
		return model.Errorf(model.Unsupported, "BMC %s: the system cannot be booted from %s, but from %v", s.bmc.key.peer, device, sys.Boot.Allowed)
	}
	set := map[string]any{"BootSourceOverrideEnabled": once, "BootSourceOverrideTarget": target}
	if persistent {
		set["BootSourceOverrideEnabled"] = always
	}
	s.uefi = s.target.UEFI
	if sys.Boot.Mode != nil {
		if !s.target.Told {
			s.uefi = *sys.Boot.Mode == modeUEFI
		}
		set["BootSourceOverrideMode"] = modeName(s.uefi)
	}
	return s.setBoot(ctx, read, sys.Boot.Mode, set)
}

// setBoot sends the override. A BMC that is in the mode, and will not have it set, gets
// it without.
func (s *Session) setBoot(ctx context.Context, read *answer, mode *string, set map[string]any) error {
	err := s.bmc.patch(ctx, s.path, read, map[string]any{"Boot": set})
	if mode == nil || *mode != set["BootSourceOverrideMode"] || model.KindOf(err) != model.Unsupported {
		return err
	}
	delete(set, "BootSourceOverrideMode")
	_, read, err = s.system(ctx)
	if err != nil {
		return err
	}
	return s.bmc.patch(ctx, s.path, read, map[string]any{"Boot": set})
}

// modeName is the mode of a kind of firmware.
func modeName(uefi bool) string {
	if uefi {
		return modeUEFI
	}
	return modeLegacy
}

// Boot reads the override.
func (s *Session) Boot(ctx context.Context) (model.BootOverride, error) {
	sys, _, err := s.system(ctx)
	if err != nil {
		return model.BootOverride{}, err
	}
	got := sys.Boot
	if got.Enabled == "" {
		return model.BootOverride{}, model.Errorf(model.Unsupported, "BMC %s: the system does not tell its boot override", s.bmc.key.peer)
	}
	over := model.BootOverride{
		Device: model.BootOther, Persistent: got.Enabled == always, Valid: got.Enabled != disabled,
		UEFI: s.target.UEFI, Raw: fmt.Sprintf("%s %s", got.Enabled, got.Target),
	}
	if got.Mode != nil {
		over.UEFI = *got.Mode == modeUEFI
		over.Raw += " " + *got.Mode
	}
	for _, row := range bootTargets {
		if string(row.target) == got.Target {
			over.Device = row.device
		}
	}
	if !over.Valid {
		over.Device = model.BootNone
	}
	return over, nil
}

// BootUEFI reports how SetBoot sets the mode.
func (s *Session) BootUEFI() (uefi, told bool) { return s.uefi, s.target.Told }
