package main

import (
	"log/slog"
	"testing"
	"time"

	"provision-plugins/packet-ipmi/once"
	"provision-plugins/shared/driver/drivertest"
	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// TestConformance judges the driver by the suite that all drivers pass, on a
// simulated API with each fault.
func TestConformance(t *testing.T) {
	drivertest.Run(t, drivertest.Config{
		New: newConformanceRig, Short: 4 * time.Second,
		Without: map[string]string{
			model.PowerSoft:    "the API has no soft shutdown",
			model.PowerNMI:     "the API has no diagnostic interrupt",
			model.NextBootCD:   "the API has no virtual media",
			model.NextBootBIOS: "the API does not reach the firmware's setup",
			model.Identify:     "the API has no locator",
		},
	})
}

// simName is what the simulator calls the commands of the vocabulary.
var simName = map[string]string{
	model.PowerOn: "power_on", model.PowerOff: "power_off", model.PowerReset: "reboot", model.PowerCycle: "power_cycle", drivertest.SetBoot: "update",
}

// device is one simulated device.
type device struct {
	*packet.Server
	id string
}

// Executed counts a command.
func (d device) Executed(command string) int { return d.Server.Executed(d.id, command) }

// Power reports whether it is on.
func (d device) Power() bool {
	now, _ := d.Device(d.id)
	return now.State == packet.Active
}

// SetPower switches it at once.
func (d device) SetPower(on bool) {
	d.Change(d.id, func(p *packet.Device) {
		p.Steps = nil
		p.State = map[bool]string{true: packet.Active, false: packet.Inactive}[on]
	})
}

// breakIt arranges a fault, and takes back the one before.
func (d device) breakIt(f drivertest.Fault, command string) {
	d.SetFaults()
	d.SetIll(d.id, packet.Ill{})
	fault := packet.Fault{On: simName[command], Times: packet.Always}
	switch f {
	case drivertest.LoseReply:
		fault.LoseReply = true
	case drivertest.LoseRequest:
		fault.LoseRequest = true
	case drivertest.Refuse:
		fault.Status, fault.Body = 422, `{"errors":["Device must be powered on"]}`
	case drivertest.Silent:
		fault.On, fault.Silent = "", true
	case drivertest.Stuck:
		d.SetIll(d.id, packet.Ill{Stuck: true})
		return
	case drivertest.Strange:
		d.SetIll(d.id, packet.Ill{Tells: "hibernating"})
		return
	case drivertest.Unreachable:
		d.Close()
		return
	default:
		return
	}
	d.SetFaults(fault)
}

// boot is the override on the device: what is restored after the next boot is the
// driver's own affair.
func (d device) boot(boots *once.Keeper) model.BootOverride {
	now, _ := d.Device(d.id)
	out := model.BootOverride{Device: model.BootDisk, Persistent: boots.Note(d.id) == nil, Valid: true}
	if now.AlwaysPXE {
		out.Device = model.BootPXE
	}
	return out
}

// newConformanceRig is one simulated device and a driver of its own.
func newConformanceRig(tb testing.TB, log *slog.Logger) *drivertest.Rig {
	sim := startSim(tb, packet.Options{})
	d := device{sim, sim.Add("default", 1, packet.Device{})[0]}
	drv := startDriver(tb, sim, log)
	return &drivertest.Rig{
		Driver: drv, Device: drivertest.Renamed(d, simName), Fault: d.breakIt,
		Params:  model.Params{paramUUID: d.id, paramKey: goodKey},
		Meets:   map[drivertest.Fault]model.Params{drivertest.Credentials: {paramKey: "not-the-Heron-at-all"}},
		Boot:    func() model.BootOverride { return d.boot(drv.boots) },
		Refused: sim.Refused,
	}
}
