package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/slack/layout"
	"provision-plugins/slack/notice"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/route"
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
	// keptLines bounds the lines a digest keeps of each severity.
	keptLines = 40
)

// desk turns events into messages: it routes notices and knows what was told of
// an incident before.
type desk struct {
	teller *notice.Teller
	now    func() time.Time

	mu      sync.Mutex // guards all below
	digests map[string]*digest
	flaps   map[string][]time.Time
	storms  map[string][]time.Time // new incidents, by rule and channel
}

// digest is a group of notices that one message tells.
type digest struct {
	layout.Digest
	incident string
	version  int64
	last     time.Time
}

// newDesk is a desk that has told nothing.
func newDesk() *desk {
	return &desk{
		teller: notice.NewTeller(), now: time.Now,
		digests: map[string]*digest{}, flaps: map[string][]time.Time{}, storms: map[string][]time.Time{},
	}
}

// place is where a desk's messages go, as it is configured.
type place struct {
	table   *route.Table
	channel string // of rules without one
	box     *outbox.Box
	facts   func(uuid string) ([]string, model.Params, error)
}

// Facts are a machine's profiles and params.
func (p *place) Facts(uuid string) ([]string, model.Params, error) {
	if p.facts == nil {
		return nil, nil, nil
	}
	return p.facts(uuid)
}

// Open tells whether an incident goes on in a rule's channel.
func (p *place) Open(r *route.Rule, incident string) bool {
	return incident != "" && p.box.Open(p.channelOf(r), incident)
}

// channelOf is the channel of a rule.
func (p *place) channelOf(r *route.Rule) string {
	if r.Channel != "" {
		return r.Channel
	}
	return p.channel
}

// tell puts what is to be told of an event into the outbox.
func (d *desk) tell(p *place, e *model.Event) error {
	n := d.teller.Tell(e)
	if n == nil {
		return nil
	}
	for _, r := range p.table.Match(n, p) {
		for _, entry := range d.entries(p, r, n) {
			if err := p.box.Put(entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// entries are the messages by which a rule tells a notice.
func (d *desk) entries(p *place, r *route.Rule, n *notice.Notice) []outbox.Entry {
	e := outbox.Entry{Channel: p.channelOf(r), Severity: int(n.Severity), NotBefore: r.NotBefore(n, d.now())}
	open := p.Open(r, n.Incident)
	switch {
	case r.Mode == route.Digest:
		return []outbox.Entry{d.digest(r, n, e)}
	case n.Incident == "" || r.Mode == route.Post, n.Severity == notice.Info && !open:
		e.Message = layout.Line(r.Line(n))
		if e.NotBefore.IsZero() {
			e.Merge = together
		}
		return []outbox.Entry{e}
	case !open && d.storm(r, e.Channel):
		return []outbox.Entry{d.digest(r, n, e)}
	}
	return d.incident(r, n, e, open)
}

// incident tells a notice in the message of its incident, and in its thread.
func (d *desk) incident(r *route.Rule, n *notice.Notice, e outbox.Entry, open bool) []outbox.Entry {
	line := r.Line(n)
	changes := d.changes(n)
	e.Incident = n.Incident
	root, reply := e, e
	root.Kind, root.Message = outbox.Update, layout.Root(n, line, changes)
	reply.Kind, reply.Message, reply.Last = outbox.Reply, layout.Reply(n, line), n.Resolved
	switch {
	case changes > 0, !open && n.Detail == "":
		return []outbox.Entry{root}
	case open && r.Mode == route.Thread:
		return []outbox.Entry{reply}
	}
	return []outbox.Entry{root, reply}
}

// changes counts the changes of a notice's incident when it flaps, else 0.
func (d *desk) changes(n *notice.Notice) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	times := append(recent(d.flaps[n.Incident], d.now().Add(-flapWindow)), d.now())
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
	key := e.Channel + "\x1f" + r.Group(n)
	if r.Mode != route.Digest {
		key += "\x1f" + n.Type + "\x1f" + n.Action + "\x1f" + n.Command
	}
	g := d.digests[key]
	if g == nil || now.Sub(g.last) > r.Over() {
		if len(d.digests) >= maxDigests {
			clear(d.digests)
		}
		g = &digest{incident: fmt.Sprintf("digest:%s:%d", key, now.UnixNano())}
		g.Title = title(r, n)
		d.digests[key] = g
		if wait := now.Add(r.Wait()); r.Wait() > 0 && wait.After(e.NotBefore) {
			e.NotBefore = wait
		}
	}
	g.last = now
	g.count(n, r.Line(n))
	g.version++
	e.Kind, e.Incident, e.Version, e.Message = outbox.Update, g.incident, g.version, g.Message()
	return e
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
			if c.Count++; len(c.Lines) < keptLines {
				c.Lines = append(c.Lines, line)
			}
			return
		}
	}
	g.Groups = append(g.Groups, layout.Count{Severity: n.Severity, Count: 1, Lines: []string{line}})
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
