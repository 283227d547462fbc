// Command virtualbox-ipmi is the plugin for VirtualBox VMs on its host: power,
// boot device, console and the making and removing of VMs, through VBoxManage.
package main

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"

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

// refusals are actions of the vocabulary that VirtualBox has nothing for. They are
// offered all the same, so that who asks is told so, and what there is instead.
var refusals = map[string]string{
	model.Identify:     "a VM has no locator to light; its name, its screenshot and its console tell it from others",
	model.NextBootBIOS: "VirtualBox's BIOS has no setup to enter; the VM's settings are VirtualBox's own, see VBoxManage modifyvm",
}

// Action runs an action and adds what the VM's side has to say of it.
func (i *impl) Action(ctx context.Context, a *model.Action) (any, error) {
	if a == nil {
		return i.Provider.Action(ctx, a)
	}
	if why, ok := refusals[a.Command]; ok {
		return nil, model.Errorf(model.Unsupported, "cannot %s: %s", a.Command, why).On(machines, "")
	}
	return withRemarks(a.Command, func(ctx context.Context) (any, error) { return i.Provider.Action(ctx, a) })(ctx)
}

// PrepareRead prepares an action that changes nothing, with what the VM's side has
// to say of it.
func (i *impl) PrepareRead(a *model.Action) (func(ctx context.Context) (any, error), error) {
	perform, err := i.Provider.PrepareRead(a)
	if err != nil || perform == nil {
		return perform, err
	}
	return withRemarks(a.Command, perform), nil
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
	for _, command := range slices.Sorted(maps.Keys(refusals)) {
		def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: machines, Command: command, RequiredParams: []string{paramID}})
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
