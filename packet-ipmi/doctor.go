package main

import (
	"context"
	"fmt"

	"github.com/packethost/packngo"

	"provision-plugins/packet-ipmi/life"
	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// examination is what the doctor knows while it goes up the ladder.
type examination struct {
	out    model.Checkup
	s      *session
	device *packngo.Device
}

// Doctor checks from the address up. It makes one login that may fail.
func (d *metalDriver) Doctor(ctx context.Context, t *driver.Target) (*model.Checkup, error) {
	config, api := d.now()
	e := &examination{}
	if api == nil {
		e.fail("address", noAddress(), "set "+paramURL)
		return &e.out, nil
	}
	s, err := d.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	e.s = s.(*session)
	e.ok("address", config.url)
	if e.login(ctx); e.device != nil {
		e.state()
		e.boot(d)
		e.health(ctx)
	}
	return &e.out, nil
}

// ok adds a check that ended well.
func (e *examination) ok(name, found string) {
	e.out.Add(model.Check{Name: name, Verdict: model.VerdictOK, Found: found})
}

// warn adds a check that should be looked at.
func (e *examination) warn(name, cause, mend string) {
	e.out.Add(model.Check{Name: name, Verdict: model.VerdictWarning, Cause: cause, Mend: mend})
}

// fail adds a check that failed.
func (e *examination) fail(name string, err error, mend string) {
	e.out.Add(model.Check{Name: name, Verdict: model.VerdictFailed, Cause: model.AsError(err).Text(), Mend: mend, Kind: model.KindOf(err)})
}

// login reads the device: that shows in one request whether the API can be reached,
// takes the key, and has the device.
func (e *examination) login(ctx context.Context) {
	d, err := e.s.device(ctx)
	switch kind := model.KindOf(err); {
	case err == nil:
		e.ok("reach", "the API answers")
		e.ok("login", "the key is taken")
		e.ok("device", fmt.Sprintf("%s (%s)", d.Hostname, d.ID))
		e.device = d
	case kind == model.DeviceAuth:
		e.ok("reach", "the API answers")
		e.fail("login", err, "set "+paramKey+" to a key of the account that has the device")
	case kind == model.NotFound:
		e.ok("reach", "the API answers")
		e.ok("login", "the key is taken")
		e.fail("device", err, "check "+paramUUID+"; the device may have been deleted, or be of another account")
	default:
		e.fail("reach", err, "check "+paramURL+" and the network between")
	}
}

// state judges the device's state.
func (e *examination) state() {
	d := e.device
	switch {
	case d.State == metal.Failed:
		e.fail("state", model.Errorf(model.Conflict, "it is failed: %s", life.Story(d.ProvisionEvents)), "reinstall it, or delete it and create another")
	case states[d.State] == model.StateOn, states[d.State] == model.StateOff:
		e.ok("state", d.State)
	default:
		e.warn("state", "it is "+d.State+progress(d), "wait until it is active")
	}
	if d.Locked {
		e.warn("lock", "the device is locked: the API refuses to change it", "unlock it")
	}
}

// boot judges whether the device can be made to boot from the network.
func (e *examination) boot(d *metalDriver) {
	if system := systemOf(e.device); system != metal.CustomIPXE {
		e.warn("boot", "its operating system is "+system+": it cannot be made to boot from the network", "reinstall it with "+metal.CustomIPXE+" if it should")
		return
	}
	found := fmt.Sprintf("%s, always_pxe=%t", metal.CustomIPXE, e.device.AlwaysPXE)
	if n := d.boots.Note(e.device.ID); n != nil {
		found += fmt.Sprintf(", to be %t after the boot (%s)", n.Restore, n.Phase)
	}
	if e.device.IPXEScriptURL == "" {
		e.warn("boot", found+", and no ipxe_script_url", "set "+paramScript+" and run updatepxe")
		return
	}
	e.ok("boot", found)
}

// health judges what the API tells of the hardware.
func (e *examination) health(ctx context.Context) {
	word, err := e.s.key.Health(ctx, e.s.id)
	switch {
	case err != nil:
		e.out.Add(model.Check{Name: "health", Verdict: model.VerdictSkipped, Cause: model.AsError(err).Text()})
	case word == "ok":
		e.ok("health", word)
	default:
		e.warn("health", "the API says "+word, "look at the device's events and console")
	}
}
