package chatops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/endpoint"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/chat"
	"provision-plugins/slack/chat/grant"
	"provision-plugins/slack/silence"
	"provision-plugins/slack/socket"
)

// envDir makes this binary the plugin, and says where it writes what it executes.
const envDir = "CHATOPS_TEST_DIR"

// patience bounds every wait.
const patience = 15 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(envDir); dir != "" {
		os.Exit(bePlugin(dir))
	}
	goleak.VerifyTestMain(m)
}

// device is a plugin of imaginary machines, called as the plugin that acts for
// people.
type device struct {
	plugin.Base
	dir string
	mu  sync.Mutex // guards the file of what was executed
}

// bePlugin is the plugin's process.
func bePlugin(dir string) int {
	def := &model.PluginProvider{Name: "slack", Version: "v1.0.0", PluginVersion: model.PluginVersion, AutoStart: true}
	for _, command := range []string{model.PowerOn, model.PowerOff, model.PowerCycle, model.PowerNMI, model.PowerStatus, model.NextBootPXE} {
		def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: "machines", Command: command})
	}
	plugin.InitApp(def.Name, "imaginary machines", def.Version, def, &device{dir: dir})
	return plugin.Main()
}

// Config hands the process's token to the test.
func (d *device) Config(context.Context, *client.Client, model.Params) error {
	path := filepath.Join(d.dir, "token")
	err := os.WriteFile(path+".new", []byte(os.Getenv("RS_ENDPOINT")+"\n"+os.Getenv("RS_TOKEN")), 0o600)
	return errors.Join(err, os.Rename(path+".new", path))
}

// Action writes down what it executes.
func (d *device) Action(_ context.Context, a *model.Action) (any, error) {
	var m model.Machine
	if err := model.Remarshal(a.Model, &m); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := os.OpenFile(filepath.Join(d.dir, "executed"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(f, a.Command, m.Name)
	return model.Result{Power: model.StateOn, Outcome: model.Verified, Evidence: "seen"}, errors.Join(err, f.Close())
}

// clock is a clock that only the test moves.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// desk keeps what was asked of incidents.
type desk struct {
	mu   sync.Mutex // guards all below
	acks []string
	book []silence.Silence
}

func (d *desk) Ack(_ context.Context, incident, by string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acks = append(d.acks, incident+" "+by)
	return nil
}

func (d *desk) Silence(_ context.Context, s silence.Silence) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.ID = fmt.Sprintf("s%d", len(d.book)+1)
	d.book = append(d.book, s)
	return s.ID, nil
}

func (d *desk) EndSilence(_ context.Context, id string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.book = slices.DeleteFunc(d.book, func(s silence.Silence) bool { return s.ID == id })
	return nil
}

func (d *desk) Silences() []silence.Silence {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.book)
}

// world is all of it.
type world struct {
	t      *testing.T
	dir    string
	sim    *simslack.Server
	admin  *client.Client
	plugin *client.Client
	clock  *clock
	desk   *desk
	policy string
	http   *http.Client

	pending int // requests that wait to be confirmed, as the test has made them

	room   *chat.Room
	socket *socket.Socket
	seen   *socket.Seen
}

const policy = `{"team":"T1","channels":["C1","C2"],"typed_above":3,"max_machines":8,"rules":[
 {"name":"ops","groups":["S1"],"role":"operator","machines":{"names":["r*"]}},
 {"name":"look","users":["U4"],"role":"viewer"},
 {"name":"two","users":["U5","U6"],"role":"operator","machines":{"names":["prod*"]},"second_person":true},
 {"name":"root","users":["U7"],"role":"admin"}]}`

