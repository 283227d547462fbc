package main

import (
	"bytes"
	"context"
	"io"

	"github.com/spf13/cobra"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// newDocumentCommand returns the document command.
func newDocumentCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "document FILE",
		Short: "Write the reference page of a bundle",
		Long: `Document reads FILE, a bundle in a .yaml, .yml, .json or .go file or a content
directory, checks it, and prints its reference page as reStructuredText: the
documentation of the bundle, and that of each object that has some. The same
bundle always gives the same page.

Exit codes: 0 done, 2 FILE or the command line is wrong, 11 the page cannot be
written.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runDocument(cmd.Context(), cmd.OutOrStdout(), args[0], output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "file to write instead of standard output")
	return cmd
}

// runDocument reads the bundle and writes the page.
func runDocument(ctx context.Context, stdout io.Writer, file, output string) error {
	c, err := content.Read(ctx, file)
	if err != nil {
		return err
	}
	if output == "" {
		if err := content.Document(stdout, c); err != nil {
			return model.Errorf(model.Internal, "%w", err)
		}
		return nil
	}
	var page bytes.Buffer
	if err := content.Document(&page, c); err != nil {
		return model.Errorf(model.Internal, "%w", err)
	}
	return replaceFile(output, page.Bytes(), modePublic)
}
