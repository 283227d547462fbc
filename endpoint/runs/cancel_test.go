package runs

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestCancel(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	p := newPlugin()
	q := request(model.PowerCycle, p)
	q.Ready = func() bool { return false }
	ticket := r.submit(q)
	must(t, r.Cancel(ctx, ticket.ID(), "bob"))
	run := r.wait(ticket)
	if run.State != model.RunFailed {
		t.Fatalf("a cancelled run is %s", run.State)
	}
	if kind := run.Error.Kind(); kind != model.Unreachable {
		t.Errorf("kind %s: what was never sent has one kind", kind)
	}
	wantText(t, run.Error.Error(), "powercycle of machines/m1", "cancelled by bob, never sent")
	r.tick()

	sent := r.submit(by("carl", request(model.PowerCycle, p)))
	p.reached(t)
	err := r.Cancel(ctx, sent.ID(), "bob")
	if model.KindOf(err) != model.Conflict {
		t.Fatalf("cancel of a sent run: %v", err)
	}
	wantText(t, err.Error(), "already sent, ends by 2026-11-20T12:03:20Z")
	p.answers(`{}`)
	r.wait(sent)
	if err := r.Cancel(ctx, sent.ID(), "bob"); model.KindOf(err) != model.Conflict {
		t.Errorf("cancel of an ended run: %v", err)
	}
	if err := r.Cancel(ctx, "nothing", "bob"); model.KindOf(err) != model.NotFound {
		t.Errorf("cancel of nothing: %v", err)
	}
	if len(p.called) != 0 {
		t.Error("the cancelled run was sent")
	}
}

// A run whose action bears it is given up although it was sent: its request is
// closed, and what comes of it later changes nothing.
func TestCancelOfACancellableRun(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	closed := make(chan string, 1)
	q := request("scan", nil)
	q.Cancellable, q.Class = true, model.Idempotent
	q.Log = func(run string) string { return "tail of " + run }
	begun := make(chan struct{})
	q.Send = func(ctx context.Context) (json.RawMessage, error) {
		close(begun)
		<-ctx.Done()
		closed <- RunOf(ctx)
		return json.RawMessage(`"too late"`), nil
	}
	ticket := r.submit(q)
	<-begun
	must(t, r.Cancel(ctx, ticket.ID(), "bob"))
	run := r.wait(ticket)
	if run.State != model.RunFailed || run.Error.Kind() != model.Conflict || run.Log != "tail of "+ticket.ID() {
		t.Errorf("a cancelled run is %+v", run)
	}
	wantText(t, run.Error.Error(), "cannot finish scan of machines/m1", "cancelled by bob", "after it was sent at 2026-")
	if id := <-closed; id != ticket.ID() {
		t.Errorf("run %q was closed, want %s", id, ticket.ID())
	}
	r.eventually("the late answer in the log", func() bool { return strings.Contains(r.log.String(), "an answer came after its run had ended") })
	if run := r.state(ticket.ID(), model.RunFailed); run.Result != nil {
		t.Errorf("the late answer was kept: %s", run.Result)
	}
	if err := r.Cancel(ctx, ticket.ID(), "bob"); model.KindOf(err) != model.Conflict {
		t.Errorf("cancelled twice: %v", err)
	}
	p := newPlugin()
	r.done(request(model.PowerOff, p), p) // the machine is free again
}

// What is cancelled and cannot be recorded goes on.
func TestCancelThatCannotBeWrittenClosesNothing(t *testing.T) {
	r, store := newFaultyRig(t)
	p := newPlugin()
	q := request("scan", p)
	q.Cancellable = true
	ticket := r.submit(q)
	p.reached(t)
	store.fail(1, model.Errorf(model.Internal, "cannot write: the disk is gone"), nil)
	if err := r.Cancel(context.Background(), ticket.ID(), "bob"); model.KindOf(err) != model.Internal {
		t.Fatalf("cancelled without a record: %v", err)
	}
	p.answers(`"whole"`)
	if run := r.wait(ticket); run.State != model.RunDone || string(run.Result) != `"whole"` {
		t.Errorf("run %+v", run)
	}
}

// From the first moment of a shutdown nothing new begins; what was sent may
// still answer.
func TestRefusedFromTheFirstMomentOfAShutdown(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	ticket := r.submit(request(model.PowerOff, p))
	p.reached(t)
	if r.Refusing() {
		t.Error("it refuses before it is told to")
	}
	r.Refuse()
	if !r.Refusing() {
		t.Error("it does not say that it refuses")
	}
	other := request(model.PowerOff, p)
	other.Key = "u2"
	if _, err := r.Submit(context.Background(), other); model.KindOf(err) != model.Busy {
		t.Errorf("a new run during a shutdown: %v", err)
	}
	p.answers(`{}`)
	if run := r.wait(ticket); run.State != model.RunDone {
		t.Errorf("run %+v", run)
	}
}

// The log is kept whatever ends the run.
func TestALogOutlivesALostAnswer(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	q := request(model.PowerCycle, p)
	q.Log = func(string) string { return "chassis control sent" }
	ticket := r.submit(q)
	p.reached(t)
	r.later(q.Timeout + model.ActionOf(model.PowerCycle, nil).Timeout + 2*margin)
	if run := r.wait(ticket); run.State != model.RunUnknown || run.Log != "chassis control sent" {
		t.Errorf("run %+v", run)
	}
}
