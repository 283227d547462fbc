package plugin

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// hostAt serves the host's side of a handler on a path until it is stopped.
func hostAt(t testing.TB, socket string, handler http.Handler) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	hs := &http.Server{Handler: handler}
	done := serveInbound(hs, l)
	stop = func() {
		_ = hs.Close()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// Whatever the log's target does, actions are answered and the plugin stops in
// order.
func TestPluginUnderABadHost(t *testing.T) {
	slow := make(chan struct{})
	t.Cleanup(func() { close(slow) })
	hijack := func(w http.ResponseWriter, answer string) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, answer)
			conn.Close()
		}
	}
	for name, serve := range map[string]http.HandlerFunc{
		"refuses":           func(w http.ResponseWriter, _ *http.Request) { writeError(w, model.Errorf(model.Internal, "no room")) },
		"refuses in text":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no room", http.StatusInternalServerError) },
		"knows no log":      http.NotFound,
		"answers slowly":    func(http.ResponseWriter, *http.Request) { <-slow },
		"hangs up":          func(w http.ResponseWriter, _ *http.Request) { hijack(w, "") },
		"answers garbage":   func(w http.ResponseWriter, _ *http.Request) { hijack(w, "\x00\xffnot HTTP") },
		"answers for ever":  func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, endless{r.Context()}) },
		"closes unsaid":     func(w http.ResponseWriter, _ *http.Request) { hijack(w, ok200(2)+"{}") },
		"closes and says":   func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") },
		"answers with none": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(shortDir(t), "from")
			hostAt(t, socket, serve)
			r := newRig(t, func(r *rig) {
				r.from = socket
				r.program.timing.logLimit = 50 * time.Millisecond
			})
			for range 20 {
				if status, body := r.post(t, pathAction, `{"Command":"increment","Model":{"Uuid":"u"}}`); status != 200 {
					t.Fatalf("%d %s", status, body)
				}
			}
			if status, body := r.post(t, pathStop, ``); status != 200 {
				t.Errorf("stop: %d %s", status, body)
			}
			r.awaitEnd(t)
		})
	}
}

// endless is read until a context ends.
type endless struct{ ctx context.Context }

// Read fills p.
func (e endless) Read(p []byte) (int, error) { return len(p), e.ctx.Err() }

// A host that closes each connection after its answer, unsaid, costs no line.
func TestClosedKeepAlivesLoseNoLineUncounted(t *testing.T) {
	host := newRecorder()
	socket := filepath.Join(shortDir(t), "from")
	hostAt(t, socket, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := &model.Line{}
		if err := model.Decode(r.Body, model.MaxBody, line); err != nil {
			t.Error(err)
		}
		host.Log(line)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(conn, ok200(0))
			conn.Close()
		}
	}))
	r := newRig(t, func(r *rig) { r.from = socket })
	for i := range 50 {
		r.twin.logger.Info(fmt.Sprint("line ", i))
	}
	host.await(t, "every line, or their number", func() bool {
		taken, dropped := tally(host)
		return taken+dropped >= 50
	})
}

// tally counts the lines that came, and those that were told to be dropped; the
// caller holds the recorder's lock.
func tally(host *recorder) (taken, dropped int) {
	for _, line := range host.lines {
		n := 0
		if _, err := fmt.Sscanf(line.Message, "%d log lines were dropped", &n); err == nil {
			dropped += n
		} else if strings.HasPrefix(line.Message, "line ") {
			taken++
		}
	}
	return taken, dropped
}

// An endpoint that goes and comes back, in the same place, gets the lines that
// waited.
func TestHostComesBack(t *testing.T) {
	host := newRecorder()
	in := &inbound{handler: host, logger: newTwin().logger}
	socket := filepath.Join(shortDir(t), "from")
	stop := hostAt(t, socket, in)
	r := newRig(t, func(r *rig) { r.from = socket })
	r.twin.logger.Info("line before")
	host.await(t, "the first line", func() bool { return len(host.lines) == 1 })
	stop()
	for i := range 20 {
		r.twin.logger.Info(fmt.Sprint("line ", i))
	}
	if status, body := r.post(t, pathAction, `{"Command":"incrstatus"}`); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	hostAt(t, socket, in)
	host.await(t, "the last line", func() bool {
		for _, line := range host.lines {
			if line.Message == "line 19" {
				return true
			}
		}
		return false
	})
}

