// Command virtualbox-ipmi is the plugin for VirtualBox VMs on its host: power,
// boot device, console and the making and removing of VMs, through VBoxManage.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	"provision-plugins/virtualbox-ipmi/build"
	"provision-plugins/virtualbox-ipmi/vbox"
)

// version is set by the build.
var version = "v0.0.0-dev"

// name is the plugin's, and the driver's.
const name = "virtualbox-ipmi"

// impl is the plugin.
type impl struct {
	plugin.Base
	*driver.Provider
	driver  *vboxDriver
	log     *slog.Logger
	imports background
}

// newImpl returns the plugin.
func newImpl() *impl {
	d := newDriver(vbox.Options{})
	return &impl{Provider: driver.NewProvider(d, driver.Options{}), driver: d, log: slog.New(slog.DiscardHandler)}
}

// SetLogger gives the logger.
func (i *impl) SetLogger(log *slog.Logger) {
	i.log = log
	i.Provider.SetLogger(log)
}

// Action runs an action and adds what the VM's side has to say of it.
func (i *impl) Action(ctx context.Context, a *model.Action) (any, error) {
	if a == nil {
		return i.Provider.Action(ctx, a)
	}
	ctx, said := withRemarks(ctx, a.Command)
	result, err := i.Provider.Action(ctx, a)
	if err != nil {
		return nil, err
	}
	return said.into(result), nil
}

// Handler serves the consoles.
func (i *impl) Handler() http.Handler { return newConsoles(i.driver) }

// Stop ends what runs beside actions, and then the actions.
func (i *impl) Stop(ctx context.Context) error {
	i.imports.close()
	return i.Provider.Stop(ctx)
}

// Orphaned is Stop after the host's death.
func (i *impl) Orphaned(ctx context.Context) error {
	i.imports.close()
	return i.Provider.Orphaned(ctx)
}

// definition is what define prints.
func definition(p *driver.Provider) *model.PluginProvider {
	meta := p.Meta()
	for key, value := range metaTable {
		meta[key] = value
	}
	def := &model.PluginProvider{
		MetaData:         model.MetaData{Meta: meta},
		Name:             name,
		Version:          version,
		PluginVersion:    model.PluginVersion,
		OptionalParams:   append([]string{paramUser, paramCommand, paramImport}, build.Params()[1:]...),
		AvailableActions: p.Actions(),
		StoreObjects:     map[string]any{},
		Documentation:    "Power, boot device, console and life of VirtualBox VMs on the plugin's host.",
		Content:          contentYamlString,
	}
	for i := range def.AvailableActions {
		def.AvailableActions[i].Provider = name
	}
	return def
}

func main() {
	i := newImpl()
	plugin.InitApp(name, "Control VirtualBox VMs", version, definition(i.Provider), i)
	os.Exit(plugin.Main())
}
