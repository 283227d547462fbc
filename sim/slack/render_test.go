package slack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// conversation posts something of everything.
func conversation(t *testing.T) *Server {
	t.Helper()
	now := time.Date(2026, 1, 2, 10, 2, 3, 0, time.UTC)
	s, call := start(t, Options{
		Channels: []string{"C1=ops", "C2"}, Now: func() time.Time { return now },
		Users: []User{{ID: "U1", Name: "alice"}}, Groups: []Group{{ID: "S1", Handle: "oncall"}},
	})
	send := func(method, channel, text string, more ...string) string {
		form := post(channel, text)
		for i := 0; i+1 < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		_, body := call(method, form)
		if body["ok"] != true {
			t.Fatalf("%s: %v", method, body)
		}
		now = now.Add(time.Second)
		ts, _ := body["ts"].(string)
		return ts
	}
	send("chat.postMessage", "C2", "elsewhere")
	root := send("chat.postMessage", "C1", "notified", "attachments", `[{"color":"#cc0000","fallback":"notified","blocks":[`+
		`{"type":"header","text":{"type":"plain_text","text":"m1: power is off"}},`+
		`{"type":"section","text":{"type":"mrkdwn","text":"*Since* 10:02\n&lt;why&gt; &amp; how"},"fields":[{"type":"mrkdwn","text":"*Machine*\nm1"},{"type":"mrkdwn","text":"*By*\n<@U1>"}]},`+
		`{"type":"divider"},`+
		`{"type":"context","elements":[{"type":"mrkdwn","text":"from <https://example.com/a|the endpoint>"},{"type":"image","image_url":"https://example.com/i","alt_text":"logo"}]},`+
		`{"type":"actions","elements":[{"type":"button","action_id":"a","text":{"type":"plain_text","text":"Acknowledge"}},{"type":"overflow","options":[{"text":{"type":"plain_text","text":"x"},"value":"y"}]}]}]}]`)
	send("chat.postMessage", "C1", "for <!subteam^S1> and <#C2>, <!channel>\nby <@U9>, see <https://example.com>", "thread_ts", root)
	send("chat.postMessage", "C1", "on <!date^1700000000^{date}|14 November>", "thread_ts", root, "reply_broadcast", "true")
	send("chat.update", "C1", "later", "ts", send("chat.postMessage", "C1", "first"))
	send("chat.postEphemeral", "C1", "only \x1b[31mfor you\u009b", "user", "U1")
	send("chat.postMessage", "C1", "old kind", "attachments", `[{"color":"good","text":"one\ntwo"},{"color":"#777777","fallback":"grey"}]`)
	send("chat.postMessage", "C1", "", "blocks", `[{"type":"image","image_url":"https://example.com/i","alt_text":"a rack"},{"type":"markdown","text":"# Title\ntext"},{"type":"rich_text"},`+
		`{"type":"section","text":{"type":"plain_text","text":"beside"},"accessory":{"type":"button","text":{"type":"plain_text","text":"Go"}}},`+
		`{"type":"input","label":{"type":"plain_text","text":"Name"},"element":{"type":"plain_text_input","action_id":"name"}}]`)
	send("reactions.add", "C1", "", "timestamp", root, "name", "eyes")
	s.mu.Lock()
	s.messages = append(s.messages, &Message{Channel: "C1", TS: s.nextTS(), Files: []File{{Title: "out.txt", Content: "1\n2\n3\n4\n5\n6\n7\n"}}})
	s.mu.Unlock()
	s.tell("C1", "U1", "/metal failed")
	return s
}

// TestText compares a conversation with how a person reads it; UPDATE=1 writes
// the file anew.
func TestText(t *testing.T) {
	s := conversation(t)
	got, file := s.Text("#ops"), filepath.Join("testdata", "conversation.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("reads\n%s\nwant\n%s", got, want)
	}
	m := s.Messages()[1]
	if !strings.HasPrefix(got, "#ops\n"+s.Render(m)) {
		t.Errorf("alone it reads\n%s", s.Render(m))
	}
	if got := s.Text("nowhere"); got != "#nowhere\n" {
		t.Errorf("no channel reads %q", got)
	}
}

func TestRenderView(t *testing.T) {
	s, _, v := withView(t)
	v.Errors = map[string]string{"b1": "no such machine"}
	want := "before @u7: Sure?\n    Type the *name*\n    Name: [name]\n    ! no such machine\n    Why: [why]\n    [Yes]\n"
	if got := s.RenderView(v); got != want {
		t.Errorf("reads\n%s\nwant\n%s", got, want)
	}
}

func TestColorNames(t *testing.T) {
	for color, want := range map[string]string{
		"#ff0000": "red", "cc0000": "red", "#e01e5a": "red", "#daa038": "amber", "#ecb22e": "amber", "#2eb886": "green", "#2eb67d": "green", "#36c5f0": "blue",
		"#1264a3": "blue", "#808080": "grey", "": "grey", "x": "grey", "good": "green", "warning": "amber", "danger": "red",
	} {
		if got := colorName(color); got != want {
			t.Errorf("%s is %s, want %s", color, got, want)
		}
	}
}

func TestClock(t *testing.T) {
	for ts, want := range map[string]string{"1700000000.000001": "22:13:20", "0.0": "00:00:00", "x": "??:??:??", "": "??:??:??"} {
		if got := clock(ts); got != want {
			t.Errorf("%q is %s, want %s", ts, got, want)
		}
	}
}
