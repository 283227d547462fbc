package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

func TestSentIsDurableBeforeSendAndDoneBeforeTheAnswer(t *testing.T) {
	r := newRig(t)
	var atSend store.Record
	q := request(model.PowerCycle, newPlugin())
	q.Params, q.Reason = model.Params{"oob/timeout": json.Number("5")}, "maintenance"
	q.Send = func(ctx context.Context) (json.RawMessage, error) {
		var err error
		atSend, err = r.store.LastRecord(ctx, "machines", "u1")
		return json.RawMessage(`{"power":"on","outcome":"verified"}`), err
	}
	ticket := r.submit(q)
	run := r.wait(ticket)
	atEnd, err := r.store.LastRecord(context.Background(), "machines", "u1")
	must(t, err)
	wantText(t, string(atSend.Data), `"State":"sent"`, `"Command":"powercycle"`, `"oob/timeout":5`, `"Principal":"ada"`, `"Reason":"maintenance"`)
	wantText(t, string(atEnd.Data), `"State":"done"`, `"outcome":"verified"`)
	if string(run.Result) != `{"power":"on","outcome":"verified"}` || run.Ended.IsZero() || run.Site != "local" || run.Boot != "boot-1" {
		t.Errorf("the run ended as %+v", run)
	}
	if want := run.Sent.Add(180*time.Second + 20*time.Second); !run.Deadline.Equal(want) {
		t.Errorf("the deadline is %s, want %s", run.Deadline, want)
	}
	if got := r.told(); got != "powercycle:  -> sent, powercycle: sent -> done" {
		t.Errorf("told: %s", got)
	}
}

func TestOutcomes(t *testing.T) {
	r := newRig(t)
	for i, c := range []struct {
		reply reply
		want  model.RunState
		kind  model.Kind
	}{
		{reply{result: `{"power":"off"}`}, model.RunDone, ""},
		{reply{result: ``}, model.RunDone, ""},
		{reply{err: model.Errorf(model.Unreachable, "refused; never sent")}, model.RunFailed, model.Unreachable},
		{reply{err: model.Errorf(model.Busy, "busy with poweroff").After(time.Second)}, model.RunFailed, model.Busy},
		{reply{err: model.Errorf(model.DeviceAuth, "wrong password")}, model.RunFailed, model.DeviceAuth},
		{reply{err: model.Errorf(model.Timeout, "still off")}, model.RunFailed, model.Timeout},
		{reply{err: errors.New("something else")}, model.RunFailed, model.Internal},
		{reply{err: fmt.Errorf("plugin: %w", model.Errorf(model.UnknownOutcome, "no reply"))}, model.RunUnknown, model.UnknownOutcome},
		{reply{err: fmt.Errorf("plugin: %w", context.DeadlineExceeded)}, model.RunUnknown, model.UnknownOutcome},
	} {
		p := newPlugin()
		p.answer <- c.reply
		q := request(model.PowerOff, p)
		q.Key = fmt.Sprint("u", i)
		run := r.wait(r.submit(q))
		if run.State != c.want || c.kind != "" && (run.Error == nil || run.Error.Kind() != c.kind) || c.kind == "" && run.Error != nil {
			t.Errorf("%+v ends as %s, %v", c.reply, run.State, run.Error)
		}
		if c.kind == model.Busy && run.Error.RetryAfter != time.Second {
			t.Errorf("Retry-After is lost: %+v", run.Error)
		}
	}
}

