package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"provision-plugins/shared/model"
)

const (
	// maxMessage bounds the message of one entry, in bytes.
	maxMessage = 256 << 10
	// maxNote bounds what is remembered of one incident, in bytes.
	maxNote = 64 << 10
	// maxSeen bounds how many events are remembered as told.
	maxSeen = 1000
	// maxTogether bounds how many entries go out in one message.
	maxTogether = 100
	// maxRoots bounds how many incidents are remembered, and rootLife how long
	// after the last message of one that does not say so itself.
	maxRoots = 20_000
	rootLife = 30 * 24 * time.Hour
	// rewriteAfter is how many bytes a journal grows at least between rewrites.
	rewriteAfter = 4 << 20
)

// ErrBlind is a Sender's word for "it cannot be told whether it was posted".
var ErrBlind = errors.New("what is posted cannot be read")

// Policy says what happens to a message of which nobody can tell whether it was
// posted.
type Policy string

// The policies.
const (
	// AtLeastOnce sends it again.
	AtLeastOnce Policy = "at-least-once"

	// AtMostOnce gives it up.
	AtMostOnce Policy = "at-most-once"
)

// Options say how a Box works. The zero value of a number means its default.
type Options struct {
	// Dir is the directory of the journal. It exists.
	Dir string

	// Sender delivers.
	Sender Sender

	// Fallback is the channel of what its own channel refuses; empty for none.
	Fallback string

	// Policy is AtLeastOnce if empty.
	Policy Policy

	// Join makes one message of the first few of several that may be merged, and
	// says how many these are; nil merges nothing.
	Join func(messages []json.RawMessage) (json.RawMessage, int)

	// Dropped makes the message that tells how many messages of a channel were
	// dropped for want of room.
	Dropped func(count int) (message json.RawMessage)

	// MaxEntries and MaxBytes bound what waits: 100,000 messages, 256 MiB.
	MaxEntries int
	MaxBytes   int64

	// MaxDead bounds what was given up and is kept: 1,000.
	MaxDead int

	// PerChannel is the time between two messages of a channel, 1 s, with Burst at
	// once, 3. PerMinute bounds all channels together, 200.
	PerChannel time.Duration
	Burst      int
	PerMinute  int

	// Pause is the first pause of the box's own, 1 s; it doubles up to MaxPause,
	// 5 minutes.
	Pause, MaxPause time.Duration

	// Now is the clock of what is written down; time.Now if nil.
	Now func() time.Time

	// Logger gets what goes wrong; nil for none.
	Logger *slog.Logger
}

// complete fills in the defaults.
func (o Options) complete() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Policy == "" {
		o.Policy = AtLeastOnce
	}
	for _, d := range []struct {
		value    *int
		fallback int
	}{{&o.MaxEntries, 100_000}, {&o.Burst, 3}, {&o.PerMinute, 200}, {&o.MaxDead, 1000}} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&o.PerChannel, time.Second}, {&o.Pause, time.Second}, {&o.MaxPause, 5 * time.Minute}} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 256 << 20
	}
	return o
}

// Box holds messages and delivers them. Make it with Open.
type Box struct {
	opts    Options
	lock    *dirLock
	state   *state
	journal *journal
	all     *rate.Limiter // of all channels together
	work    context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup

	puts    sync.Mutex  // one Put at a time decides what gives way
	tidying atomic.Bool // somebody rewrites the journal

	mu       sync.Mutex // guards all below
	channels map[string]*channel
	resting  time.Time     // until when all channels rest
	draining bool          // no more is taken
	drain    chan struct{} // closed then
	resumed  chan struct{} // closed and replaced when rests end
	idle     chan struct{}
}

