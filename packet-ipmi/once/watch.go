package once

import (
	"context"
	"strings"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/model"
)

// restore gives always_pxe back what it was. The caller holds the entry.
func (k *Keeper) restore(ctx context.Context, e *entry, key *metal.Key) error {
	n := e.note
	d, err := key.Update(ctx, n.Device, &packngo.DeviceUpdateRequest{AlwaysPXE: &n.Restore})
	if metal.IsGone(err) {
		return k.drop(e, n.Device)
	}
	if err != nil {
		return err
	}
	if d.AlwaysPXE != n.Restore {
		return model.Errorf(model.Timeout, "always_pxe of device %s reads back as %t, and was to be restored to %t", n.Device, d.AlwaysPXE, n.Restore)
	}
	return k.drop(e, n.Device)
}

// step looks at one device with a note and does what is due.
func (k *Keeper) step(ctx context.Context, e *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	k.mu.Lock()
	key, o := k.keyOf(e.note.Device), k.opts
	k.mu.Unlock()
	if e.gone || e.note.Device == "" || key == nil {
		return
	}
	var err error
	switch n := e.note; {
	case n.Phase != Booted:
		err = k.watch(ctx, e, key, o.Lost)
	case time.Since(n.At) >= o.Settle:
		if err = k.restore(ctx, e, key); err == nil {
			o.Logger.Info("always_pxe was restored after the boot it was set for", "device", n.Device, "always_pxe", n.Restore)
		}
	}
	if err != nil && ctx.Err() == nil {
		o.Logger.Warn("a boot override is not restored yet; it is tried again", "device", e.note.Device, "error", err)
	}
}

// watch looks whether the boot has begun that an override is for.
func (k *Keeper) watch(ctx context.Context, e *entry, key *metal.Key, lost time.Duration) error {
	n := e.note
	d, err := key.Device(ctx, n.Device)
	if metal.IsGone(err) {
		return k.drop(e, n.Device)
	}
	if err != nil {
		return err
	}
	if n.Phase == Setting {
		if d.AlwaysPXE != n.Target && time.Since(n.At) > lost {
			return k.drop(e, n.Device) // it never arrived
		}
		if d.AlwaysPXE != n.Target {
			return nil
		}
	}
	events, err := key.Events(ctx, n.Device)
	if err != nil {
		return err
	}
	was := n
	n.Phase = Armed
	if started(n, d.State, events) {
		n.Phase = Booted
	}
	n.Seen = d.State
	if n.Phase == was.Phase && n.Seen == was.Seen {
		return nil
	}
	return k.put(e, n)
}

// starts are words in the types of events of a device that starts.
var starts = []string{"reboot", "powered_on", "power_on", "reinstall"}

// started reports whether a device has started since its note was written: it was
// off, and is on; or an event tells so.
func started(n Note, state string, events []packngo.Event) bool {
	switch n.Seen {
	case metal.Inactive, metal.PoweringOn, metal.PoweringOff, metal.Reinstalling:
		if state == metal.Active {
			return true
		}
	}
	for _, e := range events {
		if e.ID == n.Mark {
			return false
		}
		for _, word := range starts {
			if strings.Contains(strings.ToLower(e.Type), word) {
				return true
			}
		}
	}
	return false
}
