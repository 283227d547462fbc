package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// multitude is a plugin whose actions take a second, or send more than is taken; as
// "deaf", it never takes an event.
type multitude struct {
	plugin.Base
	host *plugin.Outbound
	log  *slog.Logger
}

// SetHost takes the way to the endpoint.
func (c *multitude) SetHost(h *plugin.Outbound) { c.host = h }

// SetLogger takes the log.
func (c *multitude) SetLogger(l *slog.Logger) { c.log = l }

// Config takes anything.
func (c *multitude) Config(context.Context, *client.Client, model.Params) error { return nil }

// Publish never answers.
func (c *multitude) Publish(ctx context.Context, _ *model.Event) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// Action takes a second, or floods the endpoint with as many lines or events as it
// is told.
func (c *multitude) Action(ctx context.Context, a *model.Action) (any, error) {
	n := 0
	if text, ok := a.Params["count"].(string); ok {
		n, _ = strconv.Atoi(text) // a test says what is a number
	}
	switch a.Command {
	case "getSecond":
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case "getLines":
		for i := range n {
			c.log.Info("flooding line", "n", i)
		}
	case "getEvents":
		for i := range n {
			if err := c.host.Publish(ctx, &model.Event{Type: "flood", Action: "x", Key: strconv.Itoa(i)}); err != nil {
				return nil, err
			}
		}
	}
	return model.Result{Power: model.StateOn, Raw: "on", Outcome: model.Verified}, nil
}

// beCrowd is the main function of a crowd.
func beCrowd(role string) int {
	def := &model.PluginProvider{Name: role, Version: "v1.0.0", PluginVersion: model.PluginVersion, AutoStart: true, HasPublish: role == "deaf"}
	if role == "crowd" {
		for _, command := range []string{"getSecond", "getLines", "getEvents", "powerstatus", "powercycle"} {
			def.AvailableActions = append(def.AvailableActions, model.AvailableAction{Model: "machines", Command: command})
		}
	}
	plugin.InitApp(role, "a crowd", def.Version, def, &multitude{})
	return plugin.Main()
}

// nightlyOr is the size of a test, at night and otherwise.
func nightlyOr(night, day int) int {
	if os.Getenv("OOB_NIGHTLY") != "" {
		return night
	}
	return day
}

// residentMiB is the memory of a process.
func residentMiB(t testing.TB, pid int) float64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // there is no /proc: the figure is missing, and no more
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}

// openFiles counts the descriptors of this process.
func openFiles() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// crowded starts an endpoint with a crowd and a machine.
func crowded(t *testing.T, more ...string) (*rig, string) {
	t.Helper()
	r := newRig(t, append([]string{"crowd"}, more...)...)
	r.opts.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	r.start()
	for _, name := range append([]string{"crowd"}, more...) {
		r.ready(name)
	}
	var made model.Machine
	if err := r.c.Post(t.Context(), "machines", model.NewMachine("m1"), &made); err != nil {
		t.Fatal(err)
	}
	return r, made.Uuid
}

