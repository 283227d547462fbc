package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/packet-ipmi/life"
	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/packet-ipmi/once"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// The prefixes of the objects that actions act on.
const (
	machinesPrefix = "machines"
	pluginsPrefix  = "plugins"
)

// vmCommands are the reference's actions of the plugin itself.
var vmCommands = []string{"createVm", "startVm", "stopVm", "destroyVm"}

// Extras lists the actions outside the vocabulary.
func (d *metalDriver) Extras() []driver.Extra {
	on := func(command string, class model.Class, run func(context.Context, *session, *driver.Target) (any, error), optional ...string) driver.Extra {
		return driver.Extra{Prefix: machinesPrefix, Command: command, Class: class, Optional: optional,
			Run: func(ctx context.Context, t *driver.Target, a *model.Action) (any, error) {
				return d.withSession(ctx, t, a, class, run)
			}}
	}
	all := append([]driver.Extra{
		on("updatepxe", model.Idempotent, updatePXE, paramScript, paramAlwaysPXE),
		on("rescue", model.Once, rescue),
		on("reinstall", model.Once, reinstall, paramSystem, paramScript, paramConfirm),
		on("events", model.Read, events),
		on("screenshot", model.Read, screenshot),
		on("health", model.Read, health),
		on("console", model.Read, console),
	}, d.vmExtras()...)
	for i := range all {
		all[i].Timeout = timeouts[all[i].Command]
	}
	return all
}

// timeouts are the defaults of oob/timeout of the actions that wait for a device to go
// through something: an installation takes minutes, and so may a start.
var timeouts = map[string]time.Duration{
	"reinstall": 30 * time.Minute,
	"createVm":  5 * time.Minute, "startVm": 5 * time.Minute, "stopVm": 5 * time.Minute,
	"destroyVm": 2 * time.Minute,
}

// withSession runs an action of a machine on a session. What disturbs a machine is
// refused where it is protected, which its own params say and never the request.
func (d *metalDriver) withSession(ctx context.Context, t *driver.Target, a *model.Action, class model.Class,
	run func(context.Context, *session, *driver.Target) (any, error),
) (any, error) {
	if class == model.Once {
		if err := protected(a); err != nil {
			return nil, err
		}
	}
	s, err := d.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	return run(ctx, s.(*session), t)
}

// protected refuses an action on a protected machine.
func protected(a *model.Action) error {
	var object struct{ Params model.Params }
	if err := model.Remarshal(a.Model, &object); err != nil {
		return model.Errorf(model.Invalid, "the object to act on cannot be read")
	}
	is, err := object.Params.Bool(paramProtected, false)
	if err != nil {
		return err
	}
	if is {
		return model.Errorf(model.Forbidden, "the machine is protected (%s); nothing was sent", paramProtected)
	}
	return nil
}

// updatePXE changes what the device does at a boot from the network.
func updatePXE(ctx context.Context, s *session, t *driver.Target) (any, error) {
	in := &packngo.DeviceUpdateRequest{}
	if t.Params.Has(paramAlwaysPXE) {
		always, err := t.Params.Bool(paramAlwaysPXE, false)
		if err != nil {
			return nil, err
		}
		in.AlwaysPXE = &always
	}
	if s.script != "" {
		in.IPXEScriptURL = &s.script
	}
	if in.AlwaysPXE == nil && in.IPXEScriptURL == nil {
		return nil, model.Errorf(model.Invalid, "nothing to change: set %s or %s", paramAlwaysPXE, paramScript)
	}
	d, err := s.device(ctx)
	if err != nil {
		return nil, err
	}
	if in.AlwaysPXE != nil { // what was set for one boot is not restored over it
		err = s.boots.Set(ctx, once.Order{Key: s.key, Device: d, PXE: *in.AlwaysPXE, URL: s.script, Always: true})
	} else {
		_, err = s.key.Update(ctx, s.id, in)
	}
	if err != nil {
		return nil, err
	}
	return updated(ctx, s, in)
}

