// Command packet-ipmi is the plugin for devices of the Packet API (later Equinix
// Metal, closed on 2026-06-30), and of services that speak it: power, boot, console
// and life.
package main

import (
	"log/slog"
	"os"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// version is set by the build.
var version = "v0.0.0-dev"

// name is the plugin's, and the driver's.
const name = "packet-ipmi"

// metaTable says what the columns of an inventory mean here, and what the plugin
// needs of the endpoint: machines of devices, and to hear of new ones.
var metaTable = map[string]string{
	model.MetaColumns: `{"address":"packet/uuid","password":"packet/api-key"}`,
	model.MetaTargets: `{"packet/api-key":["packet/api-url"]}`,
	model.MetaClaims: `[{"scope":"machines","action":"get,list,create,update,delete","specific":"*"},` +
		`{"scope":"events","action":"get,list","specific":"*"}]`,
}

// definition is what define prints.
func definition(p *driver.Provider) *model.PluginProvider {
	meta := p.Meta()
	for key, value := range metaTable {
		meta[key] = value
	}
	def := &model.PluginProvider{
		MetaData:       model.MetaData{Meta: meta},
		Name:           name,
		Version:        version,
		PluginVersion:  model.PluginVersion,
		RequiredParams: []string{paramKey},
		OptionalParams: []string{
			paramURL, paramProject, paramImport, paramPrune, paramSettle, paramPoll, paramSync, paramRate, paramStateDir,
			paramPlan, paramFacility, paramMetro, paramSystem, paramTags, paramUserdata, paramScript, paramAlwaysPXE,
		},
		AvailableActions: p.Actions(),
		StoreObjects:     map[string]any{},
		Documentation:    "Power, boot, console and life of devices of the Packet API, and of services that speak it.",
		Content:          contentYamlString,
	}
	def.AvailableActions = append(def.AvailableActions, model.AvailableAction{
		Model: machinesPrefix, Command: model.PowerSoft, RequiredParams: requiredParams, OptionalParams: optionalParams,
	})
	for i := range def.AvailableActions {
		def.AvailableActions[i].Provider = name
	}
	return def
}

// debugVariable makes packngo print every answer, passwords included.
const debugVariable = "PACKNGO_DEBUG"

func main() {
	if err := os.Unsetenv(debugVariable); err != nil {
		os.Exit(1)
	}
	d := newDriver()
	p := driver.NewProvider(d, driver.Options{})
	plugin.InitApp(name, "Control devices of the Packet API", version, definition(p), newImpl(d, p, slog.New(slog.DiscardHandler)))
	os.Exit(plugin.Main())
}
