package broker

import (
	"bytes"
	"context"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// Call is one command for a BMC.
type Call struct {
	rmcp.Call
	// Operator tells that the command needs that privilege.
	Operator bool
	// Only, if not 0, is the one session in which it may be executed.
	Only SessionID
	// In is set to the session in which it was executed.
	In SessionID
}

// SessionID tells one session of a broker from all others; 0 is none. Whoever
// answers in one is the BMC that answered in it before: nobody else has its keys.
type SessionID uint64

// Reopened is the reason of an error of a command that was for another session
// than the one that is open: it was not executed, or what it read is of whoever
// is at the address now.
const Reopened rmcp.Reason = "another session was opened meanwhile"

// reopened returns an error if a command that is only for one session would be
// executed in another.
func reopened(only, open SessionID) error {
	if only == 0 || only == open {
		return nil
	}
	return &rmcp.Error{Reason: Reopened, Step: "compare sessions"}
}

// Handle is one caller's access to a BMC.
type Handle struct {
	owner *owner
	login rmcp.Login
	once  bool // a login is not insisted on
}

// Close gives the access back. The session stays warm for the next.
func (h *Handle) Close() { h.owner.b.unuse(h.owner) }

// Session is the session that is open for the login; 0 if none is.
func (h *Handle) Session() SessionID {
	h.owner.b.mu.Lock()
	defer h.owner.b.mu.Unlock()
	if h.owner.session == nil || h.owner.login != h.login {
		return 0
	}
	return h.owner.id
}

// Do executes one command when it is its turn. A read joins the same one that
// is in flight; a read whose session turns out to be dead is repeated once in a
// new one. A change goes before all reads; it is sent in a session that was just
// answered, and never in one in which an earlier change may still be on its
// way. The error is an *rmcp.Refusal or an *rmcp.Error.
func (h *Handle) Do(ctx context.Context, c *Call) error {
	if c.Class == model.Read {
		return h.read(ctx, c)
	}
	o := h.owner
	done, err := o.do(ctx, &job{change: true, work: func(ctx context.Context, p *place) ([]byte, error) {
		own := c.Call
		own.OnSilence = p.silent
		p.once = h.once
		if err := o.prepare(ctx, h.login, p, c.Only); err != nil {
			return nil, err
		}
		return nil, o.command(ctx, p, &own)
	}})
	c.In = done.in
	return err
}

// Prepare makes sure of a session in which a change can be sent at once, of the
// one session if it is for one only. The error is an *rmcp.Refusal or an
// *rmcp.Error.
func (h *Handle) Prepare(ctx context.Context, only SessionID) error {
	o := h.owner
	_, err := o.do(ctx, &job{change: true, work: func(ctx context.Context, p *place) ([]byte, error) {
		p.once = h.once
		return nil, o.prepare(ctx, h.login, p, only)
	}})
	return err
}

// read executes a read for this caller and all who ask the same meanwhile; each
// makes its own of the answer.
func (h *Handle) read(ctx context.Context, c *Call) error {
	command, data := c.Request.Command(), c.Request.Pack()
	login, once, o, own := h.login, h.once, h.owner, *c // c is the caller's, who may leave before the others
	done, err := o.do(ctx, &job{
		shared: true,
		key:    flight{login, once, c.Operator, c.Lenient, uint8(command.NetFn), command.ID, string(data)},
		work: func(ctx context.Context, p *place) ([]byte, error) {
			var raw rawAnswer
			p.once = once
			own.Response, own.OnSilence = &raw, p.silent
			err := o.read(ctx, login, p, &own)
			return raw, err
		},
	})
	if err == nil {
		c.In = done.in
		err = reopened(c.Only, done.in)
	}
	if err != nil || c.Response == nil {
		return err
	}
	if cause := c.Response.Unpack(bytes.Clone(done.data)); cause != nil {
		return &rmcp.Error{Reason: rmcp.Protocol, Step: command.Name, Err: cause, Sent: true}
	}
	return nil
}

// rawAnswer is the data of an answer, as they came.
type rawAnswer []byte

// Unpack keeps the data.
func (r *rawAnswer) Unpack(data []byte) error {
	*r = data
	return nil
}

// Format is part of what go-ipmi wants of a response; nothing uses it.
func (r *rawAnswer) Format() string { return "" }
