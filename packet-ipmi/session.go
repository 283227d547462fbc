package main

import (
	"context"
	"fmt"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/packet-ipmi/once"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// session is one caller's way to a device.
type session struct {
	key    *metal.Key
	id     string
	script string // packet/ipxe-script-url
	boots  *once.Keeper
	poll   time.Duration
}

// What a session can do.
var (
	_ driver.Preparer       = (*session)(nil)
	_ driver.PowerReader    = (*session)(nil)
	_ driver.PowerSetter    = (*session)(nil)
	_ driver.Resetter       = (*session)(nil)
	_ driver.BootSetter     = (*session)(nil)
	_ driver.BootReader     = (*session)(nil)
	_ driver.HealthReader   = (*session)(nil)
	_ driver.IdentityReader = (*session)(nil)
)

// Close has nothing to give back: connections are shared.
func (*session) Close(context.Context) error { return nil }

// states is what the states of the API mean. Another word is unknown.
var states = map[string]model.PowerState{
	metal.Active:         model.StateOn,
	metal.Inactive:       model.StateOff,
	metal.Queued:         model.StateTransition,
	metal.Provisioning:   model.StateTransition,
	metal.Deprovisioning: model.StateTransition,
	metal.Reinstalling:   model.StateTransition,
	metal.PoweringOn:     model.StateTransition,
	metal.PoweringOff:    model.StateTransition,
}

// readingOf is a device's state.
func readingOf(d *packngo.Device) driver.Reading {
	state, known := states[d.State]
	if !known {
		state = model.StateUnknown
	}
	return driver.Reading{State: state, Raw: d.State}
}

// device reads the device. One that is gone says so.
func (s *session) device(ctx context.Context) (*packngo.Device, error) {
	d, err := s.key.Device(ctx, s.id)
	if err == nil && d.State == metal.Deleted {
		return nil, model.Errorf(model.NotFound, "device %s is deleted", s.id)
	}
	return d, err
}

// PowerState reads the state.
func (s *session) PowerState(ctx context.Context) (driver.Reading, error) {
	d, err := s.device(ctx)
	if err != nil {
		return driver.Reading{}, err
	}
	return readingOf(d), nil
}

// comeAgain is when to look again at a device that is busy with itself.
const comeAgain = 2 * time.Second

// ready returns an error unless a device in its state takes orders.
func (s *session) ready(d *packngo.Device) error {
	switch d.State {
	case metal.Deprovisioning, metal.Failed:
		return model.Errorf(model.Conflict, "the device is %s; nothing was sent", d.State)
	case metal.Queued, metal.Provisioning, metal.Reinstalling, metal.PoweringOn, metal.PoweringOff:
		return model.Errorf(model.Busy, "the device is %s%s; nothing was sent", d.State, progress(d)).After(min(comeAgain, s.poll))
	}
	return nil
}

// progress is how far a device is with its installation.
func progress(d *packngo.Device) string {
	if d.ProvisionPer == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.0f %%)", d.ProvisionPer)
}

// Prepare makes sure that the device takes orders.
func (s *session) Prepare(ctx context.Context) error {
	d, err := s.device(ctx)
	if err != nil {
		return err
	}
	return s.ready(d)
}

// ways are the states in which a device is on or off, or on its way there.
var ways = map[bool][2]string{true: {metal.Active, metal.PoweringOn}, false: {metal.Inactive, metal.PoweringOff}}

// onWay reports whether a device is where an order would bring it, or on its way.
func onWay(d *packngo.Device, on bool) bool { return d.State == ways[on][0] || d.State == ways[on][1] }

// SetPower switches on or off. The state is read before each try, so that an order
// whose reply was lost is not given again.
func (s *session) SetPower(ctx context.Context, on bool) error {
	d, err := s.device(ctx)
	if err != nil {
		return err
	}
	if onWay(d, on) {
		return nil
	}
	if err := s.ready(d); err != nil {
		return err
	}
	order := "power_off"
	if on {
		order = "power_on"
	}
	err = s.act(ctx, order, on)
	if model.KindOf(err) == model.Conflict {
		return s.reread(ctx, on, err)
	}
	return err
}

