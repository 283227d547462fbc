package plugin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// picky is a plugin that selects its events and tells which it got.
type picky struct {
	Base
	logger   *slog.Logger
	patterns []string
	got      chan string
}

// SetLogger keeps the logger.
func (p *picky) SetLogger(l *slog.Logger) { p.logger = l }

// Config takes the pattern from the params.
func (p *picky) Config(_ context.Context, _ *client.Client, params model.Params) error {
	if text, _ := params.String("pattern", ""); text != "" {
		p.patterns = []string{text}
	}
	return nil
}

// SelectEvents returns the patterns.
func (p *picky) SelectEvents() []string { return p.patterns }

// Publish tells of the event, or fails in the way its action says.
func (p *picky) Publish(ctx context.Context, e *model.Event) error {
	p.logger.InfoContext(ctx, "event "+e.Key, "object", e.Object)
	p.got <- e.Type + "." + e.Action + "." + e.Key
	switch e.Action {
	case "panic":
		panic("at the event")
	case "fail":
		return model.Errorf(model.Busy, "cannot take it")
	case "hang":
		<-ctx.Done()
	}
	return nil
}

// next is the event that comes next.
func (p *picky) next(t testing.TB) string {
	t.Helper()
	select {
	case e := <-p.got:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event came")
	}
	return ""
}

// selecting makes the rig's plugin a picky one.
func selecting(p *picky) func(*rig) {
	p.got = make(chan string, 16)
	return func(r *rig) {
		r.program = newProgram("picky", "v1", &model.PluginProvider{Content: twinDefinition().Content}, p)
		r.program.timing = fastTiming()
	}
}

// wsEndpoint is the event stream of an endpoint. Each connection goes to conns.
type wsEndpoint struct {
	socket string
	conns  chan *websocket.Conn
}

// newEndpoint serves one to the plugins of this process.
func newEndpoint(t testing.TB) *wsEndpoint {
	t.Helper()
	e := &wsEndpoint{conns: make(chan *websocket.Conn, 16), socket: filepath.Join(shortDir(t), "api")}
	t.Setenv(EnvLocalProxy, e.socket)
	return e
}

// serve serves until the returned function is called, or the test ends.
func (e *wsEndpoint) serve(t testing.TB) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v3/ws" {
			http.NotFound(w, r)
			return
		}
		if conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil); err == nil {
			e.conns <- conn
		}
	})}
	done := serveInbound(hs, l)
	stop = func() {
		_ = hs.Close()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// accept waits for a connection and acknowledges its registrations.
func (e *wsEndpoint) accept(t testing.TB, patterns ...string) *websocket.Conn {
	t.Helper()
	select {
	case conn := <-e.conns:
		t.Cleanup(func() { conn.Close() })
		for _, p := range patterns {
			_, raw, err := conn.ReadMessage()
			if err != nil || string(raw) != "register "+p {
				t.Fatalf("read %q, %v; want %s", raw, err, p)
			}
			tell(t, conn, &model.Event{Type: "websocket", Action: "register", Key: p})
		}
		return conn
	case <-time.After(20 * time.Second):
		t.Fatal("nobody opened the stream")
	}
	return nil
}

// tell sends an event.
func tell(t testing.TB, conn *websocket.Conn, e *model.Event) {
	t.Helper()
	if err := conn.WriteJSON(e); err != nil {
		t.Fatal(err)
	}
}

// gone waits until the other side has closed the connection.
func gone(t testing.TB, conn *websocket.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			if strings.Contains(err.Error(), "timeout") {
				t.Fatal("the stream is still open")
			}
			return
		}
	}
}

// configure posts a config and returns its answer once conn was accepted.
func (r *rig) configure(t testing.TB, params string) <-chan string {
	t.Helper()
	answered := make(chan string, 1)
	go func() {
		_, body := r.post(t, pathConfig, params)
		answered <- body
	}()
	return answered
}

const okBody = `{"Model":"","Key":"","Type":"","Messages":null,"Code":200}` + "\n"

