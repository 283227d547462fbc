package plugin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// exchange is one request to a plugin and its answer.
//
// Each has a connection of its own, which costs some 20 µs on a unix socket. A
// pool of resting connections cannot tell a plugin that has just closed one
// from a plugin that took the request and died, and Go's http.Transport sends
// some requests again by itself. Here what was refused was never sent, and
// what was written was written once.
type exchange struct {
	socket string
	path   string
	body   any
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = model.MaxBody + maxHeader

// answer is what a plugin answered.
type answer struct {
	status     int
	retryAfter time.Duration
	body       []byte
	last       bool // of its connection
}

// neverSent is why not one byte of a request was written.
type neverSent struct{ cause error }

// Error is the cause's text.
func (e *neverSent) Error() string { return e.cause.Error() }

// Unwrap returns the cause.
func (e *neverSent) Unwrap() error { return e.cause }

// do sends the request, once. Its error is a *neverSent, or the plugin was
// lost after it may have read the request.
func (x *exchange) do(ctx context.Context) (*answer, error) {
	request, err := x.encode("Connection: close\r\n" + traceHeader(ctx))
	if err != nil {
		return nil, &neverSent{err}
	}
	conn, err := client.DialUnix(ctx, x.socket)
	if err != nil {
		return nil, &neverSent{err}
	}
	defer conn.Close()
	// The end of ctx ends every read and write.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	return roundTrip(ctx, conn, bufio.NewReader(io.LimitReader(conn, maxAnswer)), request)
}

// roundTrip writes a request and reads its answer.
func roundTrip(ctx context.Context, conn net.Conn, r *bufio.Reader, request []byte) (*answer, error) {
	if n, err := conn.Write(request); err != nil {
		err = ended(ctx, err)
		if n == 0 {
			return nil, &neverSent{err}
		}
		return nil, fmt.Errorf("the connection was lost while the request was written: %w", err)
	}
	a, err := readAnswer(r)
	if err != nil {
		return nil, fmt.Errorf("the connection was lost before the answer: %w", ended(ctx, err))
	}
	return a, nil
}

// ended prefers the end of ctx to the error it caused.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// encode renders the whole request, with further lines of its header, so that it
// is written at once.
func (x *exchange) encode(header string) ([]byte, error) {
	var body bytes.Buffer
	if x.body != nil {
		if err := model.Encode(&body, x.body); err != nil {
			return nil, fmt.Errorf("cannot encode the request: %w", err)
		}
	}
	if body.Len() > model.MaxBody {
		return nil, fmt.Errorf("the request is larger than %d MiB", model.MaxBody>>20)
	}
	out := make([]byte, 0, body.Len()+len(header)+256)
	out = append(out, "POST "+x.path+" HTTP/1.1\r\nHost: unix\r\nContent-Type: application/json\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(body.Len()), 10)
	out = append(out, "\r\n"+header+"\r\n"...)
	return append(out, body.Bytes()...), nil
}

// readAnswer reads one answer.
func readAnswer(r *bufio.Reader) (*answer, error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header), last: resp.Close}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	return a, nil
}

// retryAfter reads the header, an hour at most.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(strings.TrimSpace(h.Get("Retry-After")), 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, time.Hour)
}

// ok reports whether the answer is a success.
func (a *answer) ok() bool { return a.status >= 200 && a.status < 300 }

// failure is the error that was answered.
func (a *answer) failure() *model.Error {
	e := refusal(a.status, a.body)
	e.RetryAfter = a.retryAfter
	// The reference answers a panic with its whole stack.
	if len(e.Messages) > 1 && strings.HasPrefix(e.Messages[0], "Panic recovered") {
		e.Messages = e.Messages[:1]
	}
	for i, m := range e.Messages {
		e.Messages[i] = cut(m, maxMessage)
	}
	return e
}

// value is the JSON that was answered, null for an empty body.
func (a *answer) value() (json.RawMessage, error) {
	body := bytes.TrimSpace(a.body)
	if len(body) == 0 {
		return json.RawMessage("null"), nil
	}
	if !json.Valid(body) {
		return nil, fmt.Errorf("the answer is not JSON: %q", oneLine(string(body[:min(len(body), 1024)]), 80))
	}
	return body, nil
}
