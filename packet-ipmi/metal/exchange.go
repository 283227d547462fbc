package metal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// The bounds of answers: one that tells what was asked for, and one that tells what
// is wrong.
const (
	maxAnswer  = 16 << 20
	maxProblem = 64 << 10
)

// exchange is the one request of a task on the wire, and what is kept of its answer
// beside what packngo makes of it.
type exchange struct {
	client  *Client
	caller  context.Context
	ctx     context.Context // caller's, with the bound of a try
	changes bool

	sent   atomic.Bool // a connection was there for it: it may have arrived
	status int
	header http.Header
	body   []byte // of a refusal
	kind   string // content type
	fault  error  // what is wrong with the answer, whatever packngo says
	open   io.Closer
}

// errTooLong is what is wrong with an answer that does not end.
var errTooLong = errors.New("the answer is longer than any that is expected")

// errNotJSON is what is wrong with a page in place of an answer.
var errNotJSON = errors.New("the answer is not JSON")

// RoundTrip sends the request, with the context that packngo does not take and on a
// connection that packngo would close after it.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { x.sent.Store(true) }}
	req = req.Clone(httptrace.WithClientTrace(x.ctx, trace))
	req.Close = false
	resp, err := x.client.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	x.status, x.header, x.kind = resp.StatusCode, resp.Header.Clone(), resp.Header.Get("Content-Type")
	x.tellEnd(resp.Header)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return x.refused(resp)
	}
	if wantsJSON(req) && resp.ContentLength != 0 && !isJSON(x.kind) && !strings.HasPrefix(x.kind, "image/") {
		x.fault = errNotJSON
	}
	resp.Body = &bounded{Reader: io.LimitReader(resp.Body, maxAnswer), Closer: resp.Body, x: x}
	x.open = resp.Body
	return resp, nil
}

// refused keeps the body of a refusal, and gives packngo one that it can always
// read: it wants errors to be a list of texts.
func (x *exchange) refused(resp *http.Response) (*http.Response, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil && len(body) == 0 {
		body = nil // the status tells enough
	}
	x.body = body
	resp.Header.Set("Content-Type", "application/json")
	resp.Body = io.NopCloser(bytes.NewReader([]byte("{}")))
	return resp, nil
}

// tellEnd logs what the service says of its end, which packngo would write to the
// standard log.
func (x *exchange) tellEnd(h http.Header) {
	sunset, deprecation := h.Get("Sunset"), h.Get("Deprecation")
	if sunset != "" || deprecation != "" {
		x.client.opts.Logger.DebugContext(x.ctx, "the API says that it ends", "sunset", sunset, "deprecation", deprecation)
	}
	for _, name := range []string{"Sunset", "Deprecation", "Link"} {
		h.Del(name)
	}
}

// drain reads an answer to its end where packngo has not, so that its connection
// can be used again.
func (x *exchange) drain() {
	if x.open != nil {
		_ = x.open.Close() // nobody needs the rest
	}
}

// wantsJSON reports whether a request asks for JSON.
func wantsJSON(req *http.Request) bool { return strings.Contains(req.Header.Get("Accept"), "json") }

// isJSON reports whether a content type is JSON.
func isJSON(kind string) bool { return strings.Contains(kind, "json") }

// bounded is a body that is cut off where it is too long.
type bounded struct {
	io.Reader
	io.Closer
	x    *exchange
	read int64
}

// Read counts what was read.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.read += int64(n); b.read >= maxAnswer {
		b.x.fault = errTooLong
	}
	return n, err
}

// Close reads what is left of a short body first.
func (b *bounded) Close() error {
	_, _ = io.CopyN(io.Discard, b.Reader, maxProblem) // what fails here is of no use to anybody
	return b.Closer.Close()
}