func TestResultsAndLogsAreBounded(t *testing.T) {
	r := newRig(t)
	big := `{"pad":"` + strings.Repeat("x", 100_000) + `"}`
	for i, c := range []struct{ result, want string }{
		{big, big},
		{`"` + strings.Repeat("x", maxResult) + `"`, `{"note":"the result has 4161538 bytes and was not kept"}`},
		{"garbage", `{"note":"the result was not JSON and was not kept"}`},
	} {
		p := newPlugin()
		p.answers(c.result)
		q := request(model.PowerOff, p)
		q.Key = fmt.Sprint("u", i)
		q.Log = func(string) string { return strings.Repeat("ü", maxLog) + "the end" }
		run := r.wait(r.submit(q))
		if string(run.Result) != c.want {
			t.Errorf("%.20s… is kept as %.80s…", c.result, run.Result)
		}
		if len(run.Log) > maxLog || !strings.HasSuffix(run.Log, "üthe end") || !strings.HasPrefix(run.Log, "ü") {
			t.Errorf("a log of %d bytes is kept: %.10q…", len(run.Log), run.Log)
		}
		if head := r.List("machines", q.Key)[0]; head.Log != "" || head.Result != nil || head.State != model.RunDone {
			t.Errorf("the list has more than the head of a long run")
		}
	}
}

func TestCallerLeavingEndsOnlyTheWaiting(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	ctx, leave := context.WithCancel(context.Background())
	ticket, err := r.Submit(ctx, request(model.PowerCycle, p))
	must(t, err)
	p.reached(t)
	leave()
	_, err = ticket.Wait(ctx)
	if model.KindOf(err) != model.Timeout || !errors.Is(err, context.Canceled) {
		t.Errorf("Wait of a caller who left: %v", err)
	}
	r.state(ticket.ID(), model.RunSent)
	p.answers(`{}`)
	if run := r.wait(ticket); run.State != model.RunDone {
		t.Errorf("the run ended %s: %v", run.State, run.Error)
	}
}

func TestEndedCallerStartsNothing(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p := newPlugin()
	_, err := r.Submit(ctx, request(model.PowerCycle, p))
	if model.KindOf(err) != model.Timeout {
		t.Errorf("Submit of a caller who left: %v", err)
	}
	r.done(request(model.PowerCycle, p), p)
}

