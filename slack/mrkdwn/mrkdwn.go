// Package mrkdwn makes texts from outside harmless in Slack's own markup.
package mrkdwn

import "strings"

// Escape makes a text harmless as Slack's mrkdwn: no mention, no link, no control
// character.
func Escape(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, text)
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// Plain undoes what Slack does to what people type: its escapes, and the links
// that it makes of names with dots. A mention stays as its id.
func Plain(text string) string {
	var out strings.Builder
	for text != "" {
		before, rest, opened := strings.Cut(text, "<")
		out.WriteString(before)
		if !opened {
			break
		}
		inside, after, closed := strings.Cut(rest, ">")
		if !closed {
			out.WriteString("<" + rest)
			break
		}
		out.WriteString(label(inside))
		text = after
	}
	return strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(out.String())
}

// label is what people saw of a link or a mention.
func label(inside string) string {
	target, shown, named := strings.Cut(inside, "|")
	if named && !strings.HasPrefix(target, "@") && !strings.HasPrefix(target, "#") {
		return shown
	}
	target = strings.TrimPrefix(strings.TrimPrefix(target, "http://"), "https://")
	return strings.TrimSuffix(target, "/")
}
