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
}

// Handle is one caller's access to a BMC.
type Handle struct {
	owner *owner
	login rmcp.Login
}

// Close gives the access back. The session stays warm for the next.
func (h *Handle) Close() { h.owner.b.unuse(h.owner) }

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
	_, err := o.do(ctx, &job{change: true, work: func(ctx context.Context, p *place) ([]byte, error) {
		own := c.Call
		own.OnSilence = p.silent
		if err := o.prepare(ctx, h.login, p); err != nil {
			return nil, err
		}
		return nil, o.session.Do(ctx, &own)
	}})
	return err
}

// Prepare makes sure of a session in which a change can be sent at once. The
// error is an *rmcp.Refusal or an *rmcp.Error.
func (h *Handle) Prepare(ctx context.Context) error {
	o := h.owner
	_, err := o.do(ctx, &job{change: true, work: func(ctx context.Context, p *place) ([]byte, error) {
		return nil, o.prepare(ctx, h.login, p)
	}})
	return err
}

// read executes a read for this caller and all who ask the same meanwhile; each
// makes its own of the answer.
func (h *Handle) read(ctx context.Context, c *Call) error {
	command, data := c.Request.Command(), c.Request.Pack()
	login, o, own := h.login, h.owner, *c // c is the caller's, who may leave before the others
	answer, err := o.do(ctx, &job{
		shared: true,
		key:    flight{login, c.Operator, c.Lenient, uint8(command.NetFn), command.ID, string(data)},
		work: func(ctx context.Context, p *place) ([]byte, error) {
			var raw rawAnswer
			own.Response, own.OnSilence = &raw, p.silent
			err := o.read(ctx, login, p, &own)
			return raw, err
		},
	})
	if err != nil || c.Response == nil {
		return err
	}
	if cause := c.Response.Unpack(bytes.Clone(answer)); cause != nil {
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
