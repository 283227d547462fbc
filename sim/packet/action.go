package packet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// action is something that a device can be told to do.
type action struct {
	from   []string // the states in which it can
	refuse string   // what it says in another one that lasts
	start  func(c *call, d *Device, in actionRequest) string
}

// actionRequest is the body of an action.
type actionRequest struct {
	Type            string  `json:"type"`
	OperatingSystem string  `json:"operating_system"`
	IPXEScriptURL   *string `json:"ipxe_script_url"`
	PreserveData    bool    `json:"preserve_data"`
	DeprovisionFast bool    `json:"deprovision_fast"`
}

// actions are all of them; each begins and returns what is wrong, if anything.
var actions = map[string]action{
	"power_on":  {[]string{Inactive}, "Device must be powered off", startPowerOn},
	"power_off": {[]string{Active}, "Device must be powered on", startPowerOff},
	"reboot":    {[]string{Active}, "Device must be powered on", startReboot},
	"rescue":    {[]string{Active}, "Device must be powered on", startRescue},
	"reinstall": {[]string{Active, Inactive, Failed}, "Device cannot be reinstalled", startReinstall},
}

// actionOf is the type of an action's body, for the ledger and faults.
func actionOf(body []byte) string {
	var in actionRequest
	if json.Unmarshal(body, &in) != nil || in.Type == "" {
		return "action"
	}
	return in.Type
}

// actOnDevice begins an action.
func actOnDevice(c *call, d *Device) reply {
	var in actionRequest
	if c.decode(&in) != nil {
		return badBody()
	}
	a, known := actions[in.Type]
	switch {
	case !known:
		return invalid("Type is not included in the list")
	case d.Locked:
		return invalid("Cannot perform this action on a locked device")
	case !slices.Contains(a.from, d.State) && (d.State == Active || d.State == Inactive):
		return invalid(a.refuse)
	case !slices.Contains(a.from, d.State):
		return invalid(fmt.Sprintf("Cannot %s a device while it is %s", in.Type, d.State))
	}
	if !c.s.ills[d.ID].Stuck {
		if wrong := a.start(c, d, in); wrong != "" {
			return invalid(wrong)
		}
	}
	return reply{status: http.StatusAccepted}.done(d.ID, in.Type)
}

// startPowerOn switches on.
func startPowerOn(c *call, d *Device, _ actionRequest) string {
	d.State = PoweringOn
	d.plan(c.now, Step{Wait: c.s.opts.Timing.PoweringOn, State: Active, Event: "instance.powered_on", Body: "Device powered on", Boots: true})
	return ""
}

// startPowerOff switches off.
func startPowerOff(c *call, d *Device, _ actionRequest) string {
	d.State = PoweringOff
	d.plan(c.now, Step{Wait: c.s.opts.Timing.PoweringOff, State: Inactive, Event: "instance.powered_off", Body: "Device powered off"})
	return ""
}

// startReboot restarts, without a state of its own.
func startReboot(c *call, d *Device, _ actionRequest) string {
	c.s.tell(d, c.now, "instance.rebooted", "Device rebooted")
	d.plan(c.now, Step{Wait: c.s.opts.Timing.Boot, Boots: true})
	return ""
}

// startRescue restarts into the rescue system, which is not on the device.
func startRescue(c *call, d *Device, _ actionRequest) string {
	c.s.tell(d, c.now, "instance.rescued", "Device rebooted into rescue mode")
	d.Steps = nil
	return ""
}

// eventReinstalled is the event with which another installation begins.
const eventReinstalled = "instance.reinstalled"

// startReinstall installs an operating system again.
func startReinstall(c *call, d *Device, in actionRequest) string {
	if in.OperatingSystem != "" && systemOf(in.OperatingSystem) == nil {
		return "Operating system is not valid"
	}
	if in.OperatingSystem != "" {
		d.OS = in.OperatingSystem
	}
	set(&d.IPXEScriptURL, in.IPXEScriptURL)
	d.State = Reinstalling
	c.s.tell(d, c.now, eventReinstalled, "Device reinstall started")
	d.plan(c.now, d.install(c.s.opts.Timing.Reinstalling)...)
	return ""
}