func TestRequestsThatCannotBeRuns(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	for name, spoil := range map[string]func(*Request){
		"no command":     func(q *Request) { q.Command = "" },
		"nothing sends":  func(q *Request) { q.Send = nil },
		"a read":         func(q *Request) { q.Class = model.Read },
		"no class":       func(q *Request) { q.Class = "" },
		"half an object": func(q *Request) { q.Key = "" },
		"own prefix":     func(q *Request) { q.Prefix = systemPrefix },
	} {
		q := request(model.PowerOn, p)
		spoil(&q)
		if _, err := r.Submit(context.Background(), q); model.KindOf(err) != model.Internal || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if runs := r.List("", ""); len(runs) != 0 {
		t.Errorf("%d runs were recorded", len(runs))
	}
}

func TestQueuedRunIsSentOnceItsPluginIsReady(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	ready := make(chan struct{})
	q := request(model.PowerCycle, p)
	q.Timeout = time.Minute
	q.Ready = func() bool {
		select {
		case <-ready:
			return true
		default:
			return false
		}
	}
	ticket := r.submit(q)
	r.later(30 * time.Second)
	queued := r.state(ticket.ID(), model.RunQueued)
	if !queued.StartBy.Equal(queued.Created.Add(60*time.Second)) || !queued.Sent.IsZero() {
		t.Errorf("queued as %+v", queued)
	}
	if len(p.called) != 0 {
		t.Fatal("it was sent to a plugin that is not ready")
	}
	wantText(t, r.refused(request(model.PowerOff, p)), "powercycle by ada is in progress (run "+ticket.ID()+")", "ends by 2026-11-20T12:01:00Z")
	close(ready)
	r.tick()
	p.reached(t)
	sent := r.state(ticket.ID(), model.RunSent)
	if !sent.Deadline.Equal(r.clock.Now().Add(80 * time.Second)) {
		t.Errorf("the deadline counts from another time than sending: %+v", sent)
	}
	p.answers(`{}`)
	r.wait(ticket)
	if got := r.told(); got != "powercycle:  -> queued, powercycle: queued -> sent, powercycle: sent -> done" {
		t.Errorf("told: %s", got)
	}
}

func TestQueuedRunFailsWhenItsPluginDoesNotCome(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	q := request(model.PowerCycle, p)
	q.Ready = func() bool { return false }
	ticket := r.submit(q)
	r.later(59 * time.Second)
	r.state(ticket.ID(), model.RunQueued)
	r.later(time.Second)
	run := r.wait(ticket)
	if run.State != model.RunFailed || run.Error.Kind() != model.Unreachable || len(p.called) != 0 {
		t.Fatalf("it ended %s, %v, and was sent %d times", run.State, run.Error, len(p.called))
	}
	wantText(t, run.Error.Error(), "powercycle of machines/m1", "not ready within 1m0s", "never sent")
	q.Ready = nil
	r.clock.forward(11 * time.Second)
	r.done(q, p)
}

func TestRunPastItsDeadlineIsUnknownAndALateAnswerLoses(t *testing.T) {
	r := newRig(t)
	p := newPlugin()
	q := request(model.PowerCycle, p)
	q.Timeout = 5 * time.Second
	ticket := r.submit(q)
	p.reached(t)
	r.later(25 * time.Second)
	r.state(ticket.ID(), model.RunSent)
	r.later(time.Second)
	run := r.wait(ticket)
	if run.State != model.RunUnknown || run.Error.Kind() != model.UnknownOutcome {
		t.Fatalf("it ended %s, %v", run.State, run.Error)
	}
	wantText(t, run.Error.Error(), "cannot tell whether powercycle of machines/m1 was executed", "no answer came by its deadline",
		"sent at 2026-11-20T12:00:00Z", "powerstatus", "oob/after-unknown="+ticket.ID())
	p.answers(`{"power":"on"}`)
	r.eventually("the late answer", func() bool { return strings.Contains(r.log.String(), "an answer came after its run had ended") })
	if after := r.state(ticket.ID(), model.RunUnknown); after.Result != nil {
		t.Errorf("the late answer was written: %s", after.Result)
	}
	if got := r.told(); got != "powercycle:  -> sent, powercycle: sent -> unknown" {
		t.Errorf("told: %s", got)
	}
}

func TestSendThatNeverComesBackIsCancelledInTheEnd(t *testing.T) {
	r := newRig(t)
	back := make(chan error, 1)
	q := request(model.PowerCycle, newPlugin())
	q.Timeout = time.Second
	q.Send = func(ctx context.Context) (json.RawMessage, error) {
		<-ctx.Done()
		back <- ctx.Err()
		return nil, ctx.Err()
	}
	ticket := r.submit(q)
	r.later(22 * time.Second)
	r.wait(ticket)
	if len(back) != 0 {
		t.Fatal("Send was cancelled at its deadline; it may still have something to tell")
	}
	r.later(time.Minute)
	select {
	case <-back:
	case <-time.After(patience):
		t.Fatal("Send is never cancelled")
	}
}

func TestActionsOnTheEndpointItself(t *testing.T) {
	r := newRig(t)
	p, p2 := newPlugin(), newPlugin()
	q := Request{Command: "rotate", Class: model.Once, Principal: "ada", Digest: "d", Send: p.Send}
	one := r.submit(q)
	p.reached(t)
	if again := r.submit(q); again.ID() != one.ID() || !again.Repeated() {
		t.Error("the same action did not join")
	}
	other := q
	other.Digest, other.Send = "e", p2.Send
	two := r.submit(other) // one live run is a rule of machines
	p2.reached(t)
	p.fails(model.Errorf(model.UnknownOutcome, "lost"))
	p2.answers(`{}`)
	r.wait(one)
	r.wait(two)
	for _, id := range []string{one.ID(), two.ID()} {
		last, err := r.store.LastRecord(context.Background(), "system", id)
		must(t, err)
		wantText(t, string(last.Data), id, `"Prefix":"","Key":""`)
	}
	other.Digest = "f"
	p2.answers(`{}`)
	r.wait(r.submit(other)) // nor does an unknown one hold others back
	r.crash("boot-2")
	if runs := r.List("", ""); len(runs) != 3 {
		t.Errorf("%d runs after a restart, want 3", len(runs))
	}
	if again := r.submit(q); again.ID() != one.ID() {
		t.Error("the same action within seconds was sent again after a restart")
	}
}
