package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// newMachineCommand makes "machine" and what is below it.
func newMachineCommand(a *app) *cobra.Command {
	return groupCommand(&cobra.Command{
		Use:   "machine",
		Short: "Add, list, change and remove machines",
	},
		newMachineAddCommand(a),
		newMachineListCommand(a),
		newMachineShowCommand(a),
		newMachineSetCommand(a),
		newMachinePinCommand(a),
		newMachineRemoveCommand(a),
	)
}

// newMachineShowCommand makes "machine show".
func newMachineShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show one machine with its params; secrets are masked",
		Args:  wants(1, 1, "the NAME of one machine"),

		ValidArgsFunction: a.completesOne(machineNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withClient(func(c *client.Client) error {
				m, err := oneMachine(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				if a.flags.json {
					return a.printJSON(m)
				}
				seen, err := client.Fetch[map[string]model.Observed](cmd.Context(), c, "power")
				if err != nil {
					return err
				}
				return a.showMachine(m, seen[m.Uuid])
			})
		},
	}
}

// showMachine prints a machine for people.
func (a *app) showMachine(m *model.Machine, seen model.Observed) error {
	short := newMachine(m)
	rows := [][]string{
		{"name", m.Name},
		{"uuid", m.Uuid},
		{"driver", short.driver},
		{"power", powerSeen(seen)},
	}
	for _, row := range [][]string{
		{"description", m.Description},
		{"profiles", strings.Join(m.Profiles, ", ")},
		{"errors", strings.Join(m.Errors, "; ")},
	} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	if len(m.Params) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout, "params")
	return table(a.stdout, paramRows(m.Params, "  "))
}

// paramRows are params as rows of a table, sorted by name.
func paramRows(params model.Params, indent string) [][]string {
	var rows [][]string
	for name, value := range model.RedactParams(params, nil) {
		rows = append(rows, []string{indent + clean(name), valueText(value)})
	}
	slices.SortFunc(rows, func(x, y []string) int { return strings.Compare(x[0], y[0]) })
	return rows
}

// valueText is a param's value for people: text bare, anything else as JSON.
func valueText(value any) string {
	if text, ok := value.(string); ok && text != "" {
		return text
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(raw)
}

// newMachineRemoveCommand makes "machine remove".
func newMachineRemoveCommand(a *app) *cobra.Command {
	var sel selection
	var pace pacing
	var yes bool
	cmd := &cobra.Command{
		Use:     "remove TARGETS...",
		Aliases: []string{"rm"},
		Short:   "Remove machines from the endpoint; the machines themselves are left as they are",

		ValidArgsFunction: a.completesTargets(),
		RunE: func(cmd *cobra.Command, args []string) error {
			sel.args = args
			edit := machineEdit{verb: "machine remove", done: "removed", sel: sel, pace: pace, yes: yes, always: true}
			edit.call = func(ctx context.Context, c *client.Client, m machine) error {
				_, err := c.Machines().Delete(ctx, m.uuid)
				return err
			}
			return a.withClient(func(c *client.Client) error { return edit.run(cmd.Context(), a, c) })
		},
	}
	sel.addFlags(cmd.Flags())
	pace.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}
