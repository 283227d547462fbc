package outbox

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// waiting lists the channels with entries.
func (s *state) waiting() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]string, 0, len(s.queues))
	for name := range s.queues {
		out = append(out, name)
	}
	return out
}

// head is the next entry of a channel; if all that wait are held, it is when the
// first of them may go.
func (s *state) head(channel string, now time.Time) (it item, at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var blocked map[string]bool // incidents of those held
	for _, next := range s.queues[channel] {
		switch {
		case next.held.After(now):
			if at.IsZero() || next.held.Before(at) {
				at = next.held
			}
			if next.incident != "" && blocked == nil {
				blocked = map[string]bool{}
			}
			if next.incident != "" {
				blocked[next.incident] = true
			}
		case next.incident == "" || !blocked[next.incident]:
			return *next, time.Time{}, true
		}
	}
	return item{}, at, false
}

// open tells whether an incident has a root, or will have when what waits is
// posted.
func (s *state) open(k incidentKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	is := s.roots[k].ts != ""
	for _, it := range s.queues[k.channel] {
		if it.incident == k.incident {
			is = !it.last
		}
	}
	return is
}

// joiner makes one message of several, as Options.Join.
type joiner func([]json.RawMessage) (json.RawMessage, int)

// delivery is what to send of an entry, with the ids of those that go out in the
// same message; nil if it is not there any more.
func (s *state) delivery(id string, join joiner) (d *Delivery, with []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.items[id]
	if now == nil {
		return nil, nil, nil
	}
	e, err := s.read(now)
	if err != nil {
		return nil, nil, err
	}
	e.Channel, e.Kind = now.channel, now.kind
	d = &Delivery{Entry: e, Plain: now.Plain, Attempt: now.Tries, Since: now.Since, Unlikely: now.Unlikely}
	if e.Incident != "" && e.Kind != Post && !now.Alone {
		d.Root = s.roots[incidentKey{e.Channel, e.Incident}].ts
	}
	if now.merge == "" || join == nil {
		return d, nil, nil
	}
	ids, messages := s.together(now, e.Message)
	var n int
	d.Message, n = join(messages)
	return d, ids[1:min(max(n, 1), len(ids))], nil
}

// together lists the entries that may go out with one, itself the first: those
// that did before, or those that wait right behind it.
func (s *state) together(first *item, message json.RawMessage) (ids []string, messages []json.RawMessage) {
	ids, messages = []string{first.id}, []json.RawMessage{message}
	for _, it := range s.behind(first) {
		e, err := s.read(it)
		if err != nil {
			break // it is given up when its turn comes
		}
		ids, messages = append(ids, it.id), append(messages, e.Message)
	}
	return ids, messages
}

// behind lists the items that may go out with first.
func (s *state) behind(first *item) (out []*item) {
	if first.Tries > 0 {
		for _, id := range first.With {
			if it := s.items[id]; it != nil {
				out = append(out, it)
			}
		}
		return out
	}
	queue := s.queues[first.channel]
	if len(queue) == 0 || queue[0] != first {
		return nil
	}
	for _, it := range queue[1:min(len(queue), maxTogether)] {
		if it.merge != first.merge || it.Tries > 0 || !it.held.IsZero() {
			break
		}
		out = append(out, it)
	}
	return out
}

// tried tells whether an attempt at an entry was counted.
func (s *state) tried(id string, attempt int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[id]
	return it != nil && it.Tries == attempt && it.Dead == ""
}

// surplus tells whether no more entries wait than that, and if not what to drop.
func (s *state) surplus(entries int, bytes int64) (id string, full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) <= entries && s.bytes < bytes {
		return "", false
	}
	if it := s.droppable(); it != nil {
		return it.id, true
	}
	return "", true
}

// count is how many entries wait.
func (s *state) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items) - len(s.dead)
}

// deadIDs lists what was given up.
func (s *state) deadIDs() []item {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]item, 0, len(s.dead))
	for _, it := range s.dead {
		out = append(out, *it)
	}
	return out
}

// oldestDead is the oldest of more than most entries that were given up.
func (s *state) oldestDead(most int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.dead) <= most {
		return ""
	}
	return s.dead[0].id
}

// droppedOf is how many entries of a channel were dropped and not told, once no
// more than most entries wait.
func (s *state) droppedOf(channel string, most int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) > most {
		return 0
	}
	return s.dropped[channel]
}

// Open tells whether an incident goes on: messages of it are posted, or wait, and
// none of them is its last.
func (b *Box) Open(channel, incident string) bool {
	return b.state.open(incidentKey{channel, incident})
}

// Root tells the timestamp of an incident's root, empty if it has none.
func (b *Box) Root(channel, incident string) string {
	b.state.mu.Lock()
	defer b.state.mu.Unlock()
	return b.state.roots[incidentKey{channel, incident}].ts
}

// forget forgets incidents whose time is over, and the oldest of too many.
func (s *state) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.roots, func(_ incidentKey, r root) bool { return r.over(now) })
	maps.DeleteFunc(s.notes, func(_ incidentKey, n note) bool { return n.over(now) })
	forgetOldest(s.roots, maxRoots, func(r root) time.Time { return r.used })
	forgetOldest(s.notes, maxRoots, func(n note) time.Time { return n.used })
}

// forgetOldest forgets the oldest of too many.
func forgetOldest[T any](known map[incidentKey]T, most int, used func(T) time.Time) {
	if len(known) <= most {
		return
	}
	keys := slices.SortedFunc(maps.Keys(known), func(x, y incidentKey) int { return used(known[x]).Compare(used(known[y])) })
	for _, k := range keys[:len(keys)-most] {
		delete(known, k)
	}
}

// status tells what waits and what was given up.
func (s *state) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{Waiting: len(s.items) - len(s.dead)}
	for name, queue := range s.queues {
		out.Channels = append(out.Channels, ChannelStatus{Channel: name, Waiting: len(queue)})
		if first := queue[0].created; out.Oldest.IsZero() || first.Before(out.Oldest) {
			out.Oldest = first
		}
	}
	for _, it := range s.dead {
		out.Dead = append(out.Dead, DeadStatus{ID: it.id, Channel: it.channel, Created: it.created, Why: it.Dead})
	}
	for channel, n := range s.dropped {
		if out.Dropped == nil {
			out.Dropped = map[string]int{}
		}
		out.Dropped[channel] = n
	}
	return out
}
