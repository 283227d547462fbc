package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
)

// App is the plugin's command line, made by InitApp. The plugin contract names
// it, which is why it is a variable of the package.
var App *cobra.Command

// InitApp makes App: the command line of the plugin that impl is, with the
// definition def. use is the plugin's name.
func InitApp(use, short, version string, def *model.PluginProvider, impl Configurer) {
	App = newProgram(use, version, def, impl).command(short)
}

// defaultPath is where programs are found by a process that was told nothing.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Main executes App and returns the process's exit code: 0, the code of the
// error's kind for run, 1 for every other command.
func Main() int {
	if _, set := os.LookupEnv("PATH"); !set { // a careful host sets nothing that the protocol does not name
		_ = os.Setenv("PATH", defaultPath) // it fails only for names that are none
	}
	err := App.ExecuteContext(context.Background())
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	return 1
}

// exitError ends the process with a code of its own.
type exitError struct {
	code  int
	cause error
}

// Error is the cause's text.
func (e *exitError) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.cause }

// program is one plugin, as its command line sees it.
type program struct {
	name    string
	version string
	def     *model.PluginProvider
	impl    Configurer
	secure  func(param string) bool // params the definition's content declares Secure
	level   slog.Level              // lines below it are not logged
	timing  timing
	parent  func() int // the parent process's id
}

// newProgram makes the program of a definition.
func newProgram(use, version string, def *model.PluginProvider, impl Configurer) *program {
	return &program{
		name:    use,
		version: version,
		def:     complete(def, use, version),
		impl:    impl,
		secure:  SecureParams(def.Content),
		level:   slog.LevelDebug,
		timing:  defaultTiming(),
		parent:  os.Getppid,
	}
}

// complete returns the definition with what every plugin would say alike and
// need not say.
func complete(def *model.PluginProvider, use, version string) *model.PluginProvider {
	d := *def
	if d.Name == "" {
		d.Name = use
	}
	if d.Version == "" {
		d.Version = version
	}
	d.PluginVersion = model.PluginVersion
	d.Meta = maps.Clone(d.Meta)
	if d.Meta == nil {
		d.Meta = map[string]string{}
	}
	if len(d.AvailableActions) > 0 {
		d.Meta[model.MetaReadStream] = "true"
	}
	if d.StoreObjects == nil {
		d.StoreObjects = map[string]any{}
	}
	return &d
}

// command builds the command line.
func (p *program) command(short string) *cobra.Command {
	root := &cobra.Command{
		Use:               p.name,
		Short:             short,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentFlags().BoolP("debug", "d", false, "accepted, as by every plugin; has no effect")
	p.addLogFlag(root.PersistentFlags())
	root.AddCommand(
		p.newVersionCommand(),
		p.newDefineCommand(),
		p.newUnpackCommand(),
		p.newListenCommand(),
		p.newRunCommand(),
		newAutocompleteCommand(),
	)
	return root
}

// newVersionCommand prints the version.
func (p *program) newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Version: %s\n", p.version)
			return err
		},
	}
}

// newDefineCommand prints the definition. Further arguments are ignored, as
// the reference does.
func (p *program) newDefineCommand() *cobra.Command {
	return &cobra.Command{
		Use:          "define",
		Short:        "Print what the plugin is, as JSON",
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			def, err := p.validated(cmd.Context())
			if err != nil {
				return err
			}
			return writeDefinition(cmd.OutOrStdout(), def)
		},
	}
}

// writeDefinition prints a definition, indented by two spaces.
func writeDefinition(w io.Writer, def *model.PluginProvider) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(def)
}

// newUnpackCommand writes the plugin's files.
func (p *program) newUnpackCommand() *cobra.Command {
	return &cobra.Command{
		Use:          "unpack DIR",
		Short:        "Write the plugin's files below a directory",
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return errors.New("cannot unpack: not a valid location; give one directory")
			}
			return p.unpack(cmd.Context(), args[0])
		},
	}
}

// unpack makes dir and lets the implementation fill it. A plugin without files
// makes nothing.
func (p *program) unpack(ctx context.Context, dir string) error {
	u, ok := p.impl.(Unpacker)
	if !ok {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot unpack: %w", err)
	}
	if err := u.Unpack(ctx, dir); err != nil {
		return fmt.Errorf("cannot unpack into %s: %w", dir, err)
	}
	return nil
}

// newAutocompleteCommand writes a bash completion.
func newAutocompleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "autocomplete FILE",
		Short: "Write a bash completion to a file",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			if err := cmd.Root().GenBashCompletionFile(args[0]); err != nil {
				return fmt.Errorf("cannot write the completion: %w", err)
			}
			return nil
		},
	}
}
