package driver

import (
	"cmp"
	"context"
	"errors"
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

// withDefaults fills what is not set.
func (o Options) withDefaults() Options {
	o.StopGrace = cmp.Or(o.StopGrace, 10*time.Second)
	o.StopOn = cmp.Or(o.StopOn, 3*time.Second)
	o.OrphanGrace = cmp.Or(o.OrphanGrace, 2*time.Second)
	o.OrphanOn = cmp.Or(o.OrphanOn, 2*time.Second)
	return o
}

// Provider turns a Driver into the actions of a plugin.
type Provider struct {
	driver Driver
	opts   Options
	log    atomic.Pointer[slog.Logger]
	extras []Extra
	meta   map[string]string
	modes  map[string][]string // the modes that have a command of the vocabulary
	gate   *gate
	life   life
}

// NewProvider returns a Provider for the driver.
func NewProvider(d Driver, o Options) *Provider {
	p := &Provider{driver: d, opts: o.withDefaults(), gate: newGate(), life: newLife()}
	if e, ok := d.(Extras); ok {
		p.extras = e.Extras()
	}
	p.meta = declared(p.extras)
	p.modes = modesByCommand(d)
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

// Action runs one action and returns its result: model.Result for power and
// boot actions, the bare resource for the others. Its error is a *model.Error
// that names the machine, the step and the cause.
//
// A read ends with ctx. Any other action is a plan of its own: when ctx ends
// before its first state-changing step nothing is sent, later only the waiting
// ends and the plan finishes.
func (p *Provider) Action(ctx context.Context, a *model.Action) (any, error) {
	req, err := p.request(a)
	if err != nil {
		return nil, err
	}
	if req.info.Class == model.Read {
		return p.read(ctx, req)
	}
	if ctx.Err() != nil {
		return nil, req.errorf(model.Timeout, "%s", leftBefore)
	}
	t, first, err := p.gate.enter(ctx, req)
	if err != nil {
		return nil, err
	}
	if first {
		go p.change(t) // ends with the plan, which has a deadline; Stop waits for it
	}
	if !req.wait {
		return model.Result{Outcome: model.Accepted, Driver: p.driver.Name()}, nil
	}
	limit := req.timeout
	if first {
		limit += hardLimit
	}
	return p.await(ctx, t, req, limit)
}

// PrepareRead decodes and checks an action that changes nothing, once; what it
// returns runs it, many times and at once. Its error is that of Action.
func (p *Provider) PrepareRead(a *model.Action) (func(ctx context.Context) (any, error), error) {
	req, err := p.request(a)
	if err != nil {
		return nil, err
	}
	if req.info.Class != model.Read {
		return nil, req.errorf(model.Internal, "it changes something, and nothing was sent")
	}
	return func(ctx context.Context) (any, error) { return p.read(ctx, req) }, nil
}

// read runs a read in the caller's goroutine.
func (p *Provider) read(ctx context.Context, req *request) (any, error) {
	if err := p.gate.enterRead(req); err != nil {
		return nil, err
	}
	defer p.gate.exitRead()
	return p.execute(ctx, p.newRun(req, nil))
}

// change runs a plan to its end and hands its outcome to all who wait for it.
func (p *Provider) change(t *ticket) {
	t.result, t.err = p.execute(t.ctx, p.newRun(t.req, t))
	p.gate.exit(t)
}

// hardLimit is what a plan may take beyond oob/timeout, the power-on it owes
// included, before callers stop waiting for a driver that does not return.
const hardLimit = 8 * time.Second

// await waits for a plan on behalf of one caller.
func (p *Provider) await(ctx context.Context, t *ticket, req *request, limit time.Duration) (any, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-t.done:
		return t.result, t.err
	case <-ctx.Done():
	case <-timer.C:
	}
	select {
	case <-t.done: // both were ready: an outcome that is there is told
		return t.result, t.err
	default:
	}
	if !p.gate.leave(t) {
		return nil, req.errorf(model.Timeout, "%s", leftBefore)
	}
	if req.info.Class == model.Once {
		return nil, req.errorf(model.UnknownOutcome, "waiting ended and the action goes on")
	}
	return nil, req.errorf(model.Timeout, "waiting ended and the action goes on; look at the machine for its outcome")
}

// execute runs a plan within its bounds. A panic in a driver costs one action,
// not the process.
func (p *Provider) execute(ctx context.Context, r *run) (result any, err error) {
	ctx, cancel := context.WithDeadlineCause(ctx, r.deadline, errDeadline)
	defer cancel()
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	defer p.life.onCut(func() { cut(errStopping) })()
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, r.panicked(v)
		}
		r.drop(ctx)
		r.logEnd(ctx, err)
	}()
	if err = r.openPinned(ctx); err == nil {
		result, err = r.req.plan(ctx, r)
	}
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	return r.req.secrets.value(result), nil
}

// Reasons why a plan's context ended.
var (
	errDeadline  = errors.New("oob/timeout is over")
	errStopping  = errors.New("the plugin is stopping")
	errAbandoned = errors.New("nobody waits any more")
)

// leftBefore is what a caller is told that left before anything was sent.
const leftBefore = "the caller went away before anything was sent"
