package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// machineEdit is a change of the machines' objects, not of the machines.
type machineEdit struct {
	verb, done string // "machine set", "set"
	sel        selection
	pace       pacing
	yes        bool
	always     bool // ask also for one machine
	call       func(ctx context.Context, c *client.Client, m machine) error
	// tell, if set, is a call that tells by itself what was done.
	tell func(ctx context.Context, c *client.Client, m machine) (string, error)
}

// run resolves the machines, asks where there is something to ask, and edits
// them.
func (e machineEdit) run(ctx context.Context, a *app, c *client.Client) error {
	if err := e.pace.check(); err != nil {
		return err
	}
	machines, missing, err := resolve(ctx, c, e.sel)
	switch {
	case err != nil:
		return err
	case len(missing) > 0:
		return noMachines(missing)
	case len(machines) == 0:
		return errNoMatch()
	}
	if e.always || len(machines) > 1 {
		if err := a.confirm(ctx, e.verb, namesOf(machines), e.yes); err != nil {
			return err
		}
	}
	r := newReport(a, e.verb, len(machines), false)
	r.pace, r.patient = e.pace, true
	return fanOut(ctx, r, e.sel.parallel, machines, asMachine, func(ctx context.Context, m machine) answer {
		return e.edit(ctx, c, m)
	})
}

// edit edits one machine.
func (e machineEdit) edit(ctx context.Context, c *client.Client, m machine) answer {
	if e.tell == nil {
		return e.answer(m, e.call(ctx, c, m))
	}
	var err error
	e.done, err = e.tell(ctx, c, m)
	return e.answer(m, err)
}

// answer is the answer for one edited machine.
func (e machineEdit) answer(m machine, err error) answer {
	if err != nil {
		return answer{machine: m, err: model.AsError(err)}
	}
	raw, err := model.Marshal(e.done)
	if err != nil { // a string always encodes
		return answer{machine: m, err: model.AsError(err)}
	}
	return answer{machine: m, raw: raw}
}

// setOptions are the flags of "machine set".
type setOptions struct {
	edit     machineEdit
	params   paramFlags
	unset    []string
	profiles profileEdit
}

// newMachineSetCommand makes "machine set".
func newMachineSetCommand(a *app) *cobra.Command {
	o := setOptions{edit: machineEdit{verb: "machine set", done: "set"}}
	cmd := &cobra.Command{
		Use:   "set TARGETS... [k=v...]",
		Short: "Set and unset params of machines, give them profiles and take them",
		Long: `Set and unset params of machines, give them profiles and take them.

A param is given as k=v or as --param k=v. A value that is JSON is taken as
JSON, unless the param is declared as text. A secret is given with --param-file,
never on the command line. A param that nobody declares is set with a warning.`,
		Example: "  oob machine set m1 oob/protected=true\n  oob machine set rack1n[01-16] --param-file ipmi/password=./pw --yes\n  oob machine set m1 --unset oob/timeout",

		ValidArgsFunction: a.completesTargets(),
		RunE: func(cmd *cobra.Command, args []string) error {
			targets, values := splitAssignments(args)
			o.edit.sel.args, o.params.values = targets, append(o.params.values, values...)
			return a.setMachines(cmd.Context(), o)
		},
	}
	fs := cmd.Flags()
	o.edit.sel.addFlags(fs)
	o.edit.pace.addFlags(fs)
	o.params.addFlags(fs)
	fs.StringArrayVar(&o.unset, "unset", nil, "unset this `PARAM` (may be repeated)")
	fs.StringArrayVar(&o.profiles.add, "add-profile", nil, "give it this `PROFILE` (may be repeated)")
	fs.StringArrayVar(&o.profiles.remove, "remove-profile", nil, "take this `PROFILE` from it (may be repeated)")
	fs.BoolVarP(&o.edit.yes, "yes", "y", false, "do not ask")
	return cmd
}

// setMachines sets params and profiles of machines.
func (a *app) setMachines(ctx context.Context, o setOptions) error {
	if len(o.params.values)+len(o.params.files)+len(o.unset)+len(o.profiles.add)+len(o.profiles.remove) == 0 {
		return usage("nothing to set: give k=v, --param-file k=FILE, --unset k, --add-profile P or --remove-profile P")
	}
	if err := o.profiles.check(); err != nil {
		return err
	}
	return a.withClient(func(c *client.Client) error {
		values, err := o.params.read(ctx, a, c)
		if err != nil {
			return err
		}
		a.warnUnknown(ctx, c, values)
		o.edit.call = func(ctx context.Context, c *client.Client, m machine) error {
			ops, err := paramOps(m.params, values, o.unset)
			if err != nil {
				return err
			}
			if ops = append(o.profiles.ops(m.profiles), ops...); len(ops) == 0 {
				return nil
			}
			_, err = c.Machines().Patch(ctx, m.uuid, ops...)
			return err
		}
		return o.edit.run(ctx, a, c)
	})
}

// splitAssignments separates targets from k=v.
func splitAssignments(args []string) (targets, values []string) {
	for _, arg := range args {
		if strings.Contains(arg, "=") {
			values = append(values, arg)
		} else {
			targets = append(targets, arg)
		}
	}
	return targets, values
}

// paramOps is the patch that sets and unsets params of an object that has those
// of now.
func paramOps(now, set model.Params, unset []string) ([]client.Op, error) {
	var ops []client.Op
	for _, name := range unset {
		if _, ok := now[name]; !ok {
			return nil, model.Errorf(model.NotFound, "param %s is not set on it", name)
		}
		if _, both := set[name]; both {
			return nil, usage("param %s is to be set and unset", name)
		}
		ops = append(ops, client.Remove(client.Pointer("Params", name)))
	}
	for name, value := range set {
		ops = append(ops, client.Add(client.Pointer("Params", name), value))
	}
	slices.SortFunc(ops, func(a, b client.Op) int { return strings.Compare(a.Path, b.Path) })
	return ops, nil
}
