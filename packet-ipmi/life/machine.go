package life

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/packethost/packngo"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// stateGone is packet/state of a machine whose device is not there any more.
const stateGone = "gone"

// ParamsOf are the params that a machine has of its device.
func ParamsOf(d *packngo.Device) map[string]any {
	out := map[string]any{paramUUID: d.ID, paramState: d.State, paramSOS: ConsoleOf(d), paramName: d.Hostname}
	if d.Plan != nil && d.Plan.Slug != "" {
		out[paramPlan] = d.Plan.Slug
	}
	if d.Facility != nil && d.Facility.Code != "" {
		out[paramFacility] = d.Facility.Code
	}
	if d.Metro != nil && d.Metro.Code != "" {
		out[paramMetro] = d.Metro.Code
	}
	if d.OS != nil && d.OS.Slug != "" {
		out[paramSystem] = d.OS.Slug
	}
	if d.Project != nil {
		id := d.Project.ID
		if id == "" {
			id = d.Project.URL[strings.LastIndex(d.Project.URL, "/")+1:]
		}
		out[paramProject] = id
	}
	return out
}

// ConsoleOf is the address of the out-of-band console of a device, for ssh; "" if it
// is not known.
func ConsoleOf(d *packngo.Device) string {
	switch {
	case strings.Contains(d.SOS, "@"):
		return d.SOS
	case d.SOS != "":
		return d.ID + "@" + d.SOS
	case d.Facility != nil && d.Facility.Code != "":
		return fmt.Sprintf("%s@sos.%s.packet.net", d.ID, d.Facility.Code)
	}
	return ""
}

// hardwareOf are the MAC addresses of a device.
func hardwareOf(d *packngo.Device) []string {
	out := []string{}
	for _, p := range d.NetworkPorts {
		if mac := strings.ToLower(p.Data.MAC); p.Type == "NetworkPort" && mac != "" {
			out = append(out, mac)
		}
	}
	return out
}

// link has a machine say what its device is: params, address, MAC addresses and the
// profile of its console. What is so already is not sent.
func (o Options) link(ctx context.Context, machine string, d *packngo.Device) error {
	mc, err := o.Endpoint.Machines().Get(ctx, machine)
	if err != nil {
		return err
	}
	want := ParamsOf(d)
	if mc.Params.Has(paramProblem) {
		want[paramProblem] = ""
	}
	for name, v := range want {
		if reflect.DeepEqual(mc.Params[name], v) {
			delete(want, name)
		}
	}
	ops := paramOps(want)
	if address := d.GetNetworkInfo().PublicIPv4; address != "" && address != mc.Address {
		ops = append(ops, client.Replace("/Address", address))
	}
	if macs := hardwareOf(d); len(macs) > 0 && !slices.Equal(macs, mc.HardwareAddrs) {
		ops = append(ops, client.Replace("/HardwareAddrs", macs))
	}
	if !slices.Contains(mc.Profiles, consoleProfile) {
		ops = append(ops, client.Add("/Profiles/-", consoleProfile))
	}
	if len(ops) == 0 {
		return nil
	}
	_, err = o.Endpoint.Machines().Patch(ctx, machine, ops...)
	return err
}

// machineFor is a machine for a device that has none.
func (o Options) machineFor(d *packngo.Device, name string) *model.Machine {
	mc := model.NewMachine(name)
	mc.Params = ParamsOf(d)
	mc.Params[paramPlugin] = o.Plugin
	mc.Address = d.GetNetworkInfo().PublicIPv4
	mc.HardwareAddrs = hardwareOf(d)
	mc.Profiles = []string{consoleProfile}
	return mc
}
