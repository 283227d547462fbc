package plugin

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"provision-plugins/shared/model"
)

// App is the plugin's command line, made by InitApp.
var App *cobra.Command

// InitApp makes App: the command line of the plugin that impl is, with the
// definition def.
func InitApp(use, short, version string, def *model.PluginProvider, impl Configurer) {
	App = &cobra.Command{Use: use, Short: short}
}

// Main executes App and returns the process's exit code.
func Main() int { return 0 }

// Outbound is the way from a plugin to its host.
type Outbound struct{}

// Publish sends an event of the endpoint's object key.
func (o *Outbound) Publish(ctx context.Context, e *model.Event) error { return nil }

// Leaving tells the host that the plugin is about to end on purpose, and why.
func (o *Outbound) Leaving(ctx context.Context, reason *model.Error) error { return nil }

// Define runs the binary's define and returns what it printed, checked.
func Define(ctx context.Context, e Exec) (*model.PluginProvider, error) { return nil, nil }

// Unpack lets the binary write its files below dir.
func Unpack(ctx context.Context, e Exec, dir string) error { return nil }

// Process is a running plugin.
type Process struct{}

// Launch starts a plugin process and returns when it is READY.
func Launch(ctx context.Context, o LaunchOptions) (*Process, error) { return nil, nil }

// Config sends the plugin's params.
func (p *Process) Config(ctx context.Context, params model.Params) error { return nil }

// Action sends one action, once, and returns the plugin's answer.
func (p *Process) Action(ctx context.Context, a *model.Action) (json.RawMessage, error) {
	return nil, nil
}

// Publish sends one event.
func (p *Process) Publish(ctx context.Context, e *model.Event) error { return nil }

// Stop ends the process and waits for it.
func (p *Process) Stop(ctx context.Context) error { return nil }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return nil }

// Err tells why the process ended, once Done is closed; nil after a clean stop.
func (p *Process) Err() error { return nil }

// Pid is the process's id.
func (p *Process) Pid() int { return 0 }
