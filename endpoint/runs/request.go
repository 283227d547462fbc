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
	Reason      string
	// Params are the request's own params with secrets masked; Digest is a
	// digest of the clear ones, to tell whether two requests are the same.
	Params model.Params
	Digest string
	// IdempotencyKey is the client's own name for this request, if it gave one.
	IdempotencyKey string
	// AfterUnknown names the unknown run that the caller has looked into.
	AfterUnknown string
	// Timeout is the action's own; the run's deadline is 20 s later.
	Timeout time.Duration
	// Ready reports whether the plugin can be sent to now, or whether waiting
	// for it is of no use. Nil means yes. While it says no the run is queued,
	// for 60 s at most. It must be quick.
	Ready func() bool
	// Send sends the action and returns the plugin's answer. It is called at
	// most once, after the sent record is durable, in a goroutine of its own.
	// Its ctx is not the caller's; it ends some time after the deadline, or
	// when Close has waited enough. An error of kind unknown-outcome means the
	// action may have been executed; any other kind means that it failed.
	Send func(ctx context.Context) (json.RawMessage, error)
	// Log returns the end of the plugin's log of this run, at most 16 KiB of
	// which is kept. It may be nil; it is called once, after Send.
	Log func() string
}

// Ticket is one caller's hold on a run. Each ends with Delivered or Lost, or
// with neither where that cannot be told.
type Ticket struct {
}

// ID returns the run's id.
func (t *Ticket) ID() string { return "" }

// Run returns the run as it is now.
func (t *Ticket) Run() *model.Run { return nil }

// Repeated reports whether the run was there before this request: it joined
// one in flight, or found a finished one.
func (t *Ticket) Repeated() bool { return false }

// Wait returns the run when it has ended and its outcome is durable. A ctx that
// ends first ends only the waiting. A failed or unknown run is not an error
// here: see its Error.
func (t *Ticket) Wait(ctx context.Context) (*model.Run, error) {
	return nil, errNotYet
}

// Delivered tells that the caller has the reply: the same request is then a
// new one.
func (t *Ticket) Delivered() {}

// Lost tells that the caller did not get the reply: the same request within
// 60 s of the run's end finds this run.
func (t *Ticket) Lost() {}

// Submit decides about a request and, if it is a new run, records it and has it
// sent. It returns once the first record is durable. A request that repeats an
// earlier one gets a ticket for that run; one that has to give way is a
// conflict naming the run that stands in its way.
func (m *Manager) Submit(ctx context.Context, r Request) (*Ticket, error) {
	return nil, errNotYet
}