// A host may give nothing but the two arguments: no environment, no params, no
// name, no machine. What the plugin brings is all that is known.
func TestHostThatGivesNothing(t *testing.T) {
	dir := shortDir(t)
	hostAt(t, filepath.Join(dir, "from"), http.HandlerFunc(http.NotFound))
	e := self(t, "plugin", "GOCOVERDIR="+t.TempDir())
	cmd := exec.Command(e.Path, "listen", filepath.Join(dir, "to"), filepath.Join(dir, "from"))
	cmd.Env = e.Env
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, len(readyLine)+1)
	if _, err := io.ReadFull(out, ready); err != nil || string(ready) != readyLine+"\n" {
		t.Fatalf("%q %v", ready, err)
	}
	c := unixClient(t, filepath.Join(dir, "to"))
	for _, x := range []struct{ path, body, want string }{
		{pathConfig, ``, okBody},
		{pathConfig, `{}`, okBody},
		{pathConfig, `null`, okBody},
		{pathAction, `{"Command":"incrstatus"}`, "\"Running\"\n"},
		{pathAction, `{"Command":"increment","Model":null,"Params":null}`, "1\n"},
		{pathAction, `{"Command":"increment","Model":{},"Params":{"other/param":[1]}}`, "2\n"},
		{pathAction, `{"Command":"increment","Params":{"incrementer/step":"two"}}`,
			`{"Model":"","Key":"","Type":"invalid","Messages":["param incrementer/step must be an integer, not a string"],"Code":400}` + "\n"},
		{pathStop, ``, okBody},
	} {
		if _, _, body := send(t, c, http.MethodPost, x.path, x.body); body != x.want {
			t.Errorf("%s %s: %swant %s", x.path, x.body, body, x.want)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "to")); err == nil {
		t.Error("the socket was left")
	}
}

// What a dead log target costs is bounded by bytes, whatever is logged.
func TestDeadLogTargetQueuesBoundedBytes(t *testing.T) {
	r := newRig(t, func(r *rig) { r.from = filepath.Join(shortDir(t), "nobody") })
	var queued, posted atomic.Int64
	q := newLogQueue(t.Context(), "x", func(context.Context, *model.Line) error {
		posted.Add(1)
		return io.ErrClosedPipe
	})
	for i := range 20_000 {
		q.add(&model.Line{Message: strings.Repeat("x", i%maxMessage)})
		q.mu.Lock()
		queued.Store(max(queued.Load(), int64(q.bytes)))
		if len(q.lines) > maxQueuedLines {
			t.Fatalf("%d lines are queued", len(q.lines))
		}
		q.mu.Unlock()
	}
	if queued.Load() > maxQueuedBytes || queued.Load() < maxQueuedBytes/2 {
		t.Errorf("%d bytes were queued", queued.Load())
	}
	closing, cancel := context.WithCancel(t.Context())
	cancel()
	q.close(closing)
	<-q.done
	r.stop()
	r.awaitEnd(t)
}

// The memory of a plugin whose log target is dead stays flat for a minute of a
// thousand lines a second.
func TestDeadLogTargetForAMinute(t *testing.T) {
	seconds := 1
	if os.Getenv("OOB_NIGHTLY") != "" {
		seconds = 60
	}
	r := newRig(t, func(r *rig) { r.from = filepath.Join(shortDir(t), "nobody") })
	line := strings.Repeat("x", 200)
	for range 2 * maxQueuedLines { // the queue is full from the start
		r.twin.logger.Info(line)
	}
	before := heap()
	var most int64
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range 100 * seconds {
		<-tick.C
		for range 10 {
			r.twin.logger.Info(line)
		}
		if i%100 == 99 {
			most = max(most, heap()-before)
		}
	}
	t.Logf("%d KiB more heap at most in %d s of 1000 lines a second to a dead log target", most>>10, seconds)
	if most > 4<<20 {
		t.Errorf("the heap grew by %d bytes", most)
	}
}
