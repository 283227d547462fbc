package vbox

import (
	"bytes"
	"context"
	"regexp"
	"strings"
)

// valuePrefix is what a value follows in the answers about one key.
var valuePrefix = []byte("Value: ")

// ParseValue reads what getextradata or guestproperty get printed for one key.
func ParseValue(out []byte) (value string, set bool) {
	for rest := out; len(rest) > 0; rest = afterLine(rest) {
		if bytes.HasPrefix(rest, valuePrefix) {
			value := strings.TrimSuffix(string(rest[len(valuePrefix):]), "\n")
			return strings.TrimSuffix(value, "\r"), true
		}
	}
	return "", false
}

// ExtraData reads a value that was kept with a virtual machine; set is false if
// there is none.
func (m *Manager) ExtraData(ctx context.Context, vm, key string) (value string, set bool, err error) {
	out, err := m.Run(ctx, "getextradata", vm, key)
	if err != nil {
		return "", false, err
	}
	value, set = ParseValue(out)
	return value, set, nil
}

// SetExtraData keeps a value with a virtual machine, also while it runs; "" takes
// it away. It is on disk when this returns.
func (m *Manager) SetExtraData(ctx context.Context, vm, key, value string) error {
	args := []string{"setextradata", vm, key}
	if value != "" {
		args = append(args, value)
	}
	_, err := m.Run(ctx, args...)
	return err
}

// property is one line of guestproperty enumerate.
var property = regexp.MustCompile(`(?m)^(/\S+)\s+= '(.*)'\s+@ \S+`)

// ParseGuestProperties reads what guestproperty enumerate printed.
func ParseGuestProperties(out []byte) map[string]string {
	all := map[string]string{}
	for _, m := range property.FindAllSubmatch(out, maxFields) {
		all[string(m[1])] = string(m[2])
	}
	return all
}

// GuestProperties reads what a virtual machine that runs tells of itself, such
// as /VirtualBox/VMInfo/ResetCounter.
func (m *Manager) GuestProperties(ctx context.Context, vm string) (map[string]string, error) {
	out, err := m.Run(ctx, "guestproperty", "enumerate", vm)
	return ParseGuestProperties(out), err
}
