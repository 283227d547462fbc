package packet

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"slices"
	"time"
)

// passwordLife is how long the password of an installation is told.
const passwordLife = 24 * time.Hour

// publicIPv4 is the device's address, of those for tests (RFC 2544).
func (d *Device) publicIPv4() string {
	return fmt.Sprintf("198.18.%d.%d", d.Number/250%256, d.Number%250+2)
}

// privateIPv4 is its address inside.
func (d *Device) privateIPv4() string {
	return fmt.Sprintf("10.64.%d.%d", d.Number/250%256, d.Number%250+2)
}

// macs are the addresses of its two ports, of those that nobody makes.
func (d *Device) macs() []string {
	base := fmt.Sprintf("02:00:%02x:%02x:%02x:", d.Number>>16&0xff, d.Number>>8&0xff, d.Number&0xff)
	return []string{base + "00", base + "01"}
}

// addresses are its addresses as they are told.
func (d *Device) addresses() []object {
	one := func(name, address, gateway, netmask string, family, cidr int, public bool) object {
		id := fixedID(name, d.ID)
		return object{
			"id": id, "href": "/ips/" + id, "address": address, "address_family": family, "gateway": gateway, "netmask": netmask,
			"network": gateway, "cidr": cidr, "public": public, "management": true, "manageable": true, "enabled": true,
			"created_at": stamp(d.Created), "type": map[bool]string{true: "public_ipv4", false: "private_ipv4"}[public],
		}
	}
	six := one("ipv6", fmt.Sprintf("2001:db8::%x", d.Number), "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 6, 127, true)
	six["type"] = "public_ipv6"
	return []object{
		one("ipv4", d.publicIPv4(), "198.18.0.1", "255.255.255.254", 4, 31, true), six,
		one("private", d.privateIPv4(), "10.64.0.1", "255.255.255.254", 4, 31, false),
	}
}

// ports are its ports as they are told.
func (d *Device) ports() []object {
	bond := fixedID("bond0", d.ID)
	var out []object
	for i, mac := range d.macs() {
		name := fmt.Sprintf("eth%d", i)
		id := fixedID(name, d.ID)
		out = append(out, object{
			"id": id, "href": "/ports/" + id, "type": "NetworkPort", "name": name, "data": object{"mac": mac, "bonded": true},
			"bond": object{"id": bond, "name": "bond0"}, "network_type": "layer3", "disbond_operation_supported": true, "virtual_networks": []object{},
		})
	}
	return append(out, object{
		"id": bond, "href": "/ports/" + bond, "type": "NetworkBondPort", "name": "bond0", "data": object{"bonded": true},
		"network_type": "layer3", "disbond_operation_supported": true, "virtual_networks": []object{},
	})
}

// settled reports whether a device has its addresses.
func (d *Device) settled() bool { return d.State != Queued }

// tellDevice is a device as it is told.
func (c *call) tellDevice(d *Device) object {
	ill := c.s.ills[d.ID]
	obj := object{
		"id": d.ID, "short_id": d.ShortID, "href": "/devices/" + d.ID, "hostname": d.Hostname, "description": d.Description,
		"state": cmp.Or(ill.Tells, d.State), "tags": append([]string{}, d.Tags...), "billing_cycle": d.BillingCycle,
		"user": "root", "iqn": "iqn.2026-06.net.packet:device." + d.ShortID, "locked": d.Locked, "bonding_mode": 5,
		"created_at": stamp(d.Created), "updated_at": stamp(d.Updated), "ipxe_script_url": d.IPXEScriptURL, "always_pxe": d.AlwaysPXE,
		"storage": nil, "customdata": objectOr(d.CustomData), "userdata": d.UserData, "image_url": nil, "volumes": []object{},
		"operating_system": systemOf(d.OS), "plan": planOf(d.Plan), "facility": facilityOf(d.Facility), "metro": metroOf(d.Metro),
		"project": c.tellProject(d.Project), "project_lite": href("/projects/" + d.Project), "ssh_keys": c.tellKeys(d.Project),
		"ip_addresses": []object{}, "network_ports": d.ports(), "switch_uuid": fixedID("switch", d.Facility)[:8],
		"provisioning_events": d.provisioningEvents(), "provisioning_percentage": d.percentage(), "actions": d.possible(),
		"sos": fmt.Sprintf("%s@sos.%s.platformequinix.com", d.ID, d.Facility), "spot_instance": false, "network_frozen": false,
	}
	if d.settled() {
		obj["ip_addresses"] = d.addresses()
	}
	if d.settled() && c.now.Sub(d.Created) < passwordLife {
		obj["root_password"] = d.Password()
	}
	if d.Termination != "" {
		obj["termination_time"] = d.Termination
	}
	if d.Reservation != "" {
		obj["hardware_reservation"] = href("/hardware-reservations/" + d.Reservation)
	}
	return c.shape(obj, map[string]string{
		"operating_system": "/operating-systems/" + fixedID("os", d.OS), "plan": "/plans/" + planID(d.Plan),
		"facility": "/facilities/" + fixedID("facility", d.Facility), "metro": "/locations/metros/" + fixedID("metro", d.Metro),
		"project": "/projects/" + d.Project, "ssh_keys": "/projects/" + d.Project + "/ssh-keys",
	}, "operating_system", "plan", "metro", "ssh_keys")
}

// Password is the root password of the device's installation.
func (d *Device) Password() string { return "pw-" + fixedID("password", d.ID)[:13] }

// objectOr is customdata as it is told: always an object.
func objectOr(v any) any {
	if m, isObject := v.(map[string]any); isObject {
		return m
	}
	return object{}
}

// tellProject is a device's project as it is told.
func (c *call) tellProject(id string) any {
	if p := c.s.project(id); p != nil {
		return p.tell()
	}
	return nil
}

// tellKeys are the keys of a project as links.
func (c *call) tellKeys(project string) []object {
	out := []object{}
	for _, k := range c.state.Keys {
		if k.Project == project {
			out = append(out, href("/ssh-keys/"+k.ID))
		}
	}
	return out
}

// possible are the actions that a device can be told now.
func (d *Device) possible() []object {
	out := []object{}
	for _, name := range []string{"power_on", "power_off", "reboot", "rescue", "reinstall"} {
		if slices.Contains(actions[name].from, d.State) && !d.Locked {
			out = append(out, object{"type": name, "name": name})
		}
	}
	return out
}

// reached is the event of a type that has happened in the last installation, nil if
// it has not.
func (d *Device) reached(kind string) *Event {
	for i := len(d.Events) - 1; i >= 0 && d.Events[i].Type != eventReinstalled; i-- {
		if d.Events[i].Type == kind {
			return &d.Events[i]
		}
	}
	return nil
}

// provisioningEvents are those of the installation: what is still to come has no
// id and no time.
func (d *Device) provisioningEvents() []object {
	out := []object{}
	for _, e := range installation {
		obj := object{"id": nil, "type": e.kind, "body": textOf(e.body, d), "created_at": nil, "relationships": []object{}, "interpolated": textOf(e.body, d)}
		if got := d.reached(e.kind); got != nil {
			obj["id"], obj["created_at"] = got.ID, stamp(got.At)
		}
		out = append(out, obj)
	}
	return out
}

// percentage is how far the installation is.
func (d *Device) percentage() float64 {
	n := 0
	for _, e := range installation {
		if d.reached(e.kind) != nil {
			n++
		}
	}
	return float64(100 * n / len(installation))
}

// tell is an event as it is told.
func (e *Event) tell(d *Device) object {
	return object{
		"id": e.ID, "type": e.Type, "body": e.Body, "interpolated": e.Body, "created_at": stamp(e.At), "href": "/events/" + e.ID,
		"relationships": []object{href("/devices/" + d.ID)}, "state": "created",
	}
}

// listEvents lists the events of a device, the newest first.
func listEvents(c *call, d *Device) reply {
	var out []object
	for _, e := range slices.Backward(d.Events) {
		out = append(out, e.tell(d))
	}
	return c.paged("events", out)
}

// projectEvents lists those of all devices of a project.
func projectEvents(c *call) reply {
	p, refusal := c.projectOf()
	if p == nil {
		return refusal
	}
	var out []object
	for _, d := range c.state.Devices {
		for _, e := range slices.Backward(d.Events) {
			if d.Project == p.ID {
				out = append(out, e.tell(d))
			}
		}
	}
	return c.paged("events", out)
}

// getMetadata is what a device is told of itself.
func getMetadata(c *call, d *Device) reply {
	interfaces := []object{}
	for i, mac := range d.macs() {
		interfaces = append(interfaces, object{"name": fmt.Sprintf("eth%d", i), "mac": mac, "bond": "bond0"})
	}
	return ok(object{
		"id": d.ID, "hostname": d.Hostname, "plan": d.Plan, "facility": d.Facility, "metro": d.Metro, "class": d.Plan, "state": d.State,
		"tags": append([]string{}, d.Tags...), "operating_system": systemOf(d.OS), "ssh_keys": []string{},
		"network": object{"addresses": d.addresses(), "interfaces": interfaces, "bonding": object{"mode": 5}},
		"api_url": c.s.URL(), "phone_home_url": c.s.URL() + "phone-home", "customdata": objectOr(d.CustomData),
	})
}

// listAddresses lists the addresses of a device.
func listAddresses(_ *call, d *Device) reply { return ok(object{"ip_addresses": d.addresses()}) }

// getScreenshot is what is on the screen of a device: nothing.
func getScreenshot(c *call, d *Device) reply {
	if c.s.ills[d.ID].NoDiagnostics {
		return failure(http.StatusNotImplemented, "Screenshots are not supported on this device")
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		return failure(http.StatusInternalServerError, textOops)
	}
	return reply{status: http.StatusOK, raw: buf.Bytes(), kind: "image/png"}
}

// getHealth is the health of a device in a word.
func getHealth(c *call, d *Device) reply {
	ill := c.s.ills[d.ID]
	if ill.NoDiagnostics {
		return notFound()
	}
	return ok(object{"health_rollup": cmp.Or(ill.Health, "ok")})
}
