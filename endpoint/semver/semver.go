// Package semver compares versions of content, and ranges of them as the
// Prerequisites of content write them: ">=1.2.0 <2.0.0 || >=3.1.0".
package semver

import (
	"strconv"
	"strings"

	"provision-plugins/shared/model"
)

// maxText bounds a version or a range in bytes.
const maxText = 256

// Version is major.minor.patch and what follows a hyphen. What follows a plus
// does not count.
type Version struct {
	number [3]uint64
	pre    []string
}

// Parse reads a version, with or without a v before it. Missing parts are zero.
func Parse(text string) (Version, error) {
	v, parts, err := parse(text)
	if err == nil && parts == 0 {
		err = model.Errorf(model.Invalid, "invalid version %s: it is empty", text)
	}
	return v, err
}

// parse is Parse, and tells how many parts of the number there are.
func parse(text string) (v Version, parts int, err error) {
	if len(text) > maxText {
		return v, 0, model.Errorf(model.Invalid, "invalid version %.20s...: longer than %d bytes", text, maxText)
	}
	bare, _, _ := strings.Cut(strings.TrimPrefix(text, "v"), "+")
	bare, pre, hasPre := strings.Cut(bare, "-")
	for part := range strings.SplitSeq(bare, ".") {
		if part == "x" || part == "X" || part == "*" || bare == "" {
			break
		}
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil || parts == len(v.number) {
			return v, 0, model.Errorf(model.Invalid, "invalid version %s: %q is not one of three numbers", text, part)
		}
		v.number[parts] = n
		parts++
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
	}
	for _, word := range v.pre {
		if word == "" {
			return v, 0, model.Errorf(model.Invalid, "invalid version %s: nothing follows a hyphen or a dot", text)
		}
	}
	return v, parts, nil
}

// Compare is negative if v is older than w, positive if newer, 0 if neither.
func (v Version) Compare(w Version) int {
	for i, n := range v.number {
		if n != w.number[i] {
			return sign(n < w.number[i])
		}
	}
	if len(v.pre) == 0 || len(w.pre) == 0 {
		return len(w.pre) - len(v.pre) // a release is newer than what led to it
	}
	for i, word := range v.pre {
		if i == len(w.pre) {
			return 1
		}
		if c := compareWords(word, w.pre[i]); c != 0 {
			return c
		}
	}
	return len(v.pre) - len(w.pre)
}

// compareWords compares two words of what follows a hyphen: numbers by value,
// before texts.
func compareWords(a, b string) int {
	m, errA := strconv.ParseUint(a, 10, 64)
	n, errB := strconv.ParseUint(b, 10, 64)
	switch {
	case errA == nil && errB == nil:
		if m == n {
			return 0
		}
		return sign(m < n)
	case errA == nil || errB == nil:
		return sign(errA == nil)
	}
	return strings.Compare(a, b)
}

// sign is -1 for less, else 1.
func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// term is one condition of a range.
type term struct {
	op string
	v  Version
}

// Range is a set of versions: alternatives, of each of which all terms hold.
type Range [][]term

// ops are the words before a version, longer ones first.
var ops = []string{">=", "<=", "==", "!=", ">", "<", "=", "!"}

// ParseRange reads a range. An empty one takes every version.
func ParseRange(text string) (Range, error) {
	if len(text) > maxText {
		return nil, model.Errorf(model.Invalid, "invalid range %.20s...: longer than %d bytes", text, maxText)
	}
	var out Range
	for alternative := range strings.SplitSeq(text, "||") {
		terms, err := parseTerms(alternative)
		if err != nil {
			return nil, model.Errorf(model.Invalid, "invalid range %q: %w", text, err)
		}
		out = append(out, terms)
	}
	return out, nil
}

// parseTerms reads terms that must all hold. A blank may stand between a word
// and its version.
func parseTerms(text string) ([]term, error) {
	var out []term
	op := ""
	for _, word := range strings.Fields(text) {
		for _, o := range ops {
			if rest, found := strings.CutPrefix(word, o); found && op == "" {
				op, word = o, rest
				break
			}
		}
		if word == "" {
			continue
		}
		v, parts, err := parse(word)
		if err != nil {
			return nil, err
		}
		out = append(out, expand(op, v, parts)...)
		op = ""
	}
	if op != "" {
		return nil, model.Errorf(model.Invalid, "no version follows %s", op)
	}
	return out, nil
}

// expand makes terms of a version that may have parts missing: 1.2 stands for
// all of 1.2.
func expand(op string, v Version, parts int) []term {
	if parts == 0 {
		return nil
	}
	next := v
	next.number[parts-1]++
	switch {
	case parts == len(v.number) || op == ">=" || op == "<" || op == "!=" || op == "!":
		return []term{{op, v}}
	case op == ">":
		return []term{{">=", next}}
	case op == "<=":
		return []term{{"<", next}}
	}
	return []term{{">=", v}, {"<", next}}
}

// Has reports whether a version is in the range.
func (r Range) Has(v Version) bool {
	for _, terms := range r {
		if all(terms, v) {
			return true
		}
	}
	return len(r) == 0
}

// all reports whether all terms hold for a version.
func all(terms []term, v Version) bool {
	for _, t := range terms {
		if !t.holds(v.Compare(t.v)) {
			return false
		}
	}
	return true
}

// holds reports whether a comparison is what the term wants.
func (t term) holds(c int) bool {
	switch t.op {
	case ">=":
		return c >= 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case "<":
		return c < 0
	case "!=", "!":
		return c != 0
	}
	return c == 0
}
