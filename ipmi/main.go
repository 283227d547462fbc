// Command ipmi is the plugin for machines with a BMC: power, boot device and
// locator by IPMI 2.0 over LAN, natively and without any other program.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"

	"provision-plugins/ipmi/broker"
	"provision-plugins/shared/client"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/garbage"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// version is set by the build.
var version = "v0.0.0-dev"

// name is the plugin's, and the driver's.
const name = "ipmi"

// impl is the plugin.
type impl struct {
	plugin.Base
	*driver.Provider
	driver *ipmiDriver
	log    *slog.Logger
}

// SetLogger gives the logger.
func (i *impl) SetLogger(log *slog.Logger) {
	i.log = log
	i.Provider.SetLogger(log)
}

// Config takes the plugin's own param: where to keep what must outlive it. A
// plugin that can keep nothing works all the same.
func (i *impl) Config(_ context.Context, _ *client.Client, params model.Params) error {
	dir, err := plugin.StateDir(name, params)
	if err == nil {
		err = errors.Join(i.driver.broker.Remember(dir, i.log), i.driver.devices.remember(dir, i.log), i.driver.journal.Open(dir))
	}
	if err != nil {
		i.log.Warn("what was learnt of BMCs, refused logins above all, is forgotten when the plugin ends", "error", err)
	}
	return nil
}

// definition is what define prints.
func definition(p *driver.Provider) *model.PluginProvider {
	meta := p.Meta()
	for key, value := range metaTable {
		meta[key] = value
	}
	meta[model.MetaCounts] = "true"
	def := &model.PluginProvider{
		MetaData:         model.MetaData{Meta: meta},
		Name:             name,
		Version:          version,
		PluginVersion:    model.PluginVersion,
		AutoStart:        true,
		OptionalParams:   []string{paramStateDir},
		AvailableActions: p.Actions(),
		StoreObjects:     map[string]any{},
		Documentation:    "Power, boot device and locator of machines with a BMC, by IPMI 2.0 over LAN.",
		Content:          contentYamlString,
	}
	for i := range def.AvailableActions {
		def.AvailableActions[i].Provider = name
	}
	return def
}

// How much garbage there may be: in percent of what lives less than Go's 100, because
// what lives is sessions, one for each BMC of a large fleet; and what a sweep of a
// small fleet leaves.
const (
	gcPercent = 50
	gcRoom    = 16 << 20
)

// stays reports whether the process is one that stays, with the fleet's sessions.
// For one that is over soon it would be a collection more, at its very begin.
func stays(args []string) bool { return slices.Contains(args, "listen") }

func main() {
	if stays(os.Args) && os.Getenv("GOGC") == "" {
		garbage.Keep(gcPercent, gcRoom)
	}
	d := newDriver(broker.Options{})
	p := driver.NewProvider(d, driver.Options{})
	plugin.InitApp(name, "Control machines through their BMCs", version, definition(p),
		&impl{Provider: p, driver: d, log: slog.New(slog.DiscardHandler)})
	os.Exit(plugin.Main())
}