// Open reads what an earlier box of the directory left, and goes on with it. It
// waits, as long as ctx allows, while another process has the directory.
func Open(ctx context.Context, o Options) (*Box, error) {
	o = o.complete()
	lock, err := takeLock(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	s := newState()
	j, damaged, err := openJournal(o.Dir, s)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	s.mu.Lock()
	s.file = j.file
	s.mu.Unlock()
	if damaged > 0 {
		o.Logger.Error("lines of the outbox are damaged; what they said is lost", "lines", damaged, "file", j.path)
	}
	b := &Box{
		opts: o, lock: lock, drain: make(chan struct{}), resumed: make(chan struct{}), state: s, journal: j, channels: map[string]*channel{},
		all: rate.NewLimiter(rate.Every(time.Minute/time.Duration(o.PerMinute)), o.Burst*10),
	}
	b.work, b.cancel = context.WithCancel(context.Background())
	for _, name := range s.waiting() {
		b.wake(name)
	}
	return b, nil
}

// Put takes a message. When it returns nil the message is on disk.
func (b *Box) Put(e Entry) error { return b.PutAll("", e) }

// PutAll takes what is to be told of an event, all of it or nothing. When it
// returns nil that is on disk, and the event is remembered for a while: if it is
// put again nothing comes of it. An empty event is remembered by nobody.
func (b *Box) PutAll(event string, entries ...Entry) error {
	for i := range entries {
		if err := entries[i].check(b.opts.Now()); err != nil {
			return err
		}
	}
	if b.closed() {
		return model.Errorf(model.Busy, "cannot take the message: the outbox is closing")
	}
	if len(entries) == 0 || b.Seen(event) {
		return nil
	}
	if err := b.makeRoom(len(entries)); err != nil {
		return err
	}
	if err := b.noteAll(event, entries); err != nil {
		return err
	}
	for _, e := range entries {
		b.wake(e.Channel)
	}
	return nil
}

// noteAll writes entries, in one line if they fit into one.
func (b *Box) noteAll(event string, entries []Entry) error {
	size := 0
	for _, e := range entries {
		size += len(e.Message) + len(e.Note)
	}
	if len(entries) == 1 || size < maxLine/2 {
		return b.note(record{Op: opPut, Entries: entries, Event: event})
	}
	for i := range entries {
		r := record{Op: opPut, Entries: entries[i : i+1]}
		if i == len(entries)-1 {
			r.Event = event
		}
		if err := b.note(r); err != nil {
			return err
		}
	}
	return nil
}

// note writes one line.
func (b *Box) note(r record) error {
	raw, err := model.Marshal(r)
	if err != nil {
		return model.Errorf(model.Invalid, "cannot keep the message: %w", err)
	}
	if err := b.journal.append(raw); err != nil {
		return err
	}
	if b.journal.due() {
		b.tidyOnce()
	}
	return nil
}

// tidyOnce tidies if nobody else does, or did.
func (b *Box) tidyOnce() {
	if !b.tidying.CompareAndSwap(false, true) {
		return
	}
	defer b.tidying.Store(false)
	if b.journal.due() {
		b.tidy()
	}
}

// tidy forgets what is old and rewrites the journal.
func (b *Box) tidy() {
	b.state.forget(b.opts.Now())
	if err := b.journal.rewrite(); err != nil {
		b.opts.Logger.Error("the outbox keeps growing", "cause", err)
	}
}

// makeRoom drops what matters least until some more messages fit.
func (b *Box) makeRoom(more int) error {
	b.puts.Lock()
	defer b.puts.Unlock()
	for {
		id, full := b.state.surplus(b.opts.MaxEntries-more, b.opts.MaxBytes)
		switch {
		case !full:
			return nil
		case id == "":
			return model.Errorf(model.Busy, "cannot take the message: the outbox is full and nothing in it can be dropped")
		}
		if err := b.note(record{Op: opDrop, ID: id}); err != nil {
			return err
		}
	}
}

// closed tells whether nothing more is taken.
func (b *Box) closed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.draining
}

// Close takes no more messages, delivers those that wait as far as ctx allows,
// and closes the journal. What was not delivered is still there at the next
// Open; its number is returned.
func (b *Box) Close(ctx context.Context) (left int, err error) {
	b.mu.Lock()
	if b.draining {
		b.mu.Unlock()
		return 0, nil
	}
	b.draining = true
	close(b.drain)
	idle := b.waitIdle()
	b.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	b.cancel()
	b.workers.Wait()
	return b.state.count(), errors.Join(b.journal.close(), b.lock.release())
}

// waitIdle returns a channel that is closed when nobody is at work. It is called
// with mu held.
func (b *Box) waitIdle() <-chan struct{} {
	idle := make(chan struct{})
	if b.workingNow() == 0 {
		close(idle)
		return idle
	}
	b.idle = idle
	return idle
}

// Resume ends all rests: what made channels rest may be over.
func (b *Box) Resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resting = time.Time{}
	for _, c := range b.channels {
		c.resting, c.pause = time.Time{}, 0
	}
	close(b.resumed)
	b.resumed = make(chan struct{})
}

// RetryDead takes up again what was given up, and returns how much that was.
func (b *Box) RetryDead() (int, error) {
	dead := b.state.deadIDs()
	for i, d := range dead {
		if err := b.note(record{Op: opRetry, ID: d.id}); err != nil {
			return i, err
		}
		b.wake(d.channel)
	}
	return len(dead), nil
}

// Status is what a Box holds.
type Status struct {
	// Waiting is how many messages wait, and Oldest since when the first of them.
	Waiting int       `json:"waiting"`
	Oldest  time.Time `json:"oldest,omitzero"`

	// Channels are those with messages that wait, or that rest.
	Channels []ChannelStatus `json:"channels,omitempty"`

	// Dead are messages that were given up, the newest last.
	Dead []DeadStatus `json:"dead,omitempty"`

	// Dropped counts by channel what was dropped and not told yet.
	Dropped map[string]int `json:"dropped,omitempty"`
}

// ChannelStatus is what waits for one channel.
type ChannelStatus struct {
	Channel string    `json:"channel"`
	Waiting int       `json:"waiting"`
	Resting time.Time `json:"restingUntil,omitzero"`
	Error   string    `json:"lastError,omitempty"`
}

// DeadStatus is a message that was given up.
type DeadStatus struct {
	ID      string    `json:"id"`
	Channel string    `json:"channel"`
	Created time.Time `json:"created"`
	Why     string    `json:"why"`
}

// Status tells what the box holds.
func (b *Box) Status() Status {
	s := b.state.status()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range s.Channels {
		if c := b.channels[s.Channels[i].Channel]; c != nil {
			s.Channels[i].Resting, s.Channels[i].Error = latest(c.resting, b.resting), c.fault
		}
	}
	slices.SortFunc(s.Channels, func(x, y ChannelStatus) int {
		return cmp.Or(y.Waiting-x.Waiting, strings.Compare(x.Channel, y.Channel))
	})
	return s
}

// latest is the later of two times.
func latest(x, y time.Time) time.Time {
	if x.After(y) {
		return x
	}
	return y
}
