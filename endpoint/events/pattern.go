package events

import (
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// MaxPattern bounds the length of a pattern in bytes.
const MaxPattern = 1024

// unescape turns the escapes of a pattern's key into the bytes they stand for:
// a key may hold the three characters that have a meaning in patterns.
var unescape = strings.NewReplacer(`\1`, ".", `\2`, ",", `\3`, "*")

// Pattern selects events by type, action and key. A nil list selects all.
type Pattern struct {
	types, actions, keys []string
}

// ParsePattern reads "type.action.key", where each part is "*", a word or a
// list of words with commas between, or a comma list of whole patterns.
func ParsePattern(text string) ([]Pattern, error) {
	if text == "" || len(text) > MaxPattern {
		return nil, model.Errorf(model.Invalid, "cannot read event pattern: want 1 to %d bytes, not %d", MaxPattern, len(text))
	}
	if strings.Count(text, ".") == 2 {
		p, err := parseOne(text)
		return []Pattern{p}, err
	}
	var out []Pattern
	for part := range strings.SplitSeq(text, ",") {
		p, err := parseOne(part)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// parseOne reads a single pattern.
func parseOne(text string) (Pattern, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return Pattern{}, model.Errorf(model.Invalid, "cannot read event pattern %q: want type.action.key", text)
	}
	return Pattern{types: words(parts[0]), actions: words(parts[1]), keys: words(parts[2])}, nil
}

// words reads one part of a pattern; nil means any.
func words(part string) []string {
	list := strings.Split(part, ",")
	if slices.Contains(list, "*") {
		return nil
	}
	for i, w := range list {
		list[i] = unescape.Replace(w)
	}
	return list
}

// Match reports whether the pattern selects the event.
func (p Pattern) Match(e *model.Event) bool {
	return matchWord(p.types, e.Type) && matchWord(p.actions, e.Action) && matchWord(p.keys, e.Key)
}

// matchWord reports whether a part of a pattern selects the word.
func matchWord(list []string, word string) bool {
	return list == nil || slices.Contains(list, word)
}
