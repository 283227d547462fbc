// Package redact takes out of texts what Slack must not see: the values of Secure
// params that went by, the plugin's own secrets, and what patterns match.
package redact

import (
	"fmt"
	"maps"
	"regexp"
	"sync"

	"provision-plugins/shared/model"
)

const (
	// maxPatterns bounds how many patterns there are, maxPattern the length of one.
	maxPatterns = 100
	maxPattern  = 1000
	// maxValues bounds how many secret values are remembered; beyond it all are
	// forgotten but those of the event at hand.
	maxValues = 10_000
	// minValue is the length from which a value is masked: a shorter one would hit
	// ordinary words.
	minValue = 4
	// maxScan bounds the text in which patterns are looked for, in bytes.
	maxScan = 1 << 20
)

// Patterns are the checked patterns of the param slack/redact.
type Patterns []*regexp.Regexp

// Parse reads the value of the param. Its errors name the pattern.
func Parse(value any) (Patterns, error) {
	if value == nil {
		return nil, nil
	}
	var texts []string
	if err := model.Remarshal(value, &texts); err != nil {
		return nil, model.Errorf(model.Invalid, "the patterns are no list of texts: %w", err)
	}
	if len(texts) > maxPatterns {
		return nil, model.Errorf(model.Invalid, "there are %d patterns; %d are the most", len(texts), maxPatterns)
	}
	var out Patterns
	for i, text := range texts {
		if text == "" || len(text) > maxPattern {
			return nil, model.Errorf(model.Invalid, "pattern %d is empty, or longer than %d bytes", i+1, maxPattern)
		}
		p, err := regexp.Compile(text)
		if err != nil {
			return nil, model.Errorf(model.Invalid, "pattern %d: %w", i+1, err)
		}
		if p.MatchString("") {
			return nil, model.Errorf(model.Invalid, "pattern %d matches nothing at all, so it would match everywhere", i+1)
		}
		out = append(out, p)
	}
	return out, nil
}

// Redactor masks texts. It may be used by several goroutines.
type Redactor struct {
	mu       sync.Mutex // guards all below
	patterns Patterns
	own      []string
	values   *model.SecretSet
	known    map[string]bool // what values holds
}

// New is a redactor that knows no secret.
func New() *Redactor {
	r := &Redactor{}
	r.clear()
	return r
}

// clear forgets the values of events. It is called with mu held, or by New.
func (r *Redactor) clear() {
	r.values, r.known = new(model.SecretSet), map[string]bool{}
	r.values.Add(r.own)
}

// Configure gives the patterns, and secrets of the plugin's own.
func (r *Redactor) Configure(p Patterns, own ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.patterns, r.own = p, own
	r.clear()
}

// Learn remembers the values of secret params in an event: of those that secure
// names, and of those whose name says so. Masked ones are none.
func (r *Redactor) Learn(e *model.Event, secure func(name string) bool) {
	var found []string
	for _, v := range []any{e.Object, e.Original} {
		var plain map[string]any
		switch t := v.(type) {
		case nil:
			continue
		case map[string]any:
			plain = t
		default:
			if model.Remarshal(v, &plain) != nil {
				continue
			}
		}
		if e.Type == "runs" {
			plain = keyless(plain)
		}
		found = append(found, model.SecretValues(plain, secure)...)
	}
	if len(found) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known)+len(found) > maxValues {
		r.clear()
	}
	for _, v := range found {
		if len(v) >= minValue && v != model.Masked && !r.known[v] {
			r.known[v] = true
			r.values.Add([]string{v})
		}
	}
}

// keyless is a run without its Key and that of its error: they name what it acts on,
// and are no secrets.
func keyless(run map[string]any) map[string]any {
	run = maps.Clone(run)
	delete(run, "Key")
	if fault, ok := run["Error"].(map[string]any); ok {
		run["Error"] = keyless(fault)
	}
	return run
}

// Text masks what is secret in a text. Of one that is very long the end is kept.
func (r *Redactor) Text(text string) string {
	if len(text) > maxScan {
		text = "…" + text[len(text)-maxScan:]
	}
	r.mu.Lock()
	patterns, out := r.patterns, r.values.Redact(text)
	r.mu.Unlock()
	for _, p := range patterns {
		out = p.ReplaceAllLiteralString(out, model.Masked)
	}
	return out
}

// String tells how much it knows, and nothing of it.
func (r *Redactor) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%d patterns, %d values", len(r.patterns), len(r.known)+len(r.own))
}
