package redfish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// The bounds of what is read.
const (
	maxBody      = 4 << 20
	maxHeader    = 64 << 10
	maxRedirects = 2
	keepFor      = 20 * time.Second // a connection that nobody uses
	dialBound    = 5 * time.Second
)

// wire is the one way of all requests to a BMC, and of all answers.
type wire struct {
	host  string // of the URL, with the port
	kept  *http.Transport
	fresh *http.Transport
}

// newWire returns the way to a target. Only its address is ever dialled, by no
// proxy.
func newWire(t *Target, roots rootPool) *wire {
	_, port, _ := net.SplitHostPort(t.Peer.String())
	w := &wire{host: net.JoinHostPort(t.Host, port)}
	dialer := &net.Dialer{Timeout: dialBound}
	peer := t.Peer.String()
	transport := func() *http.Transport {
		return &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", peer) },
			TLSClientConfig:        t.Trust.config(t.Host, roots),
			TLSHandshakeTimeout:    loginBound,
			MaxResponseHeaderBytes: maxHeader,
			IdleConnTimeout:        keepFor,
			MaxIdleConnsPerHost:    1,
			DisableCompression:     true,
		}
	}
	w.kept, w.fresh = transport(), transport()
	w.fresh.DisableKeepAlives = true
	return w
}

// endpoint is where the service is.
func (w *wire) endpoint() string { return "https://" + w.host }

// close closes the connections that are kept.
func (w *wire) close() { w.kept.CloseIdleConnections() }

// freshKey marks the context of a request that has a connection of its own.
type freshKey struct{}

// sentKey holds where it is noted that a request was sent.
type sentKey struct{}

// redirect follows what leads to another path of the same BMC, of a read.
func (w *wire) redirect(req *http.Request, via []*http.Request) error {
	first := via[0].Method
	if len(via) > maxRedirects || !w.here(req) || first != http.MethodGet && first != http.MethodHead {
		return errElsewhere
	}
	return nil
}

// errElsewhere is what a BMC is told that sends us to another host.
var errElsewhere = errors.New("the BMC points to another host, or moves what was sent; not followed")

// here reports whether a request is for this BMC. A path that a BMC tells, put
// after the host, can make another host of it.
func (w *wire) here(req *http.Request) bool {
	return req.URL.Scheme == "https" && req.URL.Host == w.host && req.URL.User == nil
}

// RoundTrip carries out one request and reads the whole answer. A status that is no
// success is an error.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if !w.here(req) {
		return nil, errElsewhere
	}
	way := w.kept
	req = req.Clone(watched(req.Context()))
	req.Header.Del("Connection") // the transport knows
	req.Header.Set("OData-Version", "4.0")
	if req.Context().Value(freshKey{}) != nil {
		way = w.fresh
		req.GetBody = nil
	}
	res, err := way.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if err := settleBody(res); err != nil {
		return nil, err
	}
	return res, nil
}

// watched notes whether a request may have been sent: from when it had a
// connection.
func watched(ctx context.Context) context.Context {
	sent, ok := ctx.Value(sentKey{}).(*sentMark)
	if !ok {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
}

// settleBody reads and checks the answer's body, and puts what was read in its
// place.
func settleBody(res *http.Response) error {
	defer res.Body.Close()
	if res.StatusCode >= 300 && res.StatusCode < 400 && res.Header.Get("Location") != "" { // CheckRedirect decides
		res.Body = http.NoBody
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if res.StatusCode >= 300 {
		return newStatusError(res, raw)
	}
	switch {
	case err != nil:
		return fmt.Errorf("its answer breaks off: %w", err)
	case len(raw) > maxBody:
		return fmt.Errorf("%w: longer than %d bytes", errBody, maxBody)
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 || res.Request.Method == http.MethodGet && res.StatusCode == http.StatusOK {
		if err := checkJSON(res, raw); err != nil {
			return err
		}
	}
	addLocation(res, raw)
	res.Body = io.NopCloser(bytes.NewReader(raw))
	res.ContentLength = int64(len(raw))
	return nil
}

// errBody is an answer that cannot be read.
var errBody = errors.New("its answer is not Redfish")

// checkJSON refuses what is no JSON object.
func checkJSON(res *http.Response, raw []byte) error {
	switch {
	case len(raw) == 0:
		return fmt.Errorf("%w: nothing in it", errBody)
	case raw[0] == '{' && json.Valid(raw):
		return nil
	case raw[0] == '<' || strings.HasPrefix(res.Header.Get("Content-Type"), "text/html"):
		return fmt.Errorf("%w: a page for browsers; check ipmi/address and ipmi/port-redfish", errBody)
	}
	return fmt.Errorf("%w: no JSON object", errBody)
}

// addLocation takes the place of a new session from its body where the header does
// not tell it.
func addLocation(res *http.Response, raw []byte) {
	var made struct {
		ID string `json:"@odata.id"`
	}
	if res.StatusCode == http.StatusCreated && res.Header.Get("Location") == "" && json.Unmarshal(raw, &made) == nil {
		res.Header.Set("Location", made.ID)
	}
}
