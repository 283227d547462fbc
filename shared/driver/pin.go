package driver

import (
	"context"
	"strings"

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

// checkPin makes sure that what is behind the open session is what the machine is
// pinned to, with more than one try, once for each session. A power-on that is
// owed goes out without: it does no harm, and the machine would stay off.
func (r *run) checkPin(ctx context.Context) error {
	var last error
	for try := 1; r.unmatched() && !r.owes; try++ {
		err := r.openOnce(ctx)
		if err == nil {
			err = r.compare(ctx, try)
		}
		if err == nil {
			break
		}
		last = telling(last, err)
		if !again(err, try) || r.stranger != nil || !pause(ctx, backoff(try, err)) {
			return last
		}
	}
	return nil
}

// reopen makes one try to open a session unless one is open, and to make sure
// that it leads to the right machine: what is seen of another proves nothing.
func (r *run) reopen(ctx context.Context) error {
	err := r.openOnce(ctx)
	if err == nil && r.unmatched() {
		err = r.compare(ctx, 1)
	}
	return err
}

// unmatched reports whether it is not known yet that the open session leads to
// the right machine, and must be.
func (r *run) unmatched() bool { return r.pinned() && !r.matched }

// compare compares the identity behind the open session with the pin.
func (r *run) compare(ctx context.Context, try int) error {
	if !has[IdentityReader](r.sess) {
		return r.strange("the device does not tell its identity (its driver does not read it)")
	}
	var id model.Identity
	err := r.take(ctx, identityStep(&id), try)
	switch {
	case model.KindOf(err) == model.Unsupported:
		return r.strange("the device does not tell its identity (" + textOf(err) + ")")
	case err != nil:
		return inStep("compare identity", err)
	case !id.Is(r.req.pin):
		return r.strange("the device there is " + id.String() + ", another machine")
	}
	r.matched, r.stranger = true, nil
	return nil
}

// strange refuses a device that is not, or does not say that it is, the one that
// the machine is pinned to. Where something was sent before, nobody can look at
// what became of it.
func (r *run) strange(what string) error {
	kind, sent := model.Conflict, "nothing was sent"
	if r.committed() {
		kind, sent = model.UnknownOutcome, "nothing was sent to it; "+strings.Join(r.sent, " and ")+" was sent before, to the right one"
	}
	r.stranger = model.Errorf(kind, "%s says %s, and %s; %s", model.ParamIdentity, r.req.pin, what, sent)
	return r.stranger
}
