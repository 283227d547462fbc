package plugin

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin/sandbox"
)

// Exec is how a plugin binary is started.
type Exec struct {
	// Path is the binary.
	Path string
	// Env is its whole environment: nothing is inherited.
	Env []string
	// Dir is its working directory; empty means the host's.
	Dir string
	// Sandbox is what it may reach beside the system's programs and its own
	// directories and sockets; nil starts it outside any sandbox.
	Sandbox *sandbox.Rules
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

// Trace steers the log of one request to a plugin.
type Trace struct {
	// Token is what the plugin names in a line of the request's group
	// (LogTokenPrefix), before all others; empty means none.
	Token string
	// Level is the least level to be logged, by its name in the protocol; empty
	// means the plugin's own.
	Level string
}

// traceKey is where a context keeps its Trace.
type traceKey struct{}

// WithTrace has the requests of Process.Action with this context carry t.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// traced reports whether a context has a trace.
func traced(ctx context.Context) bool {
	t, _ := ctx.Value(traceKey{}).(Trace)
	return t != Trace{}
}

// traceHeader renders a context's trace as lines of a request's header.
func traceHeader(ctx context.Context) string {
	t, _ := ctx.Value(traceKey{}).(Trace)
	out := ""
	for _, row := range [...]struct{ name, value string }{{headerLogToken, t.Token}, {headerLogLevel, t.Level}} {
		if row.value != "" && strings.IndexFunc(row.value, notPrintable) < 0 {
			out += row.name + ": " + row.value + "\r\n"
		}
	}
	return out
}

// notPrintable reports what must not stand in a header.
func notPrintable(r rune) bool { return r < ' ' || r > '~' }

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
	// ReadStream has actions that change nothing go through one connection that
	// stays open, in place of a request for each. It is for plugins whose provider
	// says in its Meta that they take that (model.MetaReadStream).
	ReadStream bool
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
