package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// pluginWait bounds how long a plugin is waited for after it was added or
// changed: the endpoint gives it 10 s to start.
const pluginWait = 15 * time.Second

// newPluginAddCommand makes "plugin add".
func newPluginAddCommand(a *app) *cobra.Command {
	var params paramFlags
	var name string
	cmd := &cobra.Command{
		Use:   "add PROVIDER [k=v...]",
		Short: "Configure a plugin of the plugin directory, and start it",
		Long: `Configure a plugin of the plugin directory, and start it.

The params are the plugin's own ("oob plugin show PROVIDER" lists them). A
secret is given with --param-file, never on the command line.`,
		Example: "  oob plugin add slack --param-file slack/bot-token=./token slack/default-channel=C012345",
		Args:    wants(1, -1, "the PROVIDER of the plugin, then k=v"),

		ValidArgsFunction: a.completesOne(providerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				provider, err := onlyTarget("plugin", args, &params)
				if err != nil {
					return err
				}
				if _, err := findProvider(cmd.Context(), c, provider); err != nil {
					return err
				}
				values, err := params.read(cmd.Context(), a, c)
				if err != nil {
					return err
				}
				p := &model.Plugin{Name: cmp.Or(name, provider), Provider: provider, Params: values}
				if _, err := c.Plugins().Create(cmd.Context(), p); err != nil {
					return instead(err, model.Conflict, "plugin %s already exists; `oob plugin set %s` changes its params", p.Name, word(p.Name))
				}
				return a.awaitPlugin(cmd.Context(), c, p.Name)
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the plugin (default: the provider's)")
	params.addFlags(cmd.Flags())
	return cmd
}

// newPluginSetCommand makes "plugin set".
func newPluginSetCommand(a *app) *cobra.Command {
	return newSetCommand(a, settable[model.Plugin]{
		kind: "plugin", short: "Set and unset params of a plugin; it is configured anew", names: pluginNames, absent: noPlugin,
		objects: (*client.Client).Plugins,
		params:  func(p *model.Plugin) model.Params { return p.Params },
		after:   a.awaitPlugin,
	})
}

// newPluginRemoveCommand makes "plugin remove".
func newPluginRemoveCommand(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Aliases: []string{"rm"},
		Short:   "Stop a plugin and forget its params; its binary stays",
		Args:    wants(1, 1, "the NAME of one plugin"),

		ValidArgsFunction: a.completesOne(pluginNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.confirmThe(cmd.Context(), "plugin remove", "plugin", args, yes); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				if _, err := c.Plugins().Delete(cmd.Context(), args[0]); err != nil {
					return instead(err, model.NotFound, noPlugin, args[0])
				}
				return a.printPlugin(args[0], "removed")
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// noPlugin tells of a plugin that is not there.
const noPlugin = "no plugin is called %s; `oob plugin list` lists them"

// printPlugin prints what has become of a plugin.
func (a *app) printPlugin(name, state string) error { return a.printState("plugin", name, state) }

// onlyTarget takes the one name off the arguments; the others are k=v.
func onlyTarget(kind string, args []string, params *paramFlags) (string, error) {
	targets, values := splitAssignments(args)
	if len(targets) != 1 {
		return "", usage("want one %s, not %q", kind, strings.Join(targets, " "))
	}
	params.values = append(params.values, values...)
	return targets[0], nil
}

// awaitPlugin waits until a plugin is ready, or will not be.
func (a *app) awaitPlugin(ctx context.Context, c *client.Client, name string) error {
	ctx, cancel := context.WithTimeout(ctx, pluginWait)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		p, err := c.Plugins().Get(ctx, name)
		switch {
		case err != nil:
			return err
		case p.Available:
			return a.printPlugin(name, "ready")
		case p.Validated:
			return model.Errorf(model.Invalid, "plugin %s is not ready: %s; `oob plugin set %s` changes its params", name, strings.Join(p.PluginErrors, "; "), word(name))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return model.Errorf(model.Timeout, "plugin %s is not ready after %v: %s", name, pluginWait, strings.Join(p.PluginErrors, "; "))
		}
	}
}
