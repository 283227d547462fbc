package main

import (
	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
)

// newStatusCommand makes "status", the health of machines.
func newStatusCommand(a *app) *cobra.Command {
	cmd, _ := newActionCommand(a, "status", "Read the health of machines", false, func(*actionOptions) (actionCall, error) {
		return actionCall{verb: "status", command: model.Status}, nil
	})
	return cmd
}
