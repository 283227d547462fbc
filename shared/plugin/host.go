package plugin

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"provision-plugins/shared/model"
)

// Exec is how a plugin binary is started.
type Exec struct {
	// Path is the binary.
	Path string
	// Env is its whole environment: nothing is inherited.
	Env []string
	// Dir is its working directory; empty means the host's.
	Dir string
}

// HostHandler takes what a plugin sends of its own accord. Its methods are
// called from several goroutines and must return soon: the plugin waits.
type HostHandler interface {
	// Log takes one log line.
	Log(line *model.Line)
	// Publish takes one event.
	Publish(event *model.Event)
}

// LeavingHandler is a HostHandler that wants to know when a plugin ends on
// purpose.
type LeavingHandler interface {
	// Leaving takes the reason.
	Leaving(reason *model.Error)
}

// ObjectLister is a HostHandler that lists objects for plugins.
type ObjectLister interface {
	// Objects lists the objects of a prefix.
	Objects(ctx context.Context, prefix string) ([]json.RawMessage, error)
}

// LaunchOptions is how a plugin process is launched. Zero durations mean the
// default.
type LaunchOptions struct {
	Exec
	// Name is the plugin object's name, for errors and the log.
	Name string
	// RuntimeDir is a private directory with a short path; a folder for the
	// process's two sockets is made in it and removed with the process.
	RuntimeDir string
	// StateDir is given to the plugin for durable state (OOB_STATE_DIR); empty
	// means none is given.
	StateDir string
	// Handler takes log lines and events.
	Handler HostHandler
	// Logger takes what the process prints, and the host's own lines. nil
	// discards them.
	Logger *slog.Logger
	// ReadyTimeout bounds the start, 10 s by default.
	ReadyTimeout time.Duration
	// TermAfter is how long a stopping plugin is waited for before SIGTERM, 15 s
	// by default.
	TermAfter time.Duration
	// KillAfter is how long after SIGTERM SIGKILL follows, 10 s by default.
	KillAfter time.Duration
}
