package layout

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"provision-plugins/shared/model"
	"provision-plugins/slack/notice"
	"provision-plugins/slack/poster"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares a message with its file.
func golden(t *testing.T, name string, message json.RawMessage) {
	t.Helper()
	var v any
	if err := json.Unmarshal(message, &v); err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is\n%s\nwant\n%s\n%v (-update writes it)", name, got, want, err)
	}
}

// failed is a notice of trouble.
func failed() *notice.Notice {
	return &notice.Notice{
		Severity: notice.Error, Machine: "rack1n07", Command: "powercycle", Principal: "user:ada", Reason: "stuck <kernel> & all",
		Icon: ":x:", Title: "rack1n07 powercycle failed: unreachable: no reply of <!channel>", Time: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
	}
}

func TestShapes(t *testing.T) {
	n := failed()
	golden(t, "incident", Told(n, n.Line()).Message())
	flapping := Told(n, n.Line())
	flapping.Changes = 7
	golden(t, "flapping", flapping.Message())
	warned := failed()
	warned.Severity, warned.Time = notice.Warning, time.Time{}
	golden(t, "warning", Told(warned, "a template's words").Message())
	resolved := failed()
	resolved.Severity, resolved.Resolved, resolved.Title = notice.Info, true, "rack1n07 powercycle: verified"
	golden(t, "resolved", Told(resolved, resolved.Line()).Message())
	golden(t, "reply", Reply(n, n.Line()))
	n.Detail = "first line\n```\nlast line of <the log>\n"
	golden(t, "reply-with-log", Reply(n, n.Line()))
	golden(t, "line", Line("one & two"))
	golden(t, "dropped", Dropped(12))
}

func TestDigests(t *testing.T) {
	one := Digest{Title: "poweron, ada", Started: 1, Groups: []Count{{Severity: notice.Info, Count: 1, Lines: []string{"m1 poweron: verified"}}}}
	golden(t, "digest-of-one", one.Message())
	running := Digest{Title: "poweron, ada", Started: 40, Groups: []Count{{Severity: notice.Info, Count: 12, Lines: []string{"m1 poweron: verified"}}}}
	golden(t, "digest-running", running.Message())
	done := Digest{Title: "poweron, ada", Started: 40, Groups: []Count{{Severity: notice.Info, Count: 40}}}
	golden(t, "digest-done", done.Message())
	begun := Digest{Title: "poweron, ada", Started: 1, First: ":hourglass_flowing_sand: m1 poweron (ada)"}
	golden(t, "digest-begun", begun.Message())
	worse := Digest{Title: "poweron, ada", Started: 40, Groups: []Count{
		{Severity: notice.Info, Count: 30}, {Severity: notice.Error, Count: 7, Lines: []string{"m1 failed", "m2 <failed>"}}, {Severity: notice.Critical, Count: 1, Lines: []string{"m3 unknown"}},
	}}
	golden(t, "digest-with-failures", worse.Message())
}

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"<!channel> & <https://x|y>": "&lt;!channel&gt; &amp; &lt;https://x|y&gt;",
		"a\x00b\x1b[31mc\u202ed":     "ab[31mcd",
		"tab\tand\nline":             "tab\tand\nline",
	} {
		if got := Escape(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"abcd&amp;ef", 7, "abcd…"}, {"abcd&amp;ef", 9, "abcd…"}, {"abcd&amp;ef", 10, "abcd&amp;…"}, {"&lt;&lt;", 5, "&lt;…"},
	} {
		if got := cut(c.text, c.most); got != c.want {
			t.Errorf("%q to %d: %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

func TestJoin(t *testing.T) {
	lines := []json.RawMessage{Line("one"), Line("two"), Told(failed(), "x").Message(), Line("three")}
	got, n := Join(lines)
	var m poster.Message
	if err := model.Unmarshal(got, &m); err != nil || n != 2 || m.Text != "one\ntwo" {
		t.Errorf("%d, %+v, %v", n, m, err)
	}
	if got, n := Join(lines[2:]); n != 1 || string(got) != string(lines[2]) {
		t.Errorf("%d, %s", n, got)
	}
	var many []json.RawMessage
	for range 100 {
		many = append(many, Line(strings.Repeat("x", 100)))
	}
	got, n = Join(many)
	if err := model.Unmarshal(got, &m); err != nil || n != 28 || len([]rune(m.Text)) > maxSection {
		t.Errorf("%d, %d characters", n, len([]rune(m.Text)))
	}
}

// Whatever a notice says, the message keeps Slack's limits and mentions nobody.
func FuzzMessages(f *testing.F) {
	f.Add("<!channel>", "a\nb", 3)
	f.Add(strings.Repeat("&", 9000), strings.Repeat("ü\n", 20000), 0)
	f.Fuzz(func(t *testing.T, title, detail string, changes int) {
		n := &notice.Notice{Icon: ":x:", Title: title, Detail: detail, Machine: title, Reason: detail, Severity: notice.Error}
		i := Told(n, n.Line())
		i.Changes, i.Buttons, i.Key, i.Acked, i.Silenced = changes, true, "machine:u1", &Mark{By: title}, &Mark{By: detail, Reason: title}
		d := Digest{Title: title, Started: changes, Groups: []Count{{Severity: notice.Error, Count: 50, Lines: []string{title, detail, title + detail}}}}
		for _, message := range []json.RawMessage{i.Message(), Reply(n, title), Line(title), d.Message()} {
			check(t, message)
		}
	})
}

// check holds a message against Slack's limits.
func check(t *testing.T, message json.RawMessage) {
	t.Helper()
	var m struct {
		Text   string
		Blocks []block
	}
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	texts, total := []string{m.Text}, 0
	for _, b := range m.Blocks {
		if b.Text != nil {
			texts = append(texts, b.Text.Text)
		}
		for _, f := range b.Fields {
			texts = append(texts, f.Text)
		}
		for _, e := range b.Elements {
			if words, ok := e.(map[string]any)["text"].(string); ok { // else it is a button
				texts = append(texts, words)
			}
		}
	}
	for i, text := range texts {
		if n := utf8.RuneCountInString(text); n > 3000 || i > 0 && n == 0 {
			t.Errorf("a text of %d characters", n)
		}
		total += utf8.RuneCountInString(text)
		if strings.ContainsAny(text, "<>") || strings.Contains(text, "\x00") {
			t.Errorf("text %q", text)
		}
	}
	if len(m.Blocks) > 50 || total > 12_000 {
		t.Errorf("%d blocks of %d characters", len(m.Blocks), total)
	}
}
