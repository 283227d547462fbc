package main

import (
	"context"

	"github.com/spf13/cobra"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// unbundleOptions are the flags of unbundle.
type unbundleOptions struct {
	dir    string
	format string
	force  bool
}

// newUnbundleCommand returns the unbundle command.
func newUnbundleCommand() *cobra.Command {
	var o unbundleOptions
	cmd := &cobra.Command{
		Use:   "unbundle FILE",
		Short: "Write a bundle as a content directory",
		Long: `Unbundle reads FILE, a bundle in a .yaml, .yml, .json or .go file, checks it, and
writes it as a content directory (the current one unless --dir says otherwise)
from which bundle makes the same bundle again: a ._Field.meta file for each
metadata field that is set, a folder for each section, a file for each object,
named after its key with a point for each slash. Templates are written as their
text.

Nothing is written outside the directory. If a file is there already, nothing is
written at all, unless --force replaces it; files of other names stay.

Exit codes: 0 done, 2 FILE or the command line is wrong or a file is in the way,
11 a file cannot be written.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runUnbundle(cmd.Context(), o, args[0])
		},
	}
	cmd.Flags().StringVar(&o.dir, "dir", ".", "directory to write")
	cmd.Flags().StringVarP(&o.format, "format", "F", "json", "form of the objects: json or yaml")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace files that are there already")
	return cmd
}

// runUnbundle reads the file and writes the directory.
func runUnbundle(ctx context.Context, o unbundleOptions, file string) error {
	if o.format != "json" && o.format != "yaml" {
		return model.Errorf(model.Invalid, "cannot unbundle %s: unknown format %q (use json or yaml)", file, o.format)
	}
	c, err := content.Read(ctx, file)
	if err != nil {
		return err
	}
	return content.Unbundle(ctx, c, content.Target{Dir: o.dir, YAML: o.format == "yaml", Force: o.force})
}
