package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"provision-plugins/endpoint/audit"
	"provision-plugins/endpoint/backup"
	"provision-plugins/endpoint/events"
	"provision-plugins/endpoint/health"
	"provision-plugins/endpoint/metrics"
	"provision-plugins/endpoint/query"
	"provision-plugins/endpoint/secret"
	"provision-plugins/shared/model"
)

const (
	apiRoot = "/api/v3"
	// RunHeader names the run of a mutating action in its reply.
	RunHeader = "X-Oob-Run"

	headerTimeout  = 2 * time.Second // for a head; a TLS handshake has as long
	bodyTimeout    = 30 * time.Second
	refusedTimeout = 2 * time.Second // for the body of a request that is refused unread
	// maxSilent is how many clients of the https port may have sent no request yet.
	maxSilent    = 2000
	writeTimeout = time.Minute
	// idleTimeout is how long who is known may stay connected between two requests;
	// a stranger's connection ends with the answer.
	idleTimeout    = time.Minute
	maxHeaderBytes = 16 << 10
	// maxDepth bounds how deep a body nests.
	maxDepth = 200
	// defaultRetryAfter is what a busy error without a time says.
	defaultRetryAfter = time.Second
)

// reply is what a handler answers.
type reply struct {
	status int
	run    string
	count  string // of a list before it was cut
	tag    string // of an object's revision
	body   any    // encoded as JSON; what is encoded already as it is
	// receipt is told whether the client got the reply; nil: nobody asks.
	receipt receipt
}

// ok is a reply with status 200.
func ok(body any) *reply { return &reply{status: http.StatusOK, body: body} }

// handle answers one request.
type handle func(r *http.Request) (*reply, error)

// api serves the REST API.
type api struct {
	log       *slog.Logger
	count     *metrics.Set
	ready     func() health.Report // whether requests should come here
	traffic   *traffic
	level     *slog.LevelVar // of the endpoint's own log; nil: it cannot be changed
	tokens    *tokens
	access    *access
	trail     *audit.Trail         // nil: none, as in some tests
	snapshot  func() backup.Source // what a backup is of
	master    *secret.Master
	contents  *contents
	objects   *objects
	discovery *discovery
	actions   *actions
	hub       *events.Hub
	power     *powerBook
	info      func() *model.Info
	ids       func() []string // how the endpoint is called by clients that speak through a proxy
	ring      *logRing
	files     string // the directory of what plugins unpacked
	mux       *http.ServeMux
	kindMu    sync.Mutex               // guards byKind
	byKind    map[*kind]*http.ServeMux // routes of the objects' kinds
	streams   sync.WaitGroup           // the open event streams
	frames    frames                   // what they are sent
	ending    context.Context          // ends when the endpoint stops
}

// server makes the HTTP server of one listener; known tells who is at the other
// end of a connection, where that needs no token.
func (a *api) server(known func(net.Conn) (caller, bool)) *http.Server {
	return &http.Server{
		Handler:           http.HandlerFunc(a.counted),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// HTTP/1.1 only: delivery of a reply is told by what follows on its
		// connection.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:     log.New(&logWriter{a.log}, "", 0),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			ctx = noteConn(ctx, conn)
			if who, ok := known(conn); ok {
				ctx = context.WithValue(ctx, peerKey{}, who)
			}
			return ctx
		},
	}
}

// logWriter takes the lines of the HTTP server's own log.
type logWriter struct{ log *slog.Logger }

// Write logs one line.
func (w *logWriter) Write(line []byte) (int, error) {
	w.log.Debug("http server", "line", string(bytes.TrimSpace(line)))
	return len(line), nil
}

