package mrkdwn

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":               "plain",
		"<!channel> & <@U1>":  "&lt;!channel&gt; &amp; &lt;@U1&gt;",
		"a\x00b\x1bc\u202ed":  "abcd",
		"line\n\tline":        "line\n\tline",
		"&lt;!here&gt;":       "&amp;lt;!here&amp;gt;",
		"<http://a|b>\u2066x": "&lt;http://a|b&gt;x",
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"power on m1": "power on m1",
		"power on <http://m1.example.com|m1.example.com>": "power on m1.example.com",
		"power on <http://m1.example.com>":                "power on m1.example.com",
		"power on <https://m1.example.com/> x":            "power on m1.example.com x",
		"who <@U1|ann>":                                   "who @U1",
		"a &lt;b&gt; &amp; c":                             "a <b> & c",
		"&amp;lt;":                                        "&lt;",
		"a <b":                                            "a <b",
		"":                                                "",
	} {
		if got := Plain(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("<!channel>")
	f.Add("<a|b")
	f.Fuzz(func(t *testing.T, text string) {
		if got := Escape(text); strings.ContainsAny(got, "<>") {
			t.Errorf("%q is %q", text, got)
		}
		if got := Plain(text); len(got) > len(text) {
			t.Errorf("%q has grown to %q", text, got)
		}
	})
}
