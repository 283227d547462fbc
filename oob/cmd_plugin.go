package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
)

// newPluginCommand makes "plugin" and what is below it.
func newPluginCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "plugin",
		Short: "List, add, configure, upload and remove plugins, and run their actions",
	}, newPluginAddCommand(a), newPluginSetCommand(a), newPluginRemoveCommand(a),
		newPluginUploadCommand(a), newPluginDownloadCommand(a), newPluginTrustCommand(a), newPluginDelegateCommand(a), newPluginActionCommand(a), &cobra.Command{
			Use:     "list",
			Aliases: []string{"ls"},
			Short:   "List plugins, with the error of each that is not ready",
			Args:    none,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return a.withClient(func(c *client.Client) error { return a.listPlugins(cmd.Context(), c) })
			},
		}, &cobra.Command{
			Use:   "show NAME",
			Short: "Show one plugin: its state, its params and its actions",
			Args:  wants(1, 1, "the NAME of one plugin"),

			ValidArgsFunction: a.completesOne(providerNames),
			RunE: func(cmd *cobra.Command, args []string) error {
				return a.withClient(func(c *client.Client) error { return a.showPlugin(cmd.Context(), c, args[0]) })
			},
		})
}

// The keys that an endpoint adds to the Meta of a provider.
const (
	metaState = "oob/state"
	metaError = "oob/error"
	metaPath  = "oob/path"
)

// The states of a provider that an endpoint tells: in use, and about to be.
const (
	stateLoaded   = "loaded"
	stateSettling = "settling"
	stateDefining = "defining"
)

// provider is a file of the plugin directory, with the plugins made of it.
type provider struct {
	Name    string   `json:"provider"`
	Version string   `json:"version,omitempty"`
	State   string   `json:"state"`
	Errors  []string `json:"errors,omitempty"`
	Path    string   `json:"path,omitempty"`
	Actions []string `json:"actions"`
	Plugins []string `json:"plugins"`
	def     model.PluginProvider
}

// providers lists the providers with their plugins' errors.
func providers(ctx context.Context, c *client.Client) ([]provider, error) {
	defs, err := c.Providers().List(ctx, client.Query{})
	if err != nil {
		return nil, err
	}
	plugins, err := c.Plugins().List(ctx, client.Query{})
	if err != nil {
		return nil, err
	}
	out := make([]provider, 0, len(defs))
	for _, def := range defs {
		out = append(out, newProvider(def, plugins))
	}
	slices.SortFunc(out, func(a, b provider) int {
		return cmp.Or(hostlist.Compare(a.Name, b.Name), strings.Compare(a.Path, b.Path))
	})
	return out, nil
}

// newProvider joins a provider with its plugins.
func newProvider(def model.PluginProvider, plugins []model.Plugin) provider {
	p := provider{
		Name: def.Name, Version: def.Version, State: cmp.Or(def.Meta[metaState], stateLoaded),
		Path: def.Meta[metaPath], Actions: []string{}, Plugins: []string{}, def: def,
	}
	if text := def.Meta[metaError]; text != "" {
		p.Errors = append(p.Errors, text)
	}
	for _, action := range def.AvailableActions {
		p.Actions = append(p.Actions, action.Command)
	}
	ready := false
	for _, plugin := range plugins {
		if plugin.Provider != def.Name {
			continue
		}
		p.Plugins = append(p.Plugins, plugin.Name)
		for _, text := range append(plugin.PluginErrors, plugin.Errors...) {
			if plugin.Name != def.Name {
				text = "plugin " + plugin.Name + ": " + text
			}
			p.Errors = append(p.Errors, text)
		}
		ready = ready || plugin.Available && len(plugin.PluginErrors) == 0
	}
	switch {
	case p.State != stateLoaded:
	case ready:
		p.State = "ready"
	case len(p.Plugins) == 0:
		p.Errors = append(p.Errors, "not in use; `oob plugin add "+def.Name+"` starts it")
	default:
		p.State = "not ready"
	}
	return p
}

