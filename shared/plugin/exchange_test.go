package plugin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// ok200 is the head of a good answer with a body of n bytes.
func ok200(n int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", n)
}

// Whatever a plugin does after it was given a request, the request was written
// once, and what is not an answer leaves the outcome unknown.
func TestLostAnswers(t *testing.T) {
	for name, response := range map[string]string{
		"nothing":           "",
		"half a head":       "HTTP/1.1 200 OK\r\nContent-",
		"half a body":       ok200(100) + `{"power":`,
		"garbage":           "\x00\x01\x02\r\n\r\n",
		"not JSON":          ok200(3) + "on!",
		"broken chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n",
		"another protocol":  "SSH-2.0-OpenSSH_9\r\n",
		"endless head":      "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", model.MaxBody+2*maxHeader),
		"larger than bound": ok200(model.MaxBody+2*maxHeader) + strings.Repeat(" ", model.MaxBody+2*maxHeader),
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			socket := fakePlugin(t, func(conn net.Conn) {
				requests.Add(1)
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
				}
				_, _ = io.WriteString(conn, response)
			})
			_, err := process(socket).Action(t.Context(), &model.Action{Command: "powercycle"})
			checkError(t, err, model.UnknownOutcome, "cannot tell whether powercycle was executed")
			if n := requests.Load(); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

func TestConnectionLostWhileWriting(t *testing.T) {
	socket := fakePlugin(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 16))
	})
	large := model.Params{"x": strings.Repeat("x", 8<<20)}
	_, err := process(socket).Action(t.Context(), &model.Action{Command: "powercycle", Params: large})
	checkError(t, err, model.UnknownOutcome, "cannot tell whether powercycle was executed")
}

func TestNeverSent(t *testing.T) {
	dead := filepath.Join(shortDir(t), "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	over, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("cancelled by root"))
	for name, c := range map[string]struct {
		ctx    context.Context
		socket string
		params model.Params
		want   string
	}{
		"no socket":     {t.Context(), dead + "x", nil, "no such file"},
		"dead socket":   {t.Context(), dead, nil, "connection refused"},
		"ended context": {over, dead, nil, ""},
		"too large":     {t.Context(), dead, model.Params{"x": strings.Repeat("x", model.MaxBody)}, "larger than 16 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := process(c.socket).Action(c.ctx, &model.Action{Command: "powercycle", Params: c.params})
			checkError(t, err, model.Unreachable, "cannot powercycle: never sent, plugin fake cannot be reached", c.want)
		})
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		body   string
		kind   model.Kind
		text   string
	}{
		"ours":            {"409 Conflict", `{"Type":"conflict","Messages":["a run is on"],"Code":409}`, model.Conflict, "a run is on"},
		"theirs":          {"404 Not Found", `{"Model":"plugin","Key":"ipmi","Type":"rpc","Messages":["ipmi error: exit status 1","ipmi out: x"],"Code":404}`, model.NotFound, "ipmi error: exit status 1; ipmi out: x"},
		"code missing":    {"409 Conflict", `{"Messages":["x"]}`, model.Conflict, "x"},
		"plain text":      {"503 Busy", "not\nnow \x1b[31m", model.Busy, "not now [31m"},
		"empty":           {"500 Internal", "", model.Internal, "Internal Server Error"},
		"redirect":        {"302 Found", "", model.Internal, "Found"},
		"panic and stack": {"500 Internal", `{"Key":"/x","Type":"POST","Messages":["Panic recovered: nil","Stack trace:","goroutine 1"],"Code":500}`, model.Internal, "Panic recovered: nil"},
		"long text":       {"500 Internal", strings.Repeat("x", 1000), model.Internal, strings.Repeat("x", 200) + "..."},
	} {
		t.Run(name, func(t *testing.T) {
			socket, _ := replay(t, fmt.Sprintf("HTTP/1.1 %s\r\nRetry-After: 7\r\nContent-Length: %d\r\n\r\n%s", c.status, len(c.body), c.body))
			_, err := process(socket).Action(t.Context(), &model.Action{Command: "poweron"})
			e := model.AsError(err)
			if e.Kind() != c.kind || e.Text() != c.text || e.RetryAfter != 7*time.Second {
				t.Errorf("%s %q %v, want %s %q", e.Kind(), e.Text(), e.RetryAfter, c.kind, c.text)
			}
		})
	}
}

