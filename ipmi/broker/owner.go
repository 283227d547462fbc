package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
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

// owner is what stands between one BMC and all who want something of it.
type owner struct {
	b    *Broker
	peer netip.AddrPort
	turn chan struct{} // holds one token: who put it in may use what follows

	session *rmcp.Session // nil if none is open
	raised  bool          // the session runs at OPERATOR
	login   rmcp.Login    // what session and known were learnt with
	known   rmcp.Known

	// silent tells that a first try was not answered, and nothing was since.
	silent atomic.Bool

	users  int       // handles; guarded by Broker.mu
	rested time.Time // when users became 0; guarded by Broker.mu
}

// Call is one command for a BMC.
type Call struct {
	rmcp.Call
	// Operator tells that the command needs that privilege.
	Operator bool
}

// Handle is one caller's access to a BMC.
type Handle struct {
	b     *Broker
	owner *owner
	login rmcp.Login
}

// Close gives the access back. The session stays warm for the next.
func (h *Handle) Close() { h.b.unuse(h.owner) }

// Do executes one command when it is its turn. A read whose session turns out
// to be dead is repeated once in a new one. A change is sent in a session that
// was just answered, and never in one in which an earlier change may still be
// on its way. The error is an *rmcp.Refusal or an *rmcp.Error.
func (h *Handle) Do(ctx context.Context, c *Call) error {
	return h.inTurn(ctx, func(p *place) error {
		c.OnSilence = p.silent
		if c.Class == model.Read {
			return h.owner.read(ctx, h, p, c)
		}
		return h.owner.change(ctx, h, p, c)
	})
}

// Prepare makes sure of a session in which a change can be sent at once. The
// error is an *rmcp.Refusal or an *rmcp.Error.
func (h *Handle) Prepare(ctx context.Context) error {
	return h.inTurn(ctx, func(p *place) error { return h.owner.prepare(ctx, h, p) })
}

// inTurn runs work alone on the BMC, at one of the places.
func (h *Handle) inTurn(ctx context.Context, work func(p *place) error) error {
	select {
	case h.owner.turn <- struct{}{}:
	case <-ctx.Done():
		return h.owner.waited(ctx)
	}
	defer func() { <-h.owner.turn }()
	p, err := h.b.enter(ctx, h.owner)
	if err != nil {
		return err
	}
	defer p.leave()
	err = work(p)
	var failure *rmcp.Error
	if !errors.As(err, &failure) {
		h.owner.silent.Store(false)
	}
	return err
}

// waited is the error of a caller that went away before its turn. If what kept
// it waiting was the BMC's silence, so it is told.
func (o *owner) waited(ctx context.Context) error {
	reason := Waiting
	if o.silent.Load() {
		reason = rmcp.Silent
	}
	return &rmcp.Error{Reason: reason, Step: "wait", Err: context.Cause(ctx)}
}

// read executes a read.
func (o *owner) read(ctx context.Context, h *Handle, p *place, c *Call) error {
	for again := true; ; again = false {
		fresh, err := o.ensure(ctx, h, p, c.Operator)
		if err != nil {
			return err
		}
		if err = o.raise(ctx, p, c.Operator && !o.raised); err == nil {
			err = o.session.Do(ctx, &c.Call)
		}
		if !o.lost(ctx, err) || fresh || !again {
			return err
		}
	}
}

// change executes a command that changes something.
func (o *owner) change(ctx context.Context, h *Handle, p *place, c *Call) error {
	if err := o.prepare(ctx, h, p); err != nil {
		return err
	}
	return o.session.Do(ctx, &c.Call)
}

// prepare makes sure of a session in which nothing else can be executed any
// more, and that was answered just now.
func (o *owner) prepare(ctx context.Context, h *Handle, p *place) error {
	if o.session != nil && o.session.Stale() {
		o.session.Discard(ctx)
		o.drop()
	}
	return o.prove(ctx, h, p)
}

// prove makes sure of a session at OPERATOR that was answered just now.
func (o *owner) prove(ctx context.Context, h *Handle, p *place) error {
	for again := true; ; again = false {
		fresh, err := o.ensure(ctx, h, p, true)
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

// raise makes the session run at OPERATOR, if needed. It is harmless to ask
// again, and an answer proves that the session lives.
func (o *owner) raise(ctx context.Context, p *place, needed bool) error {
	if !needed {
		return nil
	}
	const step = "Set Session Privilege Level"
	if !o.session.MayControl() {
		return &rmcp.Error{Reason: rmcp.Privilege, Step: step}
	}
	err := o.session.Do(ctx, &rmcp.Call{
		Request:   &app.SetSessionPrivilegeLevelRequest{PrivilegeLevel: types.PrivilegeLevelOperator},
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

// noPrivilege are the completion codes with which a BMC denies a privilege level
// (IPMI 2.0 §22.18 and §5.2).
var noPrivilege = []types.CompletionCode{0x80, 0x81, types.CodeInsufficientPrivilege}

// lost reports whether err means that the session is gone and another may help.
// A session that did not answer until the caller's time was over is not trusted
// to the next caller either.
func (o *owner) lost(ctx context.Context, err error) bool {
	var e *rmcp.Error
	if !errors.As(err, &e) || e.Reason == rmcp.Privilege || e.Reason == rmcp.Cancelled {
		return false
	}
	o.drop()
	return ctx.Err() == nil
}

// Waits between tries for a session slot.
const (
	firstSlotWait = 500 * time.Millisecond
	maxSlotWait   = 5 * time.Second
)

// ensure opens a session for the handle's login unless one is open, and tells
// whether it did. That the login had no OPERATOR is not believed when OPERATOR is
// needed: it may have been given since. A BMC whose session slots are taken is
// waited for.
func (o *owner) ensure(ctx context.Context, h *Handle, p *place, operator bool) (fresh bool, err error) {
	if o.login != h.login {
		o.drop()
		o.login, o.known.UserOnly = h.login, false
	}
	if operator && o.session != nil && !o.session.MayControl() {
		o.drop()
	}
	if operator {
		o.known.UserOnly = false
	}
	if o.session != nil {
		return false, nil
	}
	for wait := firstSlotWait; ; wait = min(2*wait, maxSlotWait) {
		o.session, err = o.b.transport.Open(ctx, rmcp.Target{
			Peer: o.peer, Login: h.login, Known: o.known, OnSilence: p.silent,
		})
		if err == nil {
			o.known = o.session.Known()
			return true, nil
		}
		var e *rmcp.Error
		if !errors.As(err, &e) || e.Reason != rmcp.NoSlot {
			return false, err
		}
		p.leave()
		if !o.pause(ctx, wait/2+rand.N(wait)) {
			return false, err
		}
	}
}

// pause waits for d; it reports false if something else ended the wait.
func (o *owner) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-o.b.stop:
	}
	return false
}

// drop closes the session, if one is open.
func (o *owner) drop() {
	if s := o.take(); s != nil {
		s.Close()
	}
}

// take takes the session from the owner, keeping what it taught.
func (o *owner) take() *rmcp.Session {
	s := o.session
	if s != nil {
		o.known = s.Known()
	}
	o.session, o.raised = nil, false
	return s
}
