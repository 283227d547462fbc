package plugin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// server is the plugin side of the inbound socket.
type server struct {
	program *program
	routes  map[string]route
	logger  *slog.Logger
	lines   *lineHandler
	gate    *gate
	// streams are those of reads that are open.
	streams *streams
	// events is the event stream of an EventSelecter, nil for others.
	events *eventStream
	// apis serves /plugin-apis/ of an APIHandler, nil for others.
	apis *apis
	// connect makes the client that Config gets, once.
	connect func() (*client.Client, error)
	group   atomic.Int64

	configuring sync.Mutex // held while Config runs

	// actions is the parent of every action's context.
	actions       context.Context
	cancelActions context.CancelCauseFunc

	stopAsked chan struct{} // closed when somebody asked for stop
	askOnce   sync.Once
	drained   chan struct{} // closed when nothing is in flight any more
}

// route is one path of the protocol.
type route struct {
	// serve answers the request: what is written with status 200, or an error.
	serve func(s *server, r *http.Request) (any, *model.Error)
	// nested errors are answered double encoded, as the reference does.
	nested bool
}

// newServer makes the server of a program; lines is where its log goes, key what
// its host signs with.
func newServer(p *program, lines *lineHandler, key []byte) *server {
	s := &server{
		program:   p,
		logger:    slog.New(lines),
		lines:     lines,
		gate:      newGate(p.timing.maxActions),
		streams:   newStreams(),
		connect:   sync.OnceValues(newClient),
		stopAsked: make(chan struct{}),
		drained:   make(chan struct{}),
		routes: map[string]route{
			pathConfig: {serve: (*server).config, nested: true},
			pathStop:   {serve: (*server).stop},
		},
	}
	s.actions, s.cancelActions = context.WithCancelCause(context.Background())
	if _, ok := p.impl.(Actor); ok {
		s.routes[pathAction] = route{serve: (*server).action}
	}
	if impl, ok := p.impl.(Counter); ok {
		s.routes[pathCounts] = route{serve: func(*server, *http.Request) (any, *model.Error) { return impl.Counts(), nil }}
	}
	if impl, ok := p.impl.(APIHandler); ok {
		s.apis = newAPIs(impl, key)
	}
	_, publishes := p.impl.(Publisher)
	_, selects := p.impl.(EventSelecter)
	switch {
	case publishes && selects:
		s.events = newEventStream(s.logger, p.timing.stream, s.streamed)
	case publishes && p.def.HasPublish:
		s.routes[pathPublish] = route{serve: (*server).publish, nested: true}
	}
	return s
}

// ServeHTTP answers one request and logs it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	req := &request{group: s.group.Add(1), level: s.program.level, quiet: r.URL.Path == pathPublish}
	ctx := withRequest(r.Context(), req)
	s.readLogHeaders(ctx, req, r.Header)
	status := s.answer(w, r.WithContext(ctx))
	// This line is the wrapper's own and shows nothing of the body: there is no
	// need to look for the request's secrets.
	ctx = withRequest(ctx, &request{group: req.group, level: req.level, quiet: req.quiet})
	if !s.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	s.logger.LogAttrs(ctx, slog.LevelDebug, fmt.Sprintf("API: st: %d lt: %13v m: %s %s",
		status, time.Since(began), cut(r.Method, 32), cut(shownURI(r), 512)), quietly())
}

// shownURI is a request's path and query for the log.
func shownURI(r *http.Request) string {
	u := *r.URL
	u.RawQuery = withoutToken(u.RawQuery)
	return u.RequestURI()
}

// readLogHeaders obeys the headers that steer a request's log.
func (s *server) readLogHeaders(ctx context.Context, req *request, h http.Header) {
	if name := h.Get(headerLogLevel); name != "" {
		if level, ok := levelOf(strings.ToLower(name)); ok {
			req.level = level
		} else {
			s.logger.LogAttrs(ctx, slog.LevelError, "Invalid requested log level "+cut(name, 64), quietly())
		}
	}
	if token := h.Get(headerLogToken); token != "" {
		req.followed = true
		s.logger.LogAttrs(ctx, slog.LevelError, LogTokenPrefix+cut(token, 256), quietly())
	}
}

// answer routes the request and writes its answer. The status is returned.
func (s *server) answer(w http.ResponseWriter, r *http.Request) int {
	if s.apis != nil && strings.HasPrefix(r.URL.Path, pathAPIs) {
		return s.api(w, r)
	}
	if _, acts := s.routes[pathAction]; acts && r.URL.Path == pathReads && r.Method == http.MethodPost {
		return s.reads(w, r)
	}
	rt, ok := s.routes[r.URL.Path]
	if !ok || r.Method != http.MethodPost {
		return writeReply(w, http.StatusNotFound, &model.Error{
			Key: r.URL.Path, Type: r.Method, Code: http.StatusNotFound,
		})
	}
	v, e := s.guarded(rt, r)
	if requestOf(r.Context()).followed {
		s.lines.queue.flush(r.Context())
	}
	if e == nil {
		return writeReply(w, http.StatusOK, v)
	}
	e = s.masked(validStatus(e), requestOf(r.Context()))
	if rt.nested && !badRequest(e) {
		e = nested(e)
	}
	return writeError(w, e)
}

// guarded turns a panic into an error with an id; the stack is only logged.
func (s *server) guarded(rt route, r *http.Request) (v any, e *model.Error) {
	defer func() {
		if cause := recover(); cause != nil {
			v, e = nil, s.panicked(r.Context(), r.URL.Path, cause)
		}
	}()
	return rt.serve(s, r)
}

// panicked logs a panic and returns the error to answer.
func (s *server) panicked(ctx context.Context, where string, cause any) *model.Error {
	id := newID()
	s.logger.LogAttrs(ctx, slog.LevelError, fmt.Sprintf("panic %s in %s: %v\n%s", id, where, cause, debug.Stack()))
	return model.Errorf(model.Internal, "cannot finish the request: internal error %s; the plugin's log tells more", id)
}

// newID returns an identifier to find a log line by.
func newID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails
	return hex.EncodeToString(b[:])
}

// masked masks the secrets of the request and of the config in e's messages.
func (s *server) masked(e *model.Error, req *request) *model.Error {
	out := *e
	out.Messages = make([]string, len(e.Messages))
	for i, m := range e.Messages {
		out.Messages[i] = s.lines.mask(m, req)
	}
	if e.Messages == nil {
		out.Messages = nil
	}
	return &out
}

// decode reads a JSON body into v, by the reference's rules.
func decode(r *http.Request, v any) *model.Error {
	kind := r.Header.Get("Content-Type")
	if !strings.Contains(strings.ToLower(kind), "application/json") {
		return malformed(r, "Invalid content type: "+cut(kind, 128))
	}
	if err := model.DecodeClear(r.Body, model.MaxBody, v); err != nil {
		return malformed(r, model.AsError(err).Text())
	}
	return nil
}

// malformed is the reference's answer to a body it cannot read: the method
// stands where our own errors have their kind.
func malformed(r *http.Request, message string) *model.Error {
	return &model.Error{Type: r.Method, Messages: []string{message}, Code: http.StatusBadRequest}
}

// badRequest reports whether e came from malformed; such errors are never
// nested.
func badRequest(e *model.Error) bool {
	return e.Type == http.MethodPost && e.Code == http.StatusBadRequest
}
