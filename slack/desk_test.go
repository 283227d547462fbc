package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
)

// office is a workspace and a plugin with routes; text is the routes param.
func office(t *testing.T, text string) (*simslack.Server, *notifier) {
	t.Helper()
	sim, n, _ := workspace(t)
	p := params(t, sim.URL())
	p[paramDir] = n.config.dir
	if text != "" {
		var routes any
		if err := model.Unmarshal([]byte(text), &routes); err != nil {
			t.Fatal(err)
		}
		p[paramRoutes] = routes
	}
	if err := n.Config(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	return sim, n
}

// runs tells of runs of one state.
func runs(t *testing.T, n *notifier, state model.RunState, machines ...string) {
	t.Helper()
	for _, m := range machines {
		r := model.Run{ID: "r-" + m, Key: "u-" + m, Prefix: "machines", Name: m, Command: "powercycle", Principal: "ada", State: state}
		action := "update"
		switch state {
		case model.RunSent:
			action = "create"
		case model.RunFailed:
			r.Error = model.Errorf(model.Unreachable, "no reply")
		case model.RunDone:
			r.Result = result(t, model.Result{Outcome: model.Verified})
		}
		if err := n.Publish(t.Context(), &model.Event{Type: "runs", Action: action, Key: r.ID, Object: r}); err != nil {
			t.Fatal(err)
		}
	}
}

// told lists the texts of the messages, a reply behind that of its root.
func told(sim *simslack.Server) string {
	names := map[string]string{}
	var out []string
	for i, m := range sim.Messages() {
		names[m.TS] = fmt.Sprint(i + 1)
		line := m.Text
		if m.ThreadTS != "" {
			line = names[m.ThreadTS] + "> " + line
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// wantTold ends a plugin and compares what it told.
func wantTold(t *testing.T, sim *simslack.Server, n *notifier, want ...string) {
	t.Helper()
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	if got := told(sim); got != strings.Join(want, "\n") {
		t.Errorf("told\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// many names machines.
func many(count int) []string {
	var out []string
	for i := range count {
		out = append(out, fmt.Sprintf("m%03d", i))
	}
	return out
}

// A bulk operation is one message, which counts.
func TestBulkIsOneMessage(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunSent, many(50)...)
	runs(t, n, model.RunDone, many(49)...)
	wantTold(t, sim, n, ":hourglass_flowing_sand: powercycle, ada: 49 of 50 done")
}

// What fails in a bulk operation is an incident, and counted to its end.
func TestBulkWithFailures(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunSent, many(5)...)
	settle(t, n)
	runs(t, n, model.RunDone, many(4)...)
	runs(t, n, model.RunFailed, "m004")
	wantTold(t, sim, n,
		":warning: powercycle, ada: 5 of 5 done, 1 error",
		":x: m004 powercycle failed: unreachable: no reply (ada)")
}

func TestOneActionIsOneLine(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunSent, "m1")
	posts(t, sim, 1)
	runs(t, n, model.RunDone, "m1")
	wantTold(t, sim, n, ":white_check_mark: m1 powercycle: verified (ada)")
}

// Trouble is one message an incident: edited in place, what happened in its
// thread, over a restart, until it is over; then it begins anew.
func TestIncident(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunFailed, "m1")
	posts(t, sim, 1)
	dir, down := n.config.dir, stop(t, n)
	if down != nil {
		t.Fatal(down)
	}
	n = newNotifier()
	n.pace = time.Millisecond
	p := params(t, sim.URL())
	p[paramDir] = dir
	if err := n.Config(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	runs(t, n, model.RunUnknown, "m1")
	posts(t, sim, 2)
	runs(t, n, model.RunDone, "m1")
	posts(t, sim, 3)
	runs(t, n, model.RunFailed, "m1")
	wantTold(t, sim, n,
		":white_check_mark: m1 powercycle: verified (ada)",
		"1> :warning: m1 powercycle: outcome unknown, look before you act: no cause given (ada)",
		"1> :white_check_mark: m1 powercycle: verified (ada)",
		":x: m1 powercycle failed: unreachable: no reply (ada)",
	)
	if root := sim.Messages()[0]; root.Edits != 2 || !strings.Contains(string(root.Attachments), "resolved") {
		t.Errorf("the root is %+v", root)
	}
}

// A storm of incidents is told by its count.
func TestStormOfIncidents(t *testing.T) {
	sim, n := office(t, "")
	runs(t, n, model.RunFailed, many(200)...)
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	messages := sim.Messages()
	if len(messages) != stormCount+1 {
		t.Fatalf("%d messages:\n%s", len(messages), told(sim))
	}
	if last := messages[stormCount]; !strings.Contains(last.Text, "storm: runs update powercycle: 190 of 190 done, 190 errors") || !strings.Contains(string(last.Attachments), "and 150 more") {
		t.Errorf("the storm is %+v", last)
	}
}

// What goes to and fro is one message that says so.
func TestFlapping(t *testing.T) {
	sim, n := office(t, "")
	for range 10 {
		runs(t, n, model.RunFailed, "m1")
		runs(t, n, model.RunDone, "m1")
	}
	if err := stop(t, n); err != nil {
		t.Fatal(err)
	}
	messages := sim.Messages()
	if last := messages[len(messages)-1]; len(messages) > flapChanges+1 || !strings.Contains(string(last.Attachments), "flapping: 20 changes") {
		t.Errorf("%d messages:\n%s", len(messages), told(sim))
	}
}

func TestRoutesDecide(t *testing.T) {
	sim, n := office(t, `[
		{"name":"noise","machines":["m000"],"mode":"drop"},
		{"name":"threads","min_severity":"error","mode":"thread","template":"{{.Machine}} is {{.State}}"},
		{"name":"lines","mode":"post","template":"{{.Machine}}: {{.Command}}"}]`)
	runs(t, n, model.RunFailed, "m000", "m001")
	runs(t, n, model.RunUnknown, "m001")
	runs(t, n, model.RunSent, "m001")
	runs(t, n, model.RunDone, "m001", "m002")
	wantTold(t, sim, n, "m001 is failed", "1> m001 is unknown", "1> m001 is done", "m002: powercycle")
}

// What is not severe waits for the end of quiet hours.
func TestQuietHoursHold(t *testing.T) {
	sim, n := office(t, `[{"mode":"update","quiet_hours":{"from":"00:00","to":"23:59","except":"critical"}}]`)
	n.desk.now = func() time.Time { return time.Date(2100, 1, 1, 12, 0, 0, 0, time.UTC) }
	runs(t, n, model.RunFailed, "m1")
	publish(t, n, "m2")
	runs(t, n, model.RunUnknown, "m3")
	posts(t, sim, 1)
	wantTold(t, sim, n, ":warning: m3 powercycle: outcome unknown, look before you act: no cause given (ada)")
}

func TestBadRoutesAreRefused(t *testing.T) {
	p := params(t, "http://127.0.0.1:1/")
	p[paramRoutes] = []any{map[string]any{"name": "a", "mode": "shout"}}
	if err := newNotifier().Config(t.Context(), nil, p); err == nil || !strings.Contains(err.Error(), `param slack/routes: route a: mode: "shout"`) {
		t.Errorf("got %v", err)
	}
}
