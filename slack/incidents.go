package main

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/slack/layout"
	"provision-plugins/slack/notice"
	"provision-plugins/slack/outbox"
	"provision-plugins/slack/silence"
)

// lanes are locks by incident: what its message says is read, changed and put by
// one at a time.
type lanes struct {
	seed  maphash.Seed
	locks [64]sync.Mutex
}

// take locks an incident and returns what unlocks it.
func (l *lanes) take(incident string) (free func()) {
	lock := &l.locks[maphash.String(l.seed, incident)%uint64(len(l.locks))]
	lock.Lock()
	return lock.Unlock
}

// remembered is what an incident in a channel is remembered by, nil for nothing.
func (p *place) remembered(channel, incident string) *layout.Incident {
	raw := p.box.Note(channel, incident)
	if raw == nil {
		return nil
	}
	return parseIncident(raw)
}

// parseIncident reads a note, nil if it is of something else.
func parseIncident(raw []byte) *layout.Incident {
	var i layout.Incident
	if model.Unmarshal(raw, &i) != nil || i.Key == "" {
		return nil
	}
	return &i
}

// carry takes over what people did about an incident, as far as it still counts:
// it is not over, and not worse than it was when it was acknowledged.
func carry(now, before *layout.Incident, at time.Time) {
	if before == nil || now.Resolved {
		return
	}
	if a := before.Acked; a != nil && now.Severity <= a.Severity {
		now.Acked = a
	}
	if s := before.Silenced; s != nil && (s.Until.IsZero() || s.Until.After(at)) {
		now.Silenced = s
	}
}

// edited is the entry that edits an incident's message to what it is now.
func edited(channel string, i *layout.Incident) outbox.Entry {
	note, _ := model.Marshal(i) // strings and times encode
	return outbox.Entry{Channel: channel, Kind: outbox.Update, Incident: i.Key, Severity: int(i.Severity), Message: i.Message(), Note: note}
}

// mark changes the messages of incidents that go on and that change is true for,
// and returns how many these are.
func (d *desk) mark(p *place, change func(i *layout.Incident) bool) (marked int, err error) {
	for _, n := range p.box.Notes() {
		ok, err := d.markOne(p, n, change)
		if err != nil {
			return marked, err
		}
		if ok {
			marked++
		}
	}
	return marked, nil
}

// markOne changes the message of one incident.
func (d *desk) markOne(p *place, n outbox.Noted, change func(i *layout.Incident) bool) (bool, error) {
	defer d.lanes.take(n.Incident)()
	i := p.remembered(n.Channel, n.Incident)
	if i == nil || i.Resolved || !change(i) {
		return false, nil
	}
	return true, p.box.Put(edited(n.Channel, i))
}

// Ack notes in the messages of an incident that somebody looks after it: what
// repeats it is not told in its thread until it is over or gets worse. by is a
// Slack user, as U123, or another name.
func (n *notifier) Ack(_ context.Context, incident, by string) error {
	p, err := n.at()
	if err != nil {
		return err
	}
	now := n.desk.now().UTC()
	marked, err := n.desk.mark(p, func(i *layout.Incident) bool {
		if i.Key != incident {
			return false
		}
		i.Acked = &layout.Mark{By: by, At: now, Severity: i.Severity}
		return true
	})
	if err == nil && marked == 0 {
		err = model.Errorf(model.NotFound, "cannot acknowledge %.100q: no such incident goes on", incident)
	}
	return err
}

// Silence has nothing told of machines for a while, says so in the messages of
// their incidents, and returns the silence's ID.
func (n *notifier) Silence(_ context.Context, s silence.Silence) (id string, err error) {
	p, err := n.at()
	if err != nil {
		return "", err
	}
	if id, err = p.silences.Add(s); err != nil {
		return "", err
	}
	now := n.desk.now().UTC()
	_, err = n.desk.mark(p, func(i *layout.Incident) bool {
		if !s.Covers(subject(i.Machine, i.Key)) {
			return false
		}
		i.Silenced = &layout.Mark{By: s.By, At: now, Until: s.Until, Reason: s.Reason}
		return true
	})
	return id, err
}

// EndSilence ends a silence that somebody asked for.
func (n *notifier) EndSilence(_ context.Context, id string) error {
	p, err := n.at()
	if err != nil {
		return err
	}
	if _, err := p.silences.End(id); err != nil {
		return err
	}
	_, err = n.desk.mark(p, func(i *layout.Incident) bool {
		if i.Silenced == nil || p.silences.Silent(subject(i.Machine, i.Key), n.desk.now()) {
			return false
		}
		i.Silenced = nil
		return true
	})
	return err
}

// incident is one that goes on, as a channel has it.
type incident struct {
	// Channel and TS name its message; TS is empty while that is not posted.
	Channel string `json:"channel"`
	TS      string `json:"ts,omitempty"`

	layout.Incident
}

// Incidents lists the incidents that go on, those told of last first.
func (n *notifier) Incidents() ([]incident, error) {
	p, err := n.at()
	if err != nil {
		return nil, err
	}
	var out []incident
	for _, noted := range p.box.Notes() {
		if i := parseIncident(noted.Note); i != nil && !i.Resolved {
			out = append(out, incident{noted.Channel, noted.Root, *i})
		}
	}
	return out, nil
}

// at is the plugin's place, or an error while there is none.
func (n *notifier) at() (*place, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.place == nil {
		return nil, model.Errorf(model.Busy, "the plugin is not running")
	}
	return n.place, nil
}

// subject is what a silence names: a machine, or a plugin by "plugin:NAME".
func subject(machine, incident string) string {
	if machine == "" && strings.HasPrefix(incident, notice.PluginTrouble) {
		return incident
	}
	return machine
}
