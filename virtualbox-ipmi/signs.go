package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"provision-plugins/shared/driver"
)

// The sign of a restart: VirtualBox counts the resets of a VM's process.
const (
	signResets   = "reset counter"
	resetCounter = "/VirtualBox/VMInfo/ResetCounter"
	resetWithin  = 5 * time.Second
)

// RestartSigns reads how often the VM was reset since it was started.
func (s *session) RestartSigns(ctx context.Context, names ...string) ([]driver.Sign, error) {
	if len(names) > 0 && !slices.Contains(names, signResets) {
		return nil, nil
	}
	all, err := s.vm.GuestProperties(ctx, s.id)
	if err != nil {
		return nil, wire(err)
	}
	return resetSigns(all), nil
}

// resetSigns is the sign among guest properties. A VM that was not reset yet has
// none, and others of its process have a boot counter only.
func resetSigns(all map[string]string) []driver.Sign {
	text, ok := all[resetCounter]
	if !ok {
		text = "0"
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil
	}
	return []driver.Sign{{Name: signResets, Value: text, Proof: strconv.FormatUint(n+1, 10), Within: resetWithin}}
}
