package main

import (
	"errors"

	"github.com/spf13/cobra"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// newVersionCommand makes "version".
func newVersionCommand(a *app) *cobra.Command {
	var both bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !both {
				return a.printVersion("", version)
			}
			return a.withClient(func(c *client.Client) error {
				info, err := client.Fetch[model.Info](cmd.Context(), c, "info")
				if err != nil {
					return err
				}
				return errors.Join(a.printVersion("", version), a.printVersion(c.Where(), info.Version))
			})
		},
	}
	cmd.Flags().BoolVar(&both, "with-endpoint", false, "print the endpoint's version too")
	return cmd
}

// printVersion prints the version of an endpoint, or of oob itself.
func (a *app) printVersion(where, version string) error {
	switch {
	case a.flags.json && where != "":
		return a.printJSON(map[string]string{"endpoint": where, "version": version})
	case a.flags.json:
		return a.printJSON(map[string]string{"version": version})
	case where != "":
		version = "endpoint " + where + ": " + version
	}
	return a.printLine(version)
}
