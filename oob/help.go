package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newHelpCommand makes "help", for which a command that there is not is an error.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]...",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return unknownCommand(about, rest[0])
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, below := range about.Commands() {
				if below.IsAvailableCommand() {
					names = append(names, cobra.CompletionWithDesc(below.Name(), below.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// addHelp adds what cobra would add by itself, such that a command that there is
// not is an error there, too.
func addHelp(root *cobra.Command) {
	root.SetHelpCommand(newHelpCommand())
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			groupCommand(cmd)
		}
	}
}

// flagFault is the error of the flags of a command line.
func flagFault(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		flag := invalid.GetFlag()
		err = fmt.Errorf("invalid argument %q for --%s: %w", invalid.GetValue(), flag.Name, valueFault(flag, invalid.Unwrap()))
	}
	return usage("%w; see `%s --help`", err, cmd.CommandPath())
}

// valueFault says in words of people what is wrong with the value of a flag.
func valueFault(flag *pflag.Flag, err error) error {
	kind := flag.Value.Type()
	switch {
	case kind == "duration":
		return errors.New("want a duration such as 90s or 2m")
	case errors.Is(err, strconv.ErrRange) && kind == "uint16":
		return errors.New("want a number of at most 65535")
	case errors.Is(err, strconv.ErrRange):
		return errors.New("the number is too large")
	case errors.Is(err, strconv.ErrSyntax) && kind == "bool":
		return errors.New("want true or false")
	case errors.Is(err, strconv.ErrSyntax):
		return errors.New("want a whole number")
	}
	return err
}
