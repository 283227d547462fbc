package model

import (
	"log/slog"
	"regexp"
	"slices"
	"sort"
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

var secretName = regexp.MustCompile(`(?i)(^|[^a-z])(pass|passwd|password|secret|token|[a-z0-9]*key|kg|credentials?)([^a-z]|$)`)

// plainNames look like secrets and are not.
var plainNames = []string{"pubkey", "public-key", "password-file", "generate-random-password", "random-password-settings"}

// SecretName reports whether a param or field of that name is taken for a
// secret even when nothing declares it Secure.
func SecretName(name string) bool {
	base := strings.ToLower(name[strings.LastIndex(name, "/")+1:])
	return !slices.Contains(plainNames, base) && secretName.MatchString(name)
}

// RedactParams returns a copy of p with the values of secret params masked, at
// any depth. secure tells which names a Param declares Secure; nil means none.
func RedactParams(p Params, secure func(name string) bool) Params {
	if p == nil {
		return nil
	}
	out := make(Params, len(p))
	for name, v := range p {
		if v != nil && (SecretName(name) || secure != nil && secure(name)) {
			out[name] = Masked
			continue
		}
		out[name] = redactValue(v, secure)
	}
	return out
}

// redactValue masks secrets inside a nested value.
func redactValue(v any, secure func(string) bool) any {
	switch t := v.(type) {
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
	return v
}

// SecretValues collects the string values of secret params, longest first, for
// a Redactor.
func SecretValues(p Params, secure func(name string) bool) []string {
	var out []string
	for name, v := range p {
		switch t := v.(type) {
		case string:
			if SecretName(name) || secure != nil && secure(name) {
				out = append(out, t)
			}
		case Secret:
			out = append(out, string(t))
		case map[string]any:
			out = append(out, SecretValues(t, secure)...)
		}
	}
	sort.Slice(out, func(i, j int) bool { return len(out[i]) > len(out[j]) })
	return out
}

// Redact masks each of the values in text. Values shorter than four bytes are
// left alone: they would hit ordinary words and hide nothing.
func Redact(text string, values []string) string {
	for _, v := range values {
		if len(v) >= 4 {
			text = strings.ReplaceAll(text, v, Masked)
		}
	}
	return text
}