// findProvider finds the provider of a name that is loaded: files that are not
// may have the same name. One that is about to be taken up is waited for.
func findProvider(ctx context.Context, c *client.Client, name string) (*model.PluginProvider, error) {
	ctx, cancel := context.WithTimeout(ctx, pluginWait)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		defs, err := c.Providers().List(ctx, client.Query{})
		if err != nil {
			return nil, err
		}
		found, err := pickProvider(defs, name)
		if found != nil || model.KindOf(err) != model.Busy {
			return found, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, err
		}
	}
}

// pickProvider picks the loaded provider of a name. The error is of kind busy
// while its file is being taken up.
func pickProvider(defs []model.PluginProvider, name string) (*model.PluginProvider, error) {
	err := model.Errorf(model.NotFound, "no plugin provider is called %s; `oob plugin list` lists them", name)
	for i := range defs {
		if defs[i].Name != name {
			continue
		}
		state := cmp.Or(defs[i].Meta[metaState], stateLoaded)
		switch state {
		case stateLoaded:
			return &defs[i], nil
		case stateSettling, stateDefining:
			err = model.Errorf(model.Busy, "plugin provider %s is being taken up; try again", name)
			continue
		}
		if err.Kind() != model.Busy {
			err = model.Errorf(model.NotFound, "plugin provider %s is %s: %s", name, state, defs[i].Meta[metaError])
		}
	}
	return nil, err
}

// listPlugins prints the providers.
func (a *app) listPlugins(ctx context.Context, c *client.Client) error {
	list, err := providers(ctx, c)
	if err != nil {
		return err
	}
	rows := [][]string{{"NAME", "VERSION", "ACTIONS", "STATE", "NOTE"}}
	for _, p := range list {
		if a.flags.json {
			if err := a.printJSON(p); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{p.Name, p.Version, fmt.Sprint(len(p.Actions)), p.State, strings.Join(p.Errors, "; ")})
	}
	if a.flags.json {
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(a.stderr, "no plugins: put their binaries into the plugin directory")
		return nil
	}
	return table(a.stdout, dropEmpty(rows))
}

// showPlugin prints one provider.
func (a *app) showPlugin(ctx context.Context, c *client.Client, name string) error {
	list, err := providers(ctx, c)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(p provider) bool {
		return p.Name == name || slices.Contains(p.Plugins, name)
	})
	if i < 0 {
		return model.Errorf(model.NotFound, noPlugin, name)
	}
	p := list[i]
	if a.flags.json {
		return a.printJSON(p.def)
	}
	rows := [][]string{{"name", p.Name}, {"version", p.Version}, {"state", p.State}, {"file", p.Path}, {"plugins", strings.Join(p.Plugins, ", ")}}
	for _, text := range p.Errors {
		rows = append(rows, []string{"error", text})
	}
	rows = append(rows,
		[]string{"required params", strings.Join(p.def.RequiredParams, ", ")},
		[]string{"optional params", strings.Join(p.def.OptionalParams, ", ")})
	if err := table(a.stdout, rows); err != nil || len(p.def.AvailableActions) == 0 {
		return err
	}
	fmt.Fprintln(a.stdout)
	return table(a.stdout, actionRows(&p.def))
}

// actionRows are a provider's actions as rows of a table.
func actionRows(def *model.PluginProvider) [][]string {
	rows := [][]string{{"ACTION", "ON", "CLASS", "REQUIRED PARAMS", "SUMMARY"}}
	for _, action := range def.AvailableActions {
		info := model.ActionOf(action.Command, def.Meta)
		rows = append(rows, []string{
			action.Command, cmp.Or(action.Model, "endpoint"), string(info.Class),
			strings.Join(action.RequiredParams, ", "), info.Summary,
		})
	}
	return rows
}
