package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// The environment by which the test binary is re-executed as something else.
const (
	envMode    = "PLUGIN_TEST_MODE"
	envWitness = "PLUGIN_TEST_WITNESS" // a unix socket that is told what happens
	envFast    = "PLUGIN_TEST_FAST"    // short times

	// The race detector lets every process that ends wait for a second.
	noRaceWait = "GORACE=atexit_sleep_ms=0"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(envMode); mode != "" {
		os.Exit(reexecuted(mode))
	}
	// A server lingers for half a second on a connection whose request it could
	// not read.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// reexecuted is the main of the test binary in one of its modes.
func reexecuted(mode string) int {
	switch mode {
	case "plugin":
		return twinMain()
	case "host":
		return hostMain()
	case "console":
		InitApp("console", "Serves", "v1", &model.PluginProvider{}, console{})
		return Main()
	}
	return misbehave(mode)
}

// misbehave is a plugin binary that is none.
func misbehave(mode string) int {
	switch mode {
	case "crash":
		fmt.Fprintln(os.Stderr, "some talk\nError: the licence has run out\nmore talk")
		return 3
	case "hang":
		// Until it is killed; the runtime must not take it for a deadlock.
		hung, write, err := os.Pipe()
		if err == nil {
			_, err = hung.Read(make([]byte, 1))
		}
		fmt.Fprintln(os.Stderr, "cannot hang:", err, write)
	case "garbage":
		fmt.Println("\x00\x1b[31mnot JSON\xff")
		return 0
	case "flood":
		line := strings.Repeat("READY?", 1000)
		for {
			if _, err := fmt.Println(line); err != nil {
				return 1
			}
		}
	case "nameless":
		fmt.Println(`{"PluginVersion":4}`)
	case "slashed":
		fmt.Println(`{"Name":"../x","PluginVersion":4}`)
	case "old":
		fmt.Println(`{"Name":"old","PluginVersion":1}`)
	case "blank-action":
		fmt.Println(`{"Name":"x","PluginVersion":4,"AvailableActions":[{"Model":"machines"}]}`)
	case "environment":
		fmt.Printf(`{"Name":"env","PluginVersion":4,"Documentation":%q}`, strings.Join(os.Environ(), " "))
	case "deaf":
		return deafMain()
	case "parent":
		return parentMain()
	case "child":
		return childMain()
	}
	return 0
}

// deafMain is READY, never answers, and ignores every request to end.
func deafMain() int {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, os.Interrupt)
	l, err := net.Listen("unix", os.Args[2])
	if err != nil {
		return 1
	}
	defer l.Close()
	fmt.Println(readyLine)
	for {
		if _, err := l.Accept(); err != nil {
			return 1
		}
	}
}

// parentMain starts a child and waits for it.
func parentMain() int {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{envMode + "=child", envWitness + "=" + os.Getenv(envWitness)}
	if cmd.Run() != nil {
		return 1
	}
	return 0
}

// childMain tells the witness that it is there, and stays.
func childMain() int {
	conn, err := net.Dial("unix", os.Getenv(envWitness))
	if err != nil {
		return 1
	}
	fmt.Fprintln(conn, "child")
	select {} // until it is killed
}

// twin is the plugin the tests run: what the reference's incrementer does, and
// some bad manners.
type twin struct {
	Base
	logger  *slog.Logger
	host    *Outbound
	witness net.Conn

	mu     sync.Mutex // guards the below
	counts map[string]int64
	hold   map[string]chan struct{}
	free   bool // after Stop nothing waits any more

	onStop func(ctx context.Context) error // what Stop does, if it is not nil
	stuck  chan struct{}                   // what a stuck action waits for

	client  atomic.Pointer[client.Client]
	hanging atomic.Int64 // actions that hang
	configs atomic.Int64
}

// twinDefinition is its definition. One param is a secret only by declaration.
func twinDefinition() *model.PluginProvider {
	def := &model.PluginProvider{
		Name:       "incrementer",
		HasPublish: true,
		Content: "meta:\n  Name: incrementer\n  Version: v1.0.0\n  Type: plugin\nsections:\n  params:\n" +
			"    incrementer/pin:\n      Name: incrementer/pin\n      Secure: true\n      Schema:\n        type: string\n" +
			"    incrementer/step:\n      Name: incrementer/step\n      Schema:\n        type: integer\n",
	}
	def.Meta = map[string]string{
		model.MetaColumns: `{"address":"incrementer/address","port":"incrementer/port","username":"incrementer/user","password":"incrementer/password"}`,
		model.MetaClasses: `{"increment":"idempotent","panic":"read"}`,
	}
	for _, command := range []string{"increment", "incrstatus", "panic", "panic-once", "crash", "fail", "hang", "wait", "echo", "unprintable", "leave"} {
		def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: "machines", Command: command})
	}
	def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: "plugins", Command: "resize"})
	return def
}

