package packet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

var deviceRoutes = []route{
	{"GET /projects/{project}/devices", "list", listDevices},
	{"POST /projects/{project}/devices", "create", createDevice},
	{"GET /devices/{id}", "get", onDevice(getDevice)},
	{"PUT /devices/{id}", "update", onDevice(updateDevice)},
	{"PATCH /devices/{id}", "update", onDevice(updateDevice)},
	{"DELETE /devices/{id}", "delete", onDevice(deleteDevice)},
	{"POST /devices/{id}/actions", "action", onDevice(actOnDevice)},
	{"GET /devices/{id}/events", "events", onDevice(listEvents)},
	{"GET /projects/{project}/events", "events", projectEvents},
	{"GET /devices/{id}/metadata", "read metadata", onDevice(getMetadata)},
	{"GET /devices/{id}/ips", "list ips", onDevice(listAddresses)},
	{"GET /devices/{id}/diagnostics/screenshot", "read screenshot", onDevice(getScreenshot)},
	{"GET /devices/{id}/diagnostics/health/rollup", "read health", onDevice(getHealth)},
}

// onDevice is a handler of the device of the path.
func onDevice(handle func(c *call, d *Device) reply) func(*call) reply {
	return func(c *call) reply {
		d := c.s.device(c.r.PathValue("id"))
		switch {
		case d == nil:
			return notFound()
		case !c.sees(d.Project):
			return failure(http.StatusForbidden, textForbidden)
		}
		return handle(c, d)
	}
}

// projectOf is the project of a list's path, nil with the answer to give.
func (c *call) projectOf() (*project, reply) {
	p := c.s.project(c.r.PathValue("project"))
	switch {
	case p == nil:
		return nil, notFound()
	case !c.sees(p.ID):
		return nil, failure(http.StatusForbidden, "You are not authorized to view this project")
	}
	return p, reply{}
}

// filters are the filters of the list of devices.
var filters = map[string]func(d *Device, value string) bool{
	"hostname":    func(d *Device, v string) bool { return d.Hostname == v },
	"tag":         func(d *Device, v string) bool { return slices.Contains(d.Tags, v) },
	"mac_address": func(d *Device, v string) bool { return slices.Contains(d.macs(), strings.ToLower(v)) },
	"metro":       func(d *Device, v string) bool { return d.Metro == v },
	"facility":    func(d *Device, v string) bool { return d.Facility == v },
	"type":        func(d *Device, v string) bool { return d.Plan == v },
	"reserved":    func(d *Device, v string) bool { return strconv.FormatBool(d.Reservation != "") == v },
	"has_termination_time": func(d *Device, v string) bool {
		return strconv.FormatBool(d.Termination != "") == v
	},
	"search": func(d *Device, v string) bool {
		places := append([]string{d.Hostname, d.Description, d.ID, d.ShortID, d.Plan, d.Facility, d.OS}, d.Tags...)
		return slices.ContainsFunc(append(places, d.publicIPv4()), func(s string) bool { return strings.Contains(s, v) })
	},
}

// passes reports whether a device passes the filters of a query.
func (d *Device) passes(query url.Values) bool {
	for name, keep := range filters {
		if v := query.Get(name); v != "" && !keep(d, v) {
			return false
		}
	}
	return true
}

// listDevices lists the devices of a project.
func listDevices(c *call) reply {
	p, refusal := c.projectOf()
	if p == nil {
		return refusal
	}
	query := c.r.URL.Query()
	var out []*Device
	for _, d := range c.state.Devices {
		if d.Project == p.ID && d.passes(query) {
			out = append(out, d)
		}
	}
	return paged(c, "devices", out, c.tellDevice)
}

// getDevice tells one device.
func getDevice(c *call, d *Device) reply { return ok(c.tellDevice(d)) }

// anyOf is one name or a list of them, of which the first that fits is taken.
type anyOf []string

