package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// pinOptions are what machine pin is asked for.
type pinOptions struct {
	sel     selection
	pace    pacing
	plugin  string
	replace bool
	yes     bool
}

// newMachinePinCommand makes "machine pin".
func newMachinePinCommand(a *app) *cobra.Command {
	var o pinOptions
	cmd := &cobra.Command{
		Use:   "pin TARGETS...",
		Short: "Pin machines to the devices that are behind their addresses now",
		Long: `Pin machines to the devices that are behind their addresses now.

The identity is read from each device, its system GUID for instance, and kept
with the machine as oob/identity. From then on nothing that changes the machine
is sent to a device with another identity: an address that moves cannot switch
off the wrong machine. "oob identify" and everything that only reads still go
there, so that it can be found.

A machine that is pinned to another device is left as it is unless --replace is
given. To undo a pin: oob machine set TARGETS --unset oob/identity.`,
		Example:           "  oob machine pin m1\n  oob machine pin @rack1 --yes",
		ValidArgsFunction: a.completesTargets(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.sel.args = args
			return a.withClient(func(c *client.Client) error { return runPin(cmd.Context(), a, c, o) })
		},
	}
	fs := cmd.Flags()
	o.sel.addFlags(fs)
	o.pace.addFlags(fs)
	fs.StringVar(&o.plugin, "plugin", "", "ask this `PLUGIN`, not the machine's own")
	fs.BoolVar(&o.replace, "replace", false, "pin anew what is pinned to another device")
	fs.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return cmd
}

// runPin pins the machines.
func runPin(ctx context.Context, a *app, c *client.Client, o pinOptions) error {
	edit := machineEdit{verb: "machine pin", sel: o.sel, pace: o.pace, yes: o.yes, always: o.replace}
	edit.tell = func(ctx context.Context, c *client.Client, m machine) (string, error) { return pin(ctx, c, m, o) }
	return edit.run(ctx, a, c)
}

// pin reads a machine's identity, keeps it, and tells what it is.
func pin(ctx context.Context, c *client.Client, m machine, o pinOptions) (string, error) {
	inv := invocation{call: actionCall{verb: "machine pin", command: model.GetIdentity}}
	ctx, cancel := context.WithTimeout(ctx, inv.bound(m)+model.ActionOf(model.GetIdentity, nil).Timeout)
	defer cancel()
	reply, err := c.Invoke(ctx, client.ActionRequest{Prefix: "machines", Key: m.uuid, Command: model.GetIdentity, Plugin: o.plugin})
	if err != nil {
		return "", actionError(err, model.GetIdentity, m.name)
	}
	var id model.Identity
	if err := json.Unmarshal(reply.Result, &id); err != nil || id.ID == "" {
		return "", model.Errorf(model.Unsupported, "the device did not tell its identity")
	}
	now, err := m.params.String(model.ParamIdentity, "")
	switch {
	case err != nil:
		return "", err
	case id.Is(now):
		return "already pinned to " + id.String(), nil
	case now != "" && !o.replace:
		return "", model.Errorf(model.Conflict, "it is pinned to %s, and the device there is %s, another one; give --replace if that is right", now, id)
	}
	ops, err := paramOps(m.params, model.Params{model.ParamIdentity: id.ID}, nil)
	if err != nil {
		return "", err
	}
	if _, err = c.Machines().Patch(ctx, m.uuid, ops...); err != nil {
		return "", err
	}
	return "pinned to " + id.String(), nil
}
