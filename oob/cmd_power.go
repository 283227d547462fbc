package main

import (
	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
)

// powerCommands are the commands below power.
var powerCommands = []struct {
	use, command, short string
}{
	{"on", model.PowerOn, "Switch on"},
	{"off", model.PowerOff, "Switch off at once"},
	{"soft", model.PowerSoft, "Ask the operating system to shut down; sent once"},
	{"cycle", model.PowerCycle, "Off, then on; sent once"},
	{"reset", model.PowerReset, "Reset without power loss; sent once"},
	{"nmi", model.PowerNMI, "Send a diagnostic interrupt; sent once"},
	{"status", model.PowerStatus, "Read the power state from the device"},
}

// newPowerCommand makes "power" with one command for each power action.
func newPowerCommand(a *app) *cobra.Command {
	group := groupCommand(&cobra.Command{
		Use:   "power",
		Short: "Switch machines on and off, or read their power state",
		Long: `Switch machines on and off, or read their power state.

What is "verified" was read back from the device. A command that must not be
executed twice is sent once; if its outcome cannot be told, the error is of
kind unknown-outcome: look before you act.`,
	})
	for _, row := range powerCommands {
		change := model.ActionOf(row.command, nil).Class != model.Read
		cmd, o := newActionCommand(a, row.use, row.short, change, func(*actionOptions) (actionCall, error) {
			return actionCall{verb: "power " + row.use, command: row.command}, nil
		})
		if row.command == model.PowerSoft {
			cmd.Flags().Var(&o.forceAfter, "force-after", "switch off if it is still on after this long (sets oob/force-after)")
		}
		group.AddCommand(cmd)
	}
	return group
}
