package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// newFaultyRig is a rig whose store fails on demand.
func newFaultyRig(t *testing.T) (*rig, *faulty) {
	t.Helper()
	r := newRig(t)
	must(t, r.Manager.Close(context.Background()))
	f := &faulty{Store: r.store}
	r.start(f, "boot-1")
	return r, f
}

func TestNothingIsSentWhenItsRecordCannotBeWritten(t *testing.T) {
	for name, after := range map[string]bool{"not written": false, "written, but who knows": true} {
		t.Run(name, func(t *testing.T) {
			r, f := newFaultyRig(t)
			p := newPlugin()
			if after {
				f.fail(1, nil, errDisk)
			} else {
				f.fail(1, errDisk, nil)
			}
			if _, err := r.Submit(context.Background(), request(model.PowerCycle, p)); err == nil {
				t.Fatal("the run was accepted")
			}
			// The next request finds out what became of the first.
			r.done(by("bob", request(model.PowerCycle, p)), p)
			if len(p.called) != 0 {
				t.Error("the first was sent")
			}
			runs := r.List("machines", "u1")
			if after != (len(runs) == 2) {
				t.Fatalf("%d runs", len(runs))
			}
			if after {
				wantText(t, r.state(runs[1].ID, model.RunFailed).Error.Error(), "never sent")
			}
		})
	}
}

func TestOutcomeIsWrittenOnceTheStoreIsWell(t *testing.T) {
	for name, after := range map[string]bool{"not written": false, "written, but who knows": true} {
		t.Run(name, func(t *testing.T) {
			r, f := newFaultyRig(t)
			p := newPlugin()
			q := request(model.PowerCycle, p)
			q.Timeout = time.Second
			ticket := r.submit(q)
			p.reached(t)
			if after {
				f.fail(1, nil, errDisk)
			} else {
				f.fail(3, errDisk, nil)
			}
			p.answers(`{"power":"on"}`)
			r.eventually("the failure", func() bool { return strings.Contains(r.log.String(), "cannot write the outcome") })
			r.clock.forward(time.Hour) // an answer that came is worth more than a deadline that passed
			r.eventually("the outcome", func() bool {
				run, err := r.Get(context.Background(), ticket.ID())
				return err == nil && run.State != model.RunSent
			})
			if run := r.wait(ticket); run.State != model.RunDone || string(run.Result) != `{"power":"on"}` {
				t.Errorf("it ended %s: %v", run.State, run.Error)
			}
			r.crash("boot-2")
			r.state(ticket.ID(), model.RunDone)
			if n := r.records("u1"); n != 2 {
				t.Errorf("%d records, want 2", n)
			}
			if strings.Contains(r.log.String(), "an answer came after its run had ended") {
				t.Error("the answer is said to have been late")
			}
		})
	}
}

func TestQueuedRunWhoseSentRecordIsDoubtfulIsNotSent(t *testing.T) {
	r, f := newFaultyRig(t)
	p := newPlugin()
	var ready atomic.Bool
	q := request(model.PowerCycle, p)
	q.Ready = ready.Load
	ticket := r.submit(q)
	f.fail(1, nil, errDisk)
	ready.Store(true)
	r.eventually("the end", func() bool {
		run, err := r.Get(context.Background(), ticket.ID())
		return err == nil && run.State.Terminal()
	})
	wantText(t, r.state(ticket.ID(), model.RunFailed).Error.Error(), "never sent")
	if len(p.called) != 0 {
		t.Error("it was sent")
	}
}

// TestCloseKeepsTheOutcomeItHas has Close end its waiting for one run while the
// outcome of another has come and is not written.
func TestCloseKeepsTheOutcomeItHas(t *testing.T) {
	r, f := newFaultyRig(t)
	p := newPlugin()
	answered := r.submit(request(model.PowerCycle, p))
	p.reached(t)
	q := request(model.PowerCycle, newPlugin())
	q.Key = "u2"
	out := r.submit(q)
	f.fail(1, errDisk, nil)
	p.answers(`{}`)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !answered.e.unwritten.Load(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the outcome has not come")
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, r.Manager.Close(ended))
	r.state(answered.ID(), model.RunDone)
	r.state(out.ID(), model.RunUnknown)
}

func TestCloseTellsWhatItCouldNotWrite(t *testing.T) {
	r, f := newFaultyRig(t)
	p := newPlugin()
	r.submit(request(model.PowerCycle, p))
	p.reached(t)
	f.fail(-1, errDisk, nil)
	p.answers(`{}`)
	err := r.Manager.Close(context.Background())
	if err == nil {
		t.Fatal("Close says nothing")
	}
	wantText(t, err.Error(), "cannot write the outcome of 1 runs")
	f.fail(0, nil, nil)
	r.start(nil, "boot-2")
	if run := r.List("machines", "u1")[0]; run.State != model.RunUnknown {
		t.Errorf("after the restart it is %s", run.State)
	}
}