// Actions that take a second go through one plugin's socket all at once: none fails.
func TestACrowdAtOneSocket(t *testing.T) {
	t.Parallel()
	n := nightlyOr(10_000, 300)
	r, _ := crowded(t)
	proc, err := r.e.sup.process("crowd")
	if err != nil {
		t.Fatal(err)
	}
	idle := residentMiB(t, proc.Pid())
	var all sync.WaitGroup
	failures := make(chan error, n)
	began := time.Now()
	for range n {
		all.Go(func() {
			if _, err := proc.Action(t.Context(), &model.Action{Command: "getSecond", Model: map[string]any{}}); err != nil {
				failures <- err
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	close(failures)
	if len(failures) > 0 {
		t.Errorf("%d of %d failed, the first: %v", len(failures), n, <-failures)
	}
	t.Logf("%d actions of 1 s at once: %.2f s, plugin %.0f MiB (%.0f before)", n, took.Seconds(), residentMiB(t, proc.Pid()), idle)
}

// times are how long reads through the endpoint took, sorted.
func (r *rig) times(uuid string, n int) []time.Duration {
	r.t.Helper()
	out := make([]time.Duration, n)
	for i := range out {
		began := time.Now()
		if _, err := r.c.Invoke(r.t.Context(), client.ActionRequest{Prefix: "machines", Key: uuid, Command: "powerstatus"}); err != nil {
			r.t.Error(err)
		}
		out[i] = time.Since(began)
	}
	slices.Sort(out)
	return out
}

// A plugin that sends lines and events without end costs a bounded number of each:
// the rest is dropped and counted, and the endpoint goes on.
func TestAFloodFromAPlugin(t *testing.T) {
	t.Parallel()
	n, reads := nightlyOr(1_000_000, 30_000), nightlyOr(2000, 100)
	for _, c := range []struct{ command, series string }{
		{"getLines", `oob_plugin_log_dropped_total{plugin="crowd"}`}, {"getEvents", `oob_events_dropped_total{plugin="crowd"}`},
	} {
		r, uuid := crowded(t)
		proc, err := r.e.sup.process("crowd")
		if err != nil {
			t.Fatal(err)
		}
		before, quiet, memory := r.series(), r.times(uuid, reads), residentMiB(t, os.Getpid())
		done := make(chan error, 1)
		go func() {
			_, err := proc.Action(t.Context(), &model.Action{Command: c.command, Model: map[string]any{}, Params: model.Params{"count": strconv.Itoa(n)}})
			done <- err
		}()
		noisy := r.times(uuid, reads)
		if err := <-done; err != nil {
			t.Error(err)
		}
		runtime.GC()
		if c.command == "getEvents" { // lines may be dropped by the plugin itself
			r.moved(before, c.series, 1)
		}
		if got := strings.Count(r.log.String(), "flooding line"); got > n/2+lineBurst {
			t.Errorf("%d of %d lines are in the log", got, n)
		}
		if _, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "machines", Key: uuid, Command: "powercycle"}); err != nil {
			t.Errorf("after the flood: %v", err)
		}
		p99 := func(d []time.Duration) float64 { return float64(d[len(d)*99/100].Microseconds()) / 1000 }
		t.Logf("%d %s: %.0f dropped by the endpoint; reads p99 %.2f ms, %.2f without; memory %+.1f MiB", n, c.command,
			r.series()[c.series]-before[c.series], p99(noisy), p99(quiet), residentMiB(t, os.Getpid())-memory)
	}
}

// A plugin that never takes an event has a bounded queue, and slows nobody down.
func TestAHungConsumer(t *testing.T) {
	t.Parallel()
	n := nightlyOr(5000, 1500)
	delays := map[string]time.Duration{}
	for _, with := range []string{"", "deaf"} {
		var more []string
		if with != "" {
			more = append(more, with)
		}
		r, _ := crowded(t, more...)
		sub, err := r.e.hub.Subscribe("tick.*.*")
		if err != nil {
			t.Fatal(err)
		}
		var slowest time.Duration
		for i := range n {
			began := time.Now()
			r.e.hub.Publish(&model.Event{Type: "tick", Action: "x", Key: strconv.Itoa(i)})
			e, err := sub.Next(t.Context())
			if err != nil || e.Key != strconv.Itoa(i) {
				t.Fatalf("event %d: %+v, %v", i, e, err)
			}
			slowest = max(slowest, time.Since(began))
		}
		sub.Close()
		delays[with] = slowest
		if with == "" {
			continue
		}
		got := r.series()
		if waiting := got[`oob_event_queue_length{plugin="deaf"}`]; waiting > 1001 || waiting < 900 {
			t.Errorf("%v events wait for the one that takes none", waiting)
		}
		if got[`oob_events_dropped_total{plugin="deaf"}`] < float64(n-1200) {
			t.Errorf("%v dropped of %d", got[`oob_events_dropped_total{plugin="deaf"}`], n)
		}
	}
	t.Logf("%d events beside a hung consumer: slowest %.2f ms, %.2f without it", n, float64(delays["deaf"].Microseconds())/1000, float64(delays[""].Microseconds())/1000)
}

// soakSamples is how often the memory is looked at in a soak.
const soakSamples = 60

// growth is the memory of this process at a time of the soak, in MiB: all that the
// system gave it, and what is in use of it. The engine fills a block of up to 8 MiB
// for each stream and then lets it go, again every few minutes: only over many of
// these a slope means something.
type growth struct {
	at             time.Duration
	resident, heap float64
}

// fillHistories fills what is kept for those who come late, which would else be taken
// for growth for as long as it is not full: events, and lines of the log.
func (r *rig) fillHistories() {
	object := json.RawMessage(strconv.Quote(strings.Repeat("x", 600))) // a run has about as much
	for range 10_000 {
		r.e.hub.Publish(&model.Event{Type: "soak", Action: "fill", Key: "k", Object: object})
	}
	for range maxLines {
		r.e.ring.add(&model.Line{Message: "fill"})
	}
}

// grownTo looks at the memory without what may be given back.
func grownTo(t *testing.T, at time.Duration) growth {
	t.Helper()
	debug.FreeOSMemory()
	keepHeap(t, at)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return growth{at, residentMiB(t, os.Getpid()), float64(m.HeapAlloc) / (1 << 20)}
}

// keepHeap writes what the heap holds into the folder that OOB_SOAK_HEAP names, for
// go tool pprof -base.
func keepHeap(t *testing.T, at time.Duration) {
	t.Helper()
	dir := os.Getenv("OOB_SOAK_HEAP")
	if dir == "" {
		return
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%05.0fs.heap", at.Seconds())))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(pprof.WriteHeapProfile(f), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// slopes tells the growth of the whole soak, and an hour in its second half: in the
// first one the rings and histories that are bounded fill.
func slopes(all []growth) string {
	first, last := all[0], all[len(all)-1]
	half := all[len(all)/2:]
	slope := func(of func(growth) float64) float64 { // the line that fits best
		var x, y, xx, xy float64
		for _, g := range half {
			x, y = x+g.at.Hours(), y+of(g)
			xx, xy = xx+g.at.Hours()*g.at.Hours(), xy+g.at.Hours()*of(g)
		}
		n := float64(len(half))
		return (n*xy - x*y) / (n*xx - x*x)
	}
	return fmt.Sprintf("resident %.1f MiB, %+.1f, in the second half %+.2f an hour; heap in use %.1f MiB, %+.1f, in the second half %+.2f an hour",
		last.resident, last.resident-first.resident, slope(func(g growth) float64 { return g.resident }),
		last.heap, last.heap-first.heap, slope(func(g growth) float64 { return g.heap }))
}

// soakFor is how long the soak goes on: OOB_SOAK says it, as 1h.
func soakFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("OOB_SOAK")
	if text == "" {
		return time.Duration(nightlyOr(60, 2)) * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Actions for a long time leave nothing: descriptors and goroutines are as many at
// the end as at the beginning.
func TestASoakLeavesNothing(t *testing.T) {
	if os.Getenv("OOB_NIGHTLY") == "" && os.Getenv("OOB_SOAK") == "" {
		t.Parallel() // then the counts are those of other tests too, and only the loop is tried
	}
	const perSecond = 500
	r, uuid := crowded(t)
	act := func(n int) {
		var all sync.WaitGroup
		for part := range 10 {
			all.Go(func() {
				for i := part; i < n; i += 10 {
					command := "powerstatus"
					if i%50 == 0 && part == 0 {
						command = "powercycle"
					}
					if _, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "machines", Key: uuid, Command: command}); err != nil && model.KindOf(err) != model.Conflict {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	r.fillHistories()
	act(2 * perSecond) // what is kept for the next time is there by then
	runtime.GC()
	files, routines, began := openFiles(), runtime.NumGoroutine(), time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	count, total := 0, soakFor(t)
	grown := []growth{grownTo(t, 0)}
	for gone := time.Duration(0); gone < total; gone = time.Since(began) {
		act(perSecond)
		count += perSecond
		<-tick.C
		if gone >= total*time.Duration(len(grown))/soakSamples {
			grown = append(grown, grownTo(t, gone))
		}
	}
	grown = append(grown, grownTo(t, time.Since(began)))
	t.Logf("%d actions in %.0f s: %d files (%d before), %d goroutines (%d before); %s", count, time.Since(began).Seconds(), openFiles(), files, runtime.NumGoroutine(), routines, slopes(grown))
	if os.Getenv("OOB_NIGHTLY") == "" && os.Getenv("OOB_SOAK") == "" {
		return
	}
	eventually(t, fmt.Sprintf("%d files and %d goroutines again", files, routines), func() bool {
		return openFiles() <= files+max(4, files/20) && runtime.NumGoroutine() <= routines+max(4, routines/20)
	})
}
