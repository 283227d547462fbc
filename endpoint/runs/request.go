package runs

import (
	"context"
	"encoding/json"
	"time"

	"provision-plugins/shared/model"
)

// Request asks for one mutating action.
type Request struct {
	// Prefix and Key name the object acted on; both are empty for the endpoint itself.
	Prefix, Key string
	Name        string // the object's name, for people
	Command     string
	Class       model.Class
	Plugin      string
	Principal   string
	Via         string // the plugin by which the principal asks, if any
	Reason      string
	// Params are the request's own params with secrets masked; Digest is a
	// digest of the clear ones, to tell whether two requests are the same.
	Params model.Params
	Digest string
	// IdempotencyKey is the client's own name for this request, if it gave one.
	IdempotencyKey string
	// AfterUnknown names the unknown run that the caller has looked into.
	AfterUnknown string
	// Timeout is the action's own, default that of the vocabulary; the run's
	// deadline is 20 s later.
	Timeout time.Duration
	// Ready reports whether the plugin can be sent to now, or whether waiting
	// for it is of no use. Nil means yes. While it says no the run is queued,
	// for 60 s at most. It must be quick.
	Ready func() bool
	// Cancellable says that the action may be given up half done: a cancel then
	// ends it although it was sent.
	Cancellable bool
	// Send sends the action and returns the plugin's answer. It is called at
	// most once, after the sent record is durable, in a goroutine of its own; RunOf
	// its ctx is the run's id.
	// Its ctx is not the caller's; it ends some time after the deadline, or
	// when Close has waited enough. An error of kind unknown-outcome means the
	// action may have been executed; any other kind means that it failed.
	Send func(ctx context.Context) (json.RawMessage, error)
	// Log returns the end of the plugin's log of the run, at most 16 KiB of which
	// is kept. It may be nil. It is called when the run ends and must be quick.
	Log func(run string) string
}

// check refuses requests that cannot be recorded or decided on.
func (r *Request) check() error {
	switch {
	case r.Command == "" || r.Send == nil:
		return model.Errorf(model.Internal, "cannot start a run: no command, or nothing that sends it")
	case r.Class != model.Idempotent && r.Class != model.Once:
		return model.Errorf(model.Internal, "cannot start a run: %s is of class %q; only what changes something is recorded", r.Command, r.Class)
	case (r.Prefix == "") != (r.Key == ""), r.Prefix == systemPrefix:
		return model.Errorf(model.Internal, "cannot start a run: %q/%q names no object", r.Prefix, r.Key)
	}
	if r.Timeout <= 0 {
		r.Timeout = model.ActionOf(r.Command, nil).Timeout
	}
	return nil
}

// ready reports whether the request may be sent now.
func (r *Request) ready() bool { return r.Ready == nil || r.Ready() }

// same reports whether a run was asked for by the same request. Who names a
// request with a key says that it repeats none of another key, or of none.
func (r *Request) same(e *entry, run *model.Run) bool {
	return r.Principal == run.Principal && r.IdempotencyKey == e.idem && r.sameAction(e, run)
}

// sameAction reports whether a run does the same, whoever asked.
func (r *Request) sameAction(e *entry, run *model.Run) bool {
	return r.Command == run.Command && r.Digest == e.digest
}
