package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// posting is a message in the room.
type posting struct {
	id, channel, root, ts string
	plain                 bool
	text                  string // of the last edit
}

// room is where messages are posted: it keeps what it executed. Faults are asked
// for by script, one an attempt.
type room struct {
	mu       sync.Mutex // guards all below
	postings []posting
	script   []fault
	sends    int
	finds    int
	blind    bool
	findErr  error
	seq      int
}

// fault is what happens to one attempt.
type fault struct {
	posted bool // it comes through all the same
	empty  bool // the answer names no message
	hangs  bool // no answer comes
	err    error
}

// door is the way of one box into the room. A closed door lets nothing through,
// as that of a process that is dead.
type door struct {
	room   *room
	mu     sync.Mutex // guards closed
	closed bool
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// Send executes one attempt.
func (d *door) Send(ctx context.Context, m Delivery) (string, error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return "", context.Canceled
	}
	ts, f := d.room.execute(m)
	d.mu.Unlock()
	if f.hangs {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return ts, f.err
}

// Find looks through what was posted.
func (d *door) Find(_ context.Context, m Delivery) (string, error) {
	r := d.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finds++
	if r.blind {
		return "", ErrBlind
	}
	if err := r.findErr; err != nil {
		r.findErr = nil
		return "", err
	}
	for _, p := range r.postings {
		if p.id == m.ID {
			return p.ts, nil
		}
	}
	return "", nil
}

// execute posts or edits, as the script has it.
func (r *room) execute(m Delivery) (string, fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sends++
	f := fault{posted: true}
	if len(r.script) > 0 {
		f, r.script = r.script[0], r.script[1:]
	}
	if !f.posted {
		return "", f
	}
	ts := r.put(m)
	if f.empty {
		ts = ""
	}
	return ts, f
}

// put posts or edits. It is called with mu held.
func (r *room) put(m Delivery) string {
	if m.Kind == Update && m.Root != "" {
		for i := range r.postings {
			if r.postings[i].ts == m.Root {
				r.postings[i].text = string(m.Message)
			}
		}
		return m.Root
	}
	r.seq++
	p := posting{id: m.ID, channel: m.Channel, ts: strconv.Itoa(r.seq), plain: m.Plain, text: string(m.Message)}
	if m.Kind == Reply {
		p.root = m.Root
	}
	r.postings = append(r.postings, p)
	return p.ts
}

// texts are the messages of a channel, in order; a reply's has its root before it.
func (r *room) texts(channel string) (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.postings {
		if p.channel != channel {
			continue
		}
		text := p.text
		if p.root != "" {
			text = p.root + ">" + text
		}
		if p.plain {
			text += "(plain)"
		}
		out = append(out, text)
	}
	return out
}

// lab is a room with a box that posts to it.
type lab struct {
	*Box
	t    testing.TB
	room *room
	door *door
	opts Options
	log  *bytes.Buffer
}

// newLab opens a box; change may alter its options. It is called in a bubble, so
// that pauses cost no time.
func newLab(t testing.TB, change func(*Options)) *lab {
	t.Helper()
	l := &lab{t: t, room: &room{}, log: &bytes.Buffer{}, opts: Options{Dir: t.TempDir()}}
	l.opts.Logger = slog.New(slog.NewTextHandler(l.log, nil))
	if change != nil {
		change(&l.opts)
	}
	l.open()
	return l
}

// open opens the box of the lab's directory.
func (l *lab) open() {
	l.t.Helper()
	var err error
	l.door = &door{room: l.room}
	l.opts.Sender = l.door
	if l.Box, err = Open(l.t.Context(), l.opts); err != nil {
		l.t.Fatal(err)
	}
}

// close delivers all and closes the box.
func (l *lab) close() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 24*time.Hour)
	defer cancel()
	if left, err := l.Close(ctx); err != nil || left != 0 {
		l.t.Fatalf("%d are left, %v; log\n%s", left, err, l.log)
	}
}

// kill ends the box as the death of its process would, and returns a directory
// with what was on the disk then.
func (l *lab) kill() {
	l.t.Helper()
	l.door.shut()
	raw, err := os.ReadFile(filepath.Join(l.opts.Dir, journalName))
	if err != nil {
		l.t.Fatal(err)
	}
	l.room.mu.Lock()
	l.room.script = nil
	l.room.mu.Unlock()
	over, cancel := context.WithCancel(l.t.Context())
	cancel()
	if _, err := l.Close(over); err != nil {
		l.t.Fatal(err)
	}
	l.opts.Dir = l.t.TempDir()
	if err := os.WriteFile(filepath.Join(l.opts.Dir, journalName), raw, 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// put puts messages of a channel, each the text of one.
func (l *lab) put(channel string, texts ...string) {
	l.t.Helper()
	for _, text := range texts {
		l.entry(Entry{Channel: channel, Message: quoted(text)})
	}
}

// entry puts an entry.
func (l *lab) entry(e Entry) {
	l.t.Helper()
	if err := l.Put(e); err != nil {
		l.t.Fatal(err)
	}
}

// quoted is a message.
func quoted(text string) json.RawMessage { return json.RawMessage(strconv.Quote(text)) }

// wantTexts compares what a channel has.
func (l *lab) wantTexts(channel string, want ...string) {
	l.t.Helper()
	if got := l.room.texts(channel); !slices.Equal(got, want) {
		l.t.Errorf("channel %s has %v, want %v\n%s", channel, got, want, l.log)
	}
}

// bubble runs a test in a bubble, where time passes only while all wait.
func bubble(t *testing.T, change func(*Options), test func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newLab(t, change)) })
}

// pass lets time go by, of the bubble.
func pass(d time.Duration) { <-time.After(d) }
