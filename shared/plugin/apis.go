package plugin

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"provision-plugins/shared/model"
)

// pathAPIs is below which a plugin serves requests of its own kind.
const pathAPIs = "/plugin-apis/"

// maxAPIRequests bounds how many are served at a time, websockets included.
const maxAPIRequests = 1024

// maxUnread is how much of a body is read that the plugin did not want.
const maxUnread = 256 << 10

// apis serves /plugin-apis/NAME/ for a plugin with a Handler. NAME is the plugin
// object's.
type apis struct {
	handler  func() http.Handler // the implementation's, asked once
	verifier *verifier           // nil where the host gave no key
	tokens   *tokens
	gate     *gate
	name     atomic.Pointer[string] // nil before the first Config
}

// newAPIs makes the APIs of a plugin; key is what the host signs with, nil if it
// signs nothing.
func newAPIs(impl APIHandler, key []byte) *apis {
	a := &apis{handler: sync.OnceValue(impl.Handler), tokens: newTokens(), gate: newGate(maxAPIRequests)}
	if key != nil {
		a.verifier = newVerifier(key, time.Now)
	}
	return a
}

// api serves one request below /plugin-apis/ and returns its status.
func (s *server) api(w http.ResponseWriter, r *http.Request) int {
	if e := s.apis.gate.enter(); e != nil {
		return writeError(w, e)
	}
	defer s.apis.gate.leave()
	principal, e := s.apis.admit(r)
	if e != nil {
		if e.Code == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		return writeError(w, e)
	}
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), principalKey{}, principal))
	defer cancel(nil)
	// Nothing else ends the context of a websocket when the plugin stops.
	defer context.AfterFunc(s.actions, func() { cancel(context.Cause(s.actions)) })()
	out := r.WithContext(ctx)
	out.Header = r.Header.Clone()
	dropSigned(out.Header)
	out.Header.Del("Authorization")
	out.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: withoutToken(r.URL.RawQuery)}
	out.RequestURI = out.URL.RequestURI()
	out.Body = http.MaxBytesReader(w, r.Body, model.MaxBody)
	answer := &apiWriter{ResponseWriter: w}
	s.handleAPI(answer, out)
	if answer.status != http.StatusSwitchingProtocols {
		// The connection is closed after the answer. A host that still writes the
		// body then would take that for the loss of the plugin.
		_, _ = io.CopyN(io.Discard, out.Body, maxUnread)
	}
	return cmp.Or(answer.status, http.StatusOK)
}

// handleAPI calls the implementation's handler. After a panic the request is
// answered if nothing was yet, else the connection is closed, so that half an
// answer is not taken for a whole one.
func (s *server) handleAPI(w *apiWriter, r *http.Request) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		e := s.panicked(r.Context(), cut(r.URL.Path, 256), cause)
		if w.status == 0 {
			writeError(w, e)
		} else if conn, _, err := w.Hijack(); err == nil {
			_ = conn.Close() // it is given up
		}
	}()
	s.apis.handler().ServeHTTP(w, r)
}

// admit tells on whose behalf a request is made, or why it is not served.
func (a *apis) admit(r *http.Request) (Principal, *model.Error) {
	principal, e := a.authenticate(r)
	if e != nil {
		return principal, e
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, pathAPIs), "/")
	if own := a.name.Load(); own == nil || *own != name || a.handler() == nil {
		return principal, &model.Error{Key: r.URL.Path, Type: r.Method, Code: http.StatusNotFound}
	}
	if upgrades(r) && !sameOrigin(r) {
		return principal, forbidden("it is a websocket of a page of another origin")
	}
	return principal, nil
}

// authenticate takes the word of the host, or of the endpoint.
func (a *apis) authenticate(r *http.Request) (Principal, *model.Error) {
	if a.verifier != nil && len(r.Header.Values(headerSignature)) > 0 {
		return a.verifier.verify(r)
	}
	token := bearer(r)
	if token == "" {
		e := forbidden("it has no token")
		e.Code = http.StatusUnauthorized
		return Principal{}, e
	}
	return Principal{Name: "token"}, a.tokens.confirm(r.Context(), token)
}

// bearer returns the request's bearer token. Browsers cannot give a websocket
// headers: theirs stands in the query.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	if scheme == "" && upgrades(r) {
		return r.URL.Query().Get("token")
	}
	return ""
}

// upgrades reports whether the request is to become something else than HTTP.
func upgrades(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// sameOrigin reports whether a request comes from a page of the same host, or
// from no page at all.
func sameOrigin(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	return len(origins) == 1 && err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// apiWriter notes the status of an answer.
type apiWriter struct {
	http.ResponseWriter
	status int // 0 before anything was answered
}

// WriteHeader notes the status.
func (w *apiWriter) WriteHeader(status int) {
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.status = cmp.Or(w.status, status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write notes that the status is 200 unless it was another.
func (w *apiWriter) Write(p []byte) (int, error) {
	w.status = cmp.Or(w.status, http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Flush sends what was written.
func (w *apiWriter) Flush() {
	w.status = cmp.Or(w.status, http.StatusOK)
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a lost connection is seen by the next Write
}

// Hijack gives the connection away.
func (w *apiWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h, ok := w.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("the connection cannot be taken over")
	}
	w.status = cmp.Or(w.status, http.StatusSwitchingProtocols)
	return h.Hijack()
}

// Unwrap returns the writer within.
func (w *apiWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
