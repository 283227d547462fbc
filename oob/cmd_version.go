package main

import (
	"fmt"

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
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintln(a.stdout, version)
			if !both {
				return nil
			}
			return a.withClient(func(c *client.Client) error {
				info, err := get[model.Info](cmd.Context(), c, "info")
				if err == nil {
					fmt.Fprintf(a.stdout, "endpoint %s: %s\n", c.Where(), clean(info.Version))
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&both, "with-endpoint", false, "print the endpoint's version too")
	return cmd
}
