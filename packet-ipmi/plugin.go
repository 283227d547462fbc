package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"provision-plugins/packet-ipmi/life"
	"provision-plugins/shared/client"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// impl is the plugin.
type impl struct {
	plugin.Base
	*driver.Provider
	driver *metalDriver
	log    *slog.Logger
}

// What the plugin implements beside actions.
var (
	_ plugin.Configurer    = (*impl)(nil)
	_ plugin.EventSelecter = (*impl)(nil)
	_ plugin.Publisher     = (*impl)(nil)
)

// newImpl returns the plugin of a driver.
func newImpl(d *metalDriver, p *driver.Provider, log *slog.Logger) *impl {
	return &impl{Provider: p, driver: d, log: log}
}

// SetLogger gives the logger.
func (i *impl) SetLogger(log *slog.Logger) {
	i.log = log
	i.Provider.SetLogger(log)
}

// softRefusal is why there is no soft shutdown. The action is offered all the same, so
// that who asks is told so, and what there is instead.
const softRefusal = "the Packet API has no soft shutdown: its power_off takes the power away. Shut the operating system down from within (the action console tells the address of its console), or switch off with poweroff; nothing was sent"

// Action runs an action. The soft shutdown, which the API does not have, is refused in
// plain words.
func (i *impl) Action(ctx context.Context, a *model.Action) (any, error) {
	if a != nil && a.Command == model.PowerSoft {
		return nil, model.Errorf(model.Unsupported, "cannot %s: %s", a.Command, softRefusal).On(machinesPrefix, "")
	}
	return i.Provider.Action(ctx, a)
}

// fileServer is the variable that says where the endpoint's files are.
const fileServer = "RS_FILESERVER"

// Config takes the plugin's params. It asks nobody: what there is to do with the
// account is done in the background.
func (i *impl) Config(_ context.Context, c *client.Client, params model.Params) error {
	conf, err := parseConfig(params)
	if err != nil {
		return err
	}
	if conf.key != "" && conf.url == "" {
		return noAddress()
	}
	api := conf.client(i.log)
	dir, err := plugin.StateDir(name, params)
	if err != nil {
		i.log.Warn("nothing is kept: no device is created for a machine, and none boots from elsewhere for one boot", "error", err)
	}
	if before := i.driver.configure(conf, api, c); before != nil {
		defer before.Close()
	}
	if api == nil || err != nil || os.Getenv(plugin.EnvEndpoint) == "" { // nobody goes on running, or has machines
		i.driver.life.Stop()
		i.driver.boots.Stop()
		return nil
	}
	key := api.Key(conf.key)
	if err := i.driver.boots.Start(filepath.Join(dir, "boots"), key, conf.boots(i.log)); err != nil {
		return model.Errorf(model.Invalid, "cannot keep state: %w", err)
	}
	if c == nil || conf.key == "" {
		i.driver.life.Stop()
		return nil
	}
	return i.driver.life.Start(filepath.Join(dir, "jobs"), life.Options{
		Plugin: conf.name, Project: conf.project, Defaults: params, Endpoint: c, API: key, Poll: conf.poll, Sync: conf.sync,
		Import: conf.imports, Prune: conf.prune, FileServer: os.Getenv(fileServer), Logger: i.log,
	})
}

// SelectEvents returns the events that the life of devices depends on.
func (*impl) SelectEvents() []string { return []string{"machines.create.*", "machines.delete.*"} }

// Publish takes such an event. It returns when what follows from it is written down:
// it is carried out in the background, and no other event waits for it.
func (i *impl) Publish(ctx context.Context, e *model.Event) error {
	var mc model.Machine
	if err := model.Remarshal(e.Object, &mc); err != nil {
		return model.Errorf(model.Invalid, "cannot read the machine of the event: %w", err)
	}
	switch e.Action {
	case "create":
		return i.driver.life.Created(ctx, &mc)
	case "delete":
		return i.driver.life.Deleted(ctx, &mc)
	}
	return nil
}
