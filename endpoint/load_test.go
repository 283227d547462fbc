package endpoint

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// noop starts an endpoint, logging as it does by default, whose plugin answers at
// once, with n machines; it returns their UUIDs.
func noop(t testing.TB, n int) (*rig, []string) {
	t.Helper()
	r := newRig(t, "noop")
	r.opts.Logger = slog.New(slog.NewTextHandler(r.log, nil))
	r.start()
	r.ready("noop")
	uuids := make([]string, n)
	var wg sync.WaitGroup
	for part := range 16 {
		wg.Go(func() {
			for i := part; i < n; i += 16 {
				var made model.Machine
				if err := r.c.Post(t.Context(), "machines", model.NewMachine(fmt.Sprintf("m%05d", i)), &made); err != nil {
					t.Error(err)
					return
				}
				uuids[i] = made.Uuid
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return r, uuids
}

// A thousand actions are asked for at once (ten thousand in the nightly tests),
// some of which change something: every request is answered, none twice, and
// nothing is left.
func TestThousandsOfActionsAtOnce(t *testing.T) {
	t.Parallel()
	reads, changes := 1_000, 100
	if os.Getenv("OOB_NIGHTLY") != "" {
		reads, changes = 10_000, 2_000
	}
	r, uuids := noop(t, changes)
	var wg sync.WaitGroup
	var failed atomic.Int64
	seen := sync.Map{}
	for i := range reads + changes {
		command := "powerstatus"
		if i < changes {
			command = "powercycle"
		}
		wg.Go(func() {
			reply, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "machines", Key: uuids[i%changes], Command: command})
			if err != nil {
				if failed.Add(1) < 10 {
					t.Error(err)
				}
				return
			}
			if reply.Run != "" {
				if _, twice := seen.LoadOrStore(reply.Run, i); twice {
					t.Errorf("run %s was answered twice", reply.Run)
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Fatalf("%d failed", n)
	}
	var all []model.Run
	if err := r.c.Get(t.Context(), "runs", &all); err != nil || len(all) != changes {
		t.Errorf("%d runs, %v", len(all), err)
	}
	for _, run := range all {
		if run.State != model.RunDone {
			t.Errorf("run %+v", run)
		}
	}
	if n := len(r.e.api.actions.tails.open); n != 0 {
		t.Errorf("%d tails are left", n)
	}
}

// A plugin that is killed again and again comes back each time, within the
// circuit's bound; every run has an end that is true.
func TestAPluginKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	rounds := 5
	if os.Getenv("OOB_NIGHTLY") != "" {
		rounds = 300
	}
	r := newRig(t, "toy")
	r.build()
	r.e.timing.crashWindow = time.Nanosecond // the circuit has a test of its own
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.connect()
	t.Cleanup(r.stop)
	r.ready("toy")
	const machines = 6
	for i := range machines {
		r.machine(fmt.Sprint("m", i), nil)
	}
	states := map[model.RunState]int{}
	for round := range rounds {
		pid := pidOf(t, r, "toy")
		var wg sync.WaitGroup
		for i := range machines {
			wg.Go(func() {
				// What became of it is read from its run.
				_, _ = r.act(fmt.Sprint("m", i), "poweroff", model.Params{"oob/reason": fmt.Sprint("round ", round)})
			})
		}
		eventually(t, "one at work", func() bool { return len(r.executed()) > round })
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		r.replaced("toy", pid)
		wg.Wait()
		var all []model.Run
		if err := r.c.Get(t.Context(), "runs?limit="+itoa(machines), &all); err != nil {
			t.Fatal(err)
		}
		for _, run := range all {
			states[run.State]++
			if !run.State.Terminal() || run.State == model.RunFailed && run.Error.Kind() != model.Unreachable {
				t.Errorf("round %d: run %+v, %v", round, run, run.Error)
			}
		}
	}
	if done := states[model.RunDone] + states[model.RunUnknown]; len(r.executed()) > done {
		t.Errorf("%d executed, ends %v", len(r.executed()), states)
	}
	if fault := r.pluginErrors("toy"); fault != "" {
		t.Errorf("in the end: %s", fault)
	}
	t.Logf("%v, %d executed", states, len(r.executed()))
}

// benchmarkActions measures actions through the endpoint and a plugin that answers
// at once, by 64 clients on 64 machines.
func benchmarkActions(b *testing.B, command string) {
	const clients = 64
	r, uuids := noop(b, clients)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range clients {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, err := r.c.Invoke(b.Context(), client.ActionRequest{Prefix: "machines", Key: uuids[i], Command: command}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "actions/s")
}

// BenchmarkReads64 wants 3,000 a second.
func BenchmarkReads64(b *testing.B) { benchmarkActions(b, "powerstatus") }

// BenchmarkChanges64 wants 500 a second, with two durable records each.
func BenchmarkChanges64(b *testing.B) { benchmarkActions(b, "powercycle") }
