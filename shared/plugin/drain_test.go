package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// inFlight starts an action and returns what becomes of it, once it runs.
func (r *rig) inFlight(t testing.TB, said func() (string, bool), command string) <-chan string {
	t.Helper()
	out := make(chan string, 1)
	p := process(r.socket)
	go func() {
		got, err := p.Action(context.Background(), &model.Action{Command: command, Model: map[string]any{"Name": "m"}})
		out <- fmt.Sprint(string(got), " ", err)
	}()
	r.awaitAction(t, said, command)
	return out
}

func TestStopAnswersEverything(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option)
	waiting := r.inFlight(t, said, "wait")
	if status, body := r.post(t, pathStop, ``, "Content-Type", "text/plain"); status != 200 || body != jsonOK {
		t.Errorf("stop: %d %s", status, body)
	}
	if got := <-waiting; got != `"waited" <nil>` {
		t.Errorf("the action in flight: %s", got)
	}
	r.awaitEnd(t)
	if _, err := os.Stat(r.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if log := r.host.messages(); !strings.Contains(log, "info STOPPING") {
		t.Errorf("log:\n%s", log)
	}
}

func TestStoppingPluginRefusesActions(t *testing.T) {
	option, said := withWitness(t)
	release := make(chan struct{})
	r := newRig(t, option, func(r *rig) {
		r.twin.onStop = func(context.Context) error { <-release; return nil }
		r.program.timing.stopGrace, r.program.timing.drainLimit = 10*time.Second, 10*time.Second
	})
	r.stop() // as a signal does
	if line, _ := said(); line != "stop" {
		t.Fatalf("the plugin said %q", line)
	}
	status, body := r.post(t, pathAction, `{"Command":"incrstatus"}`)
	if e := decodeError(t, body); status != 429 || e.Kind() != model.Busy || !strings.Contains(e.Text(), "the plugin is stopping") {
		t.Errorf("%d %s", status, body)
	}
	close(release)
	r.awaitEnd(t)
}

func TestActionsThatOutliveStopAreCancelled(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option)
	hanging := r.inFlight(t, said, "hang")
	r.stop()
	if got := <-hanging; !strings.Contains(got, "the plugin is stopping") {
		t.Errorf("the action in flight: %s", got)
	}
	r.awaitEnd(t)
}

func TestStuckActionDoesNotKeepThePlugin(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option)
	t.Cleanup(func() { close(r.twin.stuck) })
	stuck := r.inFlight(t, said, "stuck")
	r.stop()
	r.awaitEnd(t)
	if got := <-stuck; !strings.Contains(got, "unknown-outcome") {
		t.Errorf("the stuck action: %s", got)
	}
}

