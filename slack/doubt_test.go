package main

import (
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/outbox"
)

// TestMessagesInDoubt: a bot that may not read what it posted is told by the params
// what to do with a message of which nobody can tell.
func TestMessagesInDoubt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		param any
		posts int
		given bool // up
	}{
		"unset":         {nil, 2, false},
		"at least once": {"at-least-once", 2, false},
		"at most once":  {"at-most-once", 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, err := simslack.New(simslack.Options{Token: token, Channels: []string{"C1"}, Scopes: []string{"chat:write"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { sim.Close() })
			n := newNotifier()
			n.pace, n.rest = time.Millisecond, time.Millisecond
			p := params(t, sim.URL())
			if tc.param != nil {
				p[paramDoubt] = tc.param
			}
			if err := n.Config(t.Context(), nil, p); err != nil {
				t.Fatal(err)
			}
			sim.Fail("chat.postMessage", simslack.Faults()["eof-posted"])
			publish(t, n, "m1")
			if err := stop(t, n); err != nil {
				t.Fatal(err)
			}
			if got := sim.Calls("chat.postMessage"); got != tc.posts {
				t.Errorf("posted %d times, want %d", got, tc.posts)
			}
			again, err := outbox.Open(t.Context(), outbox.Options{Dir: n.config.dir, Sender: &n.sender})
			if err != nil {
				t.Fatal(err)
			}
			defer closeBox(t, again)
			dead := again.Status().Dead
			if tc.given != (len(dead) == 1) {
				t.Fatalf("given up: %+v", dead)
			}
			if tc.given && !strings.Contains(dead[0].Why, "may have been posted") {
				t.Errorf("given up for %q", dead[0].Why)
			}
			if left := again.Status().Waiting; left != 0 {
				t.Errorf("%d wait for ever", left)
			}
		})
	}
	if _, err := parseConfig(model.Params{paramToken: token, paramChannel: "C1", paramDoubt: 3}); err == nil {
		t.Error("a number is a policy")
	}
}

// closeBox ends an outbox that a test has opened.
func closeBox(t *testing.T, b *outbox.Box) {
	t.Helper()
	if _, err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
