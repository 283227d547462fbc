package runs

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

func TestRecoverSettlesWhatAnEarlierProcessLeft(t *testing.T) {
	r := newRig(t)
	silent, p := newPlugin(), newPlugin()
	sent := r.submit(request(model.PowerCycle, silent))
	silent.reached(t)
	q := request(model.PowerReset, p)
	q.Key, q.Name, q.Ready = "u2", "m2", func() bool { return false }
	queued := r.submit(q)
	q = request(model.PowerOn, p)
	q.Key, q.Ready = "u3", nil
	done := r.done(q, p)
	q.Key, q.Name, q.Command = "u4", "", model.PowerOff
	idempotent := r.submit(q)
	p.reached(t)
	r.told()
	r.crash("boot-2")

	run := r.state(sent.ID(), model.RunUnknown)
	if run.Error.Kind() != model.UnknownOutcome || run.Boot != "boot-1" || run.Ended.IsZero() {
		t.Errorf("the sent run is %+v", run)
	}
	wantText(t, run.Error.Error(), "cannot tell whether powercycle of machines/m1 was executed", "the endpoint stopped before an answer came",
		"sent at 2026-11-20T12:00:00Z", "powerstatus", "oob/after-unknown="+sent.ID(), "machines/u1")
	wantText(t, r.state(idempotent.ID(), model.RunUnknown).Error.Error(), "poweroff of machines/u4", "or repeat: a second time changes nothing")
	run = r.state(queued.ID(), model.RunFailed)
	if run.Error.Kind() != model.Unreachable {
		t.Errorf("the queued run is %+v", run)
	}
	wantText(t, run.Error.Error(), "powerreset of machines/m2", "never sent")
	r.state(done.ID(), model.RunDone)
	if told := r.told(); strings.Count(told, "->") != 3 {
		t.Errorf("told: %s", told)
	}
	if len(p.called)+len(silent.called) != 0 {
		t.Error("something was sent again")
	}
	r.crash("boot-3") // nothing is left to settle
	if told := r.told(); told != "" {
		t.Errorf("told: %s", told)
	}
}

func TestRecoverOfManyRuns(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	const n = 3 * recoverers
	for i := range n {
		q := request(model.PowerCycle, p)
		q.Key = fmt.Sprint("u", i)
		r.submit(q)
		p.reached(t)
	}
	r.crash("boot-2")
	for _, run := range r.List("", "") {
		if run.State != model.RunUnknown {
			t.Errorf("%s is %s", run.Key, run.State)
		}
	}
	if got := len(r.List("", "")); got != n {
		t.Errorf("%d runs, want %d", got, n)
	}
}

// TestRecoverDropsTheRemnantOfASweptRun has the first record of a run that
// ended long ago come back, as an unfinished delete can leave it.
func TestRecoverDropsTheRemnantOfASweptRun(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	p := newPlugin()
	old := r.done(request(model.PowerCycle, p), p)
	old.Delivered()
	r.done(request(model.PowerReset, p), p)
	must(t, r.store.DeleteRecord(ctx, 2)) // the first run's end
	r.crash("boot-2")
	if _, err := r.Get(ctx, old.ID()); model.KindOf(err) != model.NotFound {
		t.Errorf("the swept run is back: %v", err)
	}
	if n := r.records("u1"); n != 2 {
		t.Errorf("%d records, want those of the second run", n)
	}
	r.clock.forward(time.Minute)
	r.done(request(model.PowerCycle, p), p)
}

func TestRecoverSkipsADamagedRecord(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	p := newPlugin()
	r.done(request(model.PowerOn, p), p)
	for _, data := range []string{"{", `{"ID":""}`} {
		_, err := r.store.PutRecord(ctx, store.Record{Prefix: "machines", ID: "u" + data, Data: []byte(data)})
		must(t, err)
	}
	r.crash("boot-2")
	if runs := r.List("", ""); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
	wantText(t, strings.ReplaceAll(r.log.String(), "\n", " "), "skipping a run record", "damaged")
}