// updated reads back what was changed.
func updated(ctx context.Context, s *session, in *packngo.DeviceUpdateRequest) (any, error) {
	d, err := s.device(ctx)
	if err != nil {
		return nil, err
	}
	if in.AlwaysPXE != nil && d.AlwaysPXE != *in.AlwaysPXE || in.IPXEScriptURL != nil && d.IPXEScriptURL != *in.IPXEScriptURL {
		return nil, model.Errorf(model.Timeout, "the change was taken, but always_pxe reads back as %t and ipxe_script_url as %q", d.AlwaysPXE, d.IPXEScriptURL)
	}
	res := model.Result{
		Outcome: model.Verified, Driver: name,
		Evidence: fmt.Sprintf("always_pxe reads %t, ipxe_script_url %q", d.AlwaysPXE, d.IPXEScriptURL),
	}
	if system := systemOf(d); system != metal.CustomIPXE {
		res.Note = fmt.Sprintf("it has no effect while the operating system is %s and not %s", system, metal.CustomIPXE)
	}
	return res, nil
}

// rescue restarts the device into the rescue system, which runs from memory.
func rescue(ctx context.Context, s *session, _ *driver.Target) (any, error) {
	if err := s.Prepare(ctx); err != nil {
		return nil, err
	}
	if err := s.act(ctx, "rescue", false); err != nil {
		return nil, err
	}
	return model.Result{Outcome: model.Acknowledged, Driver: name, Note: "the API tells no state of the rescue system; look at the console"}, nil
}

