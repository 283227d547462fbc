package plugin

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin/mux"
)

const (
	// pathReads is where a host opens a stream of actions that change nothing: one
	// connection in place of a request for each.
	pathReads = "/api-plugin/v4/reads"
	// readsProtocol is what such a connection becomes.
	readsProtocol = "oob-reads/1"
)

// ReadPreparer is an Actor whose actions that change nothing may be prepared: a
// host that watches a fleet asks for the same again and again.
type ReadPreparer interface {
	// PrepareRead does what can be done before such an action is asked for, and
	// returns what then runs it, many times and at once. Its error is what Action
	// would return.
	PrepareRead(a *model.Action) (func(ctx context.Context) (any, error), error)
}

// reads makes a connection a stream of actions that change nothing, and serves it
// until the host closes it or the plugin ends. The status is returned.
func (s *server) reads(w http.ResponseWriter, r *http.Request) int {
	if !strings.EqualFold(r.Header.Get("Upgrade"), readsProtocol) {
		return writeError(w, malformed(r, "cannot open a stream of reads: it must be upgraded to "+readsProtocol))
	}
	if !s.streams.begin() {
		return writeError(w, model.Errorf(model.Busy, "cannot open a stream of reads: the plugin is stopping").After(time.Second))
	}
	defer s.streams.end()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return writeError(w, model.Errorf(model.Internal, "cannot open a stream of reads: %w", err))
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + readsProtocol + "\r\n\r\n"
	if _, err := io.WriteString(conn, answer); err != nil {
		_ = conn.Close() // the host has gone
		return http.StatusSwitchingProtocols
	}
	stream := mux.Serve(s.actions, conn, unread(buffered.Reader, conn), s.prepareRead)
	select {
	case <-stream.Ended():
	case <-s.drained:
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.program.timing.flushLimit)
	defer cancel()
	stream.Close(ctx)
	return http.StatusSwitchingProtocols
}

// unread is what a connection sends, with what was read of it already.
func unread(buffered *bufio.Reader, conn io.Reader) io.Reader {
	n := buffered.Buffered()
	if n == 0 {
		return conn
	}
	head, _ := buffered.Peek(n) // as much is there
	return io.MultiReader(bytes.NewReader(bytes.Clone(head)), conn)
}

// streams counts the streams of reads, none of which begins after the end.
type streams struct {
	mu     sync.Mutex // guards the below
	n      int
	closed bool
	idle   chan struct{} // closed when there is none and none begins any more
}

// newStreams counts none.
func newStreams() *streams { return &streams{idle: make(chan struct{})} }

// begin counts one in, unless none may begin.
func (s *streams) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.n++
	return true
}

// end counts one out.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n--; s.n == 0 && s.closed {
		close(s.idle)
	}
}

// close has none begin any more. It is called once.
func (s *streams) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed = true; s.n == 0 {
		close(s.idle)
	}
}

// read is an action that changes nothing, as it is asked for through a stream.
type read struct {
	server  *server
	action  *model.Action
	values  func() []string // the secrets in it
	perform func(ctx context.Context) (any, error)
}

// prepareRead reads an action, and returns what answers it.
func (s *server) prepareRead(body []byte) func(context.Context) mux.Answer {
	object, a := newAction()
	err := model.Unmarshal(body, a)
	settle(a, object)
	if err == nil && model.ActionOf(a.Command, s.program.def.Meta).Class != model.Read {
		err = model.Errorf(model.Invalid, "cannot %.64q by a stream of reads: it is no action that changes nothing", a.Command)
	}
	if err != nil {
		refused := refusedRead(model.AsError(err))
		return func(context.Context) mux.Answer { return refused }
	}
	r := &read{server: s, action: a}
	r.values = sync.OnceValue(func() []string { return secretsOf(s.program.secure, actionParams(a)) })
	actor := s.program.impl.(Actor)
	r.perform = func(ctx context.Context) (any, error) { return actor.Action(ctx, a) }
	if p, ok := actor.(ReadPreparer); ok {
		r.prepare(p)
	}
	return r.answer
}

// prepare has the implementation prepare the action. One that panics is left to
// do so when it is asked, where it costs that answer alone.
func (r *read) prepare(p ReadPreparer) {
	defer func() { _ = recover() }()
	perform, err := p.PrepareRead(r.action)
	if err != nil {
		perform = func(context.Context) (any, error) { return nil, err }
	}
	if perform != nil {
		r.perform = perform
	}
}

// answer runs the action once.
func (r *read) answer(ctx context.Context) (answer mux.Answer) {
	s, began := r.server, time.Now()
	defer func() {
		if cause := recover(); cause != nil {
			answer = refusedRead(s.panicked(ctx, pathReads, cause))
		}
	}()
	req := &request{group: s.group.Add(1), level: s.program.level, values: r.values}
	v, e := r.run(withRequest(ctx, req))
	answer = r.encoded(v, e, req)
	if s.lines.Enabled(ctx, slog.LevelDebug) {
		// As of a request of its own.
		ctx = withRequest(ctx, &request{group: req.group, level: req.level})
		s.logger.LogAttrs(ctx, slog.LevelDebug, fmt.Sprintf("API: st: %d lt: %13v m: %s %s",
			answer.Status, time.Since(began), http.MethodPost, pathReads), quietly())
	}
	return answer
}

// run calls the implementation, unless there is no room.
func (r *read) run(ctx context.Context) (any, *model.Error) {
	if e := r.server.gate.enter(); e != nil {
		return nil, e
	}
	defer r.server.gate.leave()
	return r.server.act(ctx, r.action, r.perform)
}

// encoded is the answer of a result or an error.
func (r *read) encoded(v any, e *model.Error, req *request) mux.Answer {
	if e == nil {
		var err error
		var raw []byte
		if raw, err = model.Marshal(v); err == nil && len(raw) <= mux.MaxBody {
			return mux.Answer{Status: http.StatusOK, Body: raw}
		}
		if err == nil {
			err = fmt.Errorf("it is larger than %d MiB", mux.MaxBody>>20)
		}
		e = model.Errorf(model.Internal, "cannot encode the answer: %w", err)
	}
	return refusedRead(r.server.masked(validStatus(e), req))
}

// refusedRead is the answer of an error.
func refusedRead(e *model.Error) mux.Answer {
	e = validStatus(e)
	raw, err := model.Marshal(e)
	if err != nil { // an Error is strings and numbers: it encodes
		raw = nil
	}
	return mux.Answer{Status: e.Code, Retry: int(retrySeconds(e)), Body: raw}
}
