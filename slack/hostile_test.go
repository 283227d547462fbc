package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"provision-plugins/shared/model"
)

// nasty is a text that would mention everybody, link elsewhere, turn around what
// is read and end a block of code.
const nasty = "<!channel> <!here|x> <@U0ADA> <#C1> <https://evil.example|click> @channel *b* `c` ```d``` \x00\x07\x1b[31m\u202eback\u2066 &amp; & \u2028 \xff"

// hostile are events that are full of it. secret is the value of a Secure param.
func hostile(secret string) []*model.Event {
	big := strings.Repeat(nasty+" ", 200<<10/len(nasty))
	machine := map[string]any{
		"Name": nasty + big, "Uuid": nasty,
		"Params": map[string]any{"ipmi/password": secret, "site/notes": big, "deep": map[string]any{"token": "deep-" + secret}},
	}
	run := model.Run{
		ID: nasty, Key: nasty, Prefix: "machines", Name: nasty, Command: nasty, Principal: nasty + secret, Reason: big + secret, State: model.RunFailed,
		Error: model.Errorf(model.Unreachable, "%s %s deep-%s", nasty, secret, secret), Log: big + "\nthe password " + secret + " was refused\n" + nasty,
	}
	return []*model.Event{
		{Type: "machines", Action: "create", Key: nasty, Principal: nasty, Object: machine},
		{Type: "runs", Action: "update", Key: nasty, Object: run},
		{Type: "plugins", Action: "fault", Key: nasty, Object: map[string]any{"Error": big + secret}},
		{Type: "plugins", Action: "fault", Key: "one", Object: nasty + secret},
		{Type: "machines", Action: "power", Key: "u1", Object: model.PowerChange{Name: nasty + secret, Uuid: "u1", Was: model.StateOn, Power: model.StateOff}},
		{Type: nasty, Action: nasty, Key: nasty, Object: big},
		{Type: "runs", Action: "update", Object: []any{big}},
	}
}

// texts collects every text of a JSON value.
func texts(v any, out *[]string) {
	switch t := v.(type) {
	case string:
		*out = append(*out, t)
	case []any:
		for _, e := range t {
			texts(e, out)
		}
	case map[string]any:
		for _, e := range t {
			texts(e, out)
		}
	}
}

// Whatever is in an event, the messages at Slack's side mention nobody, link
// nowhere, keep the limits and show no secret.
func TestHostileEvents(t *testing.T) {
	const secret = "hunter2-hunter2"
	for _, routes := range []string{"", `[{"mode":"post","template":"{{.Machine}} {{.Detail}} {{.Title}}"}]`, `[{"mode":"thread"}]`, `[{"mode":"digest","group_by":["machine","reason","principal"]}]`} {
		sim, n := office(t, routes)
		n.place.buttons = true
		for _, e := range hostile(secret) {
			e.Time = time.Now()
			if err := n.Publish(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		if err := stop(t, n); err != nil {
			t.Fatal(err)
		}
		if len(sim.Messages()) < 3 || n.status(t).Waiting != 0 {
			t.Errorf("routes %q told\n%.500s", routes, told(sim))
		}
		for _, m := range sim.Messages() {
			wantHarmless(t, secret, m.Text)
			for _, f := range m.Files {
				if strings.Contains(f.Content, secret) || len(f.Content) > 300<<10 {
					t.Errorf("a file of %d bytes, with the secret: %v", len(f.Content), strings.Contains(f.Content, secret))
				}
			}
			for _, raw := range []json.RawMessage{m.Blocks, m.Attachments} {
				if raw == nil {
					continue
				}
				var v any
				var all []string
				if err := json.Unmarshal(raw, &v); err != nil {
					t.Fatal(err)
				}
				texts(v, &all)
				for _, text := range all {
					wantHarmless(t, secret, text)
				}
			}
		}
		if c := sim.Complaints(); len(c) > 0 {
			t.Errorf("the workspace complains: %v", c)
		}
	}
}

// status is that of a plugin that was stopped: nothing.
func (n *notifier) status(*testing.T) (s struct{ Waiting int }) {
	if p, err := n.at(); err == nil {
		s.Waiting = p.box.Status().Waiting
	}
	return s
}

// wantHarmless holds one text against what Slack would make of it.
func wantHarmless(t *testing.T, secret, text string) {
	t.Helper()
	odd := func(r rune) bool {
		return r != '\n' && r != '\t' && unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}
	switch {
	case strings.ContainsAny(text, "<>"):
		t.Errorf("a mention or a link in %.200q", text)
	case strings.ContainsFunc(text, odd), !utf8.ValidString(text):
		t.Errorf("a control character in %.200q", text)
	case strings.Contains(text, secret):
		t.Errorf("the secret in %.200q", text)
	case utf8.RuneCountInString(text) > 4000:
		t.Errorf("%d characters", utf8.RuneCountInString(text))
	}
}

// The plugin's own token is masked wherever an event brings it.
func TestOwnTokenIsMasked(t *testing.T) {
	sim, n := office(t, "")
	r := model.Run{
		ID: "r1", Key: "u1", Prefix: "machines", Name: "m1", Command: "powercycle", Principal: "ada", Reason: "rotated " + token,
		State: model.RunFailed, Error: model.Errorf(model.Unreachable, "no reply to %s", token),
	}
	must(t, n.Publish(t.Context(), runEvent(r)))
	must(t, stop(t, n))
	messages := sim.Messages()
	if len(messages) == 0 {
		t.Fatal("nothing was told")
	}
	for _, m := range messages {
		if raw := fmt.Sprintf("%s%s%s", m.Text, m.Blocks, m.Attachments); strings.Contains(raw, token) || !strings.Contains(raw, model.Masked) {
			t.Errorf("told %s", raw)
		}
	}
}
