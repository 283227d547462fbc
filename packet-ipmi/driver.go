package main

import (
	"context"
	"slices"
	"sync"

	"provision-plugins/packet-ipmi/life"
	"provision-plugins/packet-ipmi/metal"
	"provision-plugins/packet-ipmi/once"
	"provision-plugins/shared/client"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

// metalDriver reaches devices through the API.
type metalDriver struct {
	boots *once.Keeper
	life  *life.Manager

	mu       sync.Mutex // guards the below
	config   *config
	client   *metal.Client
	endpoint *client.Client // nil where there is none
}

// newDriver returns a driver that is not configured.
func newDriver() *metalDriver {
	return &metalDriver{boots: once.New(), life: &life.Manager{}, config: &config{}}
}

// configure takes a config and the client that it asks for, and returns the client
// before, which is used no more.
func (d *metalDriver) configure(c *config, api *metal.Client, endpoint *client.Client) (before *metal.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, d.client, d.config, d.endpoint = d.client, api, c, endpoint
	return before
}

// now is the config and the client.
func (d *metalDriver) now() (*config, *metal.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config, d.client
}

// Name is the driver's name.
func (*metalDriver) Name() string { return name }

// Modes lists the one way to reach a device.
func (*metalDriver) Modes() []driver.Mode {
	return []driver.Mode{{Name: "api", Session: (*session)(nil)}}
}

// machineParams are what an action of a machine takes.
var (
	requiredParams = []string{paramUUID}
	optionalParams = []string{paramKey}
)

// ActionParams returns what the actions need.
func (*metalDriver) ActionParams(command string) (required, optional []string) {
	switch {
	case slices.Contains(vmCommands, command):
		return []string{paramKey}, nil
	case slices.Contains([]string{model.NextBootPXE, model.ForceBootPXE}, command):
		return requiredParams, slices.Concat(optionalParams, []string{paramScript})
	}
	return requiredParams, optionalParams
}

// Open returns a session for a machine's device. It sends nothing.
func (d *metalDriver) Open(_ context.Context, t *driver.Target) (driver.Session, error) {
	key, err := d.keyOf(t.Params)
	if err != nil {
		return nil, err
	}
	id, err := t.Params.String(paramUUID, "")
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, model.Errorf(model.Invalid, "param %s is not set: the machine has no device yet", paramUUID)
	}
	if err := metal.CheckID(paramUUID, id); err != nil {
		return nil, err
	}
	script, err := t.Params.String(paramScript, "")
	if err != nil {
		return nil, err
	}
	config, _ := d.now()
	d.boots.Use(id, key)
	return &session{key: key, id: id, script: script, boots: d.boots, poll: config.poll}, nil
}

// keyOf is the API as the key of a machine sees it: its own, else the plugin's. Where
// the API is says the plugin's config alone, so that no request can send the key
// elsewhere.
func (d *metalDriver) keyOf(p model.Params) (*metal.Key, error) {
	config, api := d.now()
	if api == nil {
		return nil, noAddress()
	}
	text, err := p.String(paramKey, string(config.key))
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, model.Errorf(model.Invalid, "param %s is not set", paramKey)
	}
	return api.Key(model.Secret(text)), nil
}

// Stop ends what goes on beside actions. Its error says that it took too long.
func (d *metalDriver) Stop(ctx context.Context) error {
	d.life.Stop()
	d.boots.Stop()
	if _, api := d.now(); api != nil {
		api.Close()
	}
	return context.Cause(ctx)
}
