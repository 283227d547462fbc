// Package bootonce says how to boot a VirtualBox VM once from another device.
//
// VirtualBox has only a boot order, which cannot change while a VM runs. So the
// order is changed while the VM is off, and what it was is kept with the VM in
// its extradata, which can always be written. The package has no side effects:
// Next returns one step after the other, each small enough that whoever dies
// between two of them, or in one, can begin again with what he then finds.
package bootonce

import (
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// The extradata keys in which the state is kept.
const (
	KeyPending = "drp/boot-pending" // what was asked for and is not applied yet
	KeyRestore = "drp/boot-restore" // the order to go back to
	KeyOnce    = "drp/boot-once"    // the device that the order was changed for, and how far that is
)

// Slots is how many places a boot order has.
const Slots = 4

// Order is a boot order in VirtualBox's words: none, floppy, dvd, disk, net.
type Order [Slots]string

// words are what may stand in a slot.
var words = []string{"none", "floppy", "dvd", "disk", "net"}

// String is the order as it is kept: "net,disk,none,none".
func (o Order) String() string { return strings.Join(o[:], ",") }

// ParseOrder reads what String wrote; ok is false for anything else.
func ParseOrder(text string) (o Order, ok bool) {
	parts := strings.Split(text, ",")
	if len(parts) != Slots {
		return o, false
	}
	for i, p := range parts {
		if !slices.Contains(words, p) {
			return Order{}, false
		}
		o[i] = p
	}
	return o, true
}

// First is the first device of the order, none if it has none.
func (o Order) First() string {
	for _, d := range o {
		if d != "none" && d != "" {
			return d
		}
	}
	return "none"
}

// With returns the order with a device in front and the others behind, each
// once: VirtualBox keeps a device in two slots, and would lose another.
func (o Order) With(device string) Order {
	out := Order{device}
	n := 1
	for _, d := range o {
		if n < Slots && d != "none" && d != "" && !slices.Contains(out[:n], d) {
			out[n] = d
			n++
		}
	}
	for ; n < Slots; n++ {
		out[n] = "none"
	}
	return out
}

// Devices ties boot devices to VirtualBox's words for them.
var devices = map[model.BootDevice]string{
	model.BootPXE: "net", model.BootDisk: "disk", model.BootCD: "dvd",
}

// Word is VirtualBox's word for a device, "" if it cannot boot from it.
func Word(d model.BootDevice) string { return devices[d] }

// Device is the device of a word.
func Device(word string) model.BootDevice {
	for d, w := range devices {
		if w == word {
			return d
		}
	}
	if word == "none" || word == "" {
		return model.BootNone
	}
	return model.BootOther
}

// State is what is known of a VM.
type State struct {
	Order Order
	// Mutable tells that the order can be changed: the VM is off, not saved, and
	// nobody has a session with it.
	Mutable bool
	// Changed is VMStateChangeTime: it tells whether the VM ran since.
	Changed string
	// Pending, Restore and Once are the values of the keys, "" where there is none.
	Pending, Restore, Once string
}

// Want is what was asked for: a device for the next boot, or for every one.
type Want struct {
	Device string // VirtualBox's word
	Always bool
}

// The second word of a Want as it is kept.
const (
	wordOnce   = "once"
	wordAlways = "always"
)

// String is the Want as it is kept.
func (w Want) String() string {
	if w.Always {
		return w.Device + " " + wordAlways
	}
	return w.Device + " " + wordOnce
}

// parseWant reads what String wrote; ok is false for anything else.
func parseWant(text string) (w Want, ok bool) {
	device, often, _ := strings.Cut(text, " ")
	if !slices.Contains(words, device) || device == "none" || often != wordOnce && often != wordAlways {
		return Want{}, false
	}
	return Want{Device: device, Always: often == wordAlways}, true
}

// The second word of KeyOnce.
const (
	wordArmed    = "armed"    // the order is changed, or about to be
	wordStarting = "starting" // the VM was about to be started; the third word is Changed from before
)

// once is KeyOnce, read.
type once struct {
	device   string
	starting bool
	mark     string // Changed from before the start
}

// String is KeyOnce as it is kept.
func (o once) String() string {
	if o.starting {
		return o.device + " " + wordStarting + " " + o.mark
	}
	return o.device + " " + wordArmed
}

// parseOnce reads what String wrote; ok is false for anything else.
func parseOnce(text string) (o once, ok bool) {
	parts := strings.Split(text, " ")
	if !slices.Contains(words, parts[0]) || parts[0] == "none" {
		return once{}, false
	}
	switch {
	case len(parts) == 2 && parts[1] == wordArmed:
		return once{device: parts[0]}, true
	case len(parts) == 3 && parts[1] == wordStarting:
		return once{device: parts[0], starting: true, mark: parts[2]}, true
	}
	return once{}, false
}

// used reports whether the VM has run since the mark was set.
func (o once) used(s State) bool {
	return o.starting && !sameTime(o.mark, s.Changed)
}

// wholeSeconds is the length of a time without its fraction.
const wholeSeconds = len("2026-11-20T09:54:09")

// sameTime compares two times. VirtualBox loses the fraction when its service
// starts anew, so one that has none is the same as any of that second.
func sameTime(a, b string) bool {
	if a == b {
		return true
	}
	return (fraction(a) == "" || fraction(b) == "") && cut(a) == cut(b)
}

// cut is a time without its fraction.
func cut(t string) string { return t[:min(len(t), wholeSeconds)] }

// fraction is the fraction of a time, "" if it is zero.
func fraction(t string) string { return strings.Trim(t[len(cut(t)):], ".0Z") }
