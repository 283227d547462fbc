package main

import (
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/notice"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/silence"
)

// again ends a plugin as its process does, and starts the next one on its state.
func again(t *testing.T, sim *simslack.Server, n *notifier) *notifier {
	t.Helper()
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	p := params(t, sim.URL())
	p[paramDir] = n.config.dir
	next := newNotifier()
	next.pace = n.pace
	if err := next.Config(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	next.place.buttons = n.place != nil && n.place.buttons
	return next
}

// settle waits until nothing waits to be posted.
func settle(t *testing.T, n *notifier) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		p, err := n.at()
		if err != nil {
			t.Fatal(err)
		}
		if p.box.Status().Waiting == 0 {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("messages wait for ever")
		}
	}
}

// root is the first message of the workspace.
func root(sim *simslack.Server) string {
	m := sim.Messages()[0]
	return m.Text + strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(m.Attachments))
}

// An incident that somebody looks after tells repeats in its message only, over a
// restart, until it gets worse or is over.
func TestAcknowledged(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunFailed, "m1")
	settle(t, n)
	if err := n.Ack(t.Context(), "machine:u-m1", "U0ADA"); err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	if got := root(sim); !strings.Contains(got, "acknowledged by <@U0ADA> at ") {
		t.Errorf("the root is %s", got)
	}
	n = again(t, sim, n)
	runs(t, n, model.RunFailed, "m1")
	settle(t, n)
	if got := root(sim); len(sim.Messages()) != 1 || !strings.Contains(got, "acknowledged by <@U0ADA>") {
		t.Errorf("a repeat is told:\n%s\n%s", told(sim), got)
	}
	runs(t, n, model.RunUnknown, "m1")
	settle(t, n)
	if got := root(sim); len(sim.Messages()) != 2 || strings.Contains(got, "acknowledged") {
		t.Errorf("it got worse:\n%s\n%s", told(sim), got)
	}
	if err := n.Ack(t.Context(), "machine:u-m1", "slack:U0BEA"); err != nil {
		t.Fatal(err)
	}
	runs(t, n, model.RunDone, "m1")
	if err := n.Ack(t.Context(), "machine:u-m1", "U0ADA"); model.KindOf(err) != model.NotFound {
		t.Errorf("it is over: %v", err)
	}
	wantTold(t, sim, n,
		":white_check_mark: m1 powercycle: verified (ada)",
		"1> :warning: m1 powercycle: outcome unknown, look before you act: no cause given (ada)",
		"1> :white_check_mark: m1 powercycle: verified (ada)")
	if err := n.Ack(t.Context(), "machine:u-m1", "U0ADA"); model.KindOf(err) != model.Busy {
		t.Errorf("after the stop: %v", err)
	}
}

