package main

import (
	"context"
	"strings"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/ipmi/facts"
	"provision-plugins/ipmi/redfish"
	"provision-plugins/shared/driver"
)

var _ driver.HealthReader = (*session)(nil)

// healthOf says which part of the machine a sensor speaks of, by its type or by what
// it is on, as they are told.
var healthOf = []struct {
	kind, on string
	part     func(*redfish.Health) *facts.Health
}{
	{"Processor", "processor", func(h *redfish.Health) *facts.Health { return &h.ProcessorStatus }},
	{"Memory", "memory", func(h *redfish.Health) *facts.Health { return &h.MemoryStatus }},
	{"Drive Slot", "disk", func(h *redfish.Health) *facts.Health { return &h.StorageStatus }},
}

// Health tells how well the machine is: by the faults of its chassis (IPMI 2.0 §28.2)
// and by its sensors. Of what no sensor speaks nothing is told.
func (s *session) Health(ctx context.Context) (any, error) {
	var res chassis.GetChassisStatusResponse
	if err := s.read(ctx, false, &chassis.GetChassisStatusRequest{}, &res); err != nil {
		return nil, err
	}
	h := &redfish.Health{Status: facts.OK}
	faults(h, &res)
	all, err := s.sensors(ctx)
	switch {
	case err == nil:
		weigh(h, all)
	case lacking(err):
		h.Notes = append(h.Notes, "sensors: "+reason(err))
	default:
		return nil, err
	}
	return h, nil
}

// weigh takes what sensors tell into account.
func weigh(h *redfish.Health, all *facts.Sensors) {
	h.Notes = append(h.Notes, all.Notes...)
	for _, s := range all.Sensors {
		h.Status = h.Status.Worse(s.Health)
		for _, of := range healthOf {
			if part := of.part(h); strings.HasPrefix(s.Type, of.kind) || strings.HasPrefix(s.Entity, of.on) {
				*part = part.Worse(s.Health)
			}
		}
	}
}

// faults takes what the chassis tells into account.
func faults(h *redfish.Health, c *chassis.GetChassisStatusResponse) {
	for _, f := range []struct {
		is   bool
		note string
		of   *facts.Health
	}{
		{c.PowerFault, "a fault of the power", &h.Status},
		{c.PowerControlFault, "a fault of the control of power", &h.Status},
		{c.PowerOverload, "the power is overloaded", &h.Status},
		{c.CollingFanFault, "a fault of the cooling", &h.Status},
		{c.DriveFault, "a fault of a drive", &h.StorageStatus},
	} {
		if f.is {
			*f.of, h.Status = facts.Critical, facts.Critical
			h.Notes = append(h.Notes, "the chassis tells "+f.note)
		}
	}
}
