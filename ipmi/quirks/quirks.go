// Package quirks knows which BMCs do not do as IPMI 2.0 says, and in what. It is
// data: a table of flags, and a table of the manufacturers and products that are
// publicly known to need them.
package quirks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Set is a set of flags.
type Set uint16

// The flags.
const (
	OpenSessPriv Set = 1 << iota
	NoChecksumCheck
	Suite3
	Suite17
	AuthCap
	NoParam3
	NoEFIBoot
	NoRestartCause
	OffErrors
	Slow
)

// Flag is one row of the table of flags.
type Flag struct {
	Set  Set
	Name string
	// BeforeLogin tells that it is needed before a session is open, and so before
	// the device can say what it is.
	BeforeLogin bool
	// Meaning is what the BMC does.
	Meaning string
	// Effect is what the driver does then.
	Effect string
	// Source is where it was reported.
	Source string
}

// flags is the table of flags.
var flags = []Flag{
	{
		OpenSessPriv, "opensesspriv", true,
		"makes the session keys from the privilege level of Open Session, not from that of RAKP 1",
		"does the same; without it the login fails although the password is right",
		"FreeIPMI, workaround opensesspriv (Supermicro X8DTH and X8DTG, Dell C5220, Intel S2600JF, Sun Fire with ILOM)",
	},
	{
		NoChecksumCheck, "nochecksumcheck", true,
		"sends answers with a wrong checksum",
		"does not look at the checksum; answers are authenticated all the same",
		"FreeIPMI, workaround nochecksumcheck (Supermicro X9SCM-iiF, X9DRi-F, X9DRFR)",
	},
	{
		Suite3, "suite3", true,
		"offers cipher suite 17 and gets it wrong, or does not answer at all when it is proposed",
		"offers suite 3 only",
		"ipmitool#363",
	},
	{
		Suite17, "suite17", true,
		"has cipher suite 3 no more, and agrees to it all the same or does not answer",
		"offers suite 17 only, whatever worked before",
		"go-ipmi#37 (Lenovo), openbmc#3666",
	},
	{
		AuthCap, "authcap", true,
		"tells wrong things in Get Channel Authentication Capabilities",
		"does not ask; only the doctor does otherwise",
		"FreeIPMI, workaround authcap (Asus, Intel SR1520ML and X38ML, Sun Fire with ELOM)",
	},
	{
		NoParam3, "noparam3", false,
		"fails, or sets nothing more, when boot option parameter 3 is set",
		"leaves the 60-second timer of the boot flags on; set the boot device just before the reset",
		"bifrost#105, Ironic option disable_boot_timeout",
	},
	{
		NoEFIBoot, "noefiboot", false,
		"ignores the EFI bit of the boot flags",
		"sets the device whatever the kind of firmware, and says so in a note",
		"bmclib#209 (Supermicro X11)",
	},
	{
		NoRestartCause, "norestartcause", false,
		"answers a restart cause that means nothing",
		"does not take the restart cause for proof of a reset",
		"op-test#592 (OpenBMC)",
	},
	{
		OffErrors, "offerrors", false,
		"refuses on and off with other codes than D5h when the machine is on or off already",
		"reads the state after any refusal; what is so already is success",
		"bmclib#382 (Dell), openbmc#3253 (FFh)",
	},
	{
		Slow, "slow", true,
		"loses what comes too soon after the command before, or fails under it",
		"begins commands 0.7 seconds apart, unless ipmi/min-interval says otherwise",
		"ironic-image#688, Ironic option min_command_interval",
	},
}

// Flags returns the table of flags.
func Flags() []Flag { return slices.Clone(flags) }

// Has reports whether all flags of f are in s.
func (s Set) Has(f Set) bool { return s&f == f }

// Names lists the flags by name.
func (s Set) Names() []string {
	var out []string
	for i := range flags {
		if s.Has(flags[i].Set) {
			out = append(out, flags[i].Name)
		}
	}
	return out
}

// String is the names in one word, or "none".
func (s Set) String() string {
	if names := s.Names(); len(names) > 0 {
		return strings.Join(names, ",")
	}
	return none
}

// named returns the flag of a name; ok is false if there is none.
func named(name string) (s Set, ok bool) {
	i := slices.IndexFunc(flags, func(f Flag) bool { return f.Name == name })
	if i < 0 {
		return 0, false
	}
	return flags[i].Set, true
}

// none, in an override, clears what the device is known for.
const none = "none"

// Override is what an operator says about a BMC's flags. The zero value says
// nothing.
type Override struct {
	clear       bool
	add, remove Set
}

// Parse reads an override: flags to add, "-flag" to remove one, "none" to begin
// with none at all, with commas or spaces between.
func Parse(text string) (Override, error) {
	var o Override
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	for _, word := range words {
		if word == none {
			o.clear = true
			continue
		}
		name, removes := strings.CutPrefix(word, "-")
		s, ok := named(name)
		if !ok {
			return Override{}, fmt.Errorf("%.40q is not a quirk; they are %s", word, strings.Join((^Set(0)).Names(), ", "))
		}
		if removes {
			o.remove |= s
		} else {
			o.add |= s
		}
	}
	if both := o.add & o.remove; both != 0 {
		return Override{}, fmt.Errorf("%s is both set and removed", both)
	}
	if o.add.Has(Suite3 | Suite17) {
		return Override{}, errors.New("suite3 and suite17 leave no cipher suite")
	}
	return o, nil
}

// Decides reports whether the override says by itself that a flag is on or off,
// whatever the device.
func (o Override) Decides(f Set) (on, decided bool) {
	switch {
	case o.remove.Has(f):
		return false, true
	case o.add.Has(f):
		return true, true
	}
	return false, o.clear
}

// Apply returns the flags that hold for a BMC whose device is known for some.
func (o Override) Apply(known Set) Set {
	if o.clear {
		known = 0
	}
	// Of two suites, the operator's is the one.
	if o.add&(Suite3|Suite17) != 0 {
		known &^= Suite3 | Suite17
	}
	return (known | o.add) &^ o.remove
}