// The message of a thread that stays as it is stays so; acknowledged repeats are
// not told at all.
func TestAcknowledgedThread(t *testing.T) {
	sim, n := office(t, `[{"mode":"thread","min_severity":"warning"}]`)
	runs(t, n, model.RunFailed, "m1", "m1")
	settle(t, n)
	if err := n.Ack(t.Context(), "machine:u-m1", "ops <!channel>"); err != nil {
		t.Fatal(err)
	}
	runs(t, n, model.RunFailed, "m1")
	runs(t, n, model.RunUnknown, "m1")
	settle(t, n)
	if got := root(sim); len(sim.Messages()) != 3 || !strings.Contains(got, "acknowledged by ops &lt;!channel&gt;") {
		t.Errorf("told\n%s\n%s", told(sim), got)
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
}

// Buttons are there for somebody to press them, and only what can still be done.
func TestButtons(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunFailed, "m1")
	settle(t, n)
	if got := root(sim); strings.Contains(got, "oob_") {
		t.Errorf("buttons for nobody: %s", got)
	}
	n.place.buttons = true
	runs(t, n, model.RunFailed, "m1")
	settle(t, n)
	got := root(sim)
	for _, want := range []string{`"block_id":"machine:u-m1"`, "oob_ack", "oob_silence_1h", "oob_silence_8h", "oob_cycle"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if err := n.Ack(t.Context(), "machine:u-m1", "U1"); err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	if got := root(sim); strings.Contains(got, "oob_ack") || !strings.Contains(got, "oob_cycle") {
		t.Errorf("once acknowledged: %s", got)
	}
	runs(t, n, model.RunDone, "m1")
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	if got := root(sim); strings.Contains(got, "oob_") {
		t.Errorf("over, with buttons: %s", got)
	}
}

// Nothing is told of a silent machine, but messages that are there stay true.
func TestSilence(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunFailed, "m1")
	settle(t, n)
	until := time.Now().Add(time.Hour)
	id, err := n.Silence(t.Context(), silence.Silence{Machines: []string{"m*"}, Until: until, By: "U0ADA", Reason: "moving <racks>"})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	if got := root(sim); !strings.Contains(got, "silenced by <@U0ADA> until ") || !strings.Contains(got, "moving") {
		t.Errorf("the root is %s", got)
	}
	n = again(t, sim, n)
	runs(t, n, model.RunFailed, "m1", "m2")
	publish(t, n, "m3")
	runs(t, n, model.RunDone, "m4")
	settle(t, n)
	if len(sim.Messages()) != 1 {
		t.Errorf("told in silence:\n%s", told(sim))
	}
	runs(t, n, model.RunDone, "m1")
	settle(t, n)
	if got := root(sim); len(sim.Messages()) != 1 || !strings.Contains(got, "resolved") {
		t.Errorf("the end is told in place:\n%s\n%s", told(sim), got)
	}
	if list := n.Silences(); len(list) != 1 || list[0].ID != id {
		t.Errorf("silences %+v", list)
	}
	if err := n.EndSilence(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	runs(t, n, model.RunFailed, "m1")
	settle(t, n)
	if len(sim.Messages()) != 2 {
		t.Errorf("after the silence:\n%s", told(sim))
	}
	if err := n.EndSilence(t.Context(), id); model.KindOf(err) != model.NotFound {
		t.Errorf("ended twice: %v", err)
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
}

// The end of a silence takes its mark off what still goes on.
func TestSilenceEnds(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunFailed, "m1")
	id, err := n.Silence(t.Context(), silence.Silence{Machines: []string{"m1"}, Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	if got := root(sim); !strings.Contains(got, "silenced by somebody") {
		t.Errorf("the root is %s", got)
	}
	if list, err := n.Incidents(); err != nil || len(list) != 1 || list[0].Machine != "m1" || list[0].TS == "" || list[0].Channel != "C1" || list[0].Silenced == nil {
		t.Errorf("incidents %+v, %v", list, err)
	}
	if err := n.EndSilence(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	settle(t, n)
	if got := root(sim); strings.Contains(got, "silenced") {
		t.Errorf("the root is %s", got)
	}
	if _, err := n.Silence(t.Context(), silence.Silence{}); model.KindOf(err) != model.Invalid {
		t.Errorf("a silence of nothing: %v", err)
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"Silence":    func() error { _, err := n.Silence(t.Context(), silence.Silence{}); return err }(),
		"EndSilence": n.EndSilence(t.Context(), id),
		"Incidents":  func() error { _, err := n.Incidents(); return err }(),
	} {
		if model.KindOf(err) != model.Busy {
			t.Errorf("%s after the stop: %v", name, err)
		}
	}
}

// A digest that was begun before a silence still counts to its end.
func TestSilenceLeavesDigestsTrue(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunSent, "m1", "m2")
	settle(t, n)
	if _, err := n.Silence(t.Context(), silence.Silence{Machines: []string{"*"}, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	runs(t, n, model.RunDone, "m1", "m2")
	wantTold(t, sim, n, ":white_check_mark: powercycle, ada: 2 of 2 done")
}

// A bulk operation is one message, though the plugin is started anew in its
// middle.
func TestDigestSurvivesRestart(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunSent, many(50)...)
	runs(t, n, model.RunDone, many(20)...)
	runs(t, n, model.RunFailed, "m020")
	n = again(t, sim, n)
	runs(t, n, model.RunDone, many(50)[21:]...)
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	if got := sim.Messages()[0].Text; got != ":warning: powercycle, ada: 50 of 50 done, 1 error" || len(sim.Messages()) != 2 {
		t.Errorf("told\n%s", told(sim))
	}
}

// An event that comes again, as it may when the process was killed, is told once.
func TestEventTwice(t *testing.T) {
	sim, n := office(t, "")
	e := &model.Event{Time: time.Now(), Type: "machines", Action: "create", Key: "u1", Object: model.NewMachine("m1")}
	for range 2 {
		if err := n.Publish(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	n = again(t, sim, n)
	if err := n.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e.Time = e.Time.Add(1)
	if err := n.Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	wantTold(t, sim, n, ":card_index: m1 was added", ":card_index: m1 was added")
}

// What flapped and was quiet for long begins anew: nobody looks at a message that
// is far up.
func TestFlappingIsOver(t *testing.T) {
	sim, n := office(t, "")
	now := time.Now()
	n.desk.now = func() time.Time { return now }
	n.place.now = n.desk.now
	for range 4 {
		runs(t, n, model.RunFailed, "m1")
		runs(t, n, model.RunDone, "m1")
	}
	settle(t, n)
	before := len(sim.Messages())
	now = now.Add(flapWindow + time.Minute)
	runs(t, n, model.RunFailed, "m1")
	settle(t, n)
	last := sim.Messages()[len(sim.Messages())-1]
	if len(sim.Messages()) != before+1 || last.ThreadTS != "" || last.Edits != 0 {
		t.Errorf("%d messages, then\n%s", before, told(sim))
	}
	runs(t, n, model.RunDone, "m1")
	settle(t, n)
	if last := sim.Messages()[before]; last.Edits != 1 || !strings.Contains(last.Text, "verified") {
		t.Errorf("the new message is %+v", last)
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
}

func TestBadSilencesAreRefused(t *testing.T) {
	p := params(t, "http://127.0.0.1:1/")
	p[paramSilence] = []any{map[string]any{"machines": []any{"rack[1"}}}
	if err := newNotifier().Config(t.Context(), nil, p); err == nil || !strings.Contains(err.Error(), `param slack/silences: silence 1: machines: "rack[1"`) {
		t.Errorf("got %v", err)
	}
}

// The param's silences count, and nobody ends them but the param.
func TestConfiguredSilence(t *testing.T) {
	sim, n, _ := workspace(t)
	p := params(t, sim.URL())
	p[paramDir] = n.config.dir
	p[paramSilence] = []any{map[string]any{"machines": []any{"lab*"}}, map[string]any{"machines": []any{"plugin:ipmi"}}}
	if err := n.Config(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	publish(t, n, "lab1", "m1")
	for _, name := range []string{"ipmi", "packet-ipmi"} {
		if err := n.Publish(t.Context(), &model.Event{Type: "plugins", Action: "fault", Key: name, Object: "crashed"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.EndSilence(t.Context(), "config-1"); model.KindOf(err) != model.Conflict {
		t.Errorf("ended: %v", err)
	}
	wantTold(t, sim, n, ":electric_plug: m1 is on", ":rotating_light: plugin packet-ipmi: crashed")
}

// A log that is longer than a message is a file of the thread in either mode, also
// with what ends the incident.
func TestLongLogsInThreads(t *testing.T) {
	for _, mode := range []string{"update", "thread"} {
		t.Run(mode, func(t *testing.T) {
			sim, n := office(t, `[{"mode":"`+mode+`","min_severity":"warning"}]`)
			log := strings.Repeat("get chassis status: no reply\n", 300)
			n.place.log = func(string) string { return log }
			runs(t, n, model.RunFailed, "m1", "m1")
			settle(t, n)
			if err := stop(t, n); err != nil {
				t.Fatal(err)
			}
			files := 0
			messages := sim.Messages()
			for _, m := range messages {
				if len(m.Files) == 1 && m.ThreadTS == messages[0].TS && m.Files[0].Content == strings.TrimSpace(log)+"\n" {
					files++
				}
			}
			if files != 2 {
				t.Errorf("%d files in the thread of\n%s", files, told(sim))
			}
		})
	}
}

// The file of what ends an incident is in its thread, and the last of it.
func TestLogOfAnEnd(t *testing.T) {
	_, n := office(t, `[{"mode":"update"}]`)
	defer func() { must(t, stop(t, n)) }()
	p, r := n.place, n.config.routes.Match(&notice.Notice{}, n.place)[0]
	over := &notice.Notice{Incident: "machine:u1", Machine: "m1", Resolved: true, Detail: strings.Repeat("line\n", 2000)}
	out := n.desk.incident(p, r, over, true)
	if len(out) != 3 || out[0].Last || out[1].Last || !out[2].Last || out[2].Kind != outbox.Reply {
		t.Errorf("told %+v", out)
	}
}

// An incident that flapped before the plugin was started anew still does: its
// thread stays quiet. One that flapped long ago does not.
func TestFlappingOverARestart(t *testing.T) {
	for _, c := range []struct {
		away  time.Duration
		quiet bool
	}{{0, true}, {2 * flapWindow, false}} {
		sim, n := office(t, "")
		for range flapChanges {
			runs(t, n, model.RunFailed, "m1")
			settle(t, n)
		}
		before := len(sim.Messages())
		p := params(t, sim.URL())
		p[paramDir] = n.config.dir
		must(t, stop(t, n))
		n = newNotifier()
		n.pace, n.desk.now = time.Millisecond, func() time.Time { return time.Now().Add(c.away) }
		must(t, n.Config(t.Context(), nil, p))
		runs(t, n, model.RunFailed, "m1")
		must(t, stop(t, n))
		if more := len(sim.Messages()) - before; (more == 0) != c.quiet {
			t.Errorf("after %v: %d more messages, want quiet: %v\n%s", c.away, more, c.quiet, told(sim))
		}
		if got := root(sim); strings.Contains(got, "flapping: 6 changes") != c.quiet {
			t.Errorf("after %v: %s", c.away, got)
		}
	}
}
