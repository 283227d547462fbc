package driver

import (
	"context"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// gate lets one changing action at a time onto a machine. Reads pass beside it
// and are only counted.
type gate struct {
	mu     sync.Mutex         // guards all below and the callers and stage of each ticket
	live   map[string]*ticket // the changing action of each machine
	active int                // actions at work, reads included
	phase  phase
	idle   chan struct{} // closed when the gate is closed and nothing is at work
	quiet  bool          // idle is closed
}

// phase is how far a Provider is on its way out.
type phase int

const (
	open     phase = iota
	draining       // no new action; plans at work go on
	dead           // besides, no plan takes its first step any more
)

// stage is how far a plan is.
type stage int

const (
	waiting   stage = iota // nothing was sent
	committed              // a state-changing step was taken: the plan finishes
	abandoned              // all callers left before anything was sent
)

// ticket is one changing action, shared by all who asked for it.
type ticket struct {
	req     *request
	ctx     context.Context // of the plan, detached from every caller
	cancel  context.CancelCauseFunc
	ends    time.Time // when the plan is over at the latest
	done    chan struct{}
	result  any   // set before done is closed
	err     error // set before done is closed
	callers int   // who would miss the outcome; guarded by gate.mu
	stage   stage // guarded by gate.mu
}

// newGate returns an open gate.
func newGate() *gate {
	return &gate{live: make(map[string]*ticket), idle: make(chan struct{})}
}

// maxRetryAfter bounds what a busy answer suggests.
const maxRetryAfter = 5 * time.Second

// enter starts a changing action or joins the identical one in flight; first
// tells which. The caller that is first must run the plan and call exit.
func (g *gate) enter(ctx context.Context, req *request) (t *ticket, first bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase != open {
		return nil, false, shuttingDown(req)
	}
	if held := g.live[req.key]; held != nil {
		joins := req.info.Class == model.Idempotent && held.stage != abandoned && req.same(held.req)
		if !joins {
			return nil, false, busy(req, held)
		}
		held.callers++
		return held, false, nil
	}
	t = &ticket{req: req, ends: time.Now().Add(req.timeout), done: make(chan struct{}), callers: 1}
	t.ctx, t.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if req.key != "" {
		g.live[req.key] = t
	}
	g.active++
	return t, true, nil
}

// busy refuses req and names what is in its way.
func busy(req *request, held *ticket) *model.Error {
	left := time.Until(held.ends)
	after := min(max(left, time.Second), maxRetryAfter)
	return req.errorf(model.Busy, "%s is under way on it and ends in %.0fs at most; nothing was sent",
		held.req.info.Command, max(left, 0).Seconds()).After(after)
}

// shuttingDown refuses req for good as far as this process goes.
func shuttingDown(req *request) *model.Error {
	return req.errorf(model.Busy, "the plugin is shutting down; nothing was sent").After(maxRetryAfter)
}

// commit marks a plan's first state-changing step. Its error says that the plan
// must not take it.
func (g *gate) commit(t *ticket) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case t.stage == committed:
		return nil
	case t.stage == abandoned:
		return errAbandoned
	case g.phase == dead:
		return errStopping
	}
	t.stage = committed
	return nil
}

// leave ends one caller's waiting and reports whether the plan goes on
// nevertheless. A plan that nobody waits for before its first step is ended.
func (g *gate) leave(t *ticket) (goesOn bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.callers--
	if t.stage == waiting && t.callers == 0 {
		t.stage = abandoned
		t.cancel(errAbandoned)
	}
	return t.stage != abandoned
}

// exit ends a plan: its machine is free for the next before anyone hears the
// outcome.
func (g *gate) exit(t *ticket) {
	t.cancel(nil)
	g.mu.Lock()
	if g.live[t.req.key] == t {
		delete(g.live, t.req.key)
	}
	g.countOut()
	g.mu.Unlock()
	close(t.done)
}

// enterRead counts a read in.
func (g *gate) enterRead(req *request) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.phase != open {
		return shuttingDown(req)
	}
	g.active++
	return nil
}

// exitRead counts a read out.
func (g *gate) exitRead() {
	g.mu.Lock()
	g.countOut()
	g.mu.Unlock()
}

// countOut counts an action out. The lock is held.
func (g *gate) countOut() {
	g.active--
	g.tellIdle()
}

// shut moves the gate to a later phase.
func (g *gate) shut(to phase) {
	g.mu.Lock()
	g.phase = max(g.phase, to)
	g.tellIdle()
	g.mu.Unlock()
}

// tellIdle closes idle once there is nothing left. The lock is held.
func (g *gate) tellIdle() {
	if g.phase != open && g.active == 0 && !g.quiet {
		g.quiet = true
		close(g.idle)
	}
}

// working counts the actions at work.
func (g *gate) working() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.active
}
