package model

import (
	"slices"
	"strings"
	"sync"
)

// SecretSet masks many secret values in texts, at a cost that hardly grows with
// their number. The zero value is empty. Values are counted: one that was added
// twice has to be dropped twice.
type SecretSet struct {
	mu    sync.RWMutex               // guards forms
	forms map[[minSecret]byte][]form // by their first bytes, the longest first
}

// form is one way in which a value may stand in a text.
type form struct {
	text string
	uses int
}

// Add adds values. As in Redact, those shorter than four bytes are left out.
func (s *SecretSet) Add(values []string) { s.count(values, 1) }

// Drop takes values away that were added.
func (s *SecretSet) Drop(values []string) { s.count(values, -1) }

// count changes how often values were added.
func (s *SecretSet) count(values []string, by int) {
	if len(values) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forms == nil {
		s.forms = map[[minSecret]byte][]form{}
	}
	for _, v := range values {
		if len(v) < minSecret {
			continue
		}
		for _, text := range secretForms(v) {
			s.countForm(text, by)
		}
	}
}

// countForm changes how often one form was added. The caller holds mu.
func (s *SecretSet) countForm(text string, by int) {
	head := [minSecret]byte([]byte(text[:minSecret]))
	list := s.forms[head]
	at := slices.IndexFunc(list, func(f form) bool { return f.text == text })
	switch {
	case at < 0 && by > 0:
		list = append(list, form{text, by})
		slices.SortStableFunc(list, func(a, b form) int { return len(b.text) - len(a.text) })
	case at < 0:
		return
	default:
		if list[at].uses += by; list[at].uses <= 0 {
			list = slices.Delete(list, at, at+1)
		}
	}
	if len(list) == 0 {
		delete(s.forms, head)
		return
	}
	s.forms[head] = list
}

// Redact masks the values in a text, in the ways that Redact knows.
func (s *SecretSet) Redact(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.forms) == 0 || len(text) < minSecret {
		return text
	}
	var out strings.Builder
	kept := 0
	for i := 0; i+minSecret <= len(text); {
		n := s.at(text[i:])
		if n == 0 {
			i++
			continue
		}
		out.WriteString(text[kept:i])
		out.WriteString(Masked)
		i += n
		kept = i
	}
	if kept == 0 {
		return text
	}
	out.WriteString(text[kept:])
	return out.String()
}

// at returns the length of the longest form that a text begins with, 0 if there
// is none. The caller holds mu.
func (s *SecretSet) at(text string) int {
	for _, f := range s.forms[[minSecret]byte([]byte(text[:minSecret]))] {
		if strings.HasPrefix(text, f.text) {
			return len(f.text)
		}
	}
	return 0
}