func TestRecoverFailsWhenTheStoreDoes(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	r.submit(request(model.PowerCycle, p))
	p.reached(t)
	left := r.Manager
	must(t, r.store.Close())
	m := New(Options{Store: r.store})
	if err := m.Recover(context.Background()); model.KindOf(err) != model.Busy {
		t.Errorf("Recover on a closed store: %v", err)
	}
	must(t, m.Close(context.Background()))
	r.openStore()
	broken := &faulty{Store: r.store}
	broken.fail(-1, errDisk, nil)
	m = New(Options{Store: broken, Boot: "boot-2"})
	if err := m.Recover(context.Background()); err == nil || model.KindOf(err) != model.Internal {
		t.Errorf("Recover on a store that cannot be written: %v", err)
	}
	must(t, m.Close(context.Background()))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := left.Close(ended); err == nil {
		t.Error("the first process could write to its closed store")
	}
	r.start(nil, "boot-3")
	r.state(r.List("", "")[0].ID, model.RunUnknown)
}

func TestCloseWaitsForOutcomes(t *testing.T) {
	r := newRig(t)
	p, never := newPlugin(), newPlugin()
	sent := r.submit(request(model.PowerCycle, p))
	p.reached(t)
	q := request(model.PowerReset, never)
	q.Key, q.Ready = "u2", func() bool { return false }
	queued := r.submit(q)
	closed := make(chan error, 1)
	go func() { closed <- r.Manager.Close(context.Background()) }()
	run := r.wait(queued)
	if run.State != model.RunFailed {
		t.Errorf("the queued run is %s", run.State)
	}
	wantText(t, run.Error.Error(), "the endpoint stopped", "never sent")
	_, err := r.Submit(context.Background(), request(model.PowerOff, p))
	if model.KindOf(err) != model.Busy {
		t.Errorf("a run was taken while closing: %v", err)
	}
	select {
	case err := <-closed:
		t.Fatalf("Close did not wait for the sent run: %v", err)
	default:
	}
	p.answers(`{}`)
	must(t, <-closed)
	if run := r.wait(sent); run.State != model.RunDone {
		t.Errorf("the sent run is %s", run.State)
	}
	must(t, r.Manager.Close(context.Background()))
	if len(never.called) != 0 {
		t.Error("the queued run was sent")
	}
}

func TestCloseRecordsWhatItCannotWaitForAsUnknown(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	ticket := r.submit(request(model.PowerCycle, p))
	p.reached(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, r.Manager.Close(ctx))
	last, err := r.store.LastRecord(context.Background(), "machines", "u1")
	must(t, err)
	wantText(t, string(last.Data), `"State":"unknown"`, "the endpoint stopped before an answer came", ticket.ID())
	run := r.wait(ticket)
	if run.State != model.RunUnknown || run.Boot != "boot-1" {
		t.Errorf("it ended %+v", run)
	}
}

func TestHistoryIsKeptWithinBounds(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	commands := []string{model.PowerOn, model.PowerOff}
	for i := range keptRuns + 5 {
		r.done(request(commands[i%2], p), p)
		r.clock.forward(time.Minute)
	}
	other := request(model.PowerOn, p)
	other.Key = "u2"
	r.done(other, p)
	if n := len(r.List("machines", "u1")); n != keptRuns+5 {
		t.Errorf("%d runs before the sweep", n)
	}
	r.later(24 * time.Hour)
	runs := r.List("machines", "u1")
	if len(runs) != keptRuns || !runs[0].Created.After(runs[keptRuns-1].Created) {
		t.Fatalf("%d runs after the daily sweep, want %d, newest first", len(runs), keptRuns)
	}
	if n := r.records("u1"); n != 2*keptRuns {
		t.Errorf("%d records after the daily sweep, want %d", n, 2*keptRuns)
	}
	r.later(30 * 24 * time.Hour)
	for key, n := range map[string]int{"u1": 1, "u2": 1} { // the newest owns the last record
		if got := len(r.List("machines", key)); got != n {
			t.Errorf("%d runs of %s after 30 days, want %d", got, key, n)
		}
		last, err := r.store.LastRecord(context.Background(), "machines", key)
		if err != nil || last.Seq == 0 {
			t.Errorf("the last record of %s is gone: %v", key, err)
		}
	}
	kept := r.List("", "")
	r.crash("boot-2")
	if again := r.List("", ""); len(again) != len(kept) || again[0].ID != kept[0].ID {
		t.Errorf("%d runs after a restart, %d before", len(again), len(kept))
	}
	r.done(request(model.PowerCycle, p), p) // and the compare-and-set goes on
}

