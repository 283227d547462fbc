package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/layout"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/silence"
)

// shapeTime is the time of all shapes.
var shapeTime = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// studio is an office in which it is always the same time.
func studio(t *testing.T) (*simslack.Server, *notifier) {
	t.Helper()
	sim, err := simslack.New(simslack.Options{Token: token, Channels: []string{"C1=machines"}, Now: func() time.Time { return shapeTime }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	n := newNotifier()
	n.pace, n.desk.now = time.Millisecond, func() time.Time { return shapeTime }
	if err := n.Config(t.Context(), nil, params(t, sim.URL())); err != nil {
		t.Fatal(err)
	}
	n.place.buttons = true
	return sim, n
}

// shapeRun tells of a run with all that a run may tell.
func shapeRun(t *testing.T, n *notifier, state model.RunState, machines ...string) {
	t.Helper()
	for _, m := range machines {
		r := model.Run{
			ID: "r-" + m, Key: "u-" + m, Prefix: "machines", Name: m, Command: "powercycle", Principal: "user:ada", Reason: "stuck <kernel>", State: state,
			Created: shapeTime.Add(-6 * time.Second), Ended: shapeTime,
		}
		action := "update"
		switch state {
		case model.RunSent:
			action, r.Ended = "create", time.Time{}
		case model.RunFailed:
			r.Error = model.Errorf(model.Unreachable, "no reply from 10.0.0.7:623 in 60 s; check its address and cable")
		case model.RunUnknown:
			r.Error = model.Errorf(model.UnknownOutcome, "off was sent, and nothing was heard since")
		case model.RunDone:
			r.Result = result(t, model.Result{Outcome: model.Verified, Evidence: "state off at 1.2s, on at 6.0s", Power: model.StateOn})
		}
		if err := n.Publish(t.Context(), &model.Event{Time: shapeTime, Type: "runs", Action: action, Key: fmt.Sprint(r.ID, time.Now().UnixNano()), Object: r}); err != nil {
			t.Fatal(err)
		}
	}
}

// shapes are what makes each shape of a message.
func shapes() map[string]func(t *testing.T, n *notifier) {
	fail := func(t *testing.T, n *notifier) { shapeRun(t, n, model.RunFailed, "rack1n07"); settle(t, n) }
	return map[string]func(t *testing.T, n *notifier){
		"incident-open": fail,
		"incident-update": func(t *testing.T, n *notifier) {
			fail(t, n)
			shapeRun(t, n, model.RunUnknown, "rack1n07")
		},
		"incident-resolved": func(t *testing.T, n *notifier) {
			fail(t, n)
			shapeRun(t, n, model.RunDone, "rack1n07")
		},
		"incident-flapping": func(t *testing.T, n *notifier) {
			for range 3 {
				fail(t, n)
				shapeRun(t, n, model.RunUnknown, "rack1n07")
				settle(t, n)
			}
		},
		"incident-acknowledged": func(t *testing.T, n *notifier) {
			fail(t, n)
			must(t, n.Ack(t.Context(), "machine:u-rack1n07", "U0ADA"))
		},
		"incident-silenced": func(t *testing.T, n *notifier) {
			fail(t, n)
			silenced(t, n, "rack1*")
		},
		"storm": func(t *testing.T, n *notifier) {
			shapeRun(t, n, model.RunFailed, many(stormCount)...)
			settle(t, n)
			shapeRun(t, n, model.RunFailed, many(stormCount + 5)[stormCount:]...)
		},
		"digest-progress": func(t *testing.T, n *notifier) {
			shapeRun(t, n, model.RunSent, many(12)...)
			shapeRun(t, n, model.RunDone, many(7)...)
		},
		"digest-end": func(t *testing.T, n *notifier) {
			shapeRun(t, n, model.RunSent, many(12)...)
			settle(t, n)
			shapeRun(t, n, model.RunDone, many(12)...)
		},
		"line": func(t *testing.T, n *notifier) { publish(t, n, "rack1n07") },
		"merged": func(t *testing.T, n *notifier) {
			e := func(name string) outbox.Entry {
				return outbox.Entry{Channel: "C1", Merge: together, Message: layout.Line(":card_index: " + name + " was added")}
			}
			must(t, n.place.box.PutAll("", e("rack1n01"), e("rack1n02"), e("rack1n03")))
		},
		"plugin": func(t *testing.T, n *notifier) {
			must(t, n.Publish(t.Context(), &model.Event{Time: shapeTime, Type: "plugins", Action: "fault", Key: "ipmi", Object: map[string]any{"Error": "it crashed: signal: killed"}}))
		},
		"dropped": func(t *testing.T, n *notifier) {
			must(t, n.place.box.Put(droppedNote(12)))
		},
		"snippet": func(t *testing.T, n *notifier) {
			n.place.log = func(string) string { return strings.Repeat("12:00:00 get chassis status: no reply, try 7\n", 80) }
			fail(t, n)
		},
	}
}

// untimed is the only time that a clock gives.
var untimed = regexp.MustCompile(`until [0-9-]+ [0-9:]+ UTC`)

// droppedNote is the message that tells of dropped ones.
func droppedNote(count int) outbox.Entry {
	return outbox.Entry{Channel: "C1", Message: layout.Dropped(count)}
}

// must fails a test.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// silenced silences machines until a time that is always the same.
func silenced(t *testing.T, n *notifier, machines string) {
	t.Helper()
	_, err := n.Silence(t.Context(), silence.Silence{Machines: []string{machines}, Until: time.Now().Add(time.Hour), By: "U0ADA", Reason: "moving it"})
	must(t, err)
	settle(t, n)
}

// golden compares what a workspace has with a file: as a person reads it, and each
// message's layout.
func golden(t *testing.T, name string, sim *simslack.Server) {
	t.Helper()
	var out bytes.Buffer
	out.WriteString(sim.Text("C1"))
	for i, m := range sim.Messages() {
		if name == "storm" && i < stormCount {
			continue // as incident-open
		}
		fmt.Fprintf(&out, "\n--- message %d: %s\n", i+1, m.Text)
		for _, raw := range []json.RawMessage{m.Blocks, m.Attachments} {
			if raw == nil {
				continue
			}
			var v any
			must(t, json.Unmarshal(raw, &v))
			text, err := json.MarshalIndent(v, "", "  ")
			must(t, err)
			out.Write(append(text, '\n'))
		}
	}
	got := untimed.ReplaceAll(out.Bytes(), []byte("until LATER"))
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		must(t, errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, got, 0o644)))
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s\n%v (UPDATE_GOLDEN=1 writes it)", name, got, want, err)
	}
}

func TestShapes(t *testing.T) {
	for name, make := range shapes() {
		t.Run(name, func(t *testing.T) {
			sim, n := studio(t)
			make(t, n)
			must(t, stop(t, n))
			golden(t, name, sim)
			if c := sim.Complaints(); len(c) > 0 {
				t.Errorf("the workspace complains: %v", c)
			}
		})
	}
}
