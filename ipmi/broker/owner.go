package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// provenFor is how recently a session must have been answered for a command
// that is sent once to be trusted to it: a BMC that has forgotten the session
// ignores what comes in it.
const provenFor = time.Second

// owner is what stands between one BMC and all who want something of it. It has
// a goroutine while a job is under way, and none at rest.
type owner struct {
	b    *Broker
	peer netip.AddrPort

	// Written by the job under way with Broker.mu held, or by who holds it while
	// none is; read by either.
	session *rmcp.Session // nil if none is open
	id      SessionID     // of session, or of the last one
	login   rmcp.Login    // what session and known were learnt with
	known   rmcp.Known
	raised  bool // the session runs at OPERATOR; of the job alone

	// Guarded by Broker.mu.
	state    state
	ahead    bool   // it stands in the line of those with a change
	queue    []*job // to be done, those that go first first
	running  *job
	stop     func() bool // ends the pacing
	next     time.Time   // when the next command may begin
	interval time.Duration
	trouble  rmcp.Reason // what the BMC makes its callers wait for, if anything
	users    int         // handles
	rested   time.Time   // when users became 0
}

// read executes a read.
func (o *owner) read(ctx context.Context, login rmcp.Login, p *place, c *Call) error {
	for again := true; ; again = false {
		fresh, err := o.ensure(ctx, login, p, c.Operator)
		if err != nil {
			return err
		}
		if err = o.raise(ctx, p, c.Operator && !o.raised); err == nil {
			err = o.command(ctx, p, &c.Call)
		}
		if !o.lost(ctx, err) || fresh || !again {
			return err
		}
	}
}

// prepare makes sure of a session in which nothing else can be executed any
// more, and that was answered just now.
func (o *owner) prepare(ctx context.Context, login rmcp.Login, p *place, only SessionID) error {
	if o.session != nil && o.session.Stale() {
		o.session.Discard(ctx)
		o.drop()
	}
	if err := o.prove(ctx, login, p); err != nil {
		return err
	}
	return reopened(only, o.id)
}

// prove makes sure of a session at OPERATOR that was answered just now.
func (o *owner) prove(ctx context.Context, login rmcp.Login, p *place) error {
	for again := true; ; again = false {
		fresh, err := o.ensure(ctx, login, p, true)
		if err != nil {
			return err
		}
		err = o.raise(ctx, p, !o.raised || time.Since(o.session.Heard()) > provenFor)
		if !o.lost(ctx, err) || fresh || !again {
			return unsent(err)
		}
	}
}

// unsent is the error of what came before a change: the change itself has not
// been sent, and cannot be in doubt.
func unsent(err error) error {
	var e *rmcp.Error
	if errors.As(err, &e) {
		e.Sent = false
	}
	return err
}

// raise makes the session run at OPERATOR, or at ADMINISTRATOR where the login asks
// for that, if needed. It is harmless to ask
// again, and an answer proves that the session lives.
func (o *owner) raise(ctx context.Context, p *place, needed bool) error {
	if !needed {
		return nil
	}
	const step = "Set Session Privilege Level"
	if !o.session.MayControl() {
		return &rmcp.Error{Reason: rmcp.Privilege, Step: step}
	}
	level := types.PrivilegeLevelOperator
	if o.login.Administrator {
		level = types.PrivilegeLevelAdministrator
	}
	err := o.command(ctx, p, &rmcp.Call{
		Request:   &app.SetSessionPrivilegeLevelRequest{PrivilegeLevel: level},
		Class:     model.Read,
		OnSilence: p.silent,
	})
	var refusal *rmcp.Refusal
	if errors.As(err, &refusal) && slices.Contains(noPrivilege, refusal.Code) {
		return &rmcp.Error{Reason: rmcp.Privilege, Step: step, Err: err}
	}
	o.raised = o.raised || err == nil
	return err
}

// command executes one command of the job under way, at a distance from the one
// before it in the same job.
func (o *owner) command(ctx context.Context, p *place, c *rmcp.Call) error {
	if err := o.space(ctx, p, c.Request.Command().Name); err != nil {
		return err
	}
	p.began = o.b.clock.Now()
	return o.session.Do(ctx, c)
}

// space waits until the next command of the job may begin, and puts off the next
// job. Before the first command there is nothing to wait for: the job itself has
// waited.
func (o *owner) space(ctx context.Context, p *place, step string) error {
	if p.began.IsZero() {
		return nil
	}
	b := o.b
	b.mu.Lock()
	wait := p.began.Add(o.interval).Sub(b.clock.Now())
	o.next = b.clock.Now().Add(max(wait, 0) + o.interval)
	b.mu.Unlock()
	if wait <= 0 || o.pause(ctx, wait) {
		return nil
	}
	e := &rmcp.Error{Reason: rmcp.Cancelled, Step: step, Err: context.Cause(ctx)}
	switch {
	case errors.Is(e.Err, net.ErrClosed):
		e.Reason = rmcp.Closed
	case errors.Is(e.Err, context.DeadlineExceeded):
		e.Reason = TimeOver
	}
	return e
}