// TestAFullStoreStartsNothingAndLosesNothing fills the store while a run is out.
func TestAFullStoreStartsNothingAndLosesNothing(t *testing.T) {
	r, f := newFaultyRig(t)
	p := newPlugin()
	first := r.submit(request(model.PowerCycle, p))
	p.reached(t)
	f.fill(errDisk)
	q := request(model.PowerOn, p)
	q.Key = "u2"
	if _, err := r.Submit(context.Background(), q); !errors.Is(err, errDisk) {
		t.Errorf("a new run: %v", err)
	}
	if again := r.submit(request(model.PowerCycle, p)); again.ID() != first.ID() {
		t.Error("a repetition did not join")
	}
	p.fails(model.Errorf(model.UnknownOutcome, "no reply"))
	if run := r.wait(first); run.State != model.RunUnknown {
		t.Errorf("the run ended %s", run.State)
	}
	must(t, r.Release(context.Background(), first.ID(), "bob", "saw on"))
	f.fill(nil)
	r.done(request(model.PowerReset, p), p)
}

// TestManyRequestsForOneMachine races clients of all kinds: whatever they get,
// no two sends ever overlap.
func TestManyRequestsForOneMachine(t *testing.T) {
	r := newRig(t)
	var live, sends, refused atomic.Int64
	send := func(context.Context) (json.RawMessage, error) {
		if live.Add(1) != 1 {
			t.Error("two runs of one machine are live at once")
		}
		sends.Add(1)
		live.Add(-1)
		return json.RawMessage(`{}`), nil
	}
	commands := []string{model.PowerOn, model.PowerOff, model.PowerCycle, model.PowerReset}
	var clients sync.WaitGroup
	tickets := make(chan *Ticket, 1000)
	for c := range 32 {
		clients.Go(func() {
			for i := range 10 {
				q := request(commands[(c+i)%4], nil)
				q.Principal, q.Digest, q.Send = fmt.Sprint("client", c), fmt.Sprint(c, i), send
				ticket, err := r.Submit(context.Background(), q)
				switch {
				case err == nil:
					tickets <- ticket
				case model.KindOf(err) == model.Conflict:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	close(tickets)
	for ticket := range tickets {
		if run := r.wait(ticket); run.State != model.RunDone {
			t.Errorf("%s ended %s: %v", run.Command, run.State, run.Error)
		}
	}
	if sends.Load()+refused.Load() != 320 || sends.Load() == 0 {
		t.Errorf("%d sends, %d refused of 320", sends.Load(), refused.Load())
	}
	r.inOrder()
}

// inOrder fails the test unless every transition that was told begins where the
// one before it ended: one machine has one live run.
func (r *rig) inOrder() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, event := range r.events {
		var command, was, is string
		if n, err := fmt.Sscanf(event, "%s -> %s", &command, &is); err != nil || n != 2 {
			if _, err := fmt.Sscanf(event, "%s %s -> %s", &command, &was, &is); err != nil {
				r.t.Fatalf("event %q", event)
			}
		}
		if wantSent := i%2 == 0; wantSent != (is == "sent") || wantSent != (was == "") {
			r.t.Fatalf("event %d is %q: out of order", i, event)
		}
	}
}

// TestTwoProcessesOnOneMachine has two Managers with boot ids of their own on
// one log, as two replicas would be: the compare-and-set alone keeps them apart.
func TestTwoProcessesOnOneMachine(t *testing.T) {
	r := newRig(t)
	other := New(Options{Store: r.store, Boot: "boot-other", Now: r.clock.Now, Ticks: make(chan time.Time)})
	must(t, other.Recover(context.Background()))
	defer func() { must(t, other.Close(context.Background())) }()
	var live, sends atomic.Int64
	send := func(context.Context) (json.RawMessage, error) {
		if live.Add(1) != 1 {
			t.Error("two runs of one machine are live at once")
		}
		sends.Add(1)
		live.Add(-1)
		return json.RawMessage(`{}`), nil
	}
	var clients sync.WaitGroup
	var refused atomic.Int64
	for c := range 8 {
		m := []*Manager{r.Manager, other}[c%2]
		clients.Go(func() {
			for i := range 20 {
				q := request(model.PowerCycle, nil)
				q.Principal, q.Digest, q.Send = fmt.Sprint("client", c), fmt.Sprint(c, i), send
				ticket, err := m.Submit(context.Background(), q)
				switch {
				case err == nil:
					if run := r.wait(ticket); run.State != model.RunDone {
						t.Errorf("it ended %s: %v", run.State, run.Error)
					}
				case model.KindOf(err) == model.Conflict || model.KindOf(err) == model.Busy:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	if sends.Load()+refused.Load() != 160 || sends.Load() < 2 {
		t.Errorf("%d sends, %d refused of 160", sends.Load(), refused.Load())
	}
}

func TestAnotherProcessRunIsSeenAfterALostCompareAndSet(t *testing.T) {
	r := newRig(t)
	other := New(Options{Store: r.store, Boot: "boot-other", Now: r.clock.Now, Ticks: make(chan time.Time)})
	must(t, other.Recover(context.Background()))
	defer func() { must(t, other.Close(context.Background())) }()
	p := newPlugin()
	first := r.submit(request(model.PowerCycle, p))
	p.reached(t)
	_, err := other.Submit(context.Background(), by("bob", request(model.PowerReset, newPlugin())))
	if model.KindOf(err) != model.Conflict {
		t.Fatalf("the other process started a run beside a live one: %v", err)
	}
	wantText(t, err.Error(), "powercycle by ada is in progress (run "+first.ID()+")")
	p.answers(`{}`)
	r.wait(first)
	p2 := newPlugin()
	p2.answers(`{}`)
	second, err := other.Submit(context.Background(), by("bob", request(model.PowerReset, p2)))
	must(t, err)
	r.wait(second)
}
