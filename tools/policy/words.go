package policy

import (
	"bytes"
	"io/fs"
	"regexp"
	"slices"
)

// bannedWord is a text that must not stand in any file.
type bannedWord struct {
	// hints are plain words, in lower case, one of which every match holds.
	// They spare most files the pattern, which is slow.
	hints   []string
	pattern *regexp.Regexp
	why     string
}

const whyAlone = "the repository speaks of the project alone; where and by whom it was written means nothing to its readers"

// bannedWords are written so that they do not match themselves.
var bannedWords = []bannedWord{
	{[]string{"to" + "do", "fix" + "me", "x" + "xx"}, regexp.MustCompile(`\b(TO[D]O|FIX[M]E|X[X]X)\b`), "what is left to do is tracked elsewhere, or done"},
	{[]string{"/work/", "/tmp/t"}, regexp.MustCompile(`/work/(main|shared)\b|/tmp/t[e]am\b`), whyAlone},
	{[]string{"issue"}, regexp.MustCompile(`(?i)\bissues? #?[0-9]+\b|\b(next|this) [i]ssue\b`), whyAlone},
	{[]string{"cl" + "aude", "anth" + "ropic", "chat" + "gpt", "open" + "ai", "co" + "pilot", "ll" + "m"}, regexp.MustCompile(`(?i)\b(cl[a]ude|anthr[o]pic|chat[g]pt|open[a]i|copil[o]t|ll[m]s?)\b`), whyAlone},
	{[]string{"agent", "brief"}, regexp.MustCompile(`(?i)\b(sub-?|coding |ai )[a]gents?\b|\b(the|this) b[r]ief\b`), whyAlone},
	{[]string{".md"}, regexp.MustCompile(`(^|[^/\w-])(desi[g]n|styl[e])\.md\b|\bspec/[a-z-]+\.md\b|\bdrp-protocol\.m[d]\b`), "that document is not in the repository, so nobody can look it up"},
}

// checkWords looks for banned words in every file that is text.
func checkWords(t *tree) {
	for _, p := range t.texts {
		text, err := fs.ReadFile(t.fsys, p)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		lower := bytes.ToLower(text)
		for _, w := range bannedWords {
			if !hinted(lower, w.hints) {
				continue
			}
			for _, m := range w.pattern.FindAllIndex(text, -1) {
				line := 1 + bytes.Count(text[:m[0]], []byte("\n"))
				t.found = append(t.found, Violation{p, line, "it says " + string(bytes.TrimSpace(text[m[0]:m[1]])), w.why})
			}
		}
	}
}

// hinted reports whether text holds one of the hints.
func hinted(text []byte, hints []string) bool {
	return slices.ContainsFunc(hints, func(h string) bool { return bytes.Contains(text, []byte(h)) })
}
