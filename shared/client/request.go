package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

const (
	// maxReply bounds a reply; a list of 10,000 machines is near 20 MB.
	maxReply = 128 << 20
	// maxErrorReply bounds the body of an error.
	maxErrorReply = 1 << 20
	// maxRetryAfter bounds what a server can ask a caller to wait.
	maxRetryAfter = time.Hour
	// replyTimeout bounds requests about objects. Those that run an action are
	// bounded by their callers, who know what it may take.
	replyTimeout = time.Minute
)

// errNoReply is the cause when replyTimeout is over.
var errNoReply = fmt.Errorf("waited %v", replyTimeout)

// backoff is how long a refused read waits before each further try.
var backoff = [...]time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}

// Get reads the object at a path below /api/v3, such as "machines/Name:m1",
// into out; a nil out discards the reply. The path may carry a query. Get is
// tried again when the connection is refused.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.ask(ctx, &request{method: http.MethodGet, path: path, read: true}, out)
}

// Delete deletes the object at a path; out takes the object as it was.
func (c *Client) Delete(ctx context.Context, path string, out any) error {
	return c.ask(ctx, &request{method: http.MethodDelete, path: path}, out)
}

// Post sends in to a path, once.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.send(ctx, http.MethodPost, path, in, out)
}

// Put replaces the object at a path, once.
func (c *Client) Put(ctx context.Context, path string, in, out any) error {
	return c.send(ctx, http.MethodPut, path, in, out)
}

// Patch sends a JSON patch to the object at a path, once.
func (c *Client) Patch(ctx context.Context, path string, in, out any) error {
	return c.send(ctx, http.MethodPatch, path, in, out)
}

// send sends a body with one of the changing methods.
func (c *Client) send(ctx context.Context, method, path string, in, out any) error {
	body, err := model.Marshal(in)
	if err != nil {
		return model.Errorf(model.Invalid, "cannot encode %s %s: %w", method, path, err)
	}
	return c.ask(ctx, &request{method: method, path: path, body: body}, out)
}

// ask sends a request about an object.
func (c *Client) ask(ctx context.Context, r *request, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, replyTimeout, errNoReply)
	defer cancel()
	_, err := c.call(ctx, r, out)
	return err
}

// request is one request before it is sent.
type request struct {
	method, path string
	body         []byte
	content      string // type of the body; empty means JSON
	key          string // the Idempotency-Key; empty for none
	// read tells that executing the request changes nothing, so that a lost
	// reply is not an unknown outcome.
	read bool
}

// reply is what of a response outlives its body.
type reply struct {
	status int
	header http.Header
}

// call sends a request, a GET again if it is refused, and decodes the reply.
// The endpoint's refusal is an error beside a reply; other errors are alone.
func (c *Client) call(ctx context.Context, r *request, out any) (*reply, error) {
	for try := 0; ; try++ {
		rep, err := c.once(ctx, r, out)
		asks := r.method == http.MethodGet || r.method == http.MethodHead
		if !asks || try == len(backoff) || !errors.Is(err, syscall.ECONNREFUSED) {
			return rep, err
		}
		c.logger.Debug("endpoint refused the connection", "where", c.where, "try", try+1)
		timer := time.NewTimer(backoff[try])
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		}
	}
}

// once sends a request once.
func (c *Client) once(ctx context.Context, r *request, out any) (*reply, error) {
	var wrote atomic.Bool // a byte of the request may have left
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { wrote.Store(true) },
	})
	req, err := c.newRequest(traced, r)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, r, wrote.Load(), err)
	}
	defer resp.Body.Close()
	rep := &reply{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return rep, c.refusal(r, resp)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, c.lost(ctx, r, true, err)
	}
	if len(raw) > maxReply {
		return nil, c.unreadable(r, fmt.Errorf("larger than %d bytes", maxReply))
	}
	if err := decode(raw, out); err != nil {
		return nil, c.unreadable(r, err)
	}
	return rep, nil
}

// unreadable is the error of an answer that cannot be read. What the answer
// was to may have been executed.
func (c *Client) unreadable(r *request, err error) *model.Error {
	kind := model.UnknownOutcome
	if r.read {
		kind = model.Internal
	}
	return model.Errorf(kind, "cannot read answer of endpoint %s to %s %s: %w", c.where, r.method, r.path, err)
}

// errNotJSON is what a reply gets that is neither empty nor JSON.
var errNotJSON = errors.New("not JSON")

// decode decodes a reply; a *json.RawMessage takes it as it is.
func decode(raw []byte, out any) error {
	switch o := out.(type) {
	case nil:
		return nil
	case *json.RawMessage:
		*o = bytes.TrimSpace(raw)
		if len(*o) > 0 && !json.Valid(*o) {
			return errNotJSON
		}
		return nil
	}
	return model.Unmarshal(raw, out)
}

// newRequest builds the HTTP request.
func (c *Client) newRequest(ctx context.Context, r *request) (*http.Request, error) {
	rel, err := url.Parse(strings.TrimLeft(r.path, "/"))
	if err != nil || rel.IsAbs() || rel.Host != "" {
		return nil, model.Errorf(model.Invalid, "cannot ask endpoint for %q: not a path below %s", r.path, APIPath)
	}
	u := *c.base
	u.RawQuery = rel.RawQuery
	u.RawPath = u.Path + rel.EscapedPath()
	u.Path += rel.Path
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot ask endpoint for %q: %w", r.path, err)
	}
	c.setHeaders(req.Header)
	if r.key != "" {
		req.Header.Set(keyHeader, r.key)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", cmp.Or(r.content, "application/json"))
	}
	return req, nil
}

// setHeaders sets what every request carries.
func (c *Client) setHeaders(h http.Header) {
	h.Set("Accept", "application/json")
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
	if c.person != "" {
		h.Set(PersonHeader, c.person)
	}
}

// lost is the error of a request without a reply.
func (c *Client) lost(ctx context.Context, r *request, wrote bool, err error) *model.Error {
	err = bare(err)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case wrote && !r.read:
		return model.Errorf(model.UnknownOutcome, "no answer from endpoint %s to %s %s, which may have been executed: %w", c.where, r.method, r.path, err)
	case wrote && ctx.Err() != nil:
		return model.Errorf(model.Timeout, "no answer from endpoint %s to %s %s: %w", c.where, r.method, r.path, err)
	}
	return model.Errorf(model.Unreachable, "cannot reach endpoint %s: %w", c.where, err)
}

// bare takes off what the message already names: the URL, and the address of
// a failed dial.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var oe *net.OpError
	if errors.As(err, &oe) && oe.Op == "dial" {
		err = oe.Err
	}
	var se *os.SyscallError
	if errors.As(err, &se) {
		err = se.Err
	}
	return err
}

// refusal is the error that the endpoint answered, its kind kept.
func (c *Client) refusal(r *request, resp *http.Response) *model.Error {
	e := &model.Error{}
	err := model.Decode(resp.Body, maxErrorReply, e)
	if err != nil || e.Type == "" && len(e.Messages) == 0 && e.Code == 0 {
		e = &model.Error{Messages: []string{
			"endpoint " + c.where + " answered " + resp.Status + " to " + r.method + " " + r.path,
		}}
	}
	e.Code = resp.StatusCode
	if e.Type == "" {
		e.Type = string(e.Kind())
	}
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	return e
}

// retryAfter reads the header's two forms, seconds and a date; 0 for neither.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	var d time.Duration
	if n, err := strconv.ParseUint(value, 10, 31); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