// serve answers every request.
func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	defer a.recovered(w, r)
	w.Header().Set(RequestHeader, newUUID())
	if a.probe(w, r) {
		return
	}
	who, denied := a.authenticate(r)
	if denied != nil {
		dismiss(w, r)
	} else {
		denied = a.authorize(who, r)
		if err := a.recorded(w, r, who, denied); err != nil && denied == nil {
			a.count.Unaudited()
			a.write(w, r, failure(err))
			return
		}
	}
	if denied != nil {
		a.leaveBody(w, r)
		a.write(w, r, &reply{status: denied.Code, body: denied.On("", strings.TrimPrefix(r.URL.Path, apiRoot+"/"))})
		return
	}
	if r.URL.Path != path.Clean(r.URL.Path) && !strings.HasPrefix(r.URL.Path, apisRoot) { // the mux would redirect
		a.leaveBody(w, r)
		a.write(w, r, failure(noSuchRoute(r)))
		return
	}
	h, _ := a.lookup(r)
	h.ServeHTTP(w, r.WithContext(withCaller(r.Context(), who)))
}

// dismiss ends a stranger's connection with the answer: one that rests costs a
// descriptor and memory, and nobody knows whose it is.
func dismiss(w http.ResponseWriter, r *http.Request) {
	if _, local := r.Context().Value(peerKey{}).(caller); !local {
		w.Header().Set("Connection", "close")
	}
}

// leaveBody bounds how long the server looks for the end of a body that nobody
// reads: a stranger that announces one and sends none would stay connected.
func (a *api) leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedTimeout)); err != nil {
		a.log.Debug("cannot bound a body", "error", err)
	}
}

// direct returns a request as it would be without a proxy in between: a client
// that speaks through one (drpcli --url-proxy) puts the endpoint's id before the
// path. The id of another endpoint stays, and is a path that there is not.
func (a *api) direct(r *http.Request) *http.Request {
	id, rest, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if !found || !strings.HasPrefix("/"+rest, apiRoot+"/") || a.ids == nil || !slices.Contains(a.ids(), id) {
		return r
	}
	out := r.Clone(r.Context())
	out.URL.Path = "/" + rest
	if _, raw, ok := strings.Cut(strings.TrimPrefix(r.URL.RawPath, "/"), "/"); ok {
		out.URL.RawPath = "/" + raw
	}
	return out
}

// recovered turns a panic into one error with an id; the stack is only logged.
func (a *api) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	a.write(w, r, failure(a.panicked(r.URL.Path, v)))
}

// panicked logs a panic and returns the error to answer.
func (a *api) panicked(path string, v any) error {
	id := newUUID()
	a.log.Error("panic in a request", "id", id, "path", path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	return model.Errorf(model.Internal, "internal error %s: see the endpoint's log", id)
}

// failure is the reply of an error.
func failure(err error) *reply {
	e := *model.AsError(err)
	status := e.Code
	if status < 400 || status > 599 {
		status = e.Kind().Info().Status
	}
	e.Key = oneLine(e.Key)
	e.Messages = slices.Clone(e.Messages)
	for i, m := range e.Messages {
		e.Messages[i] = oneLine(m)
	}
	return &reply{status: status, body: &e}
}

// oneLine keeps what came from outside, such as a name in a request, from
// breaking an error's line or driving a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unshowable(r) {
			return ' '
		}
		return r
	}, text)
}

// unshowable reports whether a terminal might obey a character rather than show
// it: control characters, and marks that turn the direction of a text.
func unshowable(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// wrap makes an HTTP handler.
func (a *api) wrap(h handle) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := readBody(w, r, boundOf(r.Pattern)); err != nil {
			a.write(w, r, failure(err))
			return
		}
		if a.traffic.on() {
			a.showRequest(r, body(r))
		}
		rep, err := h(r)
		if err != nil {
			rep = failure(err)
		}
		a.write(w, r, rep)
	}
}

