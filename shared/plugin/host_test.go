package plugin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

func TestDefine(t *testing.T) {
	def, err := Define(t.Context(), self(t, "plugin"))
	if err != nil {
		t.Fatal(err)
	}
	if def.Name != "incrementer" || def.Version != "v1.2.3" || !def.HasPublish || def.PluginVersion != 4 || len(def.AvailableActions) != 12 {
		t.Errorf("%+v", def)
	}
}

func TestDefineGivesTheEnvironmentExactly(t *testing.T) {
	t.Setenv("PLUGIN_TEST_LEAK", "x")
	def, err := Define(t.Context(), self(t, "environment", "A=b"))
	if err != nil || def.Documentation != envMode+"=environment "+noRaceWait+" A=b" {
		t.Errorf("environment %q, error %v", def.Documentation, err)
	}
	e := self(t, "environment")
	e.Env = nil
	// Without its mode the test binary would run its tests: PATH alone tells.
	if got := e.command(t.Context(), "define").Env; got == nil || len(got) != 0 {
		t.Errorf("an empty environment became %v", got)
	}
}

func TestDefineRefuses(t *testing.T) {
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		exec Exec
		kind model.Kind
		want string
	}{
		"crash":          {self(t, "crash"), model.Invalid, "exit status 3: Error: the licence has run out"},
		"hang":           {self(t, "hang"), model.Timeout, "it did not end within"},
		"garbage":        {self(t, "garbage"), model.Invalid, "what it printed is no definition"},
		"flood":          {self(t, "flood"), model.Invalid, "it printed more than 16 MiB"},
		"nameless":       {self(t, "nameless"), model.Invalid, "has no Name"},
		"slashed":        {self(t, "slashed"), model.Invalid, `a Name that cannot be used: "../x"`},
		"old":            {self(t, "old"), model.Invalid, "it speaks plugin protocol 1; this host speaks 4"},
		"blank action":   {self(t, "blank-action"), model.Invalid, "an action without Command"},
		"missing":        {Exec{Path: "/nonexistent/plugin"}, model.Invalid, "no such file or directory"},
		"not executable": {Exec{Path: plain}, model.Invalid, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			if name == "hang" {
				ctx = short
			}
			def, err := Define(ctx, c.exec)
			if err == nil {
				t.Fatalf("defined %+v", def)
			}
			checkError(t, err, c.kind, "cannot define "+c.exec.Path, c.want)
		})
	}
}

// What a binary started is ended with it.
func TestDefineLeavesNoProcess(t *testing.T) {
	path, said := witness(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Define(ctx, self(t, "parent", envWitness+"="+path))
		done <- err
	}()
	if line, _ := said(); line != "child" {
		t.Fatalf("the child said %q", line)
	}
	cancel()
	if err := <-done; err == nil {
		t.Error("defined")
	}
	if line, ok := said(); ok {
		t.Errorf("the child lives and says %q", line)
	}
}

// checkError checks an error's kind, that its text has the parts, and that it
// is one printable line.
func checkError(t *testing.T, err error, kind model.Kind, parts ...string) {
	t.Helper()
	if got := model.KindOf(err); got != kind {
		t.Errorf("kind %s, want %s: %v", got, kind, err)
	}
	text := err.Error()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("error %q lacks %q", text, part)
		}
	}
	if strings.ContainsAny(text, "\n\r\x00\x1b") || len(text) > 2000 {
		t.Errorf("error is not one short line: %q", text)
	}
}

func TestUnpack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	if err := Unpack(t.Context(), self(t, "plugin"), dir); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(raw) != "text" {
		t.Errorf("%q %v", raw, err)
	}
	err := Unpack(t.Context(), self(t, "plugin"), filepath.Join(dir, "refused"))
	checkError(t, err, model.Invalid, "cannot unpack", "exit status 1: Error: cannot unpack into")
}

