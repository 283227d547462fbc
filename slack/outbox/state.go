package outbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// The steps in the life of an entry, as the journal words them.
const (
	opPut    = "put"    // taken; it tells of Count that were dropped
	opTry    = "try"    // about to be sent
	opRest   = "rest"   // surely not posted by the last try, or unlikely
	opDone   = "done"   // posted, as TS
	opTurn   = "turn"   // to go on its own, plain or elsewhere
	opDead   = "dead"   // given up, Why
	opDrop   = "drop"   // dropped for want of room
	opRetry  = "retry"  // taken up again after it was given up
	opForget = "forget" // given up long ago
	opRoot   = "root"   // an incident's root is TS
	opDrops  = "drops"  // Count were dropped from Channel and not told yet
	opNote   = "note"   // an incident is remembered by Note
	opSeen   = "seen"   // the events With were told
)

// record is one line of the journal.
type record struct {
	Op       string    `json:"op"`
	ID       string    `json:"id,omitempty"`
	Entry    *Entry    `json:"entry,omitempty"`
	Entries  []Entry   `json:"entries,omitempty"`
	Event    string    `json:"event,omitempty"`
	State    *progress `json:"state,omitempty"`
	At       time.Time `json:"at,omitzero"`
	TS       string    `json:"ts,omitempty"`
	Channel  string    `json:"channel,omitempty"`
	Incident string    `json:"incident,omitempty"`
	Version  int64     `json:"version,omitempty"`
	Why      string    `json:"why,omitempty"`
	Plain    bool      `json:"plain,omitempty"`
	Count    int       `json:"count,omitempty"`
	With     []string  `json:"with,omitempty"`
	Unlikely bool      `json:"unlikely,omitempty"`

	Note json.RawMessage `json:"note,omitempty"`
	Life time.Duration   `json:"life,omitempty"`
}

// entries are those of a line that puts some.
func (r *record) entries() []Entry {
	if r.Entry != nil {
		return []Entry{*r.Entry}
	}
	return r.Entries
}

// progress is how far an entry has come.
type progress struct {
	// Tries is the number of attempts.
	Tries int `json:"tries,omitempty"`

	// Since is when the first attempt began that may have come through; zero if
	// none may.
	Since time.Time `json:"since,omitzero"`

	// Unlikely says that none did, as far as one can tell without looking.
	Unlikely bool `json:"unlikely,omitempty"`

	// Plain and Moved say that it goes without layout, and to the fallback.
	Plain bool `json:"plain,omitempty"`
	Moved bool `json:"moved,omitempty"`

	// Alone says that it goes without its incident's root.
	Alone bool `json:"alone,omitempty"`

	// With are those that go out in one message with it.
	With []string `json:"with,omitempty"`

	// Dead is why it was given up.
	Dead string `json:"dead,omitempty"`
}

// item is an entry in memory; its message is on disk.
type item struct {
	progress
	id       string
	channel  string
	kind     Kind
	incident string
	merge    string
	last     bool
	version  int64
	life     time.Duration
	held     time.Time
	severity int
	created  time.Time
	at       int64 // where its line begins in the file, and how long it is
	size     int
	share    int // of size: several entries may share a line
}

// incidentKey names an incident in a channel.
type incidentKey struct{ channel, incident string }

// root is an incident's message.
type root struct {
	ts      string
	used    time.Time
	version int64
	life    time.Duration
}

// over tells whether the incident is to be forgotten.
func (r root) over(now time.Time) bool { return r.used.Add(cmp.Or(r.life, rootLife)).Before(now) }

// state is what the journal says.
type state struct {
	mu      sync.Mutex // guards all below
	file    *os.File   // to read messages from
	items   map[string]*item
	queues  map[string][]*item // by channel, in order; nothing dead
	pending map[incidentKey]*item
	ranks   [severities][]*item // by severity, oldest first; some may be gone
	roots   map[incidentKey]root
	notes   map[incidentKey]note
	seen    []string       // events, the newest last
	dropped map[string]int // by channel, since it was told
	dead    []*item        // oldest first
	bytes   int64          // of the lines of items
}

// newState is empty.
func newState() *state {
	return &state{
		items: map[string]*item{}, queues: map[string][]*item{}, pending: map[incidentKey]*item{},
		roots: map[incidentKey]root{}, notes: map[incidentKey]note{}, dropped: map[string]int{},
	}
}

// apply counts one line. A line that makes no sense here is passed over: its
// entry is gone, by a line that was damaged.
func (s *state) apply(line []byte, at int64) {
	var r record
	if model.Unmarshal(line, &r) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Op {
	case opPut:
		entries := r.entries()
		for i := range entries {
			s.put(r, &entries[i], place{at, len(line), len(line) / len(entries)})
		}
		s.see(r.Event)
	case opNote:
		s.notes[incidentKey{r.Channel, r.Incident}] = note{r.Note, r.At, r.Life}
	case opSeen:
		s.see(r.With...)
	case opRoot:
		s.roots[incidentKey{r.Channel, r.Incident}] = root{r.TS, r.At, r.Version, r.Life}
	case opDrops:
		s.dropped[r.Channel] = r.Count
	default:
		if it := s.items[r.ID]; it != nil {
			s.step(it, r)
		}
	}
}