// reinstall installs the operating system again, which erases the disks.
func reinstall(ctx context.Context, s *session, t *driver.Target) (any, error) {
	if err := confirmed(t); err != nil {
		return nil, err
	}
	system, err := t.Asked.String(paramSystem, "")
	if err != nil {
		return nil, err
	}
	seen, err := s.watchInstall(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.boots.Before(ctx, s.id); err != nil {
		return nil, err
	}
	began := time.Now()
	err = s.key.Act(ctx, s.id, metal.Action{Type: "reinstall", OperatingSystem: system, IPXEScriptURL: s.script})
	if err == nil || metal.MaybeDone(err) {
		s.boots.Started(s.id)
	}
	if err != nil {
		return nil, err
	}
	d, err := s.await(ctx, metal.Active, seen.begun)
	if err != nil {
		return nil, err
	}
	return model.Result{
		Power: model.StateOn, Raw: d.State, Outcome: model.Verified, Driver: name, TookMs: time.Since(began).Milliseconds(),
		Evidence: fmt.Sprintf("%s, then %s with %s; %s", seen.sign, d.State, systemOf(d), life.Story(d.ProvisionEvents)),
	}, nil
}

// installWatch looks for the beginning of an installation: a device that was active
// before is so until then, too.
type installWatch struct {
	s      *session
	before string // state
	mark   string // the newest event before, "" without any
	sign   string // what showed that it began
}

// watchInstall makes one for a device that takes orders.
func (s *session) watchInstall(ctx context.Context) (*installWatch, error) {
	d, err := s.device(ctx)
	if err == nil {
		err = s.ready(d)
	}
	// Failed devices are there to be installed again.
	if err != nil && (d == nil || d.State != metal.Failed) {
		return nil, err
	}
	events, err := s.key.Events(ctx, s.id)
	if err != nil {
		return nil, err
	}
	w := &installWatch{s: s, before: d.State}
	if len(events) > 0 {
		w.mark = events[0].ID
	}
	return w, nil
}

// begun reports whether the installation has begun, by another state or by an event.
func (w *installWatch) begun(ctx context.Context, d *packngo.Device) bool {
	if w.sign == "" && d.State != w.before {
		w.sign = "state " + d.State
	}
	if w.sign != "" {
		return true
	}
	events, err := w.s.key.Events(ctx, w.s.id)
	if err != nil {
		return false // it is looked at again
	}
	for _, e := range events {
		if e.ID == w.mark {
			break
		}
		if strings.Contains(e.Type, "reinstall") || strings.HasPrefix(e.Type, "provisioning.") {
			w.sign = "event " + e.Type
			return true
		}
	}
	return false
}

// confirmed wants the machine's name once more, in the request itself.
func confirmed(t *driver.Target) error {
	text, err := t.Asked.String(paramConfirm, "")
	if err != nil {
		return err
	}
	if text == "" || text != t.Name {
		return model.Errorf(model.Invalid, "it erases the disks: confirm it with %s=%s in the request; nothing was sent", paramConfirm, t.Name)
	}
	return nil
}

// firstLook is how soon a device is looked at for the first time.
const firstLook = 100 * time.Millisecond

// await waits for the device to come into a state, and for what is to have begun
// before; nil for nothing. A device that fails, or does not come there in time, has its
// events told.
func (s *session) await(ctx context.Context, want string, begun func(context.Context, *packngo.Device) bool) (*packngo.Device, error) {
	var last *packngo.Device
	for gap := firstLook; ; gap = min(gap*3/2, max(s.poll, firstLook)) {
		d, err := s.device(ctx)
		if err != nil && (metal.IsGone(err) || ctx.Err() == nil && model.KindOf(err) != model.Unreachable && model.KindOf(err) != model.RateLimited) {
			return nil, err
		}
		if err == nil {
			last = d
			switch is := begun == nil || begun(ctx, d); {
			case is && d.State == want:
				return d, nil
			case is && d.State == metal.Failed:
				return nil, model.Errorf(model.Conflict, "the device failed: %s", life.Story(d.ProvisionEvents))
			}
		}
		timer := time.NewTimer(gap)
		select {
		case <-timer.C:
			continue
		case <-ctx.Done():
			timer.Stop()
		}
		return nil, lastSeen(last, want)
	}
}

// lastSeen is the error of a device that did not come into a state in time.
func lastSeen(last *packngo.Device, want string) error {
	switch {
	case last == nil:
		return model.Errorf(model.UnknownOutcome, "the order was taken, but the device could not be read in time")
	case last.State == want:
		return model.Errorf(model.Timeout, "the order was taken, but nothing showed that it was carried out; the device is %s as before; %s", want, life.Story(last.ProvisionEvents))
	}
	return model.Errorf(model.Timeout, "the order was taken, but %s was not seen in time; last state %s%s; %s",
		want, last.State, progress(last), life.Story(last.ProvisionEvents))
}

// events lists the device's events.
func events(ctx context.Context, s *session, _ *driver.Target) (any, error) {
	list, err := s.key.Events(ctx, s.id)
	if err != nil {
		return nil, err
	}
	out := make([]map[string]any, 0, len(list))
	for _, e := range list {
		row := map[string]any{"id": e.ID, "type": e.Type, "body": e.Body}
		if e.CreatedAt != nil {
			row["time"] = e.CreatedAt.Time
		}
		out = append(out, row)
	}
	return out, nil
}

// screenshot is what is on the device's screen.
func screenshot(ctx context.Context, s *session, _ *driver.Target) (any, error) {
	shot, err := s.key.Screenshot(ctx, s.id)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(shot.Type, "image/") {
		return nil, model.Errorf(model.Unreachable, "the API answers something of type %.60q, and no image", shot.Type)
	}
	return map[string]any{"type": shot.Type, "data": shot.Data}, nil // bytes are base64 in JSON
}

// health is the device's health in a word.
func health(ctx context.Context, s *session, _ *driver.Target) (any, error) {
	word, err := s.key.Health(ctx, s.id)
	if err != nil {
		return nil, err
	}
	return map[string]any{"health_rollup": word}, nil
}

// console is the address of the device's out-of-band console.
func console(ctx context.Context, s *session, _ *driver.Target) (any, error) {
	d, err := s.device(ctx)
	if err != nil {
		return nil, err
	}
	address := life.ConsoleOf(d)
	if address == "" {
		return nil, model.Errorf(model.Unsupported, "the API does not tell the address of the device's console")
	}
	return map[string]any{"address": address, "command": "ssh " + address}, nil
}
