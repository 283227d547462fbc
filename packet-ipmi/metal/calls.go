package metal

import (
	"bytes"
	"context"
	"net/http"
	"regexp"

	"github.com/packethost/packngo"

	"provision-plugins/shared/model"
)

// The states of a device, as the API names them.
const (
	Queued         = "queued"
	Provisioning   = "provisioning"
	Deprovisioning = "deprovisioning"
	Reinstalling   = "reinstalling"
	Active         = "active"
	Inactive       = "inactive"
	Failed         = "failed"
	PoweringOn     = "powering_on"
	PoweringOff    = "powering_off"
	Deleted        = "deleted"
)

// CustomIPXE is the operating system that boots what its owner says.
const CustomIPXE = "custom_ipxe"

// uuid is the form of ids, which packngo checks too, with an error without a kind.
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

// CheckID refuses what is no id; param names where it stands.
func CheckID(param, id string) error {
	if !uuid.MatchString(id) {
		return model.Errorf(model.Invalid, "param %s: %.80q is not a UUID", param, id)
	}
	return nil
}

// kept runs a call of packngo whose answer is kept.
func kept[T any](ctx context.Context, k *Key, t task, call func(c *packngo.Client) (T, *packngo.Response, error)) (T, error) {
	var out T
	t.send = func(c *packngo.Client) error {
		got, _, err := call(c)
		if err == nil {
			out = got
		}
		return err
	}
	err := k.do(ctx, t)
	return out, err
}

// Device reads a device.
func (k *Key) Device(ctx context.Context, id string) (*packngo.Device, error) {
	if err := CheckID("packet/uuid", id); err != nil {
		return nil, err
	}
	return kept(ctx, k, task{name: "read the device", device: true}, func(c *packngo.Client) (*packngo.Device, *packngo.Response, error) {
		return c.Devices.Get(id, nil)
	})
}

// Devices lists the devices of a project, those of a tag if one is given.
func (k *Key) Devices(ctx context.Context, project, tag string) ([]packngo.Device, error) {
	if err := CheckID("packet/project-id", project); err != nil {
		return nil, err
	}
	l := list[packngo.Device]{
		task: task{name: "list the devices"}, path: "projects/" + project + "/devices", name: "devices",
		id: func(d *packngo.Device) string { return d.ID },
	}
	l.options.Includes = []string{"facility"}
	if tag != "" {
		l.options.QueryParams = map[string]string{"tag": tag}
	}
	return all(ctx, k, l)
}

// Projects lists the projects of the account.
func (k *Key) Projects(ctx context.Context) ([]packngo.Project, error) {
	return all(ctx, k, list[packngo.Project]{
		task: task{name: "list the projects"}, path: "projects", name: "projects",
		id: func(p *packngo.Project) string { return p.ID },
	})
}

// Project reads a project.
func (k *Key) Project(ctx context.Context, id string) (*packngo.Project, error) {
	if err := CheckID("packet/project-id", id); err != nil {
		return nil, err
	}
	return kept(ctx, k, task{name: "read the project"}, func(c *packngo.Client) (*packngo.Project, *packngo.Response, error) {
		return c.Projects.Get(id, nil)
	})
}

// Events lists the events of a device, the newest first as the API has them.
func (k *Key) Events(ctx context.Context, id string) ([]packngo.Event, error) {
	if err := CheckID("packet/uuid", id); err != nil {
		return nil, err
	}
	return all(ctx, k, list[packngo.Event]{
		task: task{name: "list the events", device: true}, path: "devices/" + id + "/events", name: "events",
		id: func(e *packngo.Event) string { return e.ID },
	})
}

// Create makes a device. It is sent once.
func (k *Key) Create(ctx context.Context, in *packngo.DeviceCreateRequest) (*packngo.Device, error) {
	if err := CheckID("packet/project-id", in.ProjectID); err != nil {
		return nil, err
	}
	return kept(ctx, k, task{name: "create the device", changes: true}, func(c *packngo.Client) (*packngo.Device, *packngo.Response, error) {
		return c.Devices.Create(in)
	})
}

// Update changes a device. It is sent once, and may be sent again.
func (k *Key) Update(ctx context.Context, id string, in *packngo.DeviceUpdateRequest) (*packngo.Device, error) {
	if err := CheckID("packet/uuid", id); err != nil {
		return nil, err
	}
	return kept(ctx, k, task{name: "change the device", changes: true, device: true}, func(c *packngo.Client) (*packngo.Device, *packngo.Response, error) {
		return c.Devices.Update(id, in)
	})
}

// Delete takes a device away. It is sent once.
func (k *Key) Delete(ctx context.Context, id string) error {
	if err := CheckID("packet/uuid", id); err != nil {
		return err
	}
	return k.do(ctx, task{name: "delete the device", changes: true, device: true, send: func(c *packngo.Client) error {
		_, err := c.Devices.Delete(id, false)
		return err
	}})
}

// Action is what a device can be told to do.
type Action struct {
	// Type is power_on, power_off, reboot, rescue or reinstall.
	Type string `json:"type"`
	// The others are of reinstall; packngo does not have the last.
	OperatingSystem string `json:"operating_system,omitempty"`
	PreserveData    bool   `json:"preserve_data,omitempty"`
	DeprovisionFast bool   `json:"deprovision_fast,omitempty"`
	IPXEScriptURL   string `json:"ipxe_script_url,omitempty"`
}

// Act tells a device to do something. It is sent once.
func (k *Key) Act(ctx context.Context, id string, a Action) error {
	if err := CheckID("packet/uuid", id); err != nil {
		return err
	}
	return k.do(ctx, task{name: a.Type, changes: true, device: true, send: func(c *packngo.Client) error {
		_, err := c.DoRequest(http.MethodPost, "devices/"+id+"/actions", a, nil)
		return err
	}})
}

// Health reads the health of a device in a word: ok, warning or critical.
func (k *Key) Health(ctx context.Context, id string) (string, error) {
	if err := CheckID("packet/uuid", id); err != nil {
		return "", err
	}
	var out struct {
		Rollup string `json:"health_rollup"`
	}
	err := k.do(ctx, task{name: "read the health", send: func(c *packngo.Client) error {
		_, err := c.DoRequest(http.MethodGet, "devices/"+id+"/diagnostics/health/rollup", nil, &out)
		return err
	}})
	return oneLine(out.Rollup), err
}

// Picture is what is on a screen.
type Picture struct {
	Type string
	Data []byte
}

// Screenshot reads what is on the screen of a device.
func (k *Key) Screenshot(ctx context.Context, id string) (*Picture, error) {
	if err := CheckID("packet/uuid", id); err != nil {
		return nil, err
	}
	out := &Picture{}
	err := k.do(ctx, task{name: "read the screen", send: func(c *packngo.Client) error {
		var buf bytes.Buffer
		resp, err := c.DoRequest(http.MethodGet, "devices/"+id+"/diagnostics/screenshot", nil, &buf)
		if err == nil {
			out.Type, out.Data = resp.Header.Get("Content-Type"), buf.Bytes()
		}
		return err
	}})
	return out, err
}
