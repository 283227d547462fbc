// Command packet-ipmi is the plugin for machines of the Packet API. It defines its
// actions; until its driver is written each of them answers unsupported.
package main

import (
	"context"
	"os"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// version is set by the build.
var version = "v0.0.0-dev"

const name = "packet-ipmi"

// machineActions act on one machine, which packet/uuid names; vmActions make and
// unmake machines and act on the plugin.
var (
	machineActions = []string{
		model.PowerOn, model.PowerOff, model.PowerCycle, model.PowerStatus, model.NextBootPXE, model.NextBootDisk, "updatepxe",
	}
	vmActions = []string{"createVm", "startVm", "stopVm", "destroyVm"}
)

// definition is what define prints.
func definition() *model.PluginProvider {
	def := &model.PluginProvider{
		MetaData:       model.MetaData{Meta: map[string]string{}},
		Name:           name,
		Version:        version,
		PluginVersion:  model.PluginVersion,
		RequiredParams: []string{"packet/api-key"},
		OptionalParams: []string{"packet/api-url", "packet/project-id", "packet/import-existing"},
		StoreObjects:   map[string]any{},
		Documentation:  "Controls machines of the Packet API. Not yet: every action answers unsupported.",
		Content:        contentYamlString,
	}
	for _, command := range machineActions {
		def.AvailableActions = append(def.AvailableActions, model.AvailableAction{
			Provider: name, Model: "machines", Command: command, RequiredParams: []string{"packet/uuid"}, OptionalParams: []string{},
		})
	}
	for _, command := range vmActions {
		def.AvailableActions = append(def.AvailableActions, model.AvailableAction{
			Provider: name, Model: "plugins", Command: command, RequiredParams: def.RequiredParams, OptionalParams: []string{},
		})
	}
	return def
}

// provider is the plugin.
type provider struct{ plugin.Base }

// Config takes the params; there is nothing yet to do with them.
func (provider) Config(context.Context, *client.Client, model.Params) error { return nil }

// Action answers that the driver is not written yet.
func (provider) Action(_ context.Context, a *model.Action) (any, error) {
	return nil, model.Errorf(model.Unsupported, "cannot %s: the packet-ipmi driver of this version cannot act on machines yet", a.Command).On("plugin", name)
}

func main() {
	plugin.InitApp(name, "Control machines of the Packet API", version, definition(), provider{})
	os.Exit(plugin.Main())
}