func TestEmptyAnswerIsNull(t *testing.T) {
	socket, _ := replay(t, ok200(0))
	got, err := process(socket).Action(t.Context(), &model.Action{})
	if err != nil || string(got) != "null" {
		t.Errorf("%s %v", got, err)
	}
}

func TestTellTimesOut(t *testing.T) {
	release := make(chan struct{})
	socket := fakePlugin(t, func(net.Conn) { <-release })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	checkError(t, process(socket).Config(ctx, nil), model.Timeout, "cannot configure plugin fake")
	checkError(t, process(socket+"x").Config(t.Context(), nil), model.Unreachable, "cannot configure plugin fake")
}

func TestManyActionsAtATime(t *testing.T) {
	r := newRig(t)
	p := process(r.socket)
	const n = 300
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := p.Action(context.Background(), &model.Action{Command: "increment", Model: map[string]any{"Uuid": "u"}})
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	r.twin.mu.Lock()
	defer r.twin.mu.Unlock()
	if got := r.twin.counts["u"]; got != n {
		t.Errorf("counted %d", got)
	}
}

func TestHostInbound(t *testing.T) {
	rec := newRecorder()
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"log":        {"POST", pathLog, `{"Message":"hello","Level":"info"}`, 200, ""},
		"event":      {"POST", pathEvent, `{"Type":"machines"}`, 200, ""},
		"leaving":    {"POST", pathLeaving, `{"Messages":["bye"]}`, 200, ""},
		"empty":      {"POST", pathLog, ``, 200, ""},
		"bad JSON":   {"POST", pathLog, `{bad`, 400, "cannot parse JSON"},
		"too long":   {"POST", pathEvent, `"` + strings.Repeat("x", model.MaxBody) + `"`, 400, "larger than"},
		"GET":        {"GET", pathLog, ``, 404, `"Type":"GET"`},
		"elsewhere":  {"POST", "/api-plugin-server/v4/log", `{}`, 404, `"Code":404`},
		"no objects": {"GET", pathObjects + "machines", ``, 501, "cannot list machines"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := serveHost(t, rec, c.method, c.path, c.body)
			if status != c.status || !strings.Contains(body, c.want) || c.want == "" && body != "" {
				t.Errorf("%d %q, want %d %q", status, body, c.status, c.want)
			}
		})
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.lines) != 2 || len(rec.events) != 1 || len(rec.leaving) != 1 {
		t.Errorf("%d lines, %d events, %d leaving", len(rec.lines), len(rec.events), len(rec.leaving))
	}
}

func TestOutboundErrors(t *testing.T) {
	refusing := serverSocket(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, model.Errorf(model.Busy, "cannot take it"))
	})})
	o := newOutbound(refusing)
	defer o.close()
	checkError(t, o.Publish(t.Context(), &model.Event{}), model.Busy, "cannot take it")
	if err := o.Publish(t.Context(), &model.Event{Object: func() {}}); err == nil || !strings.Contains(err.Error(), "cannot encode") {
		t.Errorf("error %v", err)
	}
	dead := newOutbound(filepath.Join(shortDir(t), "dead"))
	if err := dead.Leaving(t.Context(), model.Errorf(model.Internal, "x")); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), "cannot reach the host") {
		t.Errorf("error %v", err)
	}
	if !dead.refused(t.Context()) || o.refused(t.Context()) {
		t.Error("the dead socket is taken for the living one")
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for value, want := range map[string]time.Duration{"": 0, "x": 0, "-1": 0, "2": 2 * time.Second, "99999999": time.Hour, "99999999999": 0} {
		if got := retryAfter(http.Header{"Retry-After": {value}}); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

// A plugin that closes its end after each answer, without saying so, must not
// cost the next action its answer.
func TestClosedConnectionsCostNothing(t *testing.T) {
	socket := fakePlugin(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(conn, ok200(4)+"true")
	})
	p := process(socket)
	for range 200 {
		if got, err := p.Action(t.Context(), &model.Action{Command: "powercycle"}); err != nil || string(got) != "true" {
			t.Fatalf("%s %v", got, err)
		}
	}
}

// lister is a handler that lists what a function says.
type lister func(prefix string) (string, error)

// Log drops the line.
func (lister) Log(*model.Line) {}

// Publish drops the event.
func (lister) Publish(*model.Event) {}

// Objects asks the function.
func (l lister) Objects(_ context.Context, prefix string) ([]json.RawMessage, error) {
	text, err := l(prefix)
	return []json.RawMessage{json.RawMessage(text)}, err
}