// newTwin makes a twin.
func newTwin() *twin {
	return &twin{logger: slog.New(slog.DiscardHandler), counts: map[string]int64{}, hold: map[string]chan struct{}{}, stuck: make(chan struct{})}
}

// twinMain runs the twin as a plugin binary.
func twinMain() int {
	impl := newTwin()
	if path := os.Getenv(envWitness); path != "" {
		conn, err := net.Dial("unix", path)
		if err != nil {
			return 1
		}
		impl.witness = conn
	}
	InitApp("incrementer", "Counts", "v1.2.3", twinDefinition(), impl)
	if os.Getenv(envFast) != "" {
		p := newProgram("incrementer", "v1.2.3", twinDefinition(), impl)
		p.timing = fastTiming()
		App = p.command("Counts")
	}
	return Main()
}

// fastTiming makes a plugin hurry.
func fastTiming() timing {
	return timing{
		actionGrace: 200 * time.Millisecond,
		stopGrace:   time.Second,
		drainLimit:  2 * time.Second,
		flushLimit:  time.Second,
		logLimit:    10 * time.Second,
		orphanGrace: 400 * time.Millisecond,
		parentPoll:  5 * time.Millisecond,
		parentGone:  50 * time.Millisecond,
		maxActions:  defaultMaxActions,

		stream: streamTiming{
			openLimit:  2 * time.Second,
			retryLimit: 2 * time.Second,
			minWait:    time.Millisecond,
			maxWait:    10 * time.Millisecond,
			patience:   50 * time.Millisecond,
		},
		validateLimit: 300 * time.Millisecond,
	}
}

// tell tells the witness.
func (i *twin) tell(what string) {
	if i.witness != nil {
		fmt.Fprintln(i.witness, what)
	}
}

// SetLogger keeps the logger.
func (i *twin) SetLogger(l *slog.Logger) { i.logger = l }

// SetHost keeps the way to the host.
func (i *twin) SetHost(h *Outbound) { i.host = h }

// Config refuses a config that says so.
func (i *twin) Config(ctx context.Context, c *client.Client, params model.Params) error {
	i.configs.Add(1)
	i.client.Store(c)
	i.logger.InfoContext(ctx, "Config", "params", len(params))
	if params.Has("panic") {
		panic("bad config " + fmt.Sprint(params["incrementer/pin"]))
	}
	if text, _ := params.String("refuse", ""); text != "" {
		return (&model.Error{Type: "rpc", Messages: []string{text}, Code: 500}).On("plugin", "ipmi")
	}
	return nil
}

// Action counts, or misbehaves.
func (i *twin) Action(ctx context.Context, a *model.Action) (any, error) {
	i.tell("action " + a.Command)
	var machine model.Machine
	if err := model.Remarshal(a.Model, &machine); err != nil {
		return nil, (&model.Error{Type: "plugin", Messages: []string{"json: cannot unmarshal"}, Code: 409}).On("plugin", "incrementer")
	}
	switch a.Command {
	case "increment":
		return i.increment(ctx, a, machine.Uuid)
	case "incrstatus":
		return "Running", nil
	case "panic", "panic-once":
		panic("pin " + pinOf(a, &machine))
	case "crash":
		os.Exit(3)
	case "fail":
		return nil, model.Errorf(model.RateLimited, "cannot fail: pin %s is wrong", pinOf(a, &machine)).After(1500 * time.Millisecond)
	case "echo":
		return a, nil
	case "unprintable":
		return func() {}, nil
	case "leave":
		return nil, i.leave(ctx)
	case "hang", "look":
		i.hanging.Add(1)
		defer i.hanging.Add(-1)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	case "stuck":
		<-i.stuck
		return "freed", nil
	case "wait":
		<-i.holder(machine.Name)
		return "waited", nil
	}
	return nil, (&model.Error{Type: "plugin", Messages: []string{"Unknown command: " + a.Command + "\n"}, Code: 404}).On("plugin", "incrementer")
}

// pinOf is the secret of an action.
func pinOf(a *model.Action, m *model.Machine) string {
	for _, p := range []model.Params{a.Params, m.Params} {
		if pin, err := p.String("incrementer/pin", ""); err == nil && pin != "" {
			return pin
		}
	}
	return "none"
}

