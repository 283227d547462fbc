package main

import (
	"strings"
	"time"

	"provision-plugins/sim/bmc"
)

// oddities is what can be wrong with simulated BMCs, by the name that "sim bmc"
// takes for it.
var oddities = []struct {
	name string
	make func(f *bmc.Faults)
}{
	{"bad-checksums", func(f *bmc.Faults) { f.Odd.BadChecksums = true }},
	{"clock-behind", func(f *bmc.Faults) { f.ClockSkew = -24 * time.Hour }},
	{"clock-unset", func(f *bmc.Faults) { f.ClockUnset = true }},
	{"lockout", func(f *bmc.Faults) { f.LockoutAfter = 3 }},
	{"no-efi", func(f *bmc.Faults) { f.Odd.NoEFI = true }},
	{"no-guid", func(f *bmc.Faults) { f.Odd.NilGUID, f.Odd.Codes = true, map[string]uint8{bmc.DeviceGUID: 0xc1} }},
	{"no-slots", func(f *bmc.Faults) { f.SessionsFull = true }},
	{"silent", func(f *bmc.Faults) { f.Silent = true }},
	{"slow-state", func(f *bmc.Faults) { f.Tells.Behind = 10 * time.Second }},
	{"soft-ignored", func(f *bmc.Faults) { f.SoftIgnored = true }},
	{"stuck-cause", func(f *bmc.Faults) { f.Odd.StuckCause = true }},
	{"suite-0", func(f *bmc.Faults) { f.Odd.OffersSuite0 = true }},
}

// oddNames lists the names.
func oddNames() []string {
	names := make([]string, len(oddities))
	for i := range oddities {
		names[i] = oddities[i].name
	}
	return names
}

// oddFaults is all that is named.
func oddFaults(names []string) (f bmc.Faults, err error) {
	for _, name := range names {
		known := false
		for i := range oddities {
			if oddities[i].name == name {
				oddities[i].make(&f)
				known = true
			}
		}
		if !known {
			return f, usage("--odd %q is none of %s", name, strings.Join(oddNames(), ", "))
		}
	}
	return f, nil
}