// step counts a line of an entry that is there, and of those that go with it.
func (s *state) step(it *item, r record) {
	if r.Op == opTry {
		it.With = r.With
	}
	together := []*item{it}
	for _, id := range it.With {
		if other := s.items[id]; other != nil && other != it && r.Op != opForget {
			together = append(together, other)
		}
	}
	for _, one := range together {
		s.stepOne(one, r)
	}
}

// stepOne counts a line of one entry.
func (s *state) stepOne(it *item, r record) {
	switch r.Op {
	case opTry:
		it.Tries++
		it.Unlikely = false
		if it.Since.IsZero() {
			it.Since = r.At
		}
		s.unpend(it)
	case opRest:
		if it.Unlikely = r.Unlikely; !r.Unlikely {
			it.Since = time.Time{}
		}
	case opDone:
		s.done(it, r)
	case opTurn:
		s.turn(it, r)
	case opDead:
		it.Dead = r.Why
		s.leave(it)
		s.dead = append(s.dead, it)
	case opRetry:
		s.revive(it)
	case opDrop:
		s.dropped[it.channel]++
		s.remove(it)
	case opForget:
		s.remove(it)
	}
}

// place is where an entry's line is, and how much of it is the entry's.
type place struct {
	at          int64
	size, share int
}

// put takes an entry, in the place of another one if it replaces one.
func (s *state) put(r record, e *Entry, at place) {
	if e.ID == "" || s.items[e.ID] != nil || e.Severity < 0 || e.Severity >= severities || s.stale(e) {
		return
	}
	if s.dropped[e.Channel] -= r.Count; s.dropped[e.Channel] <= 0 {
		delete(s.dropped, e.Channel)
	}
	it := &item{
		id: e.ID, channel: e.Channel, kind: e.Kind, incident: e.Incident, merge: e.Merge, last: e.Last, version: e.Version, life: e.Life,
		held: e.NotBefore, severity: e.Severity, created: e.Created, at: at.at, size: at.size, share: at.share,
	}
	if r.State != nil {
		it.progress = *r.State
	}
	s.items[it.id] = it
	s.bytes += int64(it.share)
	s.remember(e)
	if it.Dead != "" {
		s.dead = append(s.dead, it)
		return
	}
	if !s.replace(it) {
		s.queues[it.channel] = append(s.queues[it.channel], it)
	}
	s.rank(it)
	if it.Tries == 0 && it.incident != "" && it.kind != Reply {
		s.pending[incidentKey{it.channel, it.incident}] = it
	}
	if it.last {
		delete(s.pending, incidentKey{it.channel, it.incident}) // what comes now is of another one
	}
}

// stale tells whether a newer version of an update is posted, or waits.
func (s *state) stale(e *Entry) bool {
	if e.Version == 0 {
		return false
	}
	if s.roots[incidentKey{e.Channel, e.Incident}].version > e.Version {
		return true
	}
	return slices.ContainsFunc(s.queues[e.Channel], func(it *item) bool { return it.incident == e.Incident && it.version > e.Version })
}

// replace puts an update in the place of one of its incident that nobody saw yet.
func (s *state) replace(it *item) bool {
	old := s.pending[incidentKey{it.channel, it.incident}]
	if it.kind != Update || old == nil || it.Tries > 0 {
		return false
	}
	i := slices.Index(s.queues[it.channel], old)
	if i < 0 {
		return false
	}
	it.kind = old.kind // an Update of what was not posted is the post
	if old.held.Before(it.held) {
		it.held = old.held // it was due then, with the news of now
	}
	s.queues[it.channel][i] = it
	s.remove(old)
	return true
}

// rank notes an entry among those that may be dropped.
func (s *state) rank(it *item) {
	rank := append(s.ranks[it.severity], it)
	if len(rank) > 2*len(s.items)+64 {
		rank = slices.DeleteFunc(rank, func(old *item) bool { return s.items[old.id] != old || old.Dead != "" })
	}
	s.ranks[it.severity] = rank
}

// droppable is what to drop next: the oldest of the lowest severity that no
// attempt was made at. Nil if there is none.
func (s *state) droppable() *item {
	for i := range s.ranks {
		for len(s.ranks[i]) > 0 {
			it := s.ranks[i][0]
			if s.items[it.id] == it && it.Dead == "" && it.Tries == 0 {
				return it
			}
			s.ranks[i] = s.ranks[i][1:]
		}
	}
	return nil
}

// unpend keeps a newer update from taking the place of it.
func (s *state) unpend(it *item) {
	if k := (incidentKey{it.channel, it.incident}); s.pending[k] == it {
		delete(s.pending, k)
	}
}

