package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/sim/packet"
)

// stock is packngo as its users have it, without anything of ours, on a simulated API.
func stock(t *testing.T, o packet.Options) (*packngo.Client, *packet.Server) {
	t.Helper()
	sim := startSim(t, o)
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	c, err := packngo.NewClient(packngo.WithAuth("stock", goodKey), packngo.WithHTTPClient(&http.Client{Transport: tr}), packngo.WithBaseURL(sim.URL()))
	if err != nil {
		t.Fatal(err)
	}
	return c, sim
}

// must fails the test for an error.
func must[T any](t *testing.T) func(v T, resp *packngo.Response, err error) T {
	return func(v T, resp *packngo.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode/100 != 2 {
			t.Errorf("status %s", resp.Status)
		}
		return v
	}
}

// reach waits until a device is in a state, as users of packngo do.
func reach(t *testing.T, c *packngo.Client, id, state string) *packngo.Device {
	t.Helper()
	var d *packngo.Device
	until(t, "the device is "+state, func() bool {
		d = must[*packngo.Device](t)(c.Devices.Get(id, nil))
		return d.State == state
	})
	return d
}

// A program of somebody else runs on the simulated API: it lists, creates, switches,
// reinstalls and deletes.
func TestStockProgram(t *testing.T) {
	t.Parallel()
	c, sim := stock(t, packet.Options{Timing: packet.Every(30 * time.Millisecond)})
	projects := must[[]packngo.Project](t)(c.Projects.List(nil))
	if len(projects) != 1 || projects[0].Name != "default" {
		t.Fatalf("projects %v", projects)
	}
	sim.Add("default", 34, packet.Device{}) // several pages, which packngo follows by itself
	if all := must[[]packngo.Device](t)(c.Devices.List(projects[0].ID, nil)); len(all) != 34 {
		t.Errorf("%d devices", len(all))
	}
	d := must[*packngo.Device](t)(c.Devices.Create(&packngo.DeviceCreateRequest{
		Hostname: "web1", Plan: "c3.small.x86", Metro: "ny", OS: "debian_12", ProjectID: projects[0].ID, BillingCycle: "hourly", Tags: []string{"web"},
	}))
	if d.State != packet.Queued || d.Metro.Code != "ny" || d.Plan.Slug != "c3.small.x86" || d.OS.Slug != "debian_12" {
		t.Errorf("created %+v", d)
	}
	d = reach(t, c, d.ID, packet.Active)
	if info := d.GetNetworkInfo(); info.PublicIPv4 == "" || info.PrivateIPv4 == "" || info.PublicIPv6 == "" || d.GetNetworkType() != packngo.NetworkTypeL3 || len(d.GetPhysicalPorts()) != 2 {
		t.Errorf("%+v, %s", info, d.GetNetworkType())
	}
	for _, step := range []struct {
		do    func(string) (*packngo.Response, error)
		state string
	}{{c.Devices.PowerOff, packet.Inactive}, {c.Devices.PowerOn, packet.Active}, {c.Devices.Reboot, packet.Active}, {c.Devices.Rescue, packet.Active}} {
		if resp, err := step.do(d.ID); err != nil || resp.StatusCode != http.StatusAccepted {
			t.Fatalf("%v, %v", resp, err)
		}
		reach(t, c, d.ID, step.state)
	}
	if _, err := c.Devices.Reinstall(d.ID, &packngo.DeviceReinstallFields{OperatingSystem: "rocky_9", PreserveData: true}); err != nil {
		t.Fatal(err)
	}
	if d = reach(t, c, d.ID, packet.Active); d.OS.Slug != "rocky_9" {
		t.Errorf("reinstalled with %s", d.OS.Slug)
	}
	if events := must[[]packngo.Event](t)(c.Devices.ListEvents(d.ID, nil)); len(events) < 10 || events[0].CreatedAt == nil {
		t.Errorf("events %v", events)
	}
	for _, lock := range []func(string) (*packngo.Response, error){c.Devices.Lock, c.Devices.Unlock} {
		if _, err := lock(d.ID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Devices.Delete(d.ID, false); err != nil {
		t.Fatal(err)
	}
	until(t, "the device is gone", func() bool {
		_, resp, err := c.Devices.Get(d.ID, nil)
		return err != nil && resp != nil && resp.StatusCode == http.StatusNotFound
	})
}

// What else users of packngo ask for.
func TestStockCatalogue(t *testing.T) {
	t.Parallel()
	c, sim := stock(t, packet.Options{})
	project := sim.ProjectID("default")
	if plans := must[[]packngo.Plan](t)(c.Plans.List(nil)); len(plans) < 5 {
		t.Errorf("plans %v", plans)
	}
	if places := must[[]packngo.Facility](t)(c.Facilities.List(nil)); places[0].Code != "ewr1" || places[0].Metro.Code != "ny" {
		t.Errorf("facilities %v", places)
	}
	if metros := must[[]packngo.Metro](t)(c.Metros.List(nil)); len(metros) < 5 {
		t.Errorf("metros %v", metros)
	}
	systems, _, err := c.OperatingSystems.List()
	if err != nil || systems[0].Slug != "custom_ipxe" {
		t.Errorf("systems %v, %v", systems, err)
	}
	k := must[*packngo.SSHKey](t)(c.SSHKeys.Create(&packngo.SSHKeyCreateRequest{
		Label: "me", Key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me", ProjectID: project,
	}))
	if keys := must[[]packngo.SSHKey](t)(c.Projects.ListSSHKeys(project, nil)); len(keys) != 1 || keys[0].FingerPrint != k.FingerPrint {
		t.Errorf("keys %v", keys)
	}
	if _, err := c.SSHKeys.Delete(k.ID); err != nil {
		t.Error(err)
	}
	p := must[*packngo.Project](t)(c.Projects.Create(&packngo.ProjectCreateRequest{Name: "lab"}))
	if _, err := c.Projects.Delete(p.ID); err != nil {
		t.Error(err)
	}
	if found := must[[]packngo.Device](t)(c.Devices.List(project, &packngo.ListOptions{Search: "nobody"})); len(found) != 0 {
		t.Errorf("found %v", found)
	}
}

// What packngo makes of the errors of the service.
func TestStockErrors(t *testing.T) {
	t.Parallel()
	c, sim := stock(t, packet.Options{})
	id := sim.Add("default", 1, packet.Device{State: packet.Inactive})[0]
	for _, row := range []struct {
		do   func() (*packngo.Response, error)
		code int
		says string
	}{
		{func() (*packngo.Response, error) { return c.Devices.PowerOff(id) }, 422, "Device must be powered on"},
		{func() (*packngo.Response, error) { return c.Devices.PowerOn(strings.Repeat("0", 8) + id[8:]) }, 404, "Not found"},
		{func() (*packngo.Response, error) {
			sim.SetFaults(packet.BadGateway("", 1))
			return c.Devices.Reboot(id)
		}, 502, "Unexpected Content-Type text/html with status 502 Bad Gateway"},
		{func() (*packngo.Response, error) { c.APIKey = "wrong"; return c.Devices.Reboot(id) }, 401, "Invalid"},
	} {
		resp, err := row.do()
		var e *packngo.ErrorResponse
		if !errors.As(err, &e) || resp.StatusCode != row.code || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%v, want %d %s", err, row.code, row.says)
		}
	}
}

// A walk as an acceptance test of an infrastructure tool takes it: create, wait until
// it is active, change always_pxe and ipxe_script_url, reinstall, delete; and read
// after each step what is to be kept.
func TestStockAcceptance(t *testing.T) {
	t.Parallel()
	c, sim := stock(t, packet.Options{Timing: packet.Every(30 * time.Millisecond)})
	project := sim.ProjectID("default")
	d := must[*packngo.Device](t)(c.Devices.Create(&packngo.DeviceCreateRequest{
		Hostname: "tfacc-ipxe", Plan: "c3.small.x86", Facility: []string{"any"}, OS: "custom_ipxe", BillingCycle: "hourly", ProjectID: project,
		IPXEScriptURL: "https://boot.example/one", AlwaysPXE: true, UserData: "#cloud-config", Tags: []string{"tfacc"},
	}))
	read := func() *packngo.Device { return reach(t, c, d.ID, packet.Active) }
	if got := read(); !got.AlwaysPXE || got.IPXEScriptURL != "https://boot.example/one" || got.UserData != "#cloud-config" || fmt.Sprint(got.Tags) != "[tfacc]" ||
		got.RootPassword == "" || got.Facility == nil || got.Facility.Code == "" || got.SOS == "" {
		t.Errorf("created %+v", got)
	}
	off, url, name := false, "https://boot.example/two", "tfacc-renamed"
	updated := must[*packngo.Device](t)(c.Devices.Update(d.ID, &packngo.DeviceUpdateRequest{AlwaysPXE: &off, IPXEScriptURL: &url, Hostname: &name}))
	if got := read(); updated.AlwaysPXE || got.AlwaysPXE || got.IPXEScriptURL != url || got.Hostname != name || got.UserData != "#cloud-config" {
		t.Errorf("updated %+v", got)
	}
	if _, err := c.Devices.Reinstall(d.ID, &packngo.DeviceReinstallFields{OperatingSystem: "custom_ipxe"}); err != nil {
		t.Fatal(err)
	}
	if n := sim.Executed(d.ID, "reinstall"); n != 1 {
		t.Errorf("reinstalled %d times", n)
	}
	if got := read(); got.IPXEScriptURL != url || got.Hostname != name {
		t.Errorf("reinstalled %+v", got)
	}
	if _, err := c.Devices.Delete(d.ID, true); err != nil {
		t.Fatal(err)
	}
	if got, _ := sim.Device(d.ID); len(got.Boots) != 2 || !got.Boots[0].PXE || !got.Boots[1].PXE {
		t.Errorf("booted %v", got.Boots)
	}
	until(t, "nothing is left", func() bool {
		left := must[[]packngo.Device](t)(c.Devices.List(project, &packngo.ListOptions{QueryParams: map[string]string{"tag": "tfacc"}}))
		return len(left) == 0
	})
}