// reread decides by the state about an order that was refused in it.
func (s *session) reread(ctx context.Context, on bool, refusal error) error {
	d, err := s.device(ctx)
	if err != nil {
		return refusal
	}
	if onWay(d, on) {
		return nil
	}
	return model.Errorf(model.Conflict, "%w; it is %s", refusal, d.State)
}

// act gives an order, once. One that starts the device may be what a boot override
// waits for.
func (s *session) act(ctx context.Context, order string, starts bool) error {
	if starts {
		if err := s.boots.Before(ctx, s.id); err != nil {
			return model.Errorf(model.Unreachable, "nothing was sent: the boot override of the boot before is not restored yet: %w", err)
		}
	}
	err := s.key.Act(ctx, s.id, metal.Action{Type: order})
	if starts && (err == nil || metal.MaybeDone(err)) {
		s.boots.Started(s.id)
	}
	return err
}

// PowerReset restarts the device.
func (s *session) PowerReset(ctx context.Context) error { return s.act(ctx, "reboot", true) }

// Identity is the device's id: it is what a device has from its creation to its end.
func (s *session) Identity(ctx context.Context) (model.Identity, error) {
	d, err := s.device(ctx)
	if err != nil {
		return model.Identity{}, err
	}
	return model.Identity{ID: d.ID, Source: "device id", Aliases: []string{d.ShortID}}, nil
}

// BootDevices lists what a device can be made to boot from.
func (*session) BootDevices(bool) []model.BootDevice {
	return []model.BootDevice{model.BootPXE, model.BootDisk}
}

// SetBoot sets always_pxe, for one boot or for all. It counts only for a device
// whose operating system is custom_ipxe: any other boots from its disk.
func (s *session) SetBoot(ctx context.Context, to model.BootDevice, persistent bool) error {
	d, err := s.device(ctx)
	if err != nil {
		return err
	}
	pxe := to == model.BootPXE
	if system := systemOf(d); pxe && system != metal.CustomIPXE {
		return model.Errorf(model.Conflict,
			"the operating system of the device is %q, which boots from its disk whatever always_pxe says; reinstall it with %s (action reinstall with %s=%s), which erases its disks",
			system, metal.CustomIPXE, paramSystem, metal.CustomIPXE)
	}
	o := once.Order{Key: s.key, Device: d, PXE: pxe, Always: persistent}
	if pxe {
		o.URL = s.script
	}
	return s.boots.Set(ctx, o)
}

// systemOf is the operating system of a device.
func systemOf(d *packngo.Device) string {
	if d.OS == nil {
		return ""
	}
	return d.OS.Slug
}

// Boot reads always_pxe, and what is known of how long it is to last.
func (s *session) Boot(ctx context.Context) (model.BootOverride, error) {
	d, err := s.device(ctx)
	if err != nil {
		return model.BootOverride{}, err
	}
	out := model.BootOverride{Device: model.BootDisk, Persistent: true, Valid: true, Raw: fmt.Sprintf("always_pxe=%t", d.AlwaysPXE)}
	if d.AlwaysPXE && systemOf(d) == metal.CustomIPXE {
		out.Device = model.BootPXE
	}
	if n := s.boots.Note(s.id); n != nil && n.Target == d.AlwaysPXE {
		out.Persistent = false
		out.Raw += fmt.Sprintf(", %t after the boot", n.Restore)
	}
	return out, nil
}

// healths is what the words of the API for health are for the status action.
var healths = map[string]string{"ok": "OK", "warning": "Warning", "critical": "Critical"}

// Health is the JSON of the status action, with the keys of the reference: the API
// tells of the whole alone.
func (s *session) Health(ctx context.Context) (any, error) {
	d, err := s.device(ctx)
	if err != nil {
		return nil, err
	}
	word, err := s.key.Health(ctx, s.id)
	if kind := model.KindOf(err); err != nil && kind != model.Unsupported && kind != model.NotFound {
		return nil, err
	}
	return map[string]any{
		"Status": healths[word], "ProcessorStatus": "", "MemoryStatus": "", "EthernetStatus": "", "StorageStatus": "", "SimpleStorageStatus": "",
		"state": d.State, "rollup": word, "hostname": d.Hostname, "operating_system": systemOf(d), "locked": d.Locked,
	}, nil
}
