package main

import (
	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
)

// bootCommands are the commands below boot; always is the action of --always,
// empty if there is none.
var bootCommands = []struct {
	use, next, always, short string
}{
	{"pxe", model.NextBootPXE, model.ForceBootPXE, "Boot from the network"},
	{"disk", model.NextBootDisk, model.ForceBootDisk, "Boot from disk"},
	{"cd", model.NextBootCD, "", "Boot from CD the next time"},
	{"bios", model.NextBootBIOS, "", "Enter the firmware setup the next time"},
}

// newBootCommand makes "boot" with one command for each device.
func newBootCommand(a *app) *cobra.Command {
	group := groupCommand(&cobra.Command{
		Use:   "boot",
		Short: "Set or read the boot device",
	})
	for _, row := range bootCommands {
		var always bool
		cmd, _ := newActionCommand(a, row.use, row.short, true, func(*actionOptions) (actionCall, error) {
			call := actionCall{verb: "boot " + row.use, command: row.next}
			if always {
				call.command = row.always
				call.verb += " --always"
			}
			return call, nil
		})
		if row.always != "" {
			cmd.Short += " the next time, or every time with --always"
			cmd.Flags().BoolVar(&always, "always", false, "every boot from now on, not only the next")
		}
		group.AddCommand(cmd)
	}
	status, _ := newActionCommand(a, "status", "Read the boot override from the device", false, func(*actionOptions) (actionCall, error) {
		return actionCall{verb: "boot status", command: model.BootStatus}, nil
	})
	group.AddCommand(status)
	return group
}
