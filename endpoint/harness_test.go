package endpoint

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// patience bounds every wait of the tests; nothing is asserted about time.
const patience = 30 * time.Second

// rig is an endpoint under test and what surrounds it.
type rig struct {
	t    testing.TB
	dir  string // of the toys
	opts Options
	e    *Endpoint
	c    *client.Client // on the unix socket
	log  *logBuffer

	trust sync.Once
	https *http.Client // knows the endpoint's certificate; made by trust
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write takes a line.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all lines.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// shortDir makes a directory with a path short enough for sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ep")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// newRig prepares an endpoint with toys of the roles in its plugin directory;
// it is not started yet.
func newRig(t testing.TB, roles ...string) *rig {
	t.Helper()
	dir := shortDir(t)
	r := &rig{t: t, dir: filepath.Join(dir, "toys"), log: &logBuffer{}}
	r.opts = Options{
		DataDir: filepath.Join(dir, "data"), PluginDir: filepath.Join(dir, "plugins"), AllowUpload: true, Listen: "127.0.0.1:0",
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})), ScanInterval: 20 * time.Millisecond,
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.opts.PluginPaths = []string{r.dir, filepath.Dir(self)} // the toys' own
	for _, d := range []string{r.dir, r.opts.PluginDir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, role := range roles {
		r.install(role, role)
	}
	return r
}

// install puts a toy of a role into the plugin directory under a name, as a
// careful administrator would: in one step.
func (r *rig) install(name, role string) string {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	// The race detector would make each process sleep for a second at its end.
	script := fmt.Sprintf("#!/bin/sh\nGORACE=atexit_sleep_ms=0 %s=%s %s=%s exec %s \"$@\"\n", envRole, role, envDir, r.dir, self)
	path := filepath.Join(r.opts.PluginDir, name)
	if err := os.WriteFile(path+".new", []byte(script), 0o600); err != nil {
		r.t.Fatal(err)
	}
	// The mode is set at the end: before, it is no executable.
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// start starts the endpoint and waits for the toy if there is one.
func start(t testing.TB, roles ...string) *rig {
	t.Helper()
	r := newRig(t, roles...)
	r.start()
	for _, role := range roles {
		if role == "toy" {
			r.ready("toy")
		}
	}
	return r
}

// start starts the endpoint and stops it at the end of the test.
func (r *rig) start() {
	r.t.Helper()
	r.open()
	r.t.Cleanup(r.stop)
}

// open starts the endpoint; the test stops it.
func (r *rig) open() {
	r.t.Helper()
	r.build()
	if err := r.e.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.connect()
}

// holdCycle has the toy work at a power cycle of the machine until "hold" goes.
func (r *rig) holdCycle(machine string) *client.ActionReply {
	r.t.Helper()
	r.put("hold", "")
	reply, err := r.act(machine, "powercycle", model.Params{"oob/wait": false})
	if err != nil {
		r.t.Fatal(err)
	}
	return reply
}

// build makes the endpoint, its times made short.
func (r *rig) build() {
	r.t.Helper()
	var err error
	if r.e, err = New(r.opts); err != nil {
		r.t.Fatal(err)
	}
	r.e.timing.backoffMin, r.e.timing.backoffMax = 5*time.Millisecond, 20*time.Millisecond
	r.e.hashCost = auth.Cost{Memory: 64, Passes: 1}
	r.e.timing.retry = 50 * time.Millisecond
}

// connect opens a client on the unix socket.
func (r *rig) connect() {
	r.t.Helper()
	c, err := client.New(client.Options{Socket: r.e.Socket()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.c = c
}

// stop stops the endpoint.
func (r *rig) stop() {
	r.t.Helper()
	if err := r.c.Close(); err != nil {
		r.t.Error(err)
	}
	if err := r.e.Stop(context.Background()); err != nil {
		r.t.Errorf("stop: %v", err)
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not seen: %s", what)
		}
	}
}

// ready waits until a plugin takes actions.
func (r *rig) ready(name string) {
	r.t.Helper()
	eventually(r.t, "plugin "+name+" ready", func() bool {
		u := r.e.sup.unit(name)
		if u == nil {
			return false
		}
		at, _, _, _ := u.look()
		return at == ready
	})
}

// machine adds a machine that the toy can drive and returns its UUID.
func (r *rig) machine(name string, params model.Params) string {
	r.t.Helper()
	m := model.NewMachine(name)
	m.Params = model.Params{"toy/address": "192.0.2.1", "toy/password": "s3cr3t-pw"}
	for k, v := range params {
		m.Params[k] = v
	}
	var made model.Machine
	if err := r.c.Post(r.t.Context(), "machines", m, &made); err != nil {
		r.t.Fatal(err)
	}
	return made.Uuid
}

// act invokes an action on a machine by name.
func (r *rig) act(machine, command string, params model.Params) (*client.ActionReply, error) {
	return r.c.Invoke(r.t.Context(), client.ActionRequest{Prefix: "machines", Key: "Name:" + machine, Command: command, Params: params})
}

// executed lists what the toy executed.
func (r *rig) executed() []string { return r.lines("executed") }

// lines reads a file of the toys.
func (r *rig) lines(file string) []string {
	r.t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, file))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

// put writes a file of the toys.
func (r *rig) put(file, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, file), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// provider waits for a listed provider, or file, in a state.
func (r *rig) provider(name, state string) *model.PluginProvider {
	r.t.Helper()
	var found model.PluginProvider
	eventually(r.t, name+" "+state, func() bool {
		found = model.PluginProvider{}
		err := r.c.Get(r.t.Context(), "plugin_providers/"+name, &found)
		return err == nil && found.Meta[metaState] == state
	})
	return &found
}

// wantError checks an error's kind and that its line says all of the texts.
func wantError(t *testing.T, err error, kind model.Kind, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", kind)
	}
	if got := model.KindOf(err); got != kind {
		t.Errorf("kind %s, want %s: %v", got, kind, err)
	}
	line := err.Error()
	if strings.ContainsAny(line, "\n\r") {
		t.Errorf("more than one line: %q", line)
	}
	for _, text := range texts {
		if !strings.Contains(line, text) {
			t.Errorf("%q does not say %q", line, text)
		}
	}
}
