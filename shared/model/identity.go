package model

import (
	"slices"
	"strings"
)

// ParamIdentity pins a machine to the one device with that identity.
const ParamIdentity = "oob/identity"

// Identity tells one machine from all others. It is the answer of the
// getIdentity action of every driver.
type Identity struct {
	// ID is the identity as it is written down.
	ID string `json:"identity"`
	// Source is where it comes from: "system GUID", "serial number".
	Source string `json:"source"`
	// Aliases are other spellings of the same, as other tools show it.
	Aliases []string `json:"aliases,omitempty"`
}

// Is reports whether the identity is what a pin says. Case and space around do
// not count.
func (id Identity) Is(pin string) bool {
	want := strings.TrimSpace(pin)
	return slices.ContainsFunc(append([]string{id.ID}, id.Aliases...), func(s string) bool {
		return s != "" && strings.EqualFold(strings.TrimSpace(s), want)
	})
}

// String is the identity for people.
func (id Identity) String() string {
	if id.Source == "" {
		return id.ID
	}
	return id.ID + " (" + id.Source + ")"
}
