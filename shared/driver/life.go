package driver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"provision-plugins/shared/model"
)

// life is the end of a Provider: the moment at which plans are cut short.
type life struct {
	cut     context.Context // ends when plans are cut short
	cutNow  context.CancelFunc
	onBound *atomic.Int64 // nanoseconds for a power-on that is owed after the cut
	ended   *atomic.Bool  // the driver was told to stop
}

// newLife returns a life that is not cut.
func newLife() life {
	l := life{onBound: new(atomic.Int64), ended: new(atomic.Bool)}
	l.cut, l.cutNow = context.WithCancel(context.Background())
	return l
}

// onCut calls fn at the cut, in a goroutine of its own, unless the returned
// function was called before.
func (l life) onCut(fn func()) (cancel func()) {
	stop := context.AfterFunc(l.cut, fn)
	return func() { stop() }
}

// end cuts plans short; a power-on that one owes has the given time.
func (l life) end(on time.Duration) {
	l.onBound.CompareAndSwap(0, int64(on))
	l.cutNow()
}

// owed returns a context for sending a power-on that must be sent whatever
// happens: it outlives a cut by the bound of the cut, and lasts for spare at
// least when the plan's own time is over.
func (l life) owed(ctx context.Context, deadline time.Time, spare time.Duration) (context.Context, context.CancelFunc) {
	if least := time.Now().Add(spare); deadline.Before(least) {
		deadline = least
	}
	if l.cut.Err() != nil {
		deadline = time.Now().Add(time.Duration(l.onBound.Load()))
	}
	on, cancel := context.WithDeadlineCause(context.WithoutCancel(ctx), deadline, errDeadline)
	unhook := l.onCut(func() {
		timer := time.AfterFunc(time.Duration(l.onBound.Load()), cancel)
		context.AfterFunc(on, func() { timer.Stop() })
	})
	return on, func() { unhook(); cancel() }
}

// settle is how long an ending Provider waits for plans to return after the
// bounds of what they still send, and for the driver to close.
const settle = 250 * time.Millisecond

// Stop refuses new actions, lets plans go on for StopGrace, then cuts them
// short: a plan that switched a machine off still switches it on, within
// StopOn. It ends the driver last. When ctx ends the cut comes at once.
func (p *Provider) Stop(ctx context.Context) error {
	p.gate.shut(draining)
	return p.wind(ctx, p.opts.StopGrace, p.opts.StopOn)
}

// Orphaned is Stop for a plugin whose host has died: no plan takes its first
// step any more, and the bounds are OrphanGrace and OrphanOn.
func (p *Provider) Orphaned(ctx context.Context) error {
	p.gate.shut(dead)
	return p.wind(ctx, p.opts.OrphanGrace, p.opts.OrphanOn)
}

// wind waits for plans, cuts them short after grace, and ends the driver.
func (p *Provider) wind(ctx context.Context, grace, on time.Duration) error {
	if !p.idleWithin(ctx, grace) {
		p.life.end(on)
		p.idleWithin(context.WithoutCancel(ctx), on+settle)
	}
	p.life.end(on)
	var left error
	if n := p.gate.working(); n > 0 {
		left = model.Errorf(model.Internal, "cannot end driver %s cleanly: %d actions did not return", p.driver.Name(), n)
	}
	s, ok := p.driver.(Stopper)
	if !ok || p.life.ended.Swap(true) {
		return left
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settle)
	defer cancel()
	return errors.Join(left, s.Stop(ctx))
}

// idleWithin waits until nothing is at work, and reports whether that came
// within d and before ctx ended.
func (p *Provider) idleWithin(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.gate.idle:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}
