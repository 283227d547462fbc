package outbox

import (
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// channel is where messages go in their order, one at a time.
type channel struct {
	name  string
	limit *rate.Limiter
	kick  chan struct{} // holds one token when something came

	working bool          // guarded by Box.mu, as all below
	resting time.Time     // until when nothing is sent
	pause   time.Duration // the last pause of the box's own
	fault   string        // what went wrong last
	began   chan struct{} // Box.resumed when the attempt began
}

// wake has somebody deliver what waits for a channel.
func (b *Box) wake(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.channels[name]
	if c == nil {
		c = &channel{name: name, limit: rate.NewLimiter(rate.Every(b.opts.PerChannel), b.opts.Burst), kick: make(chan struct{}, 1)}
		b.channels[name] = c
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
	if c.working || b.work.Err() != nil {
		return
	}
	c.working = true
	b.workers.Go(func() { b.deliverAll(c) })
}

// deliverAll delivers what waits for a channel, until nothing does.
func (b *Box) deliverAll(c *channel) {
	for {
		it, at, ok := b.state.head(c.name, b.opts.Now())
		switch {
		case !ok && b.leave(c):
			return
		case !ok:
			b.hold(c, at)
			continue
		case b.await(c) != nil:
			b.leave(c)
			return
		}
		b.deliver(c, it)
		b.tellDropped(c)
	}
}

// hold waits until what is held may go, or something else came.
func (b *Box) hold(c *channel, at time.Time) {
	if at.IsZero() {
		return
	}
	select {
	case <-time.After(at.Sub(b.opts.Now())):
	case <-c.kick:
	case <-b.drain:
	}
}

// leave ends the work at a channel, unless there is more to do. What is held is
// left to the next box when this one closes.
func (b *Box) leave(c *channel) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, at, more := b.state.head(c.name, b.opts.Now())
	if b.work.Err() == nil && (more || !at.IsZero() && !b.draining) {
		return false
	}
	c.working = false
	if b.idle != nil && b.workingNow() == 0 {
		close(b.idle)
		b.idle = nil
	}
	return true
}

// workingNow counts the channels at work. It is called with mu held.
func (b *Box) workingNow() (n int) {
	for _, c := range b.channels {
		if c.working {
			n++
		}
	}
	return n
}

// await waits until the channel may send: it does not rest, and the rates allow.
func (b *Box) await(c *channel) error {
	for {
		b.mu.Lock()
		rest, resumed := time.Until(latest(c.resting, b.resting)), b.resumed
		c.began = resumed
		b.mu.Unlock()
		if rest <= 0 {
			break
		}
		select {
		case <-time.After(rest):
		case <-resumed:
		case <-b.work.Done():
			return b.work.Err()
		}
	}
	return errors.Join(c.limit.Wait(b.work), b.all.Wait(b.work))
}

// deliver makes one attempt at an entry.
func (b *Box) deliver(c *channel, it item) {
	d, with, err := b.state.delivery(it.id, b.opts.Join)
	switch {
	case err != nil:
		b.giveUp(c, it.id, err)
		return
	case d == nil: // a newer one took its place
		return
	}
	edits := d.Kind == Update && d.Root != "" // twice is once
	if !d.Since.IsZero() && !edits && !b.lookUp(c, *d) {
		return
	}
	d.Attempt++
	if err := b.note(record{Op: opTry, ID: it.id, With: with, At: b.opts.Now().UTC()}); err != nil {
		b.rest(c, err)
		return
	}
	if !b.state.tried(it.id, d.Attempt) {
		return
	}
	ts, err := b.opts.Sender.Send(b.work, *d)
	switch {
	case err == nil && ts != "":
		b.posted(c, it.id, ts)
	case b.work.Err() == nil:
		b.failed(c, it, err)
	}
}

// lookUp tells whether a message that may have been posted is to be sent again.
func (b *Box) lookUp(c *channel, d Delivery) bool {
	ts, err := b.opts.Sender.Find(b.work, d)
	switch {
	case errors.Is(err, ErrBlind) && b.opts.Policy == AtMostOnce && !d.Unlikely:
		b.giveUp(c, d.ID, errors.New("it may have been posted, and is not sent again"))
	case errors.Is(err, ErrBlind):
		return true
	case err != nil:
		if b.work.Err() == nil {
			b.rest(c, err)
		}
	case ts == "":
		return true
	default:
		b.posted(c, d.ID, ts)
	}
	return false
}

// posted notes a message that is posted. While that cannot be written down it is
// tried again: whoever reads the journal otherwise looks the message up.
func (b *Box) posted(c *channel, id, ts string) {
	for {
		err := b.note(record{Op: opDone, ID: id, TS: ts, At: b.opts.Now().UTC()})
		if err == nil {
			break
		}
		if b.rest(c, err); b.await(c) != nil {
			return
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.pause, c.fault = 0, ""
}

// failed does what an attempt's error asks for.
func (b *Box) failed(c *channel, it item, err error) {
	if err == nil {
		err = errors.New("the answer names no message")
	}
	f := (*Failure)(nil)
	if !errors.As(err, &f) {
		f = &Failure{Verdict: Doubt, Err: err}
	}
	turn := record{Op: opTurn, ID: it.id}
	elsewhere := b.opts.Fallback != "" && b.opts.Fallback != c.name && !it.Moved
	switch {
	case f.Verdict == NoChannel && elsewhere:
		turn.Channel = b.opts.Fallback
	case f.Verdict == NoLayout && !it.Plain:
		turn.Plain = true
	case f.Verdict == NoRoot && !it.Alone:
	case f.Verdict == Later, f.Verdict == Doubt && f.Unlikely:
		turn.Op, turn.Unlikely = opRest, f.Verdict == Doubt
	case f.Verdict == Doubt:
		b.rest(c, f)
		return
	default:
		b.giveUp(c, it.id, f)
		return
	}
	if err := b.note(turn); err != nil {
		b.rest(c, err)
		return
	}
	switch {
	case turn.Op == opRest:
		b.rest(c, f)
	case turn.Channel != "":
		b.opts.Logger.Warn("a channel refuses messages; they go to the default channel", "channel", c.name, "cause", f)
		b.wake(turn.Channel)
	}
}

// rest has a channel wait, as long as the cause says or twice as long as the
// last time.
func (b *Box) rest(c *channel, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.pause = min(max(2*c.pause, b.opts.Pause), b.opts.MaxPause)
	pause, f := c.pause+rand.N(c.pause/8+1), (*Failure)(nil)
	if errors.As(cause, &f) && f.Pause > 0 {
		pause = min(f.Pause, b.opts.MaxPause)
	}
	c.fault = cause.Error()
	if c.began != b.resumed {
		return // what went wrong may be over since
	}
	c.resting = time.Now().Add(pause)
	if f != nil && f.All {
		b.resting = latest(b.resting, c.resting)
	}
	b.opts.Logger.Warn("messages wait", "channel", c.name, "seconds", pause.Seconds(), "cause", cause)
}

// giveUp keeps an entry among the dead.
func (b *Box) giveUp(c *channel, id string, cause error) {
	b.opts.Logger.Error("a message cannot be posted; it is kept among the dead", "channel", c.name, "id", id, "cause", cause)
	if err := b.note(record{Op: opDead, ID: id, Why: cause.Error()}); err != nil {
		b.rest(c, err)
		return
	}
	if old := b.state.oldestDead(b.opts.MaxDead); old != "" {
		b.forgetDead(old)
	}
}

// forgetDead forgets the oldest of too many. That it is not written down costs
// nothing but room.
func (b *Box) forgetDead(id string) {
	if err := b.note(record{Op: opForget, ID: id}); err != nil {
		b.opts.Logger.Warn("cannot forget a message that was given up", "id", id, "cause", err)
	}
}

// tellDropped puts a message that says how many of a channel were dropped, once
// there is room again.
func (b *Box) tellDropped(c *channel) {
	n := b.state.droppedOf(c.name, b.opts.MaxEntries/2)
	if n == 0 || b.opts.Dropped == nil {
		return
	}
	e := Entry{Channel: c.name, Severity: severities - 1, Message: b.opts.Dropped(n)}
	if err := e.check(b.opts.Now()); err != nil {
		return
	}
	if err := b.note(record{Op: opPut, Entry: &e, Count: n}); err != nil {
		b.rest(c, err)
	}
}
