package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"provision-plugins/shared/model"
)

// RunHeader carries the id of the run in the reply to a changing action.
const RunHeader = "X-Oob-Run"

// PersonHeader names the person for whom a plugin asks.
const PersonHeader = "X-Oob-Person"

// keyHeader names a request, so that it counts once however often it is sent.
const keyHeader = "Idempotency-Key"

// ActionRequest asks for one action on one object.
type ActionRequest struct {
	Prefix  string // of the object, such as machines; "" for the endpoint itself
	Key     string // of the object, or Index:value
	Command string
	Plugin  string       // asks this plugin; "" lets the endpoint choose
	Params  model.Params // of this request alone
	// OverrideProtected acts on a protected machine, if the caller may.
	OverrideProtected bool
	// IdempotencyKey names the request; the endpoint answers a second one of its
	// name with the run of the first.
	IdempotencyKey string
}

// path is where the request is posted.
func (r *ActionRequest) path() string {
	path := Path("system", "actions", r.Command)
	if r.Prefix != "" {
		path = Path(r.Prefix, r.Key, "actions", r.Command)
	}
	query := url.Values{}
	if r.Plugin != "" {
		query.Set("plugin", r.Plugin)
	}
	if r.OverrideProtected {
		query.Set("override-protected", "true")
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// ActionReply is the answer to an action.
type ActionReply struct {
	Run    string // id of the run; "" for reads
	Status int    // HTTP status: 200, or 202 when not waited for
	Result json.RawMessage
}

// Invoke runs an action and waits for its answer. It is sent once: if the
// reply to an action that changes something is lost, the error is of kind
// unknown-outcome. An error that the endpoint answered comes with a reply that
// has its Run and Status; other errors come alone.
func (c *Client) Invoke(ctx context.Context, r ActionRequest) (*ActionReply, error) {
	params := r.Params
	if params == nil {
		params = model.Params{}
	}
	body, err := model.Marshal(params)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot encode params of %s: %w", r.Command, err)
	}
	out := &ActionReply{}
	rep, err := c.call(ctx, &request{
		method: http.MethodPost,
		path:   r.path(),
		body:   body,
		key:    r.IdempotencyKey,
		read:   model.ActionOf(r.Command, nil).Class == model.Read,
	}, &out.Result)
	if rep == nil {
		return nil, err
	}
	out.Run, out.Status = rep.header.Get(RunHeader), rep.status
	return out, err
}
