package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
	simslack "provision-plugins/sim/slack"
)

// envPlugin has the test's own program be the plugin: a process that can be killed.
const envPlugin = "SLACK_TEST_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(envPlugin) != "" {
		n := newNotifier()
		n.pace, n.rest, n.perMinute = time.Millisecond, 20*time.Millisecond, 1_000_000
		plugin.InitApp(pluginName, "the plugin, in haste", version, definition(), n)
		os.Exit(plugin.Main())
	}
	// slack-go's own fake never ends what serves its websockets.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/slack-go/slack/slacktest.handlePendingMessages"))
}

// host is the plugin's side of an endpoint: it hands on events as a pump does.
type host struct {
	t      *testing.T
	ctx    context.Context
	params model.Params
	state  string
	proc   *plugin.Process
	kills  int
}

// quiet takes nothing of what a plugin says.
type quiet struct{}

// Log takes one log line.
func (quiet) Log(*model.Line) {}

// Publish takes one event.
func (quiet) Publish(*model.Event) {}

// launch starts the plugin, unless it runs.
func (h *host) launch() {
	h.t.Helper()
	if h.proc != nil {
		select {
		case <-h.proc.Done():
		default:
			return
		}
	}
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	h.proc, err = plugin.Launch(h.ctx, plugin.LaunchOptions{
		Exec: plugin.Exec{Path: self, Env: []string{envPlugin + "=1", "PATH=" + os.Getenv("PATH")}},
		Name: pluginName, RuntimeDir: h.t.TempDir(), StateDir: h.state, Handler: quiet{}, ReadyTimeout: time.Minute,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.proc.Config(h.ctx, h.params); err != nil {
		h.t.Fatal(err)
	}
}

// hand gives one event to the plugin, again and again as long as its process dies
// over it.
func (h *host) hand(e *model.Event) {
	h.t.Helper()
	for h.ctx.Err() == nil {
		h.launch()
		if err := h.proc.Publish(h.ctx, e); err == nil {
			return
		} else if kind := model.KindOf(err); kind != model.Unreachable {
			h.t.Fatal(err)
		}
		<-h.proc.Done()
	}
	h.t.Fatal(h.ctx.Err())
}

// kill kills the process some time from now, and returns what waits for that.
func (h *host) kill(after time.Duration) (wait func()) {
	h.kills++
	done, proc := make(chan struct{}), h.proc
	go func() {
		defer close(done)
		<-time.After(after)
		if p, err := os.FindProcess(proc.Pid()); err == nil {
			_ = p.Kill() // it may be dead
		}
		<-proc.Done()
	}()
	return func() { <-done }
}

// chaos is how much of it.
type chaos struct {
	events, kills, percent int
	seed                   uint64
}

// Over 10,000 events, with 5 % of each of Slack's faults and the process killed 20
// times, nothing is lost, nothing is told twice, and each channel has its order.
func TestKilledAndFaulty(t *testing.T) {
	c := chaos{events: 300, kills: 2, percent: 2, seed: 1}
	if os.Getenv("OOB_NIGHTLY") != "" {
		c = chaos{events: 10_000, kills: 20, percent: 5, seed: uint64(time.Now().UnixNano())}
	}
	t.Logf("%+v", c)
	rnd := rand.New(rand.NewPCG(c.seed, 2))
	sim, err := simslack.New(simslack.Options{Token: token, Channels: []string{"C0", "C1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	met := map[string]int{}
	sim.Decide(faulty(c, met))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	p := params(t, sim.URL())
	p[paramRoutes] = []any{
		map[string]any{"types": []any{"runs"}, "mode": "digest", "group_by": []any{"command", "principal"}, "window": "24h", "channel": "C0"},
		map[string]any{"mode": "post"},
	}
	h := &host{t: t, ctx: ctx, state: stateOf(t, p), params: p}
	began := time.Now()
	kill := map[int]bool{}
	for len(kill) < c.kills {
		kill[rnd.IntN(c.events-10)+5] = true
	}
	var wait func()
	for i := range c.events {
		h.launch()
		if kill[i] {
			wait = h.kill(time.Duration(rnd.IntN(3000)) * time.Microsecond)
		}
		h.hand(chaosEvent(i))
		if wait != nil && rnd.IntN(2) == 0 {
			wait()
			wait = nil
		}
	}
	h.launch()
	drain(t, h)
	if err := h.proc.Stop(ctx); err != nil {
		t.Error(err)
	}
	wantAll(t, sim, c.events)
	t.Logf("%d events, %d kills in %v; %d messages; faults met: %v", c.events, h.kills, time.Since(began).Round(time.Second), len(sim.Messages()), met)
}

// stateOf is the state directory of params, which the host gives in their place.
func stateOf(t *testing.T, p model.Params) string {
	t.Helper()
	dir, err := p.String(paramDir, "")
	if err != nil {
		t.Fatal(err)
	}
	delete(p, paramDir)
	return dir
}

// faulty decides which call of the Web API meets which fault: each has its percent
// of the calls.
func faulty(c chaos, met map[string]int) func(method string, n int) (simslack.Fault, bool) {
	all := simslack.Faults()
	delete(all, "slow")
	names := slices.Sorted(maps.Keys(all))
	rnd := rand.New(rand.NewPCG(c.seed, 3))
	return func(method string, _ int) (simslack.Fault, bool) {
		if i := rnd.IntN(100) / c.percent; i < len(names) && method != "auth.test" {
			met[names[i]]++
			return all[names[i]], true
		}
		return simslack.Fault{}, false
	}
}

// chaosEvent is the i-th event: a machine that came, or every tenth a run of a bulk
// operation that ended.
func chaosEvent(i int) *model.Event {
	name := fmt.Sprintf("c%d-m%05d", i%4, i)
	e := &model.Event{Time: time.Unix(1_800_000_000, int64(i)), Type: "machines", Action: "create", Key: name, Object: model.NewMachine(name)}
	if i%10 == 9 {
		e.Type, e.Action = "runs", "update"
		e.Object = model.Run{ID: name, Key: name, Prefix: "machines", Name: name, Command: "identify", Principal: "ada", State: model.RunDone}
	}
	return e
}

// drain waits until the plugin has told all.
func drain(t *testing.T, h *host) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		raw, err := h.proc.Action(h.ctx, &model.Action{Command: actionStatus})
		if err != nil {
			t.Fatal(err)
		}
		var s struct {
			Waiting int
			Dead    []any
		}
		if err := model.Unmarshal(raw, &s); err != nil || len(s.Dead) > 0 {
			t.Fatalf("%v, given up: %v", err, s.Dead)
		}
		if s.Waiting == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			t.Fatalf("%d messages wait for ever", s.Waiting)
		}
	}
}

// wantAll holds what was posted against the events: each line once, in the order
// of its channel, and all runs in one message's count.
func wantAll(t *testing.T, sim *simslack.Server, events int) {
	t.Helper()
	var lines []string
	digest := ""
	for _, m := range sim.Messages() {
		if strings.Contains(m.Text, "identify, ada") {
			if digest != "" {
				t.Errorf("two digests: %q and %q", digest, m.Text)
			}
			digest = m.Text
			continue
		}
		lines = append(lines, strings.Split(m.Text, "\n")...)
	}
	want, runs := []string{}, 0
	for i := range events {
		if i%10 == 9 {
			runs++
			continue
		}
		want = append(want, fmt.Sprintf(":card_index: c%d-m%05d was added", i%4, i))
	}
	if !slices.Equal(lines, want) {
		i := 0
		for i < min(len(lines), len(want)) && lines[i] == want[i] {
			i++
		}
		t.Errorf("%d lines, want %d; the first that differs is %d: %q, want %q", len(lines), len(want), i, at(lines, i), at(want, i))
	}
	if want := fmt.Sprintf("%d of %d done", runs, runs); !strings.Contains(digest, want) {
		t.Errorf("the digest says %q, want %s", digest, want)
	}
}

// at is a line of a list, if it is there.
func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}
