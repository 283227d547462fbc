// Command contents turns content directories into bundles and back, and writes
// their reference pages, as the reference CLI's contents commands do, only
// stricter:
//
//	contents bundle FILE [Meta=Value...] [--dir DIR]
//	contents unbundle FILE [--dir DIR] [-F json|yaml] [--force]
//	contents document FILE [-o FILE]
//
// Exit codes are those of the error table: 2 for bad input, 11 for what is not
// the caller's fault.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes the command line and returns the exit code. Errors go to stderr,
// one line for each thing that is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var e *model.Error
	if !errors.As(err, &e) {
		// What cobra itself finds wrong is the command line.
		e = model.Errorf(model.Invalid, "%w (see contents --help)", err)
	}
	for _, line := range e.Messages {
		fmt.Fprintln(stderr, "contents: "+line)
	}
	return model.ExitCode(e)
}

// newRootCommand returns the command with its sub-commands.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "contents",
		Short:         "Build content bundles, take them apart, document them",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newBundleCommand(), newUnbundleCommand(), newDocumentCommand())
	return root
}
