package redfish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/stmcginnis/gofish"

	"provision-plugins/shared/model"
)

// ask is one request.
type ask struct {
	method, path string
	body         any
	class        model.Class
	match        string // the entity tag that the resource must have
}

// answer is what came back, a success.
type answer struct {
	status int
	header http.Header
	body   []byte // a JSON object, or nothing
}

// maxRefusals is how often an ask that may go out again waits for a BMC that is
// busy.
const maxRefusals = 4

// do carries out one request, and follows it where the BMC makes a task of it. What
// may be sent twice is sent again when the session turns out to be over, and when
// the BMC asks for patience.
func (b *bmc) do(ctx context.Context, q ask) (*answer, error) {
	var again repeats
	for {
		api, err := b.client(ctx)
		if err != nil {
			return nil, explain(b.key.peer, err, false)
		}
		sent := &sentMark{}
		a, err := b.send(context.WithValue(again.context(ctx), sentKey{}, sent), api, q)
		if err == nil {
			return b.follow(ctx, q, a)
		}
		over := sessionOver(err)
		if over {
			b.forget(api)
		}
		switch {
		case over && q.class == model.Once:
			return nil, model.Errorf(model.Unreachable, "BMC %s: the session was over, and nothing was done; try again", b.key.peer)
		case q.class == model.Once || !again.worth(ctx, err):
			return nil, explain(b.key.peer, err, sent.Load() && q.class != model.Read)
		}
	}
}

// sessionOver reports whether the BMC does not know the session any more.
func sessionOver(err error) bool {
	var status *statusError
	return errors.As(err, &status) && status.status == http.StatusUnauthorized
}

// repeats is why an ask that may go out again has done so: each reason has its bound.
type repeats struct {
	relogged, redialled bool
	refused             int
}

// context has an ask whose connection was lost go out on one of its own.
func (r *repeats) context(ctx context.Context) context.Context {
	if r.redialled {
		return context.WithValue(ctx, freshKey{}, true)
	}
	return ctx
}

// worth reports whether to ask again after an error: in a new session, after as long
// as a busy BMC wants, or on another connection in place of one that was kept and
// lost.
func (r *repeats) worth(ctx context.Context, err error) bool {
	var status *statusError
	switch {
	case ctx.Err() != nil:
		return false
	case sessionOver(err):
		before := r.relogged
		r.relogged = true
		return !before
	case errors.As(err, &status):
		r.refused++
		return r.refused < maxRefusals && patient(ctx, status)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrUnexpectedEOF),
		strings.Contains(err.Error(), "server closed idle connection"): // an error of net/http without a name
		before := r.redialled
		r.redialled = true
		return !before
	}
	return false
}

// patient waits as long as a busy BMC asks for, if there is time.
func patient(ctx context.Context, e *statusError) bool {
	if e.status != http.StatusTooManyRequests && e.status != http.StatusServiceUnavailable || e.after == 0 {
		return false
	}
	return wait(ctx, e.after)
}

// wait waits, if there is time for that and for something after it.
func wait(ctx context.Context, d time.Duration) bool {
	const room = 200 * time.Millisecond
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d+room {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// send sends a request by gofish.
func (b *bmc) send(ctx context.Context, api *gofish.APIClient, q ask) (*answer, error) {
	var body io.ReadSeeker
	if q.body != nil {
		raw, err := json.Marshal(q.body)
		if err != nil {
			return nil, fmt.Errorf("cannot encode the request: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	header := map[string]string{}
	if q.match != "" {
		header["If-Match"] = q.match
	}
	if q.class == model.Once {
		ctx = context.WithValue(ctx, freshKey{}, true)
	}
	res, err := api.WithContext(ctx).RunRawRequestWithHeaders(q.method, q.path, body, "application/json", header)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body) // bounded by wire
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer: %w", err)
	}
	return &answer{res.StatusCode, res.Header, raw}, nil
}

// get reads a resource.
func (b *bmc) get(ctx context.Context, path string, into any) (*answer, error) {
	a, err := b.do(ctx, ask{method: http.MethodGet, path: path, class: model.Read})
	if err != nil {
		return nil, err
	}
	if err := a.decode(into); err != nil {
		return nil, model.Errorf(model.Unreachable, "BMC %s: cannot read %s: %w", b.key.peer, path, err)
	}
	return a, nil
}

// decode reads the body.
func (a *answer) decode(into any) error {
	if len(a.body) == 0 {
		return fmt.Errorf("%w: nothing in it", errBody)
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("%w: %w", errBody, err)
	}
	return nil
}

// tag is the entity tag of a resource that was read; "" if there is none.
func (a *answer) tag() string {
	if tag := a.header.Get("ETag"); tag != "" {
		return tag
	}
	var inside struct {
		Tag string `json:"@odata.etag"`
	}
	if json.Unmarshal(a.body, &inside) != nil {
		return ""
	}
	return inside.Tag
}

// patch changes a resource that was read. If it is another by now it is read once
// more: what is set does not depend on what was there.
func (b *bmc) patch(ctx context.Context, path string, read *answer, body any) error {
	q := ask{method: http.MethodPatch, path: path, body: body, class: model.Idempotent, match: read.tag()}
	_, err := b.do(ctx, q)
	var status *statusError
	if errors.As(err, &status) && (status.status == http.StatusPreconditionFailed || status.status == http.StatusPreconditionRequired) {
		again, readErr := b.do(ctx, ask{method: http.MethodGet, path: path, class: model.Read})
		if readErr != nil {
			return readErr
		}
		q.match = again.tag()
		_, err = b.do(ctx, q)
	}
	return err
}

// post carries out an action.
func (b *bmc) post(ctx context.Context, class model.Class, path string, body any) error {
	_, err := b.do(ctx, ask{method: http.MethodPost, path: path, body: body, class: class})
	return err
}
