package plugin

import (
	"context"
	"log/slog"
	"net/http"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// Configurer is what every plugin implements.
type Configurer interface {
	// Config takes the plugin's params, with the plugin object's name as
	// "Name". It is called before anything else and again whenever the params
	// change, never twice at a time. The client talks to the endpoint; it opens
	// no connection before its first use.
	Config(ctx context.Context, c *client.Client, params model.Params) error
}

// Actor is a plugin with actions.
type Actor interface {
	// Action runs one action and returns what is answered as JSON. It is called
	// for many actions at a time. ctx ends when the caller goes away and, at the
	// latest, when a stopping plugin has used up its time.
	Action(ctx context.Context, a *model.Action) (any, error)
}

// Publisher is a plugin that wants the endpoint's events; its definition must
// say HasPublish too.
type Publisher interface {
	// Publish takes one event. Events may come concurrently.
	Publish(ctx context.Context, e *model.Event) error
}

// APIHandler is a plugin that serves requests of its own kind, below
// /plugin-apis/NAME/ where NAME is the plugin object's.
type APIHandler interface {
	// Handler returns what serves them; it is called once, after the first
	// request. Requests come with their path as it is, without credentials, and
	// only if the host or the endpoint vouches for their principal (PrincipalOf).
	// Their context ends, also that of a websocket, when the plugin does.
	Handler() http.Handler
}

// Stopper is a plugin that has something to finish before its process ends.
type Stopper interface {
	// Stop is called once, when new actions are already refused. Actions that
	// were running go on beside it; it returns when nothing is owed any more,
	// and before ctx ends.
	Stop(ctx context.Context) error
}

// Orphaner is a plugin that must act when its host dies.
type Orphaner interface {
	// Orphaned is called when the host is gone: in place of Stop, or beside a Stop
	// that is under way. It pays what is owed to devices and returns before ctx
	// ends, within five seconds.
	Orphaned(ctx context.Context) error
}

// EventSelecter is a Publisher that chooses which events it gets. They then
// come through the endpoint's event stream, and the definition must not say
// HasPublish.
type EventSelecter interface {
	// SelectEvents returns the patterns, each type.action.key, * for any. It is
	// called after each Config. Events about one object come one after the other
	// and in order, those about several objects concurrently.
	SelectEvents() []string
}

// Counter is a plugin that counts what it does, for the endpoint's metrics; its
// definition says so by model.MetaCounts.
type Counter interface {
	// Counts returns the counters, which only grow while the process lives. It is
	// quick and waits for nothing.
	Counts() []model.Count
}

// Validator is a plugin whose definition depends on what it finds.
type Validator interface {
	// Validate returns the definition that define prints, nil for the one given
	// to InitApp; an error makes define fail. ctx ends when the host has waited
	// long enough. Where no endpoint runs the client's requests fail.
	Validate(ctx context.Context, c *client.Client) (*model.PluginProvider, error)
}

// Unpacker is a plugin that brings files.
type Unpacker interface {
	// Unpack writes them below dir, which exists.
	Unpack(ctx context.Context, dir string) error
}

// Logged is a plugin that logs. Lines logged with an action's ctx carry its
// request's group and level, and have its secrets masked.
type Logged interface {
	// SetLogger gives the logger, before Config. Its lines go to the endpoint,
	// or to stderr where there is none.
	SetLogger(l *slog.Logger)
}

// Hosted is a plugin that speaks to its host of its own accord.
type Hosted interface {
	// SetHost gives the way to the host, before Config. It is not called by run.
	SetHost(h *Outbound)
}

// Base is embedded by implementations, so that methods the protocol grows
// later have a default. It has none today.
type Base struct{}
