package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

//go:generate go run . reference ../docs/reference/cli.md

// newReferenceCommand makes "reference", which writes the reference page of all
// commands; it is for those who build oob.
func newReferenceCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "reference FILE",
		Short:  "Write the reference page of all commands",
		Hidden: true,
		Args:   wants(1, 1, "one FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.WriteFile(args[0], reference(cmd.Root()), 0o644); err != nil {
				return usage("cannot write the reference: %w", err)
			}
			return nil
		},
	}
}

// reference is the reference page of a command and all below it, as Markdown.
func reference(root *cobra.Command) []byte {
	root.InitDefaultCompletionCmd()
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Reference of the command line\n\nWritten by `go generate` from the commands themselves; [cli.md](../cli.md) explains them.\n\n")
	commands := described(root)
	fmt.Fprintf(&out, "| command | what it does |\n|---|---|\n")
	for _, cmd := range commands {
		fmt.Fprintf(&out, "| [`%s`](#%s) | %s |\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cell(cmd.Short))
	}
	fmt.Fprintf(&out, "\n## Flags of every command\n\n```\n%s```\n", usages(root.PersistentFlags().FlagUsagesWrapped(100)))
	for _, cmd := range commands {
		describe(&out, cmd)
	}
	return out.Bytes()
}

// described lists the commands that do something, in order.
func described(cmd *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, below := range cmd.Commands() {
		switch {
		case below.Hidden || below.Name() == "help":
		case below.HasAvailableSubCommands():
			if below.Name() == "runs" { // it does something by itself
				out = append(out, below)
			}
			out = append(out, described(below)...)
		default:
			out = append(out, below)
		}
	}
	return out
}

// cell is a text for a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// usages are flags as help prints them.
func usages(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return out.String()
}

// describe writes the section of one command.
func describe(out *bytes.Buffer, cmd *cobra.Command) {
	fmt.Fprintf(out, "\n## %s\n\n", cmd.CommandPath())
	text := cmd.Short + "."
	if cmd.Long != "" && cmd.Parent().Name() != "completion" {
		text = strings.TrimSpace(cmd.Long)
	}
	fmt.Fprintf(out, "%s\n\n```\n%s\n", text, cmd.UseLine())
	if cmd.HasExample() {
		fmt.Fprintf(out, "\n%s\n", strings.TrimRight(usages(cmd.Example), "\n"))
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(out, "\nalso called: %s\n", strings.Join(cmd.Aliases, ", "))
	}
	if flags := usages(cmd.LocalFlags().FlagUsagesWrapped(100)); flags != "" {
		fmt.Fprintf(out, "\n%s", flags)
	}
	fmt.Fprintf(out, "```\n")
}
