package outbox

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// note is what an incident is remembered by.
type note struct {
	text json.RawMessage
	used time.Time
	life time.Duration
}

// over tells whether the incident is to be forgotten.
func (n note) over(now time.Time) bool { return n.used.Add(cmp.Or(n.life, rootLife)).Before(now) }

// see notes events that were told.
func (s *state) see(events ...string) {
	for _, e := range events {
		if e != "" {
			s.seen = append(s.seen, e)
		}
	}
	if len(s.seen) > 2*maxSeen {
		s.seen = slices.Clone(s.seen[len(s.seen)-maxSeen:])
	}
}

// remember notes what an entry's incident is remembered by, or that it ends.
func (s *state) remember(e *Entry) {
	k := incidentKey{e.Channel, e.Incident}
	switch {
	case e.Last:
		delete(s.notes, k)
	case len(e.Note) > 0:
		s.notes[k] = note{e.Note, e.Created, e.Life}
	}
}

// Note is what an incident is remembered by, nil for nothing.
func (b *Box) Note(channel, incident string) json.RawMessage {
	b.state.mu.Lock()
	defer b.state.mu.Unlock()
	return b.state.notes[incidentKey{channel, incident}].text
}

// Noted is an incident that is remembered.
type Noted struct {
	Channel, Incident string
	Note              json.RawMessage
	Root              string // the timestamp of its root, empty while there is none
}

// Notes lists the incidents that are remembered, those told of last first.
func (b *Box) Notes() []Noted {
	s := b.state
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(s.notes), func(x, y incidentKey) int {
		return cmp.Or(s.notes[y].used.Compare(s.notes[x].used), strings.Compare(x.channel, y.channel), strings.Compare(x.incident, y.incident))
	})
	out := make([]Noted, 0, len(keys))
	for _, k := range keys {
		out = append(out, Noted{k.channel, k.incident, s.notes[k].text, s.roots[k].ts})
	}
	return out
}

// Seen tells whether what is to be told of an event was put before.
func (b *Box) Seen(event string) bool {
	b.state.mu.Lock()
	defer b.state.mu.Unlock()
	return event != "" && slices.Contains(b.state.seen, event)
}