func TestLaunchConfigActionPublishStop(t *testing.T) {
	rec := newRecorder()
	state := t.TempDir()
	runtime := shortDir(t)
	p := launch(t, LaunchOptions{Handler: rec, StateDir: state, RuntimeDir: runtime})
	if err := p.Config(t.Context(), model.Params{"x": 1}); err != nil {
		t.Error(err)
	}
	got, err := p.Action(t.Context(), &model.Action{
		Model: model.NewMachine("m1"), Plugin: "incr", Command: "increment", Params: model.Params{"incrementer/step": 2},
	})
	if err != nil || string(got) != "2" {
		t.Errorf("answer %s, error %v", got, err)
	}
	if err := p.Publish(t.Context(), &model.Event{Type: "machines"}); err != nil {
		t.Error(err)
	}
	if _, err := p.Action(t.Context(), &model.Action{Command: "leave"}); err != nil {
		t.Error(err)
	}
	rec.await(t, "leaving and the event", func() bool { return len(rec.leaving) == 1 && len(rec.events) == 1 })
	if p.Err() != nil {
		t.Errorf("error while running: %v", p.Err())
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(runtime); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	rec.await(t, "the log", func() bool { return len(rec.lines) > 5 })
	checkStopped(t, p)
}

// checkStopped checks that a stopped process is refused everything, at once.
func checkStopped(t *testing.T, p *Process) {
	t.Helper()
	_, err := p.Action(t.Context(), &model.Action{Command: "powercycle"})
	checkError(t, err, model.Unreachable, "cannot powercycle: never sent")
	checkError(t, p.Config(t.Context(), nil), model.Unreachable, "cannot configure plugin incr")
	checkError(t, p.Publish(t.Context(), &model.Event{}), model.Unreachable, "cannot publish to plugin incr")
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func TestLaunchRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		exec  Exec
		limit time.Duration
		want  string
	}{
		"crash":   {self(t, "crash"), 0, "it ended before it was ready: exit status 3: Error: the licence has run out"},
		"hang":    {self(t, "hang"), 300 * time.Millisecond, "it was not ready within 300ms"},
		"garbage": {self(t, "garbage"), 0, "it ended before it was ready"},
		"flood":   {self(t, "flood"), 2 * time.Second, "it was not ready within 2s: READY?READY?"},
		"missing": {Exec{Path: "/nonexistent/plugin"}, 0, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runtime := shortDir(t)
			p, err := Launch(t.Context(), LaunchOptions{Exec: c.exec, Name: "x", RuntimeDir: runtime, ReadyTimeout: c.limit})
			if err == nil {
				t.Fatalf("launched %v", p)
			}
			checkError(t, err, model.Unreachable, "cannot launch plugin x ("+c.exec.Path+")", c.want)
			if left, _ := os.ReadDir(runtime); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestLaunchRefusesALongRuntimeDir(t *testing.T) {
	dir := filepath.Join(shortDir(t), strings.Repeat("d", 100))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Launch(t.Context(), LaunchOptions{Exec: self(t, "plugin"), Name: "x", RuntimeDir: dir})
	checkError(t, err, model.Unreachable, "the runtime directory's path is too long")
	_, err = Launch(t.Context(), LaunchOptions{Exec: self(t, "plugin"), Name: "x", RuntimeDir: "/nonexistent"})
	checkError(t, err, model.Unreachable, "cannot make a folder for its sockets")
}

func TestLaunchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, fmt.Errorf("the endpoint is stopping"))
	defer cancel()
	_, err := Launch(ctx, LaunchOptions{Exec: self(t, "hang"), Name: "x", RuntimeDir: shortDir(t)})
	checkError(t, err, model.Unreachable, "the endpoint is stopping")
}

func TestPluginKilledInMidAction(t *testing.T) {
	rec := newRecorder()
	p := launch(t, LaunchOptions{Handler: rec, Exec: self(t, "plugin", envFast+"=1")})
	_, err := p.Action(t.Context(), &model.Action{Command: "crash", Model: map[string]any{}})
	checkError(t, err, model.UnknownOutcome, "cannot tell whether crash was executed: plugin incr was lost")
	<-p.Done()
	if p.Err() == nil || !strings.Contains(p.Err().Error(), "exit status 3") {
		t.Errorf("error %v", p.Err())
	}
	_, err = p.Action(t.Context(), &model.Action{Command: "powercycle"})
	checkError(t, err, model.Unreachable, "never sent", "its process has ended")
	checkError(t, p.Stop(t.Context()), model.Internal, "did not stop in order")
}

func TestActionEndsWithItsContext(t *testing.T) {
	path, said := witness(t)
	p := launch(t, LaunchOptions{Exec: self(t, "plugin", envFast+"=1", envWitness+"="+path)})
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	lost := make(chan error, 1)
	go func() {
		_, err := p.Action(ctx, &model.Action{Command: "hang"})
		lost <- err
	}()
	if line, _ := said(); line != "action hang" {
		t.Fatalf("the plugin said %q", line)
	}
	cancel(errors.New("the deadline of the run"))
	checkError(t, <-lost, model.UnknownOutcome, "the deadline of the run")
	if got, err := p.Action(t.Context(), &model.Action{Command: "incrstatus"}); err != nil || string(got) != `"Running"` {
		t.Errorf("afterwards: %s %v", got, err)
	}
}

func TestActionErrorsAreKept(t *testing.T) {
	p := launch(t, LaunchOptions{})
	_, err := p.Action(t.Context(), &model.Action{Command: "fail", Params: model.Params{"incrementer/pin": "pin-4711"}})
	checkError(t, err, model.RateLimited, "cannot fail: pin ****** is wrong")
	if e := model.AsError(err); e.RetryAfter != 2*time.Second || e.Code != 429 {
		t.Errorf("%+v", e)
	}
	err = p.Config(t.Context(), model.Params{"refuse": "no thanks"})
	checkError(t, err, model.Internal, "rpc: plugin/ipmi: no thanks")
	checkError(t, p.Publish(t.Context(), &model.Event{Type: "refuse"}), model.Busy, "cannot take it now")
	_, err = p.Action(t.Context(), &model.Action{Command: "unprintable"})
	checkError(t, err, model.Internal, "cannot encode the answer")
	_, err = p.Action(t.Context(), &model.Action{Command: "echo", Params: model.Params{"bad": func() {}}})
	checkError(t, err, model.Unreachable, "never sent")
}

func TestPanicIsOneErrorWithAnID(t *testing.T) {
	rec := newRecorder()
	p := launch(t, LaunchOptions{Handler: rec})
	for command, kind := range map[string]model.Kind{"panic": model.Internal, "panic-once": model.UnknownOutcome} {
		_, err := p.Action(t.Context(), &model.Action{Command: command, Params: model.Params{"incrementer/pin": "pin-4711"}})
		checkError(t, err, kind, "internal error ")
		if strings.Contains(err.Error(), "goroutine") || strings.Contains(err.Error(), ".go") {
			t.Errorf("the stack is in the error: %v", err)
		}
		_, id, _ := strings.Cut(err.Error(), "internal error ")
		id, _, _ = strings.Cut(id, ";")
		rec.await(t, "the stack of "+command, func() bool {
			for _, line := range rec.lines {
				if strings.Contains(line.Message, "panic "+id) && strings.Contains(line.Message, "helper_test.go") {
					return true
				}
			}
			return false
		})
	}
	checkError(t, p.Config(t.Context(), model.Params{"panic": true}), model.Internal, "internal error ")
	if log := rec.messages(); strings.Contains(log, "4711") {
		t.Errorf("a secret is in the log:\n%s", log)
	}
}

func TestStopEscalates(t *testing.T) {
	p := launch(t, LaunchOptions{Exec: self(t, "deaf"), TermAfter: 50 * time.Millisecond, KillAfter: 50 * time.Millisecond})
	checkError(t, p.Stop(t.Context()), model.Internal, "plugin incr did not stop in order: it had to be killed")
}

func TestStopHurriesWithItsContext(t *testing.T) {
	p := launch(t, LaunchOptions{Exec: self(t, "deaf"), TermAfter: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	checkError(t, p.Stop(ctx), model.Internal, "it had to be killed")
}

func TestProcessEndsUntold(t *testing.T) {
	p := launch(t, LaunchOptions{})
	if err := syscall.Kill(p.Pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Err() == nil || !strings.Contains(p.Err().Error(), "it ended without being told to") {
		t.Errorf("error %v", p.Err())
	}
}

// hostMain is a host that launches the twin, says its process id, and then
// waits for its own death.
func hostMain() int {
	path, err := os.Executable()
	if err != nil {
		return 1
	}
	env := []string{envMode + "=plugin", noRaceWait, envFast + "=1", envWitness + "=" + os.Getenv(envWitness)}
	p, err := Launch(context.Background(), LaunchOptions{Exec: Exec{Path: path, Env: env}, Name: "orphan", RuntimeDir: os.Args[1]})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(p.Pid())
	<-p.Done()
	return 0
}

// witness listens for what re-executed processes tell.
func witness(t *testing.T) (path string, said func() (string, bool)) {
	t.Helper()
	path = filepath.Join(shortDir(t), "w")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var lines *bufio.Scanner
	return path, func() (string, bool) {
		if lines == nil {
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			lines = bufio.NewScanner(conn)
		}
		ok := lines.Scan()
		if !ok && lines.Err() != nil {
			t.Fatalf("the witness heard nothing: %v", lines.Err())
		}
		return lines.Text(), ok
	}
}

func TestLifelineSeesAKilledHost(t *testing.T) {
	path, said := witness(t)
	e := self(t, "host", envWitness+"="+path)
	cmd := e.command(t.Context(), shortDir(t))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(stdout, &pid); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if line, ok := said(); !ok || line != "orphaned" {
		t.Errorf("the plugin said %q", line)
	}
	// Its end closes the connection.
	if line, ok := said(); ok {
		t.Errorf("the plugin went on and said %q", line)
	}
	_ = cmd.Wait() // killed
}

func TestObjects(t *testing.T) {
	for name, c := range map[string]struct {
		handler HostHandler
		status  int
		want    string
	}{
		"lister":    {listing{newRecorder(), []json.RawMessage{[]byte(`{"a":1}`)}, nil}, 200, `[{"a":1}]`},
		"none":      {listing{newRecorder(), nil, nil}, 200, `[]`},
		"failing":   {listing{newRecorder(), nil, model.Errorf(model.NotFound, "no such prefix")}, 404, "no such prefix"},
		"no lister": {newRecorder(), 501, "lists no objects"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := serveHost(t, c.handler, "GET", pathObjects+"machines", "")
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// listing is a handler that lists objects.
type listing struct {
	*recorder
	list []json.RawMessage
	err  error
}

// Objects lists what it was given.
func (l listing) Objects(context.Context, string) ([]json.RawMessage, error) { return l.list, l.err }

// A plugin that was told to stop gets nothing more, so that an action is known
// not to be sent.
func TestNothingIsSentAfterStop(t *testing.T) {
	r := newRig(t)
	p := process(r.socket)
	p.stopping.Store(true)
	_, err := p.Action(t.Context(), &model.Action{Command: "incrstatus"})
	checkError(t, err, model.Unreachable, "never sent", "it is being stopped")
	checkError(t, p.Config(t.Context(), nil), model.Unreachable, "cannot configure plugin fake", "it is being stopped")
}
