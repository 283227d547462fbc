package model

import (
	"encoding/json"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Masked is what stands where a secret stood.
const Masked = "******"

// Secret is a string that prints, marshals and logs as Masked.
type Secret string

// String returns Masked.
func (Secret) String() string { return Masked }

// GoString returns Masked.
func (Secret) GoString() string { return Masked }

// MarshalText returns Masked, so that no encoder shows the value.
func (Secret) MarshalText() ([]byte, error) { return []byte(Masked), nil }

// LogValue returns Masked.
func (Secret) LogValue() slog.Value { return slog.StringValue(Masked) }

// secretWords are the words that name a secret; so does each that ends in key.
var secretWords = []string{
	"pass", "passwd", "pwd", "password", "passwords", "passphrase", "secret", "secrets", "token", "tokens", "kg", "credential", "credentials",
}

// secretRoots are what such a word has at least one of: a name without any need
// not be taken apart, which is most of the cost of redaction.
var secretRoots = []string{"pass", "pwd", "secret", "token", "key", "kg", "credential"}

// secretWord reports whether a word, in small letters, names a secret.
func secretWord(word string) bool {
	return strings.HasSuffix(word, "key") || slices.Contains(secretWords, word)
}

// notLetter reports what stands between words.
func notLetter(r rune) bool { return r < 'a' || r > 'z' }

// hump is where a camelCase name goes on with another word.
var hump = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// plainNames look like secrets and are not.
var plainNames = []string{"pubkey", "public-key", "password-file", "generate-random-password", "random-password-settings"}

// SecretName reports whether a param or field of that name is taken for a
// secret even when nothing declares it Secure.
func SecretName(name string) bool {
	lower := strings.ToLower(name)
	if !slices.ContainsFunc(secretRoots, func(root string) bool { return strings.Contains(lower, root) }) {
		return false
	}
	if name != lower { // few have humps
		lower = strings.ToLower(hump.ReplaceAllString(name, "$1-$2"))
	}
	base := lower[strings.LastIndex(lower, "/")+1:]
	if slices.Contains(plainNames, base) {
		return false
	}
	for word := range strings.FieldsFuncSeq(lower, notLetter) {
		if secretWord(word) {
			return true
		}
	}
	return false
}

// RedactParams returns a copy of p with the values of secret params masked, at
// any depth. secure tells which names a Param declares Secure; nil means none.
func RedactParams(p Params, secure func(name string) bool) Params {
	if p == nil {
		return nil
	}
	out := make(Params, len(p))
	for name, v := range p {
		if v != nil && isSecret(name, secure) {
			out[name] = Masked
			continue
		}
		out[name] = redactValue(v, secure)
	}
	return out
}

// isSecret joins the two ways a param is known to be a secret.
func isSecret(name string, secure func(string) bool) bool {
	return SecretName(name) || secure != nil && secure(name)
}

// redactValue masks secrets inside a nested value.
func redactValue(v any, secure func(string) bool) any {
	switch t := v.(type) {
	case nil, string, bool, json.Number, float64, int, int64:
		return v
	case Secret:
		return Masked
	case map[string]any:
		return map[string]any(RedactParams(t, secure))
	case Params:
		return RedactParams(t, secure)
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			out[i] = redactValue(e, secure)
		}
		return out
	}
	// Other types are those of Go code; their JSON is what would be seen.
	var plain any
	if err := Remarshal(v, &plain); err != nil {
		return Masked
	}
	return redactValue(plain, secure)
}

// SecretValues collects the values of secret params, at any depth, longest
// first, for Redact.
func SecretValues(p Params, secure func(name string) bool) []string {
	var out []string
	collectSecrets(p, false, secure, &out)
	sortLongest(out)
	return out
}

// collectSecrets appends the texts in v that are secret: all of them where
// inside is true, else those under secret names.
func collectSecrets(v any, inside bool, secure func(string) bool, out *[]string) {
	switch t := v.(type) {
	case Secret:
		*out = append(*out, string(t))
	case string:
		if inside {
			*out = append(*out, t)
		}
	case json.Number:
		if inside {
			*out = append(*out, t.String())
		}
	case Params:
		collectSecrets(map[string]any(t), inside, secure, out)
	case map[string]any:
		for name, e := range t {
			collectSecrets(e, inside || isSecret(name, secure), secure, out)
		}
	case []any:
		for _, e := range t {
			collectSecrets(e, inside, secure, out)
		}
	case []string:
		for _, e := range t {
			collectSecrets(e, inside, secure, out)
		}
	}
}

// sortLongest puts longer values first, so that a value which is part of
// another does not leave the rest of that one standing.
func sortLongest(values []string) {
	slices.SortStableFunc(values, func(a, b string) int { return len(b) - len(a) })
}

// minSecret is the length from which Redact masks a value, in bytes.
const minSecret = 4

// Redact masks each of the values in text, as they are and as they look inside
// JSON, Go and URL strings. Values shorter than four bytes are left alone: they
// would hit ordinary words and hide nothing.
func Redact(text string, values []string) string {
	var forms []string
	for _, v := range values {
		if len(v) >= minSecret {
			forms = append(forms, secretForms(v)...)
		}
	}
	sortLongest(forms)
	for _, form := range forms {
		text = strings.ReplaceAll(text, form, Masked)
	}
	return text
}

// secretForms returns a value and the ways in which it may stand escaped in a
// text.
func secretForms(v string) []string {
	forms := []string{v}
	if strings.IndexFunc(v, isOdd) < 0 {
		return forms
	}
	quoted := strconv.Quote(v)
	escaped, err := json.Marshal(v)
	if err != nil {
		escaped = []byte(quoted)
	}
	bare, err := Marshal(v)
	if err != nil {
		bare = []byte(quoted)
	}
	for _, form := range []string{quoted[1 : len(quoted)-1], string(escaped[1 : len(escaped)-1]), string(bare[1 : len(bare)-1]), url.QueryEscape(v), url.PathEscape(v)} {
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	return forms
}

// isOdd reports whether some escaping changes r.
func isOdd(r rune) bool {
	plain := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.~", r)
	return !plain
}