// newWorld starts everything.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "co")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{t: t, dir: dir, clock: &clock{at: time.Now()}, desk: &desk{}, policy: policy, http: &http.Client{Transport: &http.Transport{}}}
	w.startEndpoint()
	w.sim, err = simslack.New(simslack.Options{
		Token: "xoxb-1", AppToken: "xapp-1", Channels: []string{"C1=ops", "C2=lab", "C3=chat"},
		Groups: []simslack.Group{{ID: "S1", Handle: "ops", Users: []string{"U1", "U2"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.http.CloseIdleConnections()
		if err := w.sim.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.open()
	t.Cleanup(w.close)
	return w
}

// startEndpoint starts an endpoint with the plugin, which may act for people.
func (w *world) startEndpoint() {
	t := w.t
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	plugins, toys := filepath.Join(w.dir, "plugins"), filepath.Join(w.dir, "toys")
	for _, d := range []string{plugins, toys} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nGORACE=atexit_sleep_ms=0 %s=%s exec %s \"$@\"\n", envDir, toys, self)
	if err := os.WriteFile(filepath.Join(plugins, "slack"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	e, err := endpoint.New(endpoint.Options{
		DataDir: filepath.Join(w.dir, "data"), PluginDir: plugins, Listen: "127.0.0.1:0",
		PluginPaths: []string{toys, filepath.Dir(self)}, ScanInterval: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.admin, err = client.New(client.Options{Socket: e.Socket()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.admin.Close()
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var raw []byte
	w.until("the plugin is configured", func() bool {
		raw, err = os.ReadFile(filepath.Join(toys, "token"))
		return err == nil
	})
	address, token, _ := strings.Cut(string(raw), "\n")
	if w.plugin, err = client.New(client.Options{Endpoint: address, Token: token}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.plugin.Close() })
	claims := []model.Claim{{Scope: "machines", Action: "action,override", Specific: "*"}}
	if err := w.admin.Put(t.Context(), "plugins/slack/delegation", map[string]any{"Claims": claims}, nil); err != nil {
		t.Fatal(err)
	}
}

// open opens the room, and connects it.
func (w *world) open() {
	w.t.Helper()
	var value any
	if err := model.Unmarshal([]byte(w.policy), &value); err != nil {
		w.t.Fatal(err)
	}
	p, err := grant.Parse(value)
	if err != nil {
		w.t.Fatal(err)
	}
	log, state := slog.New(slog.DiscardHandler), filepath.Join(w.dir, "state")
	w.room, err = chat.Open(chat.Options{
		URL: w.sim.URL(), Token: "xoxb-1", Client: w.http, Endpoint: w.plugin, Plugin: "slack", Policy: p, Dir: state, Desk: w.desk, Now: w.clock.now, Logger: log,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.seen, err = socket.OpenSeen(state, w.clock.now); err != nil {
		w.t.Fatal(err)
	}
	w.socket = socket.Start(socket.Options{URL: w.sim.URL(), Token: "xapp-1", Client: w.http, Handle: w.room.Handle, Seen: w.seen, Logger: log, Pause: time.Millisecond})
	w.until("connected", func() bool { return w.socket.State().Connected && w.sim.Sockets() > 0 })
}

// close ends the room, and what it works on.
func (w *world) close() {
	w.socket.Close()
	w.room.Close()
	if err := w.seen.Close(); err != nil {
		w.t.Error(err)
	}
	w.until("disconnected", func() bool { return w.sim.Sockets() == 0 })
}

// again is a restart.
func (w *world) again() {
	w.t.Helper()
	w.close()
	w.open()
}

// until waits for a condition.
func (w *world) until(what string, condition func() bool) {
	w.t.Helper()
	tick, limit := time.NewTicker(2*time.Millisecond), time.NewTimer(patience)
	defer tick.Stop()
	defer limit.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-limit.C:
			w.t.Fatalf("not seen: %s\n%s", what, w.sim.Text("C1"))
		}
	}
}

// machine adds a machine and returns its UUID.
func (w *world) machine(name string) string {
	w.t.Helper()
	m := model.NewMachine(name)
	var made model.Machine
	if err := w.admin.Post(w.t.Context(), "machines", m, &made); err != nil {
		w.t.Fatal(err)
	}
	return made.Uuid
}

// executed lists what the plugin executed, sorted.
func (w *world) executed() []string {
	w.t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "toys", "executed"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	out := strings.FieldsFunc(string(raw), func(r rune) bool { return r == '\n' })
	slices.Sort(out)
	return out
}

// audited lists what was written down: action and person, in order.
func (w *world) audited() []string {
	w.t.Helper()
	var list []struct {
		Type, Action, Principal string
		Object                  json.RawMessage
	}
	if err := w.admin.Get(w.t.Context(), "events/recent?limit=10000", &list); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		if e.Type == "slack" {
			out = append(out, e.Action+" "+strings.TrimPrefix(e.Principal, "slack:"))
		}
	}
	return out
}

// slash types a command.
func (w *world) slash(user, channel, text string) simslack.Reply {
	w.t.Helper()
	r, err := w.sim.Slash(w.t.Context(), simslack.SlashCommand{User: user, Channel: channel, Command: "/metal", Text: text})
	if err != nil || r.Error != "" {
		w.t.Fatalf("%s: %q, %v", text, r.Error, err)
	}
	return r
}

// question waits for a message with buttons about a machine.
func (w *world) question(about string) simslack.Message {
	w.t.Helper()
	var found simslack.Message
	w.until("a question about "+about, func() bool {
		for _, m := range w.sim.Messages() {
			if m.User == "" && strings.Contains(string(m.Blocks), "oob_confirm") && strings.Contains(m.Text, about) {
				found = m
				return true
			}
		}
		return false
	})
	// It counts when the room has it on disk, which is after it is posted.
	w.pending++
	w.until("the question is kept", func() bool { n, _ := w.room.Waiting(); return n == w.pending })
	return found
}

// click clicks on a button of a message.
func (w *world) click(user string, m simslack.Message, action, value string) {
	w.t.Helper()
	r, err := w.sim.Click(w.t.Context(), simslack.Click{User: user, Channel: m.Channel, TS: m.TS, ActionID: action, Value: value})
	if err != nil || r.Error != "" {
		w.t.Fatalf("click by %s: %q, %v", user, r.Error, err)
	}
}
