package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/slack/layout"
	"provision-plugins/slack/notice"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/redact"
	"provision-plugins/slack/route"
	"provision-plugins/slack/silence"
)

const (
	// together is the outbox's key of lines that may share a message.
	together = "lines"
	// flapChanges within flapWindow make an incident one that flaps: its message
	// changes, and nobody is told of each change.
	flapChanges = 5
	flapWindow  = 10 * time.Minute
	// stormCount new incidents of a rule within stormWindow are a storm: what comes
	// then is counted in a digest.
	stormCount  = 10
	stormWindow = time.Minute
	// maxDigests and maxFlaps bound what is remembered; the oldest is forgotten.
	maxDigests = 1000
	maxFlaps   = 10_000
	// keptLines and keptBytes bound the lines a digest keeps of each severity.
	keptLines = 40
	keptBytes = 4000
	// digestLife is how long a digest is remembered after its end.
	digestLife = time.Hour
)

// desk turns events into messages: it routes notices and knows what was told of
// an incident before.
type desk struct {
	teller *notice.Teller
	secret *redact.Redactor
	now    func() time.Time

	lanes   lanes
	mu      sync.Mutex // guards all below
	digests map[string]*digest
	flaps   map[string][]time.Time
	storms  map[string][]time.Time // new incidents, by rule and channel
}

// digest is a group of notices that one message tells, and what that message is
// remembered by.
type digest struct {
	layout.Digest
	Group    string    `json:"group"`
	Incident string    `json:"incident"`
	Version  int64     `json:"version"`
	Last     time.Time `json:"last"`
}

// newDesk is a desk that has told nothing.
func newDesk() *desk {
	secret := redact.New()
	return &desk{
		teller: notice.NewTeller(secret.Text), secret: secret, now: time.Now, lanes: lanes{seed: maphash.MakeSeed()},
		digests: map[string]*digest{}, flaps: map[string][]time.Time{}, storms: map[string][]time.Time{},
	}
}

// place is where a desk's messages go, as it is configured.
type place struct {
	table    *route.Table
	channel  string // of rules without one
	box      *outbox.Box
	silences *silence.Book
	buttons  bool // incidents have some: there is somebody to press them for
	now      func() time.Time
	facts    func(uuid string) ([]string, model.Params, error)
	secure   func(param string) bool // tells which params are Secure; nil for none
	log      func(run string) string // the end of what a run logged; nil for nothing
}

// Facts are a machine's profiles and params.
func (p *place) Facts(uuid string) ([]string, model.Params, error) {
	if p.facts == nil {
		return nil, nil, nil
	}
	return p.facts(uuid)
}

// Open tells whether an incident goes on in a rule's channel. One that flapped is
// over when nothing came for a while after its end.
func (p *place) Open(r *route.Rule, incident string) bool {
	channel := p.channelOf(r)
	if incident == "" || !p.box.Open(channel, incident) {
		return false
	}
	before := p.remembered(channel, incident)
	return before == nil || !before.Resolved || before.At.Add(flapWindow).After(p.now())
}

// channelOf is the channel of a rule.
func (p *place) channelOf(r *route.Rule) string {
	if r.Channel != "" {
		return r.Channel
	}
	return p.channel
}

// tell puts what is to be told of an event into the outbox, once.
func (d *desk) tell(p *place, e *model.Event) error {
	id := eventID(e)
	if p.box.Seen(id) {
		return nil
	}
	d.secret.Learn(e, p.secure)
	n := d.teller.Tell(e)
	if n == nil {
		return nil
	}
	if n.Incident != "" {
		defer d.lanes.take(n.Incident)()
	}
	_, silent := p.silences.Of(subject(n.Machine, n.Incident), d.now())
	var all []outbox.Entry
	for _, r := range p.table.Match(n, p) {
		if silent || toldIn(all, p.channelOf(r)) && r.Mode == route.Digest {
			all = append(all, d.edits(p, r, n)...)
		} else {
			all = append(all, d.entries(p, r, n)...)
		}
	}
	return p.box.PutAll(id, all...)
}

// toldIn tells whether entries tell something in a channel: a digest there counts
// it if it goes on, and is not begun for it.
func toldIn(entries []outbox.Entry, channel string) bool {
	return slices.ContainsFunc(entries, func(e outbox.Entry) bool { return e.Channel == channel })
}