// done ends an entry that is posted, and notes the root it is.
func (s *state) done(it *item, r record) {
	if k := (incidentKey{it.channel, it.incident}); it.incident != "" && (it.kind != Reply || s.roots[k].ts != "") {
		was := s.roots[k]
		if it.kind == Post || was.ts == "" {
			was.ts = r.TS
		}
		s.roots[k] = root{was.ts, r.At, max(was.version, it.version), it.life}
	}
	if it.last {
		delete(s.roots, incidentKey{it.channel, it.incident})
	}
	s.remove(it)
}

// turn has an entry go another way than it came.
func (s *state) turn(it *item, r record) {
	it.Since = time.Time{}
	switch {
	case r.Channel != "":
		s.leave(it)
		it.channel, it.Moved = r.Channel, true
		s.queues[it.channel] = append(s.queues[it.channel], it)
	case r.Plain:
		it.Plain = true
	default:
		it.Alone = true
		delete(s.roots, incidentKey{it.channel, it.incident})
	}
}

// revive puts an entry that was given up at the end of its channel.
func (s *state) revive(it *item) {
	if it.Dead == "" {
		return
	}
	it.progress = progress{Tries: it.Tries, Since: it.Since}
	s.dead = slices.DeleteFunc(s.dead, func(d *item) bool { return d == it })
	s.queues[it.channel] = append(s.queues[it.channel], it)
	s.rank(it)
}

// leave takes an entry out of its channel.
func (s *state) leave(it *item) {
	s.unpend(it)
	queue := s.queues[it.channel]
	switch i := slices.Index(queue, it); {
	case i == 0: // as nearly always: nothing is moved
		queue[0] = nil
		s.queues[it.channel] = queue[1:]
	case i > 0:
		s.queues[it.channel] = slices.Delete(queue, i, i+1)
	}
	if len(s.queues[it.channel]) == 0 {
		delete(s.queues, it.channel)
	}
}

// remove forgets an entry.
func (s *state) remove(it *item) {
	s.leave(it)
	if it.Dead != "" {
		s.dead = slices.DeleteFunc(s.dead, func(d *item) bool { return d == it })
	}
	delete(s.items, it.id)
	s.bytes -= int64(it.share)
}

// lines are those that would make the state what it is: roots, then entries in
// their order, each with its progress.
func (s *state) lines() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, it := range s.inOrder() {
			if !yield(s.whole(it)) {
				return
			}
		}
		for _, r := range s.marks() {
			raw, _ := model.Marshal(r) // strings and times encode
			if !yield(raw) {
				return
			}
		}
	}
}

// inOrder lists the entries whose lines a rewrite keeps.
func (s *state) inOrder() []*item {
	out := make([]*item, 0, len(s.items))
	for _, channel := range slices.Sorted(maps.Keys(s.queues)) {
		out = append(out, s.queues[channel]...)
	}
	return append(out, s.dead...)
}

// marks are the lines that are not of entries.
func (s *state) marks() []record {
	var out []record
	for k, r := range s.roots {
		out = append(out, record{Op: opRoot, Channel: k.channel, Incident: k.incident, TS: r.ts, At: r.used, Version: r.version, Life: r.life})
	}
	for k, n := range s.notes {
		out = append(out, record{Op: opNote, Channel: k.channel, Incident: k.incident, Note: n.text, At: n.used, Life: n.life})
	}
	if recent := s.seen[max(len(s.seen)-maxSeen, 0):]; len(recent) > 0 {
		out = append(out, record{Op: opSeen, With: recent})
	}
	for channel, n := range s.dropped {
		out = append(out, record{Op: opDrops, Channel: channel, Count: n})
	}
	return out
}

// whole is the line of an entry with its progress.
func (s *state) whole(it *item) []byte {
	e, err := s.read(it)
	p := it.progress
	if err != nil {
		p.Dead = err.Error()
		e = Entry{ID: it.id, Message: json.RawMessage("null"), Created: it.created, Severity: it.severity, Incident: it.incident}
	}
	e.Channel, e.Kind, e.Note = it.channel, it.kind, nil             // notes have lines of their own
	raw, _ := model.Marshal(record{Op: opPut, Entry: &e, State: &p}) // it was JSON before
	return raw
}

// read reads an entry from the file.
func (s *state) read(it *item) (Entry, error) {
	raw := make([]byte, it.size)
	if _, err := s.file.ReadAt(raw, it.at); err != nil && err != io.EOF {
		return Entry{}, fmt.Errorf("cannot read a message of the outbox: %w", err)
	}
	var r record
	if err := model.Unmarshal(raw, &r); err == nil {
		for _, e := range r.entries() {
			if e.ID == it.id {
				return e, nil
			}
		}
	}
	return Entry{}, model.Errorf(model.Internal, "cannot read message %s of the outbox: its line is damaged", it.id)
}

// moved notes where the lines are in a new file.
func (s *state) moved(file *os.File, lines []line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = file
	s.bytes = 0
	for i, it := range s.inOrder() {
		it.at, it.size, it.share = lines[i].at, lines[i].size, lines[i].size
		s.bytes += int64(it.size)
	}
}
