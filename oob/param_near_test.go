package main

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"ipmi/address", "ipmi/min-interval", "ipmi/mode", "ipmi/password", "ipmi/port-ipmitool", "ipmi/port-redfish-of-old", "oob/timeout", "oob/wait"}
	for name, want := range map[string]string{
		"ipmi/port":       "ipmi/port-ipmitool",
		"ipmi/addrss":     "ipmi/address",
		"ipmi/passwrod":   "ipmi/password",
		"oob/time-out":    "oob/timeout",
		"oob/timeouts":    "oob/timeout",
		"timeout":         "",
		"ipmi/mod":        "ipmi/mode",
		"rack":            "",
		"i":               "",
		"":                "",
		"oob/waits-for-x": "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q is nearest to %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"ab", "ba", 2}} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q to %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
