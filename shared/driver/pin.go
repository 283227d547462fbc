package driver

import (
	"context"

	"provision-plugins/shared/model"
)

// IdentityReader tells which machine is behind the address. It may be retried.
type IdentityReader interface {
	// Identity reads what tells the machine from all others. Error kinds: as
	// PowerState; unsupported if the device does not tell.
	Identity(ctx context.Context) (model.Identity, error)
}

// planGetIdentity reads the identity.
func planGetIdentity(ctx context.Context, r *run) (any, error) {
	var id model.Identity
	err := r.do(ctx, identityStep(&id))
	return id, err
}

// identityStep reads the identity into id.
func identityStep(id *model.Identity) step {
	return step{name: "read identity", call: with(func(ctx context.Context, s IdentityReader) error {
		got, err := s.Identity(ctx)
		*id = got
		return err
	})}
}

// pinOf returns what the machine is pinned to. A request can pin, and never
// change what the machine's own params say.
func pinOf(own, asked model.Params) (string, error) {
	pin, err := own.String(model.ParamIdentity, "")
	if err != nil || pin != "" {
		return pin, err
	}
	return asked.String(model.ParamIdentity, "")
}

// pinned reports whether the action must not reach another machine than the one
// it is pinned to: any that changes something, but not the light by which the
// other one is found.
func (r *run) pinned() bool {
	return r.req.pin != "" && r.ticket != nil && r.req.info.Command != model.Identify
}

// openPinned makes sure, before a plan looks at anything, that it is the right
// machine that it looks at.
func (r *run) openPinned(ctx context.Context) error {
	if !r.pinned() {
		return nil
	}
	return r.open(ctx)
}

// checkPin compares the identity behind the open session with the pin, once for
// each session. A plan that has begun on the right machine finishes: it may owe
// it a power-on.
func (r *run) checkPin(ctx context.Context) error {
	if !r.pinned() || r.matched || r.committed() {
		return nil
	}
	if !has[IdentityReader](r.sess) {
		return r.unpinnable("its driver does not read it")
	}
	var id model.Identity
	var last error
	for try := 1; ; try++ {
		err := r.openOnce(ctx)
		if err == nil {
			err = r.take(ctx, identityStep(&id), try)
		}
		if err == nil {
			break
		}
		last = telling(last, inStep("compare identity", err))
		if model.KindOf(err) == model.Unsupported {
			return r.unpinnable(textOf(err))
		}
		if !again(err, try) || !pause(ctx, backoff(try, err)) {
			return last
		}
	}
	if !id.Is(r.req.pin) {
		return model.Errorf(model.Conflict, "%s says %s, and the device there is %s, another machine; nothing was sent",
			model.ParamIdentity, r.req.pin, id)
	}
	r.matched = true
	return nil
}

// unpinnable refuses a device that does not say which machine it is.
func (r *run) unpinnable(why string) error {
	return model.Errorf(model.Conflict, "%s says %s, and the device does not tell its identity (%s); nothing was sent",
		model.ParamIdentity, r.req.pin, why)
}
