// Package silence knows of which machines nothing is to be told for a while:
// because the configuration says so, or because somebody asked for it.
package silence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"provision-plugins/shared/keep"
	"provision-plugins/shared/model"
)

const (
	// maxSilences bounds how many there are, of either kind.
	maxSilences = 1000
	// maxGlobs bounds the machines of one.
	maxGlobs = 1000
	// maxText bounds each text of one, in characters.
	maxText = 500
	// MaxTime is how long one that somebody asks for may last.
	MaxTime = 30 * 24 * time.Hour
)

// Silence is one of them.
type Silence struct {
	// ID names it. One of the configuration has the ID "config-N".
	ID string `json:"id"`

	// Machines are names, or globs of names. "plugin:NAME" is a plugin.
	Machines []string `json:"machines"`

	// From and Until are when it is; a zero Until is for ever, which only the
	// configuration may say.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`

	// By is who asked for it, and Reason why.
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Covers tells whether the silence is about a machine.
func (s *Silence) Covers(machine string) bool {
	return machine != "" && slices.ContainsFunc(s.Machines, func(glob string) bool {
		ok, err := path.Match(glob, machine)
		return err == nil && ok
	})
}

// at tells whether it is now.
func (s *Silence) at(now time.Time) bool { return !now.Before(s.From) && !s.over(now) }

// over tells whether it has ended.
func (s *Silence) over(now time.Time) bool { return !s.Until.IsZero() && !now.Before(s.Until) }

// check says what is wrong with a silence.
func (s *Silence) check() error {
	switch {
	case len(s.Machines) == 0:
		return errors.New("machines: name at least one")
	case len(s.Machines) > maxGlobs:
		return fmt.Errorf("machines: %d are the most", maxGlobs)
	case !s.Until.IsZero() && !s.Until.After(s.From):
		return errors.New("until is not after from")
	}
	for _, text := range append([]string{s.By, s.Reason}, s.Machines...) {
		if utf8.RuneCountInString(text) > maxText {
			return fmt.Errorf("a text of more than %d characters", maxText)
		}
	}
	for _, glob := range s.Machines {
		if _, err := path.Match(glob, ""); err != nil || strings.TrimSpace(glob) == "" {
			return fmt.Errorf("machines: %q is no name and no pattern", glob)
		}
	}
	return nil
}

// Parse reads the value of the param slack/silences. Its errors name the silence.
func Parse(value any) ([]Silence, error) {
	if value == nil {
		return nil, nil
	}
	raw, err := model.Marshal(value)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "the silences cannot be read: %w", err)
	}
	var rows []struct {
		Machines    []string
		From, Until time.Time
		Reason      string
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&rows); err != nil {
		return nil, model.Errorf(model.Invalid, "the silences are no list of {machines, from, until, reason} with times such as 2026-12-24T18:00:00Z: %w", err)
	}
	if len(rows) > maxSilences {
		return nil, model.Errorf(model.Invalid, "there are %d silences; %d are the most", len(rows), maxSilences)
	}
	var out []Silence
	for i, r := range rows {
		s := Silence{ID: fmt.Sprintf("config-%d", i+1), Machines: r.Machines, From: r.From, Until: r.Until, By: "config", Reason: r.Reason}
		if err := s.check(); err != nil {
			return nil, model.Errorf(model.Invalid, "silence %d: %s", i+1, err)
		}
		out = append(out, s)
	}
	return out, nil
}

// Book holds the silences of now and of later. It may be used by several
// goroutines.
type Book struct {
	store *keep.Store[Silence]
	now   func() time.Time

	mu    sync.Mutex         // guards all below
	fixed []Silence          // of the configuration
	asked map[string]Silence // by ID
}

// Open reads what an earlier book in a folder was told; fixed are those of the
// configuration. What cannot be read is told of by the error, beside a book of
// the rest.
func Open(dir string, fixed []Silence) (*Book, error) {
	store, err := keep.Open[Silence](dir)
	if err != nil {
		return nil, err
	}
	b := &Book{store: store, now: time.Now, fixed: fixed}
	b.asked, err = store.All()
	if b.asked == nil {
		b.asked = map[string]Silence{}
	}
	return b, err
}

// Add takes a silence and returns its ID. When it returns nil the silence is on
// disk.
func (b *Book) Add(s Silence) (id string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if s.From.IsZero() {
		s.From = now.UTC()
	}
	switch err := s.check(); {
	case err != nil:
		return "", model.Errorf(model.Invalid, "cannot silence: %s", err)
	case !s.Until.After(now) || s.Until.Sub(now) > MaxTime:
		return "", model.Errorf(model.Invalid, "cannot silence until %s: want a time within the next %.0f days", s.Until.UTC().Format(time.RFC3339), MaxTime.Hours()/24)
	}
	if err := b.tidy(now); err != nil {
		return "", err
	}
	if len(b.asked) >= maxSilences {
		return "", model.Errorf(model.Busy, "cannot silence: there are %d silences; end some", maxSilences)
	}
	s.ID = uuid.NewString()[:8]
	for b.asked[s.ID].ID != "" {
		s.ID = uuid.NewString()[:8]
	}
	if err := b.store.Put(s.ID, s); err != nil {
		return "", err
	}
	b.asked[s.ID] = s
	return s.ID, nil
}

// tidy forgets what is over. It is called with mu held.
func (b *Book) tidy(now time.Time) error {
	for id, s := range b.asked {
		if !s.over(now) {
			continue
		}
		if err := b.store.Delete(id); err != nil {
			return err
		}
		delete(b.asked, id)
	}
	return nil
}

// End ends a silence that somebody asked for, and returns it.
func (b *Book) End(id string) (Silence, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.asked[id]
	if !ok && slices.ContainsFunc(b.fixed, func(f Silence) bool { return f.ID == id }) {
		return s, model.Errorf(model.Conflict, "cannot end silence %s: it is of the param slack/silences", id)
	}
	if !ok || s.over(b.now()) {
		return s, model.Errorf(model.NotFound, "cannot end silence %.20s: there is none of this name", id)
	}
	if err := b.store.Delete(id); err != nil {
		return s, err
	}
	delete(b.asked, id)
	return s, nil
}

// List lists those that are not over, the one that ends first before the others.
func (b *Book) List() []Silence {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	out := slices.AppendSeq(slices.Clone(b.fixed), maps.Values(b.asked))
	out = slices.DeleteFunc(out, func(s Silence) bool { return s.over(now) })
	slices.SortFunc(out, func(x, y Silence) int {
		switch {
		case x.Until.IsZero() && !y.Until.IsZero():
			return 1
		case y.Until.IsZero() && !x.Until.IsZero():
			return -1
		}
		return cmp.Or(x.Until.Compare(y.Until), strings.Compare(x.ID, y.ID))
	})
	return out
}

// Silent tells whether nothing is to be told of a machine at a time.
func (b *Book) Silent(machine string, at time.Time) bool {
	_, ok := b.Of(machine, at)
	return ok
}

// Of is the silence that covers a machine at a time, of several the one that
// lasts longest.
func (b *Book) Of(machine string, at time.Time) (found Silence, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	consider := func(s Silence) {
		if !s.at(at) || !s.Covers(machine) {
			return
		}
		if !ok || !found.Until.IsZero() && (s.Until.IsZero() || s.Until.After(found.Until)) {
			found, ok = s, true
		}
	}
	for _, s := range b.fixed {
		consider(s)
	}
	for _, s := range b.asked {
		consider(s)
	}
	return found, ok
}