// noPrivilege are the completion codes with which a BMC denies a privilege level
// (IPMI 2.0 §22.18 and §5.2).
var noPrivilege = []types.CompletionCode{0x80, 0x81, types.CodeInsufficientPrivilege}

// lost reports whether err means that the session is gone and another may help.
// A session that did not answer until the caller's time was over is not trusted
// to the next caller either.
func (o *owner) lost(ctx context.Context, err error) bool {
	var e *rmcp.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Reason {
	case rmcp.Privilege, rmcp.Cancelled, rmcp.Checksum, TimeOver:
		return false
	}
	o.drop()
	return ctx.Err() == nil
}

// answered reports whether the outcome of a job tells that the BMC is there and
// has room.
func answered(err error) bool {
	var e *rmcp.Error
	if !errors.As(err, &e) {
		return true
	}
	switch e.Reason {
	case rmcp.Privilege, rmcp.NoSuite, rmcp.Protocol, Reopened:
		return true
	}
	return e.Reason.RefusesLogin()
}

// slow reports whether the BMC needs more than the default distance.
func (o *owner) slow() bool {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	return o.interval > DefaultInterval
}

// ensure opens a session for the login unless one is open, and tells whether it
// did. That the login had no OPERATOR is not believed when OPERATOR is needed: it
// may have been given since.
func (o *owner) ensure(ctx context.Context, login rmcp.Login, p *place, operator bool) (fresh bool, err error) {
	if o.session != nil && o.login == login && (o.session.MayControl() || !operator) {
		return false, nil
	}
	rest := retryAfter
	if p.again {
		rest = againAfter
	}
	leave, failure := o.b.breaker.admitAfter(rest, o.peer, login)
	if failure != nil {
		return false, failure
	}
	o.drop()
	if o.slow() {
		p.began = o.b.clock.Now() // a weak BMC rests after a login, too
	}
	known := o.known
	known.UserOnly = known.UserOnly && o.login == login && !operator
	s, err := o.open(ctx, p, leave, &rmcp.Target{
		Peer: o.peer, Login: login, Known: known,
		Probe: leave.probe || p.once, OnRefusal: leave.refused, Proved: leave.was.reason == rmcp.Crossed,
		OnFailure: o.failed,
	})
	leave.settle(err)
	if err != nil {
		return false, err
	}
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	o.b.opened++
	o.session, o.id, o.login, o.known, o.raised = s, o.b.opened, login, s.Known(), false
	return true, nil
}

// failed keeps what an Open that failed saw of the way to the BMC, for the next.
func (o *owner) failed(rtt time.Duration, lossy bool) {
	o.b.mu.Lock()
	defer o.b.mu.Unlock()
	o.known.RTT, o.known.Lossy = max(o.known.RTT, rtt), lossy
}

// Waits between tries for a session slot.
const (
	firstSlotWait = 500 * time.Millisecond
	maxSlotWait   = 5 * time.Second
)

// open opens a session. A BMC whose session slots are taken is waited for, unless
// it refused the login so often in between that this is not to be tried again. That
// it said so is told also by a try that has no time left to be answered in.
func (o *owner) open(ctx context.Context, p *place, l *leave, t *rmcp.Target) (*rmcp.Session, error) {
	var full error
	silent := false
	t.OnSilence = func() { silent = true; p.silent() }
	for wait := firstSlotWait; ; wait = min(2*wait, maxSlotWait) {
		t.Refusals = l.refusals
		s, err := o.b.transport.Open(ctx, *t)
		var e *rmcp.Error
		switch {
		case err == nil || p.once || l.spent() || !errors.As(err, &e):
			return s, err
		case full != nil && e.Reason == rmcp.Silent && !silent:
			return nil, full
		case e.Reason != rmcp.NoSlot:
			return nil, err
		}
		full, silent = err, false
		p.leave(rmcp.NoSlot)
		if !o.pause(ctx, wait/2+rand.N(wait)) {
			return nil, err
		}
	}
}

// pause waits for d; it reports false if something else ended the wait.
func (o *owner) pause(ctx context.Context, d time.Duration) bool {
	over := make(chan struct{})
	stop := o.b.clock.AfterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return true
	case <-ctx.Done():
		return false
	}
}

// drop closes the session, if one is open.
func (o *owner) drop() {
	o.b.mu.Lock()
	s := o.take()
	o.b.mu.Unlock()
	if s != nil {
		s.Close()
	}
}

// take takes the session from the owner, keeping what it taught. Broker.mu is
// held.
func (o *owner) take() *rmcp.Session {
	s := o.session
	if s != nil {
		o.known = s.Known()
	}
	o.session, o.raised = nil, false
	return s
}