func TestSelectedEventsAreHandled(t *testing.T) {
	impl := &picky{patterns: []string{"machines.*.*", "runs.update.*"}}
	e := newEndpoint(t)
	e.serve(t)
	r := newRig(t, selecting(impl))
	answer := r.configure(t, `{}`)
	conn := e.accept(t, impl.patterns...)
	if got := <-answer; got != okBody {
		t.Fatalf("config: %s", got)
	}
	tell(t, conn, &model.Event{Type: "events", Action: "missed", Key: "7"})
	tell(t, conn, &model.Event{Type: "machines", Action: "create", Key: "a", Object: map[string]any{"incrementer/pin": "pin-4711"}})
	tell(t, conn, &model.Event{Type: "machines", Action: "panic", Key: "b"})
	tell(t, conn, &model.Event{Type: "machines", Action: "fail", Key: "c"})
	got := map[string]bool{}
	for range 3 {
		got[impl.next(t)] = true
	}
	if !got["machines.create.a"] || !got["machines.panic.b"] || !got["machines.fail.c"] {
		t.Errorf("events %v", got)
	}
	wanted := []string{
		"warn events were missed: the plugin did not take them in time events=7", "info event a object=map[incrementer/pin:******]",
		"in event machines: at the event", "error an event was not handled event=machines.fail.c error=cannot take it",
	}
	r.host.await(t, "the lines", func() bool {
		found := 0
		for _, line := range r.host.lines {
			for _, want := range wanted {
				if strings.Contains(line.Level+" "+line.Message, want) && line.IgnorePublish {
					found++
				}
			}
		}
		return found == len(wanted)
	})
	if status, body := r.post(t, pathPublish, `{"Type":"x"}`); status != 404 {
		t.Errorf("publish: %d %s", status, body)
	}
}

// After a loss the stream is opened and subscribed again: also when the endpoint
// was away for a while.
func TestLostStreamIsOpenedAgain(t *testing.T) {
	impl := &picky{patterns: []string{"machines.*.*"}}
	e := newEndpoint(t)
	stop := e.serve(t)
	r := newRig(t, selecting(impl))
	answer := r.configure(t, `{}`)
	conn := e.accept(t, impl.patterns...)
	<-answer
	conn.Close()
	conn = e.accept(t, impl.patterns...)
	tell(t, conn, &model.Event{Type: "machines", Action: "create", Key: "second"})
	if got := impl.next(t); got != "machines.create.second" {
		t.Errorf("event %s", got)
	}
	stop()
	conn.Close()
	r.host.await(t, "the failure", func() bool {
		for _, line := range r.host.lines {
			if strings.HasPrefix(line.Message, "the event stream cannot be opened") {
				return true
			}
		}
		return false
	})
	e.serve(t)
	conn = e.accept(t, impl.patterns...)
	tell(t, conn, &model.Event{Type: "machines", Action: "create", Key: "third"})
	if got := impl.next(t); got != "machines.create.third" {
		t.Errorf("event %s", got)
	}
	log := r.host.messages()
	for _, want := range []string{"warn the event stream was lost and is opened again error=", "warn the event stream is back: what happened meanwhile was missed away="} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
}

func TestConfigAgainOpensANewStream(t *testing.T) {
	impl := &picky{patterns: []string{"machines.*.*"}}
	e := newEndpoint(t)
	e.serve(t)
	r := newRig(t, selecting(impl))
	answer := r.configure(t, `{}`)
	first := e.accept(t, "machines.*.*")
	<-answer
	answer = r.configure(t, `{"pattern":"runs.*.*"}`)
	second := e.accept(t, "runs.*.*")
	if got := <-answer; got != okBody {
		t.Errorf("config: %s", got)
	}
	gone(t, first)
	tell(t, second, &model.Event{Type: "runs", Action: "update", Key: "1"})
	if got := impl.next(t); got != "runs.update.1" {
		t.Errorf("event %s", got)
	}
}

// The stream ends with the plugin, which does not wait for events that have not
// been begun.
func TestStreamEndsWithThePlugin(t *testing.T) {
	impl := &picky{patterns: []string{"machines.*.*"}}
	e := newEndpoint(t)
	e.serve(t)
	r := newRig(t, selecting(impl))
	answer := r.configure(t, `{}`)
	conn := e.accept(t, impl.patterns...)
	<-answer
	for range 3 {
		tell(t, conn, &model.Event{Type: "machines", Action: "hang", Key: "m"})
	}
	impl.next(t)
	if status, body := r.post(t, pathStop, ``); status != 200 {
		t.Errorf("stop: %d %s", status, body)
	}
	gone(t, conn)
	r.awaitEnd(t)
	if n := len(impl.got); n > 2 {
		t.Errorf("%d more events were handled", n)
	}
}

