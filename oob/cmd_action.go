package main

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// commandName is what the name of an action looks like.
var commandName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,63}$`)

// newActionByNameCommand makes "action", any action by its name.
func newActionByNameCommand(a *app) *cobra.Command {
	cmd, _ := newActionCommand(a, "action COMMAND", "Run any action of a driver on machines, by its name", true, func(o *actionOptions) (actionCall, error) {
		if len(o.args) == 0 || !commandName.MatchString(o.args[0]) {
			return actionCall{}, usage("give the COMMAND, then the machines, such as `oob action getInfo m1`; `oob plugin show NAME` lists the actions of a plugin")
		}
		command := o.args[0]
		o.args = o.args[1:]
		return actionCall{verb: command, command: command}, nil
	})
	cmd.Long = `Run any action of a driver on machines, by its name.

"oob plugin show NAME" lists the actions of a plugin. An action that no table
knows is taken for one that must not be executed twice, unless its name begins
with "get"; on more than one machine it asks first.`
	cmd.Example = "  oob action getIdentity m1\n  oob action mountIso vm1 --param virtualbox/iso=/isos/rescue.iso"
	return cmd
}

// newPluginActionCommand makes "plugin action".
func newPluginActionCommand(a *app) *cobra.Command {
	var params paramFlags
	cmd := &cobra.Command{
		Use:     "action NAME COMMAND [k=v...]",
		Short:   "Run an action of a plugin on the plugin itself",
		Example: "  oob plugin action slack status",
		Args:    wants(2, -1, "the NAME of one plugin and the COMMAND, then k=v"),

		ValidArgsFunction: a.completesOne(pluginNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, command := args[0], args[1]
			if !commandName.MatchString(command) {
				return usage("%q is not the name of an action; `oob plugin show %s` lists them", command, word(name))
			}
			return a.withClient(func(c *client.Client) error {
				params.values = append(params.values, args[2:]...)
				values, err := params.read(cmd.Context(), a, c)
				if err != nil {
					return err
				}
				reply, err := c.Invoke(cmd.Context(), client.ActionRequest{Prefix: "plugins", Key: name, Command: command, Plugin: name, Params: values})
				if err != nil {
					return err
				}
				return a.printResult(reply.Result)
			})
		},
	}
	params.addFlags(cmd.Flags())
	return cmd
}

// printResult prints what an action answered.
func (a *app) printResult(raw json.RawMessage) error {
	if a.flags.json {
		return a.printJSON(raw)
	}
	var v any
	if err := model.Unmarshal(raw, &v); err != nil {
		return model.Errorf(model.Internal, "cannot read the answer: %w", err)
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return model.Errorf(model.Internal, "cannot print: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if err := a.printLine(line); err != nil {
			return err
		}
	}
	return nil
}