// eventID names an event; one that the endpoint sends again has the same name.
// An event without a time has none.
func eventID(e *model.Event) string {
	if e.Time.IsZero() {
		return ""
	}
	sum := sha256.New()
	for _, word := range []string{e.Time.UTC().Format(time.RFC3339Nano), e.Type, e.Action, e.Key, e.Principal} {
		fmt.Fprintf(sum, "%d:%s", len(word), word)
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// entries are the messages by which a rule tells a notice.
func (d *desk) entries(p *place, r *route.Rule, n *notice.Notice) []outbox.Entry {
	e := d.entry(p, r, n)
	open := p.Open(r, n.Incident)
	switch {
	case r.Mode == route.Digest:
		return []outbox.Entry{d.digest(r, n, e)}
	case n.Incident == "" || r.Mode == route.Post, n.Severity == notice.Info && !open:
		e.Message = layout.Line(d.line(r, n))
		if e.NotBefore.IsZero() {
			e.Merge = together
		}
		return []outbox.Entry{e}
	case !open && d.storm(r, e.Channel):
		return []outbox.Entry{d.digest(r, n, e)}
	}
	return d.incident(p, r, n, open)
}

// line words a notice by a rule. A template may put together what was told apart.
func (d *desk) line(r *route.Rule, n *notice.Notice) string { return d.secret.Text(r.Line(n)) }

// edits are what a rule tells of a machine that is silent: messages that are there
// are edited, so that they stay true, and nothing else.
func (d *desk) edits(p *place, r *route.Rule, n *notice.Notice) []outbox.Entry {
	e := d.entry(p, r, n)
	switch {
	case r.Mode == route.Digest && d.counts(r, n, e.Channel):
		return []outbox.Entry{d.digest(r, n, e)}
	case r.Mode != route.Update && r.Mode != route.Thread, !p.Open(r, n.Incident):
		return nil
	}
	_, root := d.root(p, r, n)
	root.Last = n.Resolved
	return []outbox.Entry{root}
}

// entry is what all messages by which a rule tells a notice have in common.
func (d *desk) entry(p *place, r *route.Rule, n *notice.Notice) outbox.Entry {
	return outbox.Entry{Channel: p.channelOf(r), Severity: int(n.Severity), NotBefore: r.NotBefore(n, d.now())}
}

// root is the message of a notice's incident as it is now.
func (d *desk) root(p *place, r *route.Rule, n *notice.Notice) (now *layout.Incident, e outbox.Entry) {
	before := p.remembered(p.channelOf(r), n.Incident)
	now = layout.Told(n, d.line(r, n))
	now.Machine = d.secret.Text(n.Machine)
	now.Buttons, now.Changes, now.At = p.buttons, d.changes(n, before), d.now().UTC()
	carry(now, before, now.At)
	e = edited(p.channelOf(r), now)
	e.NotBefore = r.NotBefore(n, d.now())
	if before != nil && !p.Open(r, n.Incident) {
		e.Kind = outbox.Post // the message of the last time stays as it is
	}
	return now, e
}

// incident tells a notice in the message of its incident, and in its thread.
func (d *desk) incident(p *place, r *route.Rule, n *notice.Notice, open bool) []outbox.Entry {
	now, root := d.root(p, r, n)
	if p.log != nil && n.Detail == "" && n.Severity > notice.Info {
		n.Detail = d.secret.Text(p.log(n.Run))
	}
	reply := d.entry(p, r, n)
	reply.Kind, reply.Incident, reply.Last, reply.Message = outbox.Reply, n.Incident, n.Resolved, layout.Reply(n, d.line(r, n))
	out := []outbox.Entry{root, reply}
	switch {
	case open && r.Mode == route.Thread && now.Acked != nil:
		return nil
	case open && r.Mode == route.Thread:
		reply.Note = root.Note
		out = []outbox.Entry{reply}
	case now.Changes > 0, now.Acked != nil, !open && n.Detail == "":
		return []outbox.Entry{root}
	}
	if log := layout.Log(n); log != nil {
		file := d.entry(p, r, n)
		file.Kind, file.Incident, file.Message = outbox.Reply, n.Incident, log
		before := &out[len(out)-1] // what comes after the last of an incident is not of its thread
		before.Last, file.Last = false, before.Last
		out = append(out, file)
	}
	return out
}

// changes counts the changes of a notice's incident when it flaps, else 0. One that
// flapped before the plugin was started anew still does.
func (d *desk) changes(n *notice.Notice, before *layout.Incident) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	since := d.now().Add(-flapWindow)
	times := recent(d.flaps[n.Incident], since)
	if len(times) == 0 && before != nil && before.Changes > 0 && before.At.After(since) {
		times = slices.Repeat([]time.Time{before.At}, before.Changes)
	}
	times = append(times, d.now())
	if len(d.flaps) >= maxFlaps {
		clear(d.flaps)
	}
	d.flaps[n.Incident] = times
	if len(times) < flapChanges {
		return 0
	}
	return len(times)
}

// recent are the times after one.
func recent(times []time.Time, after time.Time) []time.Time {
	i := 0
	for i < len(times) && times[i].Before(after) {
		i++
	}
	return times[i:]
}

// storm tells whether a new incident comes in a storm of them.
func (d *desk) storm(r *route.Rule, channel string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := r.Name + "\x1f" + channel
	times := recent(d.storms[key], d.now().Add(-stormWindow))
	if len(times) >= stormCount {
		d.storms[key] = append(times[1:], d.now())
		return true
	}
	d.storms[key] = append(times, d.now())
	return false
}

// digest tells a notice in the message of its group.
func (d *desk) digest(r *route.Rule, n *notice.Notice, e outbox.Entry) outbox.Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	key := groupKey(r, n, e.Channel)
	g := d.digests[key]
	if g == nil || now.Sub(g.Last) > r.Over() {
		if len(d.digests) >= maxDigests {
			clear(d.digests)
		}
		g = &digest{Incident: fmt.Sprintf("digest:%x:%d", sha256.Sum256([]byte(key)), now.UnixNano()), Group: key}
		g.Title = d.secret.Text(title(r, n))
		d.digests[key] = g
		if wait := now.Add(r.Wait()); r.Wait() > 0 && wait.After(e.NotBefore) {
			e.NotBefore = wait
		}
	}
	g.Last = now
	g.count(n, d.line(r, n))
	g.Version++
	e.Kind, e.Incident, e.Version, e.Message = outbox.Update, g.Incident, g.Version, g.Message()
	e.Note, _ = model.Marshal(g) // strings and numbers encode
	e.Life = r.Over() + digestLife
	return e
}