// A plugin that waits for its endpoint in Config can be stopped.
func TestStopEndsTheWaitForTheEndpoint(t *testing.T) {
	impl := &picky{patterns: []string{"machines.*.*"}}
	e := newEndpoint(t)
	e.serve(t)
	r := newRig(t, selecting(impl), func(r *rig) { r.program.timing.stream.openLimit = time.Hour })
	answer := r.configure(t, `{}`)
	<-e.conns // and no acknowledgement
	r.stop()
	if got := <-answer; !strings.Contains(got, "Unable to create event stream: ") {
		t.Errorf("config: %s", got)
	}
	r.awaitEnd(t)
}

// deafSelecter selects events and cannot take them.
type deafSelecter struct{ plain }

// SelectEvents selects all.
func (deafSelecter) SelectEvents() []string { return []string{"*.*.*"} }

func TestEventStreamRefusals(t *testing.T) {
	e := newEndpoint(t)
	forbidding := serverSocket(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, model.Errorf(model.Forbidden, "no such token"))
	})})
	silent := &wsEndpoint{socket: filepath.Join(shortDir(t), "api"), conns: make(chan *websocket.Conn, 16)}
	silent.serve(t)
	for name, c := range map[string]struct {
		socket     string
		impl       Configurer
		hasPublish bool
		status     int
		want       string
	}{
		"both":        {e.socket, &picky{patterns: []string{"*.*.*"}}, true, 400, "Plugin can NOT have both HasPublish and EventSelector: picky"},
		"no publish":  {e.socket, deafSelecter{}, false, 400, "Plugin has an EventSelector, but no Publish function: picky"},
		"bad pattern": {e.socket, &picky{patterns: []string{"machines"}}, false, 400, `cannot select events by "machines": want type.action.key`},
		"two lines":   {e.socket, &picky{patterns: []string{"a.b.c\nderegister a.b.c"}}, false, 400, "want type.action.key"},
		"refused":     {forbidding, &picky{patterns: []string{"*.*.*"}}, false, 500, "Unable to create event stream: no such token"},
		"no ack":      {silent.socket, &picky{patterns: []string{"*.*.*"}}, false, 500, "Unable to create event stream: the endpoint did not answer within 200ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(EnvLocalProxy, c.socket)
			r := newRig(t, func(r *rig) {
				r.program = newProgram("picky", "v1", &model.PluginProvider{HasPublish: c.hasPublish}, c.impl)
				r.program.timing = fastTiming()
				r.program.timing.stream.openLimit = 200 * time.Millisecond
			})
			status, body := r.post(t, pathConfig, `{}`)
			if inner := unnested(decodeError(t, body)); status != c.status || inner.Code != c.status || !strings.Contains(inner.Text(), c.want) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// An endpoint that is not there yet is waited for; one that never comes is an
// error of Config.
func TestConfigWaitsForTheEndpoint(t *testing.T) {
	impl := &picky{patterns: []string{"machines.*.*"}}
	e := newEndpoint(t)
	t.Setenv(EnvLocalProxy, "")
	t.Setenv(EnvEndpoint, "https://127.0.0.1:1")
	r := newRig(t, selecting(impl), func(r *rig) { r.program.timing.stream.openLimit = 50 * time.Millisecond })
	_, body := r.post(t, pathConfig, `{}`)
	if inner := unnested(decodeError(t, body)); inner.Kind() != model.Unreachable || inner.Code != 500 || !strings.Contains(inner.Text(), "connection refused") {
		t.Errorf("config: %s", body)
	}
	e.serve(t)
	c, err := client.New(client.Options{Socket: e.socket})
	if err != nil {
		t.Fatal(err)
	}
	s := newEventStream(slog.New(slog.DiscardHandler), fastTiming().stream, func(*model.Event) {})
	s.close()
	opened := make(chan error, 1)
	go func() { opened <- s.open(t.Context(), c, nil) }()
	if err := <-opened; err == nil {
		t.Error("a stream was opened after its end")
	}
}
