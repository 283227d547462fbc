package plugin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// unixClient speaks HTTP to a socket.
func unixClient(t testing.TB, socket string) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// send sends one request as JSON and returns the answer.
func send(t testing.TB, c *http.Client, method, path, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://unix"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

// serveHost answers one request by the host side of a handler.
func serveHost(t testing.TB, h HostHandler, method, path, body string) (int, string) {
	t.Helper()
	status, _, answer := send(t, unixClient(t, hostSocket(t, h)), method, path, body)
	return status, answer
}

// hostSocket serves the host side of a handler and returns its socket.
func hostSocket(t testing.TB, h HostHandler) string {
	t.Helper()
	return serverSocket(t, (&inbound{handler: h, logger: newTwin().logger}).server())
}

// serverSocket serves on a socket until the test ends.
func serverSocket(t testing.TB, hs *http.Server) string {
	t.Helper()
	socket := filepath.Join(shortDir(t), "from")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := serveInbound(hs, l)
	t.Cleanup(func() {
		_ = hs.Close()
		<-done
	})
	return socket
}

// rig is a plugin listening in this process, and its host.
type rig struct {
	program *program
	twin    *twin
	host    *recorder
	socket  string // to the plugin
	from    string // from the plugin; the recorder's unless an option sets it
	client  *http.Client
	stop    context.CancelFunc
	ended   chan error // what listen returned
}

// newRig starts a twin, changed by the options before it listens.
func newRig(t testing.TB, options ...func(*rig)) *rig {
	t.Helper()
	r := &rig{twin: newTwin(), host: newRecorder(), ended: make(chan error, 1)}
	r.program = newProgram("incrementer", "v1", twinDefinition(), r.twin)
	r.program.timing = fastTiming()
	for _, option := range options {
		option(r)
	}
	r.socket = filepath.Join(shortDir(t), "to")
	if r.from == "" {
		r.from = hostSocket(t, r.host)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	ready, stdout := io.Pipe()
	go func() {
		r.ended <- r.program.listen(ctx, stdout, r.socket, r.from)
		close(r.ended)
		stdout.Close()
	}()
	line, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil || line != readyLine+"\n" {
		t.Fatalf("first line %q, error %v, %v", line, err, <-r.ended)
	}
	r.client = unixClient(t, r.socket)
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		cancel()
		for range r.ended {
		}
	})
	return r
}

// process is a Process whose plugin listens on the socket, without a process of
// its own.
func process(socket string) *Process {
	return &Process{options: LaunchOptions{Name: "fake"}.withDefaults(), socket: socket, done: make(chan struct{})}
}

// post sends one request to the plugin.
func (r *rig) post(t testing.TB, path, body string, headers ...string) (int, string) {
	t.Helper()
	status, _, answer := send(t, r.client, http.MethodPost, path, body, headers...)
	return status, answer
}

// awaitEnd waits until the plugin has ended.
func (r *rig) awaitEnd(t testing.TB) {
	t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("listen: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the plugin did not end")
	}
}

// awaitAction waits until the twin works on a command.
func (r *rig) awaitAction(t testing.TB, said func() (string, bool), command string) {
	t.Helper()
	for {
		line, ok := said()
		if !ok {
			t.Fatalf("the witness is gone before action %s", command)
		}
		if line == "action "+command {
			return
		}
	}
}

// withWitness lets the twin tell what it does.
func withWitness(t testing.TB) (func(*rig), func() (string, bool)) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	heard := make(chan string, 64)
	go func() {
		defer close(heard)
		lines := bufio.NewScanner(ours)
		for lines.Scan() {
			heard <- lines.Text()
		}
	}()
	return func(r *rig) { r.twin.witness = theirs }, func() (string, bool) {
		select {
		case line, ok := <-heard:
			return line, ok
		case <-time.After(20 * time.Second):
			return "", false
		}
	}
}

// plain is a plugin with nothing but Config.
type plain struct{ Base }

// decodeError reads an error as answered.
func decodeError(t testing.TB, body string) *model.Error {
	t.Helper()
	e := &model.Error{}
	if err := model.Unmarshal([]byte(body), e); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return e
}
