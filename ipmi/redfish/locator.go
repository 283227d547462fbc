package redfish

import (
	"context"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

var (
	_ driver.Identifier     = (*Session)(nil)
	_ driver.LocatorReader  = (*Session)(nil)
	_ driver.IdentityReader = (*Session)(nil)
)

// lamp is a resource with a locator: the system, or the chassis it is in.
type lamp struct {
	path   string
	read   *answer
	active *bool   // LocationIndicatorActive, which newer BMCs have
	led    *string // IndicatorLED
}

// lamp finds the locator.
func (s *Session) lamp(ctx context.Context) (*lamp, error) {
	sys, a, err := s.system(ctx)
	if err != nil {
		return nil, err
	}
	l := &lamp{s.path, a, sys.LocationIndicatorActive, sys.IndicatorLED}
	for _, c := range sys.Links.Chassis {
		if l.active != nil || l.led != nil {
			break
		}
		var chassis system // the same two properties
		if a, err = s.bmc.get(ctx, c.ID, &chassis); err != nil {
			return nil, err
		}
		l = &lamp{c.ID, a, chassis.LocationIndicatorActive, chassis.IndicatorLED}
	}
	if l.active == nil && l.led == nil {
		return nil, model.Errorf(model.Unsupported, "BMC %s: the system has no locator", s.bmc.key.peer)
	}
	return l, nil
}

// ledOff is an indicator that is not lit (Resource, IndicatorLED).
const ledOff = "Off"

// Identify lights the locator or puts it out. Redfish has no time for it: it stays
// lit.
func (s *Session) Identify(ctx context.Context, d time.Duration) error {
	l, err := s.lamp(ctx)
	if err != nil {
		return err
	}
	if l.active != nil {
		return s.bmc.patch(ctx, l.path, l.read, map[string]any{"LocationIndicatorActive": d > 0})
	}
	words := []string{ledOff}
	if d > 0 {
		words = []string{"Blinking", "Lit"} // some have only the second
	}
	for _, word := range words {
		err = s.bmc.patch(ctx, l.path, l.read, map[string]any{"IndicatorLED": word})
		if model.KindOf(err) != model.Unsupported {
			break
		}
	}
	return err
}

// Locator reads whether the locator is lit.
func (s *Session) Locator(ctx context.Context) (bool, error) {
	l, err := s.lamp(ctx)
	if err != nil {
		return false, err
	}
	if l.active != nil {
		return *l.active, nil
	}
	return *l.led != ledOff, nil
}

// noUUID is what systems have whose maker did not give them one.
const noUUID = "00000000-0000-0000-0000-000000000000"

// Identity reads the UUID of the system, or its serial number (ComputerSystem).
func (s *Session) Identity(ctx context.Context) (model.Identity, error) {
	sys, _, err := s.system(ctx)
	switch {
	case err != nil:
		return model.Identity{}, err
	case sys.UUID != "" && sys.UUID != noUUID:
		return model.Identity{ID: sys.UUID, Source: "system UUID"}, nil
	case sys.SerialNumber != "":
		return model.Identity{ID: sys.SerialNumber, Source: "system serial number"}, nil
	}
	return model.Identity{}, model.Errorf(model.Unsupported, "BMC %s: the system tells neither UUID nor serial number", s.bmc.key.peer)
}
