package life

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// tagOf is the tag of a device that was made for a machine.
func tagOf(machine string) string { return "oob-machine:" + machine }

// find finds the device that was made for a machine, nil if there is none. Of several
// the oldest counts, which is the first.
func (o Options) find(ctx context.Context, project, machine string) (*packngo.Device, error) {
	devices, err := o.API.Devices(ctx, project, tagOf(machine))
	if err != nil {
		return nil, err
	}
	// The API may not know the filter, and list them all.
	devices = slices.DeleteFunc(devices, func(d packngo.Device) bool {
		return !slices.Contains(d.Tags, tagOf(machine)) || d.State == metal.Deprovisioning || d.State == metal.Deleted
	})
	if len(devices) == 0 {
		return nil, nil
	}
	if len(devices) > 1 {
		o.Logger.WarnContext(ctx, "several devices have the tag of one machine", "machine", machine, "devices", len(devices))
	}
	return &devices[0], nil
}

// project is the project to create in: that of a machine, else the plugin's, else the
// first of the account.
func (o Options) project(ctx context.Context, own string) (string, error) {
	if id := cmp.Or(own, o.Project); id != "" {
		return id, metal.CheckID(paramProject, id)
	}
	projects, err := o.API.Projects(ctx)
	if err != nil {
		return "", err
	}
	if len(projects) == 0 {
		return "", model.Errorf(model.Conflict, "the account has no project; make one, or set %s", paramProject)
	}
	return projects[0].ID, nil
}

// request is what the API is told to create for a machine, by its params, also those
// of its profiles.
func (o Options) request(ctx context.Context, mc *model.Machine) (*packngo.DeviceCreateRequest, error) {
	params, err := o.Endpoint.Machines().Params(ctx, mc.Uuid, client.View{Aggregate: true})
	if err != nil {
		return nil, err
	}
	in, err := Request(params, o.Defaults)
	if err != nil {
		return nil, err
	}
	if in.ProjectID, err = o.project(ctx, in.ProjectID); err != nil {
		return nil, err
	}
	in.Hostname = cmp.Or(in.Hostname, mc.Name)
	if in.IPXEScriptURL == "" && in.OS == metal.CustomIPXE && o.FileServer != "" {
		in.IPXEScriptURL = strings.TrimRight(o.FileServer, "/") + "/default.ipxe"
	}
	in.Tags = append(in.Tags, tagOf(mc.Uuid))
	return in, nil
}

// Request makes a request to create from params, and from others where those lack.
func Request(params, defaults model.Params) (*packngo.DeviceCreateRequest, error) {
	p := model.Params{}
	for _, from := range []model.Params{defaults, params} {
		for name, v := range from {
			if v != nil {
				p[name] = v
			}
		}
	}
	in := &packngo.DeviceCreateRequest{BillingCycle: "hourly"}
	var facility string
	for name, to := range map[string]*string{
		paramName: &in.Hostname, paramPlan: &in.Plan, paramFacility: &facility, paramMetro: &in.Metro, paramSystem: &in.OS,
		paramUserdata: &in.UserData, paramScript: &in.IPXEScriptURL, paramProject: &in.ProjectID,
	} {
		text, err := p.String(name, "")
		if err != nil {
			return nil, err
		}
		*to = text
	}
	in.Plan, in.OS = cmp.Or(in.Plan, "baremetal_0"), cmp.Or(in.OS, metal.CustomIPXE)
	if in.Metro == "" {
		in.Facility = []string{cmp.Or(facility, "ewr1")}
	}
	var err error
	if in.AlwaysPXE, err = p.Bool(paramAlwaysPXE, true); err != nil {
		return nil, err
	}
	in.AlwaysPXE = in.AlwaysPXE && in.OS == metal.CustomIPXE
	in.Tags, err = p.Strings(paramTags)
	in.Tags = slices.Clone(in.Tags)
	return in, err
}

// Story is the events of a device as a text, the last last.
func Story(events []*packngo.Event) string {
	var out []string
	for _, e := range events {
		if e == nil || e.CreatedAt == nil {
			continue // not reached
		}
		out = append(out, fmt.Sprintf("%s %s (%s)", e.Type, e.Body, e.CreatedAt.UTC().Format(time.RFC3339)))
	}
	if out == nil {
		return "no provisioning event was reached"
	}
	return strings.Join(out, "; ")
}

// errNoMachine is why a machine cannot be told anything.
var errNoMachine = errors.New("the machine has no UUID")

// setParams sets params of a machine.
func (o Options) setParams(ctx context.Context, machine string, params map[string]any) error {
	if machine == "" {
		return errNoMachine
	}
	_, err := o.Endpoint.Machines().Patch(ctx, machine, paramOps(params)...)
	return err
}

// paramOps are the operations that set params.
func paramOps(params map[string]any) []client.Op {
	var ops []client.Op
	for _, name := range sortedNames(params) {
		ops = append(ops, client.Add(client.Pointer("Params", name), params[name]))
	}
	return ops
}

// sortedNames lists the names of params in order.
func sortedNames(params map[string]any) []string {
	out := make([]string, 0, len(params))
	for name := range params {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
