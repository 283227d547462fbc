package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"provision-plugins/endpoint/rekey"
)

// newRekeyCommand makes "rekey".
func newRekeyCommand(a *app) *cobra.Command {
	var dir, keyFile, site string
	cmd := &cobra.Command{
		Use:   "rekey",
		Short: "Give the endpoint a new master key and seal everything with it",
		Long: `Give the endpoint a new master key and seal everything with it. The endpoint
must not run. Until the last of it is sealed both keys open everything: a change
that is cut off loses nothing, and is ended by running it again.

A key in the data directory is replaced by a new one. Where the key comes from
elsewhere, --key-file names the new one; put it where the old one came from,
which works until the endpoint has started with the new one.

The tokens of users end. Snapshots of before need the old key.`,
		Example: "  systemctl stop oob && oob rekey && systemctl start oob",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := a.dataDir(dir)
			if err != nil {
				return err
			}
			logger, _, err := a.logger(2, "text")
			if err != nil {
				return err
			}
			got, err := rekey.Change(cmd.Context(), rekey.Options{Dir: at, Site: site, KeyFile: keyFile, Getenv: a.getenv, Logger: logger})
			if err != nil {
				return err
			}
			if a.flags.json {
				return a.printJSON(got)
			}
			fmt.Fprintf(a.stdout, "%s: sealed the keys of %s with a new master key\n", at, count(got.Objects, "object"))
			if got.HandOver {
				fmt.Fprintf(a.stdout, "Put the new key in the place of %s before the next start.\n", got.Source)
			}
			return nil
		},
	}
	bindDataDir(cmd, &dir)
	cmd.Flags().StringVar(&keyFile, "key-file", "", "`FILE` of the new key: 32 bytes as base64, mode 0600")
	cmd.Flags().StringVar(&site, "site", "local", "the `NAME` of the site")
	return cmd
}
