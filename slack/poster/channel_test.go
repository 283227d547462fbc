package poster

import (
	"errors"
	"strings"
	"testing"
	"time"

	simslack "provision-plugins/sim/slack"
	"provision-plugins/slack/outbox"
)

// named is a delivery to a channel by its name.
func named(kind outbox.Kind, root, channel string) outbox.Delivery {
	d := entry(kind, root, Message{Text: "x"})
	d.Channel = channel
	return d
}

// A name is looked up once, for posts, edits, replies, files and lookups.
func TestChannelByName(t *testing.T) {
	sim, p := desk(t, simslack.Options{Channels: []string{"C1=ops", "C2=lab"}})
	root := send(t, p, named(outbox.Post, "", "#lab"))
	send(t, p, named(outbox.Reply, root, "#lab"))
	send(t, p, named(outbox.Update, root, "#lab"))
	d := logFile(root)
	d.Channel = "#lab"
	send(t, p, d)
	if ts, err := p.Find(t.Context(), named(outbox.Post, "", "#lab")); err != nil || ts != root {
		t.Errorf("found %q, %v", ts, err)
	}
	for _, m := range sim.Messages() {
		if m.Channel != "C2" {
			t.Errorf("posted %+v", m)
		}
	}
	if got := len(sim.Messages()); got != 3 || sim.Calls("conversations.list") != 1 {
		t.Errorf("%d messages, looked up %d times", got, sim.Calls("conversations.list"))
	}
}

// A channel that cannot be found means what it would by its ID; nothing is posted.
func TestChannelWithoutAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		scopes  []string
		fault   simslack.Fault
		verdict outbox.Verdict
		pause   time.Duration
		all     bool
		words   string
	}{
		"none":     {nil, simslack.Fault{}, outbox.NoChannel, 0, false, "cannot find channel #gone"},
		"no scope": {[]string{"chat:write"}, simslack.Fault{}, outbox.Later, refusedToken, false, "channels:read"},
		"429":      {nil, simslack.Fault{Status: 429, RetryAfter: "7"}, outbox.Later, 7 * time.Second, false, ""},
		"500":      {nil, simslack.Fault{Status: 500}, outbox.Later, 0, false, ""},
		"cut off":  {nil, simslack.Fault{Cut: true}, outbox.Later, 0, false, ""},
		"token":    {nil, simslack.Fault{Error: "token_revoked"}, outbox.Later, refusedToken, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sim, p := desk(t, simslack.Options{Channels: []string{"C1=ops"}, Scopes: c.scopes})
			if c.fault != (simslack.Fault{}) {
				sim.Fail("conversations.list", c.fault)
			}
			_, err := p.Send(t.Context(), named(outbox.Post, "", "#gone"))
			var f *outbox.Failure
			if !errors.As(err, &f) || f.Verdict != c.verdict || f.Pause != c.pause || f.All != c.all || f.Unlikely || !strings.Contains(f.Error(), c.words) {
				t.Errorf("got %+v, %v", f, err)
			}
			if c.fault != (simslack.Fault{}) {
				sim.Fail("conversations.list", c.fault)
			}
			_, err = p.Find(t.Context(), named(outbox.Post, "", "#gone"))
			if err == nil || errors.Is(err, outbox.ErrBlind) != (c.verdict == outbox.NoChannel) {
				t.Errorf("looking: %v", err)
			}
			if got := sim.Messages(); len(got) > 0 {
				t.Errorf("posted %+v", got)
			}
		})
	}
}
