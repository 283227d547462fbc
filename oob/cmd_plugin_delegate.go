package main

import (
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// delegation is what "plugin delegate" is told.
type delegation struct {
	actions          []string
	override, revoke bool
	yes              bool
}

// claims are those that are asked for.
func (d *delegation) claims() []model.Claim {
	var list []string
	for _, name := range d.actions {
		list = append(list, "action:"+name)
	}
	if len(list) == 0 {
		list = []string{"action"}
	}
	if d.override {
		list = append(list, "override")
	}
	return []model.Claim{
		{Scope: "machines", Action: strings.Join(list, ","), Specific: "*"},
		{Scope: "runs", Action: "cancel", Specific: "*"},
	}
}

// newPluginDelegateCommand makes "plugin delegate".
func newPluginDelegateCommand(a *app) *cobra.Command {
	var d delegation
	cmd := &cobra.Command{
		Use:   "delegate NAME",
		Short: "Let a plugin ask for actions in the names of people, or no longer",
		Long: `Let a plugin ask for actions on machines in the names of people, as slack does
for those who type /metal. The plugin decides who may ask for what, by its own
params; what is given here is the most that it can grant.`,
		Args: wants(1, 1, "the NAME of one plugin"),

		ValidArgsFunction: a.completesOne(providerNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			verb, state := "plugin delegate", "acts for people"
			if d.revoke {
				verb, state = "plugin delegate --revoke", "no longer acts for people"
			}
			if err := a.confirmThe(cmd.Context(), verb, "plugin", args, d.yes); err != nil {
				return err
			}
			return a.withClient(func(c *client.Client) error {
				path := client.Path("plugins", args[0], "delegation")
				var err error
				if d.revoke {
					err = c.Delete(cmd.Context(), path, new(json.RawMessage))
				} else {
					err = c.Put(cmd.Context(), path, map[string]any{"Claims": d.claims()}, new(json.RawMessage))
				}
				if err != nil {
					return instead(err, model.NotFound, "no plugin is called %s, or it does not act for people; `oob plugin list` lists them", args[0])
				}
				return a.printPlugin(args[0], state)
			})
		},
	}
	cmd.Flags().StringSliceVar(&d.actions, "actions", nil, "only these `ACTIONS`, such as poweron,powerstatus (default all)")
	cmd.Flags().BoolVar(&d.override, "override-protected", false, "on protected machines too")
	cmd.Flags().BoolVar(&d.revoke, "revoke", false, "take it back")
	cmd.Flags().BoolVarP(&d.yes, "yes", "y", false, "do not ask")
	return cmd
}