// groupKey names the group of a notice by a rule.
func groupKey(r *route.Rule, n *notice.Notice, channel string) string {
	key := channel + "\x1f" + r.Group(n)
	if r.Mode != route.Digest {
		key += "\x1f" + n.Type + "\x1f" + n.Action + "\x1f" + n.Command
	}
	return key
}

// counts tells whether a digest that goes on counts a notice.
func (d *desk) counts(r *route.Rule, n *notice.Notice, channel string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.digests[groupKey(r, n, channel)]
	return g != nil && d.now().Sub(g.Last) <= r.Over()
}

// recall takes up the digests that an earlier process began.
func (d *desk) recall(box *outbox.Box) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range box.Notes() {
		var g digest
		if model.Unmarshal(n.Note, &g) == nil && g.Group != "" && d.digests[g.Group] == nil && len(d.digests) < maxDigests {
			d.digests[g.Group] = &g
		}
	}
}

// count adds a notice.
func (g *digest) count(n *notice.Notice, line string) {
	if n.Started {
		if g.Started++; g.Started == 1 {
			g.First = line
		}
		return
	}
	for i := range g.Groups {
		if c := &g.Groups[i]; c.Severity == n.Severity {
			if c.Count++; c.Severity > notice.Info && len(c.Lines) < keptLines && room(c.Lines, line) {
				c.Lines = append(c.Lines, line)
			}
			return
		}
	}
	g.Groups = append(g.Groups, layout.Count{Severity: n.Severity, Count: 1, Lines: []string{line}})
}

// room tells whether another line is worth keeping: more than these are not shown.
func room(lines []string, line string) bool {
	size := len(line)
	for _, l := range lines {
		size += len(l)
	}
	return size < keptBytes
}

// title says what the notices of a group have in common.
func title(r *route.Rule, n *notice.Notice) string {
	if r.Mode != route.Digest {
		return strings.Join(strings.Fields("storm: "+n.Type+" "+n.Action+" "+n.Command), " ")
	}
	var words []string
	for _, key := range r.GroupBy {
		if w := route.Value(key, n); w != "" {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return r.Name
	}
	return strings.Join(words, ", ")
}
