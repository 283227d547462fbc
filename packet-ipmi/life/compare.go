package life

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/packethost/packngo"

	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// compareOften compares machines and devices at once and then at intervals, until
// ctx ends.
func (m *Manager) compareOften(ctx context.Context, o Options) {
	tick := time.NewTicker(o.Sync)
	defer tick.Stop()
	for {
		if err := m.compare(ctx, o); err != nil && ctx.Err() == nil {
			o.Logger.Warn("machines and devices are not compared: nothing is marked, added or deleted", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// account is all devices of all projects that are looked at.
type account struct {
	projects map[string]bool
	devices  map[string]*packngo.Device
}

// account lists them, all or nothing: what is missing in it is decided upon.
func (o Options) account(ctx context.Context) (*account, error) {
	out := &account{projects: map[string]bool{}, devices: map[string]*packngo.Device{}}
	if o.Project != "" {
		out.projects[o.Project] = true
	} else {
		projects, err := o.API.Projects(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range projects {
			out.projects[p.ID] = true
		}
	}
	for id := range out.projects {
		devices, err := o.API.Devices(ctx, id, "")
		if err != nil {
			return nil, err
		}
		for i := range devices {
			d := &devices[i]
			if d.Project == nil {
				d.Project = &packngo.Project{ID: id}
			}
			out.devices[d.ID] = d
		}
	}
	return out, nil
}

// machinePage is how many machines are listed at a time.
const machinePage = 1000

// machines lists the machines of the plugin, by device, and those that have none.
func (o Options) machines(ctx context.Context) (out map[string]*model.Machine, bare []*model.Machine, err error) {
	out = map[string]*model.Machine{}
	q := client.Query{Filters: []client.Filter{client.Where(paramPlugin, client.Eq, o.Plugin)}, Sort: "Uuid", Limit: machinePage}
	for {
		list, err := o.Endpoint.Machines().List(ctx, q)
		if err != nil {
			return nil, nil, err
		}
		for i := range list {
			if id, err := list[i].Params.String(paramUUID, ""); err == nil && id != "" {
				out[id] = &list[i]
			} else if !list[i].Params.Has(paramState) {
				bare = append(bare, &list[i])
			}
		}
		if len(list) < machinePage {
			return out, bare, nil
		}
		q.Offset += machinePage
	}
}

// compare looks for devices without a machine, and machines without a device.
func (m *Manager) compare(ctx context.Context, o Options) error {
	acc, err := o.account(ctx)
	if err != nil {
		return err
	}
	machines, bare, err := o.machines(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, mc := range bare { // made while nobody was told of it
		problems = append(problems, m.want(Job{Machine: mc.Uuid, Name: mc.Name, Phase: Wanted}))
	}
	for id, mc := range machines {
		if m.busy(mc.Uuid) {
			continue
		}
		if d := acc.devices[id]; d != nil {
			problems = append(problems, o.found(ctx, mc, d))
		} else {
			problems = append(problems, o.missing(ctx, acc, id, mc))
		}
	}
	if o.Import {
		for id, d := range acc.devices {
			if machines[id] == nil {
				problems = append(problems, m.adopt(ctx, o, d))
			}
		}
	}
	return errors.Join(problems...)
}

// found has a machine say again that its device is there, if it said otherwise.
func (o Options) found(ctx context.Context, mc *model.Machine, d *packngo.Device) error {
	if mc.Params[paramState] != stateGone {
		return nil
	}
	return o.setParams(ctx, mc.Uuid, map[string]any{paramState: d.State, paramProblem: ""})
}

// missing looks for the device of a machine that the listing lacks, and marks the
// machine if the API says that it is gone. The machine is deleted only if that was
// asked for, and if there can be no doubt: the project is one that was listed, the
// listing is not empty, and the API says 404 and not that the key may not see it.
func (o Options) missing(ctx context.Context, acc *account, id string, mc *model.Machine) error {
	project, _ := mc.Params.String(paramProject, "")
	if project != "" && !acc.projects[project] {
		return nil // another account's, or project's
	}
	_, err := o.API.Device(ctx, id)
	var e *metal.Error
	if !metal.IsGone(err) || !errors.As(err, &e) {
		return err
	}
	if o.Prune && project != "" && len(acc.devices) > 0 && e.Status == http.StatusNotFound {
		o.Logger.WarnContext(ctx, "machine deleted: its device is gone", "machine", mc.Name, "device", id)
		_, err := o.Endpoint.Machines().Delete(ctx, mc.Uuid)
		return err
	}
	if mc.Params[paramState] == stateGone {
		return nil
	}
	o.Logger.WarnContext(ctx, "the device of a machine is gone", "machine", mc.Name, "device", id)
	return o.setParams(ctx, mc.Uuid, map[string]any{paramState: stateGone, paramProblem: "the device is not in the account any more"})
}

// adopt adds a machine for a device that has none.
func (m *Manager) adopt(ctx context.Context, o Options, d *packngo.Device) error {
	if d.State == metal.Deprovisioning || d.State == metal.Deleted {
		return nil
	}
	for _, tag := range d.Tags {
		if machine, made := strings.CutPrefix(tag, tagOf("")); made && m.busy(machine) {
			return nil // about to be its machine's
		}
	}
	q := client.Query{Filters: []client.Filter{client.Where(paramUUID, client.Eq, d.ID)}}
	if have, err := o.Endpoint.Machines().List(ctx, q); err != nil || len(have) > 0 {
		return err
	}
	name := d.Hostname
	if name == "" {
		name = "device-" + d.ShortID
	}
	_, err := o.Endpoint.Machines().Create(ctx, o.machineFor(d, name))
	if kind := model.KindOf(err); err != nil && (kind == model.Conflict || kind == model.Invalid) {
		_, err = o.Endpoint.Machines().Create(ctx, o.machineFor(d, name+"-"+d.ShortID))
	}
	if err == nil {
		o.Logger.InfoContext(ctx, "machine added for a device", "machine", name, "device", d.ID)
	}
	return err
}