// records counts the records of a machine in the log.
func (r *rig) records(key string) int {
	r.t.Helper()
	n := 0
	must(r.t, r.store.ScanRecords(context.Background(), "machines", key, func(store.Record) error { n++; return nil }))
	return n
}

// TestUnknownRunOutlivesTheHistoryThatFollows has far more runs follow an
// unknown one than are kept, and days pass.
func TestUnknownRunOutlivesTheHistoryThatFollows(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	lost := r.unknown(request(model.PowerCycle, p), p)
	for range 70 { // with two records each, more than the engine keeps
		r.clock.forward(time.Minute)
		r.done(request(model.PowerOn, p), p)
	}
	r.eventually("the sweep of a crowded object", func() bool { return r.records("u1") < crowded })
	r.later(31 * 24 * time.Hour)
	r.crash("boot-2")
	wantText(t, r.refused(request(model.PowerCycle, p)), lost.ID())
	if n := len(r.List("machines", "u1")); n > 2 {
		t.Errorf("%d runs are kept after 31 days", n)
	}
	must(t, r.Release(context.Background(), lost.ID(), "bob", "saw on"))
	r.done(request(model.PowerCycle, p), p)
}

func TestLiveRunIsNotSwept(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	q := request(model.PowerCycle, p)
	q.Timeout = 100 * 24 * time.Hour
	ticket := r.submit(q)
	p.reached(t)
	r.later(40 * 24 * time.Hour)
	r.state(ticket.ID(), model.RunSent)
	p.answers(`{}`)
	r.wait(ticket)
}

func TestReadsStayInMemory(t *testing.T) {
	r := newRig(t)
	for i := range readsKept + 3 {
		r.Read(model.Run{Command: model.PowerStatus, Result: json.RawMessage(fmt.Sprint(i))})
	}
	reads := r.Reads()
	if len(reads) != readsKept || string(reads[0].Result) != "1002" || string(reads[readsKept-1].Result) != "3" {
		t.Errorf("%d reads from %s to %s", len(reads), reads[0].Result, reads[len(reads)-1].Result)
	}
	run, err := r.Get(context.Background(), reads[5].ID)
	if err != nil || string(run.Result) != "997" || run.Class != model.Read {
		t.Errorf("Get of a read: %+v, %v", run, err)
	}
	if _, err := r.Get(context.Background(), "nothing"); model.KindOf(err) != model.NotFound {
		t.Errorf("Get of nothing: %v", err)
	}
	n := 0
	must(t, r.store.ScanRecords(context.Background(), "", "", func(store.Record) error { n++; return nil }))
	if n != 0 || len(r.List("", "")) != 0 {
		t.Errorf("reads left %d records", n)
	}
}

func TestRunsAreListedNewestFirst(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	var want []string
	for _, key := range []string{"u1", "u2", "u1"} {
		q := request(model.PowerOn, p)
		q.Key = key
		want = append([]string{r.done(q, p).ID()}, want...)
	}
	var got []string
	for _, run := range r.List("", "") {
		got = append(got, run.ID)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("listed %v, want %v", got, want)
	}
	if runs := r.List("machines", "u1"); len(runs) != 2 || runs[0].ID != want[0] {
		t.Errorf("u1 has %d runs", len(runs))
	}
	if runs := r.List("machines", "nobody"); len(runs) != 0 {
		t.Errorf("nobody has %d runs", len(runs))
	}
}