// UnmarshalJSON takes both.
func (a *anyOf) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = anyOf{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// createRequest is the body of a create.
type createRequest struct {
	Hostname        string   `json:"hostname"`
	Plan            string   `json:"plan"`
	Facility        anyOf    `json:"facility"`
	Metro           string   `json:"metro"`
	OperatingSystem string   `json:"operating_system"`
	BillingCycle    string   `json:"billing_cycle"`
	UserData        string   `json:"userdata"`
	Tags            []string `json:"tags"`
	Description     string   `json:"description"`
	IPXEScriptURL   string   `json:"ipxe_script_url"`
	AlwaysPXE       bool     `json:"always_pxe"`
	Reservation     string   `json:"hardware_reservation_id"`
	Locked          bool     `json:"locked"`
	Termination     any      `json:"termination_time"`
	CustomData      any      `json:"customdata"`
}

// problems lists what is wrong with a create.
func (in *createRequest) problems() []string {
	var out []string
	if in.Plan == "" {
		out = append(out, "Plan can't be blank")
	} else if planOf(in.Plan) == nil {
		out = append(out, "Plan is not valid")
	}
	if in.OperatingSystem == "" {
		out = append(out, "Operating system can't be blank")
	} else if systemOf(in.OperatingSystem) == nil {
		out = append(out, "Operating system is not valid")
	}
	switch {
	case in.Metro == "" && len(in.Facility) == 0:
		out = append(out, "Metro or facility can't be blank")
	case in.Metro != "" && len(in.Facility) > 0:
		out = append(out, "Metro and facility cannot both be given")
	case in.Metro != "" && metroOf(in.Metro) == nil:
		out = append(out, "Metro is not valid")
	case in.Metro == "" && in.place() == "":
		out = append(out, "Facility is not valid")
	}
	return out
}

// place is the facility to create in, "" if there is none of those asked for.
func (in *createRequest) place() string {
	for _, p := range places {
		if in.Metro == p.metro || slices.Contains(in.Facility, p.facility) || slices.Contains(in.Facility, "any") {
			return p.facility
		}
	}
	return ""
}

// createDevice makes a device, which then goes its way to active.
func createDevice(c *call) reply {
	p, refusal := c.projectOf()
	if p == nil {
		return refusal
	}
	var in createRequest
	if c.decode(&in) != nil {
		return badBody()
	}
	if wrong := in.problems(); wrong != nil {
		return invalid(wrong...)
	}
	d := &Device{
		Project: p.ID, Hostname: in.Hostname, Description: in.Description, Plan: in.Plan, Facility: in.place(), OS: in.OperatingSystem,
		Tags: in.Tags, Locked: in.Locked, AlwaysPXE: in.AlwaysPXE, IPXEScriptURL: in.IPXEScriptURL, UserData: in.UserData,
		CustomData: in.CustomData, BillingCycle: in.BillingCycle, Reservation: in.Reservation,
	}
	if text, isText := in.Termination.(string); isText {
		d.Termination = text
	}
	c.s.fill(d)
	t := c.s.opts.Timing
	steps := append([]Step{{Wait: t.Queued, State: Provisioning}}, d.install(t.Provisioning)...)
	d.plan(c.now, steps...)
	c.state.Devices = append(c.state.Devices, d)
	return reply{status: http.StatusCreated, body: c.tellDevice(d)}.done(d.ID, "create")
}

// fill gives a device what every one has.
func (s *Server) fill(d *Device) {
	d.ID = cmp.Or(d.ID, s.newID())
	d.ShortID = d.ID[:8]
	d.State = Queued
	d.Hostname = cmp.Or(d.Hostname, "host-"+d.ShortID)
	d.Plan = cmp.Or(d.Plan, "baremetal_0")
	d.Facility = cmp.Or(d.Facility, "ewr1")
	d.OS = cmp.Or(d.OS, customIPXE)
	d.BillingCycle = cmp.Or(d.BillingCycle, "hourly")
	for _, p := range places {
		if p.facility == d.Facility {
			d.Metro = p.metro
		}
	}
	d.Number = int(s.state.Seq)
	now := s.opts.Now()
	d.Created, d.Updated = now, now
}

// installation is what happens while a device is provisioned.
var installation = []struct{ kind, body string }{
	{"provisioning.101", "Provisioning started"},
	{"provisioning.102", "Network configured with addresses %s and %s"},
	{"provisioning.103", "Configuration written, restarting device"},
	{"provisioning.104", "Connected to magic install system"},
	{"provisioning.107", "Server networking interfaces configured"},
	{"provisioning.109", "Installation finished, rebooting server"},
}

// install are the steps of an installation that takes a time, at whose end the device
// starts from it.
func (d *Device) install(takes time.Duration) []Step {
	steps := make([]Step, len(installation))
	for i, e := range installation {
		steps[i] = Step{Event: e.kind, Body: textOf(e.body, d), Wait: takes / time.Duration(len(installation))}
	}
	last := &steps[len(steps)-1]
	last.State, last.Boots, last.First = Active, true, true
	return steps
}

// textOf is the body of an event of a device.
func textOf(body string, d *Device) string {
	if strings.Contains(body, "%s") {
		return fmt.Sprintf(body, d.publicIPv4(), d.privateIPv4())
	}
	return body
}

// updateDevice changes what may be changed.
func updateDevice(c *call, d *Device) reply {
	var in struct {
		Hostname      *string   `json:"hostname"`
		Description   *string   `json:"description"`
		UserData      *string   `json:"userdata"`
		Locked        *bool     `json:"locked"`
		Tags          *[]string `json:"tags"`
		AlwaysPXE     *bool     `json:"always_pxe"`
		IPXEScriptURL *string   `json:"ipxe_script_url"`
		BillingCycle  *string   `json:"billing_cycle"`
		CustomData    *any      `json:"customdata"`
	}
	if c.decode(&in) != nil {
		return badBody()
	}
	set(&d.Hostname, in.Hostname)
	set(&d.Description, in.Description)
	set(&d.UserData, in.UserData)
	set(&d.Locked, in.Locked)
	set(&d.Tags, in.Tags)
	set(&d.AlwaysPXE, in.AlwaysPXE)
	set(&d.IPXEScriptURL, in.IPXEScriptURL)
	set(&d.BillingCycle, in.BillingCycle)
	set(&d.CustomData, in.CustomData)
	d.Updated = c.now
	return ok(c.tellDevice(d)).done(d.ID, "update")
}

// set sets what was given.
func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// deleteDevice takes a device away.
func deleteDevice(c *call, d *Device) reply {
	switch {
	case d.Locked:
		return invalid("Cannot delete a locked item")
	case d.State == Queued || d.State == Provisioning || d.State == Reinstalling:
		return invalid("Cannot delete a device while it is provisioning")
	case d.State == Deprovisioning:
		return invalid("Cannot delete a device while it is deprovisioning")
	}
	c.s.tell(d, c.now, "instance.deprovisioned", "Device deprovision started")
	d.State = Deprovisioning
	d.plan(c.now, Step{Wait: c.s.opts.Timing.Deprovisioning, State: Deleted})
	return reply{status: http.StatusNoContent}.done(d.ID, "delete")
}