// increment adds the step.
func (i *twin) increment(ctx context.Context, a *model.Action, machine string) (any, error) {
	step, err := a.Params.Int("incrementer/step", 1, 0, 1000)
	if err != nil {
		return nil, err
	}
	i.logger.InfoContext(ctx, "Action: increment", "pin", a.Params["incrementer/pin"])
	i.mu.Lock()
	defer i.mu.Unlock()
	i.counts[machine] += step
	return i.counts[machine], nil
}

// leave says goodbye and publishes an event about it.
func (i *twin) leave(ctx context.Context) error {
	if err := i.host.Publish(ctx, &model.Event{Type: "incrementer", Action: "leave", Key: "k"}); err != nil {
		return err
	}
	return i.host.Leaving(ctx, model.Errorf(model.Internal, "cannot go on"))
}

// holder is what a wait action of that name waits for.
func (i *twin) holder(name string) chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.hold[name] == nil {
		i.hold[name] = make(chan struct{})
		if i.free {
			close(i.hold[name])
		}
	}
	return i.hold[name]
}

// Publish refuses an event that says so.
func (i *twin) Publish(ctx context.Context, e *model.Event) error {
	i.logger.InfoContext(ctx, "event "+e.Type)
	if e.Type == "refuse" {
		return model.Errorf(model.Busy, "cannot take it now")
	}
	return nil
}

// Stop lets waiting actions go.
func (i *twin) Stop(ctx context.Context) error {
	i.tell("stop")
	if i.onStop != nil {
		return i.onStop(ctx)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.free = true
	for _, c := range i.hold {
		close(c)
	}
	return nil
}

// Orphaned tells the witness.
func (i *twin) Orphaned(context.Context) error {
	i.tell("orphaned")
	return nil
}

// Unpack writes one file.
func (i *twin) Unpack(_ context.Context, dir string) error {
	if strings.HasSuffix(dir, "refused") {
		return errors.New("no room for\nfiles")
	}
	return os.WriteFile(filepath.Join(dir, "file"), []byte("text"), 0o644)
}

// self is how the test binary is executed in a mode.
func self(t testing.TB, mode string, env ...string) Exec {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Exec{Path: path, Env: append([]string{envMode + "=" + mode, noRaceWait}, env...), Dir: t.TempDir()}
}

// shortDir is a private directory whose path is short enough for sockets.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// recorder is a HostHandler that keeps what comes.
type recorder struct {
	mu      sync.Mutex // guards the below
	lines   []*model.Line
	events  []*model.Event
	leaving []*model.Error
	changed chan struct{} // gets a value, if there is room, at each change
}

// newRecorder makes a recorder.
func newRecorder() *recorder { return &recorder{changed: make(chan struct{}, 1)} }

// note runs add and wakes whoever waits.
func (r *recorder) note(add func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Log keeps the line.
func (r *recorder) Log(line *model.Line) { r.note(func() { r.lines = append(r.lines, line) }) }

// Publish keeps the event.
func (r *recorder) Publish(e *model.Event) { r.note(func() { r.events = append(r.events, e) }) }

// Leaving keeps the reason.
func (r *recorder) Leaving(e *model.Error) { r.note(func() { r.leaving = append(r.leaving, e) }) }

// first is the first line of the log.
func (r *recorder) first() *model.Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lines[0]
}

// messages are the log's messages so far, one a line.
func (r *recorder) messages() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, line := range r.lines {
		fmt.Fprintln(&b, line.Level, line.Message)
	}
	return b.String()
}

// await waits until what came satisfies ok.
func (r *recorder) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		done := ok()
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-r.changed:
		case <-limit:
			t.Fatalf("%s did not come; log:\n%s", what, r.messages())
		}
	}
}

// launch launches the test binary as a plugin and stops it with the test.
func launch(t testing.TB, o LaunchOptions) *Process {
	t.Helper()
	if o.Path == "" {
		o.Exec = self(t, "plugin", envFast+"=1")
	}
	if o.RuntimeDir == "" {
		o.RuntimeDir = shortDir(t)
	}
	if o.Name == "" {
		o.Name = "incr"
	}
	p, err := Launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

// command runs a command line of the twin and returns what it printed.
func command(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(self(t, "plugin").Path, args...)
	cmd.Env = []string{envMode + "=plugin", noRaceWait, "PLUGIN_TEST_PIN=9876", "GOCOVERDIR=" + t.TempDir()}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
