package endpoint

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// Many machines are acted on at once while the plugin is killed: every run ends,
// a run that was executed is never called failed, and nothing is executed twice.
func TestManyActionsWhileThePluginIsKilled(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	const n = 48
	for i := range n {
		r.machine(fmt.Sprintf("m%d", i), nil)
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			// The outcome is read from the runs below.
			_, _ = r.act(fmt.Sprintf("m%d", i), "powercycle", nil)
		})
	}
	eventually(t, "some executed", func() bool { return len(r.executed()) >= n/4 })
	if pid := currentPid(r, "toy"); pid != 0 {
		proc, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := proc.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	var all []*model.Run
	if err := r.c.Get(t.Context(), "runs", &all); err != nil {
		t.Fatal(err)
	}
	states := map[model.RunState]int{}
	for _, run := range all {
		states[run.State]++
		if !run.State.Terminal() {
			t.Errorf("run of %s is %s", run.Name, run.State)
		}
		if run.State == model.RunFailed && run.Error.Kind() == model.UnknownOutcome {
			t.Errorf("run of %s failed with an unknown outcome", run.Name)
		}
	}
	executed := len(r.executed())
	if len(all) != n || executed > n || executed < states[model.RunDone] || executed > states[model.RunDone]+states[model.RunUnknown] {
		t.Errorf("%d runs: %v; executed %d", len(all), states, executed)
	}
}

// A client of the event stream that does not read slows nobody, and is told what
// it missed.
func TestAStreamThatIsNotReadSlowsNobody(t *testing.T) {
	t.Parallel()
	r := start(t)
	slow, quick := r.dial(), r.dial()
	say(t, slow, "register bulk.*.*")
	say(t, quick, "register bulk.*.*")
	say(t, slow, "register fat.*.*")
	fat := strings.Repeat("x", 32<<10)
	for range 64 { // more than its socket holds
		r.e.hub.Publish(&model.Event{Type: "fat", Action: "x", Object: fat})
	}
	const n = 1_500 // more than its queue holds
	if err := quick.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for i := range n { // the quick one gets each before the next is published
		key := fmt.Sprint(i)
		r.e.hub.Publish(&model.Event{Type: "bulk", Action: "x", Key: key})
		if e := hear(t, quick); e.Key != key {
			t.Fatalf("heard %s.%s.%s, want event %s", e.Type, e.Action, e.Key, key)
		}
	}
	missed := 0
	for missed == 0 {
		e := hear(t, slow)
		if e.Type == "websocket" {
			t.Fatalf("a notice looks like an ack: %+v", e)
		}
		if e.Action == "missed" {
			var body struct{ Missed int }
			if err := model.Remarshal(e.Object, &body); err != nil || fmt.Sprint(body.Missed) != e.Key {
				t.Errorf("notice %+v, %v", e, err)
			}
			missed = body.Missed
		}
	}
	if missed >= n {
		t.Errorf("missed %d of %d", missed, n)
	}
}