// readBody reads the whole body, of at most bound bytes and within its other bounds,
// before the handler runs: a slow client must not hold an action.
func readBody(w http.ResponseWriter, r *http.Request, bound int64) error {
	if _, read := r.Body.(*readAlready); read {
		return nil
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return model.Errorf(model.Internal, "cannot bound the request: %w", err)
	}
	var raw []byte
	var err error
	large := r.ContentLength > bound
	if !large { // else it is not even read
		raw, err = io.ReadAll(http.MaxBytesReader(w, r.Body, bound))
	}
	var passed *http.MaxBytesError
	if large || errors.As(err, &passed) {
		return tooLarge(bound)
	}
	if err != nil {
		return model.Errorf(model.Invalid, "cannot read body: %w", err)
	}
	if query.Deeper(raw, maxDepth) {
		return model.Errorf(model.Invalid, "cannot read body: nested deeper than %d levels", maxDepth)
	}
	if err := model.Ambiguous(raw); err != nil {
		return model.Errorf(model.Invalid, "cannot read body: %w", err)
	}
	r.Body = &readAlready{Reader: bytes.NewReader(raw), raw: raw}
	// What follows may take long: the connection must be able to tell that the
	// client went away, and nothing else.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return model.Errorf(model.Internal, "cannot unbound the request: %w", err)
	}
	return nil
}

// readAlready is a body that readBody has read and found good.
type readAlready struct {
	*bytes.Reader
	raw []byte
}

// Close does nothing.
func (b *readAlready) Close() error { return nil }

// body returns the request's body, which readBody has read. It may not be changed.
func body(r *http.Request) []byte {
	if b, ok := r.Body.(*readAlready); ok {
		return b.raw
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil { // it is in memory
		return nil
	}
	return raw
}

// write sends a reply and, where somebody wants to know, watches its delivery.
func (a *api) write(w http.ResponseWriter, r *http.Request, rep *reply) {
	raw, err := encodeBody(rep.body)
	if err != nil {
		a.log.Error("cannot encode a reply", "path", r.URL.Path, "error", err)
		rep, raw = failure(model.Errorf(model.Internal, "cannot encode the reply")), []byte("null\n")
	}
	setHeaders(w.Header(), rep, len(raw))
	a.showReply(r, rep.status, raw)
	control := http.NewResponseController(w)
	if err := control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		a.log.Debug("cannot bound a reply", "error", err)
	}
	conn := watched(r.Context())
	if conn != nil {
		conn.listen()
	}
	gone := r.Context().Err() != nil
	w.WriteHeader(rep.status)
	if rep.status != http.StatusNotModified {
		_, err = w.Write(raw)
	}
	if err == nil {
		err = control.Flush()
	}
	switch {
	case rep.receipt == nil:
	case err != nil || gone:
		rep.receipt.Lost()
	case conn != nil:
		conn.arm(rep.receipt)
	}
}

// encodeBody encodes a body, with the line's end that the reference sends. A
// list of what is encoded already is only put together.
func encodeBody(body any) ([]byte, error) {
	var buf bytes.Buffer
	list, ok := body.([]json.RawMessage)
	if !ok {
		err := model.Encode(&buf, body)
		return buf.Bytes(), err
	}
	size := len("[]\n")
	for _, raw := range list {
		size += len(raw) + 1
	}
	buf.Grow(size)
	buf.WriteByte('[')
	for i, raw := range list {
		if i > 0 {
			buf.WriteByte(',')
		}
		buf.Write(raw)
	}
	buf.WriteString("]\n")
	return buf.Bytes(), nil
}

// retryAfter is the header's whole seconds.
func retryAfter(body any) string {
	after := defaultRetryAfter
	if e, ok := body.(*model.Error); ok && e.RetryAfter > after {
		after = e.RetryAfter
	}
	return strconv.Itoa(int((after + time.Second - 1) / time.Second))
}

// setHeaders sets the headers of a reply.
func setHeaders(h http.Header, rep *reply, length int) {
	h.Set("Content-Type", "application/json")
	if rep.status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	if rep.tag != "" {
		h.Set("ETag", rep.tag)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if rep.run != "" {
		h.Set(RunHeader, rep.run)
	}
	if rep.count != "" {
		h.Set("X-Drp-List-Filter-Count", rep.count)
	}
	if rep.status == http.StatusTooManyRequests {
		h.Set("Retry-After", retryAfter(rep.body))
	}
	if rep.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="oob"`)
	}
}
