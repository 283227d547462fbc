// Command oob is the command line of the suite, and its daemon (`oob serve`):
// power, boot devices and status of machines, by name or by the rack.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
	"provision-plugins/sim/vbox"
)

// version is set by the build.
var version = "v0.0.0-dev"

// main runs the command and exits with its code. Under the names that a simulated
// VirtualBox has for it, it is a part of that.
func main() {
	if vbox.Called(os.Args) {
		os.Exit(vbox.Main(os.Args))
	}
	spendMemory()
	os.Exit(mainCode())
}

// mainCode runs the command of this process. The first SIGINT, SIGTERM or SIGHUP ends
// it in order, the second at once.
func mainCode() int {
	ctx, stop := signal.NotifyContext(context.Background(), endingSignals...)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, newApp(), os.Args[1:])
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, a *app, args []string) int {
	root := newRootCommand(a)
	root.SetArgs(bareEndpoint(args))
	err := root.ExecuteContext(ctx)
	if text := errorLine(err); text != "" {
		fmt.Fprintln(a.stderr, text)
	}
	return exitCode(err)
}

// newRootCommand lists the commands.
func newRootCommand(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "oob",
		Short: "Power, boot devices and status of machines, out of band",
		Long: `oob switches, boots and reads machines through their BMC, cloud or hypervisor.

It speaks to the endpoint on this machine (start one with "oob serve"), or to
the one that --endpoint names, with a token from $OOB_TOKEN or --token-file.
Flags come before the environment, that before the configuration file
(oob/config.yaml in $XDG_CONFIG_HOME or ~/.config); "oob config" shows what is
in effect.

TARGETS are machine names or host lists: m1  a,b  rack[1-4]n[01-32]  @profile` + "\n\n" + exitHelp(),
		Version:           version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	groupCommand(root, commands(a)...)
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if top, _, _ := strings.Cut(strings.TrimPrefix(cmd.CommandPath(), "oob "), " "); a.lasts != nil && lasting[top] {
			a.lasts()
		}
		return a.setDefaults(cmd)
	}
	a.addGlobalFlags(root.PersistentFlags())
	addHelp(root)
	a.addCompletion(root)
	root.SetFlagErrorFunc(flagFault)
	return root
}

// commands lists the commands.
func commands(a *app) []*cobra.Command {
	return []*cobra.Command{
		newPowerCommand(a),
		newBootCommand(a),
		newStatusCommand(a),
		newDoctorCommand(a),
		newIdentifyCommand(a),
		newActionByNameCommand(a),
		newMachineCommand(a),
		newExportCommand(a),
		newImportCommand(a),
		newProfileCommand(a),
		newParamCommand(a),
		newPluginCommand(a),
		newRunsCommand(a),
		newEventsCommand(a),
		newContentsCommand(a),
		newUserCommand(a),
		newTokenCommand(a),
		newCertificateCommand(a),
		newRekeyCommand(a),
		newBackupCommand(a),
		newRestoreCommand(a),
		newServeCommand(a),
		newSimCommand(a),
		newConfigCommand(a),
		newVersionCommand(a),
		newReferenceCommand(),
	}
}

// lasting are the commands that may go on for days.
var lasting = map[string]bool{"serve": true, "sim": true, "events": true, "runs": true}

// wants takes from least to most arguments, most below 0 for any number, and
// says what they are when there are others.
func wants(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usage("%s takes %s, not %s", cmd.CommandPath(), what, count(len(args), "argument"))
		}
		return nil
	}
}

// none takes no arguments.
var none = wants(0, 0, "no arguments")

// groupCommand adds commands to a parent that does nothing by itself: alone it
// prints its help, and a command it does not have is an error.
func groupCommand(parent *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	parent.AddCommand(commands...)
	parent.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(cmd, args[0])
	}
	parent.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return parent
}

// unknownCommand is the error for a command that parent does not have. It names
// those that differ from it by a slip: in one of its letters, or in two of six.
func unknownCommand(parent *cobra.Command, name string) error {
	text := fmt.Sprintf("unknown command %q for %q", name, parent.CommandPath())
	parent.SuggestionsMinimumDistance = min(max(len(name)/3, 1), 2)
	if near := parent.SuggestionsFor(name); len(near) > 0 {
		return usage("%s; did you mean %s?", text, strings.Join(near, " or "))
	}
	return usage("%s; see `%s --help`", text, parent.CommandPath())
}

// exitHelp is the table of exit codes.
func exitHelp() string {
	var out strings.Builder
	out.WriteString("Exit codes; of several machines, the worst (the largest):\n   0  all succeeded\n")
	kinds := model.Kinds()
	for i := 0; i < len(kinds); i++ {
		names := string(kinds[i].Kind)
		for i+1 < len(kinds) && kinds[i+1].Exit == kinds[i].Exit {
			i++
			names += ", " + string(kinds[i].Kind)
		}
		fmt.Fprintf(&out, "  %2d  %s\n", kinds[i].Exit, names)
	}
	return strings.TrimRight(out.String(), "\n")
}