func TestStopMayFail(t *testing.T) {
	freed := make(chan struct{})
	t.Cleanup(func() { close(freed) })
	for name, c := range map[string]struct {
		stop func(context.Context) error
		want string
	}{
		"error":  {func(context.Context) error { return model.Errorf(model.Timeout, "cannot close the outbox") }, "Stop failed error=cannot close the outbox"},
		"panic":  {func(context.Context) error { panic("bad stop") }, "in Stop: bad stop"},
		"hang":   {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "Stop failed"},
		"ignore": {func(context.Context) error { <-freed; return nil }, "Stop failed error=it did not return within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(r *rig) { r.twin.onStop = c.stop })
			if status, _ := r.post(t, pathStop, ``); status != 200 {
				t.Errorf("status %d", status)
			}
			r.awaitEnd(t)
			if log := r.host.messages(); !strings.Contains(log, c.want) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

func TestSecondStopWaitsToo(t *testing.T) {
	option, said := withWitness(t)
	release := make(chan struct{})
	r := newRig(t, option, func(r *rig) {
		r.twin.onStop = func(context.Context) error { <-release; return nil }
		r.program.timing.stopGrace, r.program.timing.drainLimit = 10*time.Second, 10*time.Second
	})
	answers := make(chan int, 2)
	for range 2 {
		go func() {
			status, _ := r.post(t, pathStop, ``)
			answers <- status
		}()
	}
	if line, _ := said(); line != "stop" {
		t.Fatalf("the plugin said %q", line)
	}
	r.host.await(t, "both requests", func() bool {
		n := 0
		for _, line := range r.host.lines {
			if line.Message == "STOPPING" {
				n++
			}
		}
		return n == 2
	})
	close(release)
	if a, b := <-answers, <-answers; a != 200 || b != 200 {
		t.Errorf("answers %d and %d", a, b)
	}
	r.awaitEnd(t)
}

func TestSignalLetsActionsFinish(t *testing.T) {
	path, said := witness(t)
	p := launch(t, LaunchOptions{Exec: self(t, "plugin", envFast+"=1", envWitness+"="+path)})
	done := make(chan string, 1)
	go func() {
		got, err := p.Action(context.Background(), &model.Action{Command: "wait"})
		done <- fmt.Sprint(string(got), " ", err)
	}()
	if line, _ := said(); line != "action wait" {
		t.Fatalf("the plugin said %q", line)
	}
	if err := syscall.Kill(p.Pid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != `"waited" <nil>` {
		t.Errorf("the action in flight: %s", got)
	}
	<-p.Done()
	if state := p.cmd.ProcessState; state.ExitCode() != 0 {
		t.Errorf("it ended by %v", state)
	}
}

func TestWatchParent(t *testing.T) {
	nobody := newOutbound(filepath.Join(shortDir(t), "nobody"))
	somebody := newOutbound(hostSocket(t, newRecorder()))
	fast := fastTiming()
	for name, c := range map[string]struct {
		out    *Outbound
		parent int
		want   bool
	}{
		"parent gone, socket refused": {nobody, -1, true},
		"parent gone, socket alive":   {somebody, -1, false},
		"parent there":                {nobody, os.Getppid(), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := 20 * time.Second
			if !c.want {
				limit = 5 * fast.parentGone
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			h := &hostWatch{out: c.out, now: os.Getppid, parent: c.parent, timing: fast}
			if got := h.watchParent(ctx); got != c.want {
				t.Errorf("dead: %v", got)
			}
		})
	}
}

func TestOrphanWithoutLifelineEnds(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option, func(r *rig) {
		r.from = filepath.Join(shortDir(t), "nobody")
		r.program.parent = func() int { return -1 }
	})
	if line, _ := said(); line != "orphaned" {
		t.Errorf("the plugin said %q", line)
	}
	r.awaitEnd(t)
}

// A host that is stopping its plugins may be killed before they have ended: what
// is owed is then paid as an orphan pays it, not cut off.
func TestHostDiesWhileThePluginStops(t *testing.T) {
	option, said := withWitness(t)
	var dead atomic.Bool
	r := newRig(t, option, func(r *rig) {
		r.from = filepath.Join(shortDir(t), "nobody")
		parent := os.Getppid()
		r.program.parent = func() int {
			if dead.Load() {
				return -1
			}
			return parent
		}
		r.twin.onStop = func(ctx context.Context) error {
			<-ctx.Done()
			r.twin.tell("cut")
			return nil
		}
		r.program.timing.stopGrace, r.program.timing.drainLimit = 15*time.Second, 15*time.Second
	})
	r.stop()
	if line, _ := said(); line != "stop" {
		t.Fatalf("the plugin said %q", line)
	}
	dead.Store(true)
	if line, _ := said(); line != "orphaned" {
		t.Errorf("the plugin said %q", line)
	}
	if line, _ := said(); line != "cut" {
		t.Errorf("the plugin said %q", line)
	}
	r.awaitEnd(t)
}

func TestOpenLifeline(t *testing.T) {
	for _, value := range []string{"x", "-1", "1", "100000"} {
		if f, err := openLifeline(value); err == nil {
			t.Errorf("%s: opened %v", value, f)
		}
	}
	if f, err := openLifeline(""); f != nil || err != nil {
		t.Errorf("none: %v %v", f, err)
	}
	t.Setenv(EnvLifeline, "junk")
	p := newProgram("x", "", twinDefinition(), newTwin())
	if err := p.listen(t.Context(), os.Stdout, "a", "b"); err == nil || !strings.Contains(err.Error(), `OOB_LIFELINE: "junk" is not a file descriptor`) {
		t.Errorf("error %v", err)
	}
}

func TestLifelineEndsWithItsContext(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if watchLifeline(ctx, r) {
		t.Error("the host is said to be dead")
	}
}

func TestListenFailsOnATakenPlace(t *testing.T) {
	dir := shortDir(t)
	p := newProgram("x", "", twinDefinition(), newTwin())
	err := p.listen(t.Context(), os.Stdout, filepath.Join(dir, "no", "where"), filepath.Join(dir, "from"))
	if err == nil || !strings.Contains(err.Error(), "cannot listen: listen unix") {
		t.Errorf("error %v", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	err = p.listen(t.Context(), w, filepath.Join(dir, "to"), filepath.Join(dir, "from"))
	if err == nil || !strings.Contains(err.Error(), "cannot say READY!") {
		t.Errorf("error %v", err)
	}
}

func TestListenReplacesAnOldSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "to")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close()
	l, err := listenPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// A connection that is open and says nothing must not keep the plugin.
func TestRestingConnectionsDoNotKeepThePlugin(t *testing.T) {
	r := newRig(t)
	silent, err := net.Dial("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if status, _, _ := send(t, r.client, http.MethodPost, pathConfig, `{}`); status != 200 {
		t.Errorf("status %d", status)
	}
	r.stop()
	r.awaitEnd(t)
}

// The bounds that a host counts on: it sends SIGTERM 15 s after stop.
func TestDefaultTiming(t *testing.T) {
	d := defaultTiming()
	last := d.flushLimit + d.logLimit
	if end := d.drainLimit + last; end >= 15*time.Second || d.stopGrace >= d.drainLimit {
		t.Errorf("a stopping plugin may take %v", end)
	}
	if end := d.orphanGrace + last; end >= 5*time.Second {
		t.Errorf("an orphan may take %v", end)
	}
	if d.actionGrace != 10*time.Second || d.parentGone != 10*time.Second || d.maxActions != 16384 {
		t.Errorf("%+v", d)
	}
}
