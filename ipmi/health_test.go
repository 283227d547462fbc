package main

import (
	"testing"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/ipmi/facts"
	"provision-plugins/ipmi/redfish"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// The health is the worst of what sensors tell, and of parts of which none speaks
// nothing is told.
func TestHealth(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmc.Options{On: true, Sessions: 20})
	got := answer[*redfish.Health](t, model.Status, b)
	if got.Status != facts.OK || got.ProcessorStatus != facts.OK || got.MemoryStatus != "" || got.StorageStatus != "" || got.Notes != nil {
		t.Errorf("%+v", got)
	}
	b.SetSensor(bmc.CPUTemp, bmc.SensorState{Reading: 90})
	if got = answer[*redfish.Health](t, model.Status, b); got.Status != facts.Warning || got.ProcessorStatus != facts.Warning {
		t.Errorf("%+v", got)
	}
	b.SetSensor(bmc.Fan1, bmc.SensorState{Reading: 1})
	if got = answer[*redfish.Health](t, model.Status, b); got.Status != facts.Critical || got.ProcessorStatus != facts.Warning {
		t.Errorf("%+v", got)
	}
	b.SetFaults(bmc.Faults{Odd: bmc.Odd{Codes: map[string]uint8{bmc.SDRInfo: 0xc1}}})
	if got = answer[*redfish.Health](t, model.Status, b); got.Status != facts.OK || got.ProcessorStatus != "" || len(got.Notes) != 1 {
		t.Errorf("%+v", got)
	}
}

// Faults of the chassis count, each with a note.
func TestHealthOfTheChassis(t *testing.T) {
	for name, c := range map[string]*chassis.GetChassisStatusResponse{
		"power": {PowerFault: true}, "control": {PowerControlFault: true}, "overload": {PowerOverload: true}, "cooling": {CollingFanFault: true},
	} {
		h := &redfish.Health{Status: facts.OK}
		if faults(h, c); h.Status != facts.Critical || len(h.Notes) != 1 || h.StorageStatus != "" {
			t.Errorf("%s: %+v", name, h)
		}
	}
	h := &redfish.Health{Status: facts.OK}
	if faults(h, &chassis.GetChassisStatusResponse{DriveFault: true}); h.Status != facts.Critical || h.StorageStatus != facts.Critical {
		t.Errorf("%+v", h)
	}
	if faults(h, &chassis.GetChassisStatusResponse{}); len(h.Notes) != 1 {
		t.Errorf("%+v", h)
	}
}
