package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/outbox"
)

const token = "xoxb-not-a-real-token"

// workspace starts a simulated Slack and a configured notifier that posts to it.
func workspace(t *testing.T) (*simslack.Server, *notifier, *bytes.Buffer) {
	t.Helper()
	return paced(t, time.Millisecond)
}

// paced is a workspace whose notifier takes its time between messages.
func paced(t *testing.T, pace time.Duration) (*simslack.Server, *notifier, *bytes.Buffer) {
	t.Helper()
	sim, err := simslack.New(simslack.Options{Token: token, Channels: []string{"C1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	n, log := newNotifier(), new(bytes.Buffer)
	n.pace = pace
	n.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	if err := n.Config(t.Context(), nil, params(t, sim.URL())); err != nil {
		t.Fatal(err)
	}
	return sim, n, log
}

// params are those of a plugin with an outbox of its own.
func params(t *testing.T, url string) model.Params {
	return model.Params{"Name": "slack", paramToken: token, paramURL: url, paramChannel: "C1", paramDir: t.TempDir()}
}

// posts waits for a number of messages.
func posts(t *testing.T, sim *simslack.Server, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sim.Wait(ctx, func(m []simslack.Message) bool { return len(m) >= want }); err != nil {
		t.Fatal(err)
	}
}

// stop ends a notifier within the test's patience and returns what it says.
func stop(t *testing.T, n *notifier) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return n.Stop(ctx)
}

// runEvent is the event of a run that ended.
func runEvent(run model.Run) *model.Event {
	run.Created = time.Unix(1000, 0)
	run.Ended = run.Created.Add(1400 * time.Millisecond)
	return &model.Event{Type: "runs", Action: "update", Key: run.ID, Object: run}
}

func result(t *testing.T, r model.Result) json.RawMessage {
	t.Helper()
	raw, err := model.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestPostsHowActionsEnd(t *testing.T) {
	sim, n, _ := workspace(t)
	no := false
	events := []*model.Event{
		runEvent(model.Run{Key: "u1", Name: "m1", Command: "powercycle", State: model.RunDone, Principal: "admin", Reason: "stuck <kernel>",
			Result: result(t, model.Result{Power: model.StateOn, Outcome: model.Verified, Evidence: "off at 0.3s, on at 1.1s"})}),
		runEvent(model.Run{Key: "u2", Name: "m2", Command: "poweron", State: model.RunDone, Principal: "admin",
			Result: result(t, model.Result{Power: model.StateOn, Outcome: model.Verified, Changed: &no})}),
		runEvent(model.Run{Key: "u3", Name: "m3", Command: "poweron", State: model.RunFailed, Principal: "admin",
			Error: model.Errorf(model.DeviceAuth, "cannot poweron m3: password refused")}),
		runEvent(model.Run{Key: "u4", Name: "m4", Command: "powerreset", State: model.RunUnknown, Principal: "admin",
			Error: model.Errorf(model.UnknownOutcome, "no reply")}),
		runEvent(model.Run{Key: "u5", Name: "m5", Command: "poweron", State: model.RunSent}),
		{Type: "machines", Action: "power", Key: "u1", Object: model.PowerChange{Name: "m1", Uuid: "u1", Was: model.StateOff, Power: model.StateOn}},
		{Type: "machines", Action: "power", Key: "u6", Object: model.PowerChange{Name: "m6", Uuid: "u6", Was: model.StateOn, Power: model.StateOff}},
		{Type: "machines", Action: "poweron", Key: "u1", Object: model.NewMachine("m1")},
		{Type: "machines", Action: "update", Key: "u1", Object: model.NewMachine("m1")},
	}
	for _, e := range events {
		if err := n.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range sim.Messages() {
		got = append(got, strings.Split(m.Text, "\n")...)
	}
	slices.Sort(got) // each is a message of its own; only those of one object are in order
	want := []string{
		":white_check_mark: m1 powercycle: verified; off at 0.3s, on at 1.1s (admin, stuck &lt;kernel&gt;, 1.4s)",
		":warning: poweron, admin: 2 of 2 done, 1 error", // the line of m2, which counts m3 too
		":x: m3 poweron failed: device-auth: cannot poweron m3: password refused (admin, 1.4s)",
		":warning: m4 powerreset: outcome unknown, look before you act: unknown-outcome: no reply (admin, 1.4s)",
		":electric_plug: m6 is now off (was on)",
	}
	slices.Sort(want)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("posted\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWaitsAsSlackAsks(t *testing.T) {
	sim, n, _ := workspace(t)
	sim.Fail("chat.postMessage", simslack.Fault{Status: 429, Error: "ratelimited", RetryAfter: "1"})
	publish(t, n, "m1")
	posts(t, sim, 1)
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	if sim.Calls("chat.postMessage") != 2 || len(sim.Messages()) != 1 {
		t.Errorf("%d calls, %d messages, want 2 and 1", sim.Calls("chat.postMessage"), len(sim.Messages()))
	}
}

// An answer that leaves open whether the message was posted must not post twice.
func TestAmbiguousAnswerIsLookedUp(t *testing.T) {
	for _, posted := range []bool{true, false} {
		sim, n, _ := workspace(t)
		sim.Fail("chat.postMessage", simslack.Fault{Status: 500, Posted: posted})
		publish(t, n, "m1")
		posts(t, sim, 1)
		if err := stop(t, n); err != nil {
			t.Fatal(err)
		}
		if len(sim.Messages()) != 1 || sim.Calls("conversations.history") != 1 {
			t.Errorf("posted %v: %d messages, %d lookups", posted, len(sim.Messages()), sim.Calls("conversations.history"))
		}
	}
}

// The token goes where it was configured to go, and nowhere else.
func TestRedirectIsNotFollowed(t *testing.T) {
	var calls atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer other.Close()
	slack := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer slack.Close()
	n := newNotifier()
	defer n.http.CloseIdleConnections()
	if err := n.Config(t.Context(), nil, params(t, slack.URL)); err != nil {
		t.Fatal(err)
	}
	publish(t, n, "m1")
	if err := stop(t, n); err != nil || calls.Load() != 0 {
		t.Errorf("followed %d times, error %v", calls.Load(), err)
	}
}

// Nothing is taken that nobody will post.
func TestEventAfterStop(t *testing.T) {
	_, n, _ := workspace(t)
	publish(t, n, "m1")
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	e := &model.Event{Type: "machines", Action: "power", Object: model.PowerChange{Name: "m2", Uuid: "m2", Power: model.StateOn}}
	if err := n.Publish(t.Context(), e); model.KindOf(err) != model.Busy {
		t.Errorf("error %v", err)
	}
	if err := newNotifier().Publish(t.Context(), e); model.KindOf(err) != model.Busy {
		t.Errorf("before it is configured: %v", err)
	}
}

func publish(t *testing.T, n *notifier, names ...string) {
	t.Helper()
	for _, name := range names {
		e := &model.Event{Type: "machines", Action: "power", Object: model.PowerChange{Name: name, Uuid: name, Power: model.StateOn}}
		if err := n.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStorm(t *testing.T) {
	sim, n, _ := paced(t, 0)
	const machines = 300
	for i := range machines {
		publish(t, n, fmt.Sprintf("rack%03d", i))
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, m := range sim.Messages() {
		lines += len(strings.Split(m.Text, "\n"))
		if len([]rune(m.Text)) > 4000 {
			t.Errorf("a message of %d characters", len([]rune(m.Text)))
		}
	}
	if lines != machines || len(sim.Messages()) > 10 {
		t.Errorf("%d lines in %d messages, want %d in at most 10", lines, len(sim.Messages()), machines)
	}
}

func TestConfig(t *testing.T) {
	sim, _, _ := func() (*simslack.Server, *notifier, *bytes.Buffer) {
		s, n, log := workspace(t)
		t.Cleanup(func() { stop(t, n) })
		return s, n, log
	}()
	for name, tc := range map[string]struct {
		change func(model.Params)
		want   string
	}{
		"no token":      {func(p model.Params) { delete(p, paramToken) }, "set param slack/bot-token"},
		"two tokens":    {func(p model.Params) { p[paramKey] = "other" }, "keep one"},
		"no channel":    {func(p model.Params) { delete(p, paramChannel) }, "set param slack/default-channel"},
		"token type":    {func(p model.Params) { p[paramToken] = 5 }, "must be a string"},
		"budget":        {func(p model.Params) { p[paramBudget] = 5000 }, "slack/messages-per-minute"},
		"in doubt":      {func(p model.Params) { p[paramDoubt] = "perhaps" }, `"perhaps" is neither at-least-once nor at-most-once`},
		"redact":        {func(p model.Params) { p[paramRedact] = []any{"("} }, "param slack/redact: pattern 1"},
		"address":       {func(p model.Params) { p[paramURL] = "slack" }, "is not an address"},
		"plain http":    {func(p model.Params) { p[paramURL] = "http://slack.example/api/" }, "must be https"},
		"refused token": {func(p model.Params) { p[paramToken] = "xoxb-wrong-token" }, "refused the bot token (invalid_auth)"},
	} {
		t.Run(name, func(t *testing.T) {
			p := params(t, sim.URL())
			tc.change(p)
			err := newNotifier().Config(t.Context(), nil, p)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "xoxb-wrong-token") {
				t.Errorf("the error quotes the token: %v", err)
			}
		})
	}
	if sim.Calls("auth.test") == 0 {
		t.Error("the token was never checked")
	}
}

// The reference's name of the token works, and so does a Slack that is down.
func TestConfigWhenSlackIsDown(t *testing.T) {
	sim, n, _ := workspace(t)
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	url := sim.URL()
	sim.Close()
	down, log := newNotifier(), new(bytes.Buffer)
	down.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
	p := params(t, url)
	p[paramKey], p[paramToken] = token, nil
	if err := down.Config(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	publish(t, down, "m1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := down.Stop(ctx); err != nil || !strings.Contains(log.String(), "wait for the next start") {
		t.Errorf("stop said %v, the log %s", err, log)
	}
	if strings.Contains(log.String(), token) {
		t.Error("the log has the token")
	}
	// It is posted once Slack is there again, by the next process.
	back, err := simslack.New(simslack.Options{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	next := newNotifier()
	p[paramURL] = back.URL()
	if err := next.Config(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	posts(t, back, 1)
	if err := stop(t, next); err != nil || len(back.Messages()) != 1 {
		t.Errorf("%v, posted %+v", err, back.Messages())
	}
}

func act(t *testing.T, n *notifier, command string) (any, error) {
	t.Helper()
	return n.Action(t.Context(), &model.Action{Command: command})
}

// gaveUp waits for a message that is given up.
func gaveUp(t *testing.T, n *notifier) outbox.Status {
	t.Helper()
	tick, limit := time.NewTicker(time.Millisecond), time.NewTimer(time.Minute)
	defer tick.Stop()
	defer limit.Stop()
	for {
		v, err := act(t, n, actionStatus)
		if err != nil {
			t.Fatal(err)
		}
		if status, ok := v.(outbox.Status); ok && len(status.Dead) > 0 {
			return status
		}
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("nothing is given up: %+v", v)
		}
	}
}

// What cannot be posted is told by status, and taken up again on request.
func TestDeadLetters(t *testing.T) {
	sim, n, _ := workspace(t)
	sim.Fail("chat.postMessage", simslack.Fault{Error: "is_archived"})
	publish(t, n, "m1")
	status := gaveUp(t, n) // what is published before may share the message
	if !strings.Contains(status.Dead[0].Why, "is_archived") {
		t.Errorf("status %+v", status)
	}
	publish(t, n, "m2")
	posts(t, sim, 1)
	if _, err := act(t, n, actionRetry); err != nil {
		t.Error(err)
	}
	posts(t, sim, 2)
	if _, err := act(t, n, "poweron"); model.KindOf(err) != model.Unsupported {
		t.Errorf("another action: %v", err)
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	if _, err := act(t, n, actionStatus); model.KindOf(err) != model.Busy {
		t.Errorf("after the stop: %v", err)
	}
}

// A plugin that is configured anew goes on at once with what waits, be it for
// another token, and leaves it where it was when it moves.
func TestConfiguredAnew(t *testing.T) {
	sim, n, _ := workspace(t)
	p := params(t, sim.URL())
	elsewhere := p[paramDir]
	p[paramDir] = n.config.dir
	sim.Fail("chat.postMessage", simslack.Fault{Error: "token_revoked"})
	publish(t, n, "m1")
	asked(t, sim, 1)
	if err := n.Config(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	posts(t, sim, 1)
	p[paramDir] = elsewhere
	if err := n.Config(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	publish(t, n, "m2")
	posts(t, sim, 2)
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
}

// asked waits until a number of posts was asked for.
func asked(t *testing.T, sim *simslack.Server, want int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for sim.Calls("chat.postMessage") < want {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("no post was asked for")
		}
	}
}

func TestDefinition(t *testing.T) {
	d := definition()
	if d.Name != "slack" || !d.HasPublish || d.AutoStart || d.PluginVersion != 4 {
		t.Errorf("defined %+v", d)
	}
}

// A channel may be given by its name, also while Slack is down; the name is looked
// up when there is something to post.
func TestChannelByNameWhileSlackIsDown(t *testing.T) {
	sim, err := simslack.New(simslack.Options{Token: token, Channels: []string{"C1=lab", "C2=ops"}})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	must(t, sim.Down())
	n := newNotifier()
	n.pace, n.rest = time.Millisecond, 20*time.Millisecond
	p := params(t, sim.URL())
	p[paramChannel] = "#ops"
	must(t, n.Config(t.Context(), nil, p))
	must(t, n.Publish(t.Context(), &model.Event{Type: "machines", Action: "create", Key: "m1", Object: model.NewMachine("m1")}))
	must(t, sim.Up())
	posts(t, sim, 1)
	must(t, stop(t, n))
	if m := sim.Messages()[0]; m.Channel != "C2" || !strings.Contains(m.Text, "m1") {
		t.Errorf("posted %+v", m)
	}
}
