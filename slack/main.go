// Command slack is the plugin that tells a team in Slack what was done to
// machines and what their power did.
package main

import (
	"os"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// version is set by the build.
var version = "v0.0.0-dev"

// meta is what the definition says beside its fields: who may set the address of
// the API must be allowed to set the tokens, which are sent there.
var meta = map[string]string{
	model.MetaCounts:  "true",
	model.MetaEvents:  `["runs.create.*","runs.update.*","machines.create.*","machines.delete.*","machines.power.*","plugins.fault.*","plugins.recovered.*"]`,
	model.MetaClasses: `{"retryDead":"idempotent"}`,
	model.MetaTargets: `{"slack/bot-token":["slack/api-url"],"slack/bot-key":["slack/api-url"],"slack/app-token":["slack/api-url"]}`,
}

// definition is what define prints.
func definition() *model.PluginProvider {
	return &model.PluginProvider{
		MetaData:       model.MetaData{Meta: meta},
		Name:           pluginName,
		Version:        version,
		PluginVersion:  model.PluginVersion,
		HasPublish:     true,
		OptionalParams: []string{paramToken, paramKey, paramURL, paramChannel, paramRoutes, paramSilence, paramRedact, paramBudget, paramDoubt, paramApp, paramCommands, paramDir},
		AvailableActions: []model.AvailableAction{
			{Provider: pluginName, Model: "plugins", Command: actionStatus},
			{Provider: pluginName, Model: "plugins", Command: actionRetry},
		},
		StoreObjects:  map[string]any{},
		Documentation: "Tells in Slack what was done to machines, what their power did and what is out of order, by rules.",
		Content:       contentYamlString,
	}
}

func main() {
	plugin.InitApp(pluginName, "Tell a team in Slack what was done to machines", version, definition(), newNotifier())
	plugin.App.AddCommand(newManifestCommand(), newCheckCommand(newNotifier().http))
	os.Exit(plugin.Main())
}
