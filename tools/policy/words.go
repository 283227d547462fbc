package policy

import (
	"bytes"
	"io/fs"
	"regexp"
)

// bannedWord is a text that must not stand in any file.
type bannedWord struct {
	pattern *regexp.Regexp
	why     string
}

const whyAlone = "the repository speaks of the project alone; where and by whom it was written means nothing to its readers"

// bannedWords have character classes where the plain word would match itself.
var bannedWords = []bannedWord{
	{regexp.MustCompile(`\b(TO[D]O|FIX[M]E|X[X]X)\b`), "what is left to do is tracked elsewhere, or done"},
	{regexp.MustCompile(`/work/(main|shared)\b|/tmp/t[e]am\b`), whyAlone},
	{regexp.MustCompile(`(?i)\bissues? #?[0-9]+\b|\b(next|this) [i]ssue\b`), whyAlone},
	{regexp.MustCompile(`(?i)\b(cl[a]ude|anthr[o]pic|chat[g]pt|open[a]i|copil[o]t|ll[m]s?)\b`), whyAlone},
	{regexp.MustCompile(`(?i)\b(sub-?|coding |ai )[a]gents?\b|\b(the|this) b[r]ief\b`), whyAlone},
	{regexp.MustCompile(`(^|[^/\w-])(desi[g]n|styl[e])\.md\b|\bspec/[a-z-]+\.md\b|\bdrp-protocol\.m[d]\b`), "that document is not in the repository, so nobody can look it up"},
}

// checkWords looks for banned words in every file that is text.
func checkWords(t *tree) {
	for _, p := range t.texts {
		text, err := fs.ReadFile(t.fsys, p)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			continue
		}
		for _, w := range bannedWords {
			for _, m := range w.pattern.FindAllIndex(text, -1) {
				line := 1 + bytes.Count(text[:m[0]], []byte("\n"))
				t.found = append(t.found, Violation{p, line, "it says " + string(bytes.TrimSpace(text[m[0]:m[1]])), w.why})
			}
		}
	}
}
