package bootonce

import (
	"fmt"

	"provision-plugins/shared/model"
)

// Override is the boot override of a VM: what is pending, else the device for
// the next boot, else the first of the order, which is for every boot.
func (s State) Override() model.BootOverride {
	over := model.BootOverride{Valid: true, Raw: "boot order " + s.Order.String()}
	if w, ok := parseWant(s.Pending); ok {
		over.Device, over.Persistent = Device(w.Device), w.Always
		over.Raw = fmt.Sprintf("%s; %s is pending: applied when the VM is next stopped or started", over.Raw, w)
		return over
	}
	o, ok := parseOnce(s.Once)
	switch {
	case ok && !s.Using():
		over.Device = Device(o.device)
		over.Raw += fmt.Sprintf(" for one boot; then %s again", s.Restore)
		return over
	case ok:
		before, _ := ParseOrder(s.Restore) // the zero order has no first device
		over.Device, over.Persistent = Device(before.First()), true
		over.Raw += fmt.Sprintf(" for the boot that began; then %s again, once the VM is stopped", s.Restore)
		return over
	}
	over.Device, over.Persistent = Device(s.Order.First()), true
	return over
}

// Using reports whether the order is one for a boot that has begun.
func (s State) Using() bool {
	o, ok := parseOnce(s.Once)
	return ok && o.used(s)
}

// Waits reports whether something was asked for that only a stop and a start
// can apply.
func (s State) Waits() bool {
	_, ok := parseWant(s.Pending)
	return ok && !s.Mutable
}

// BootingOnce is the device of the boot that is about to begin if the order was
// changed for that one alone, "" if it was not.
func (s State) BootingOnce() string {
	o, ok := parseOnce(s.Once)
	if !ok || !o.starting || s.Restore == s.Order.String() {
		return ""
	}
	return o.device
}
