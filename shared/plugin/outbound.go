package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"provision-plugins/shared/model"
)

// outboundTimeout bounds one request to the host.
const outboundTimeout = 10 * time.Second

// Outbound is the way from a plugin to its host.
type Outbound struct {
	socket string
	http   *http.Client
}

// newOutbound makes the way to the host that serves the socket. Nothing is
// dialled before the first request.
func newOutbound(socket string) *Outbound {
	var d net.Dialer
	return &Outbound{socket: socket, http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return d.DialContext(ctx, "unix", socket)
			},
			DisableCompression:     true,
			MaxIdleConnsPerHost:    2,
			MaxResponseHeaderBytes: maxHeader,
		},
		Timeout: outboundTimeout,
	}}
}

// Publish sends an event.
func (o *Outbound) Publish(ctx context.Context, e *model.Event) error {
	return o.post(ctx, pathEvent, e)
}

// Leaving tells the host that the plugin is about to end on purpose, and why.
func (o *Outbound) Leaving(ctx context.Context, reason *model.Error) error {
	return o.post(ctx, pathLeaving, reason)
}

// log sends one log line.
func (o *Outbound) log(ctx context.Context, line *model.Line) error {
	return o.post(ctx, pathLog, line)
}

// maxList bounds a list of objects; one of 10,000 machines is near 20 MB.
const maxList = 128 << 20

// ListObjects returns the objects of a prefix, such as machines.
func (o *Outbound) ListObjects(ctx context.Context, prefix string) ([]json.RawMessage, error) {
	raw, err := o.exchange(ctx, http.MethodGet, pathObjects+url.PathEscape(prefix), nil, maxList)
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := model.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("cannot read the host's list of %s: %w", prefix, err)
	}
	return list, nil
}

// post sends v and reads the reply to its end.
func (o *Outbound) post(ctx context.Context, path string, v any) error {
	var buf bytes.Buffer
	if err := model.Encode(&buf, v); err != nil {
		return fmt.Errorf("cannot encode what goes to the host: %w", err)
	}
	_, err := o.exchange(ctx, http.MethodPost, path, &buf, maxHeader)
	return err
}

// exchange sends one request and returns its reply, which may have limit bytes.
func (o *Outbound) exchange(ctx context.Context, method, path string, body io.Reader, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://unix"+path, body)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the host: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if path == pathLog {
		// Sent again, without this header, when it was written to a connection that
		// the host was just closing: better a line twice than none.
		req.Header["X-Idempotency-Key"] = nil
	}
	resp, err := o.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the host: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err != nil {
		return nil, fmt.Errorf("cannot read the host's reply: %w", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, refusal(resp.StatusCode, raw)
	}
	return raw, nil
}

// refusal is the error in a reply with an error status.
func refusal(status int, body []byte) *model.Error {
	e := &model.Error{}
	if err := model.Unmarshal(body, e); err == nil && (e.Code != 0 || len(e.Messages) > 0) {
		e.Code = status
		return e
	}
	e = &model.Error{Code: status}
	e.Type = string(e.Kind())
	if text := oneLine(string(body), 200); text != "" {
		e.Messages = []string{text}
	}
	return e
}

// refused reports whether nobody listens on the socket.
func (o *Outbound) refused(ctx context.Context) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", o.socket)
	if err != nil {
		return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
	}
	_ = conn.Close() // it was opened to see whether it opens
	return false
}

// close closes idle connections.
func (o *Outbound) close() { o.http.CloseIdleConnections() }
