package events

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// Options configure a Hub. The zero value works.
type Options struct {
	// Recent is how many events are kept for late comers. Default: 10,000.
	Recent int
	// RecentBytes is how large they may be together. Default: 64 MiB.
	RecentBytes int
	// Queue is how many events may wait for one subscriber. Default: 1,000.
	Queue int
	// QueueBytes is how large they may be together. Default: 32 MiB.
	QueueBytes int
	// Published is told of each event, by its type. It must be quick.
	Published func(kind string)
}

// Hub fans out events. Make one with New.
type Hub struct {
	options Options

	mu     sync.Mutex // guards all below
	subs   map[*Subscription]struct{}
	recent queue
	closed bool
}

// queue is events in their order, and how large they are together.
type queue struct {
	events []*model.Event
	bytes  int
}

// push appends an event.
func (q *queue) push(e *model.Event) {
	q.events = append(q.events, e)
	q.bytes += size(e)
}

// pop removes the oldest event.
func (q *queue) pop() *model.Event {
	e := q.events[0]
	q.events[0] = nil // what is behind the slice must not hold it
	q.events = q.events[1:]
	q.bytes -= size(e)
	return e
}

// size is about how much memory an event holds. What is not encoded is small.
func size(e *model.Event) int {
	const head = 256
	object, _ := e.Object.(json.RawMessage)
	original, _ := e.Original.(json.RawMessage)
	return head + len(object) + len(original)
}

// New makes a hub.
func New(o Options) *Hub {
	if o.Recent <= 0 {
		o.Recent = 10_000
	}
	if o.RecentBytes <= 0 {
		o.RecentBytes = 64 << 20
	}
	if o.Queue <= 0 {
		o.Queue = 1_000
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 32 << 20
	}
	if o.Published == nil {
		o.Published = func(string) {}
	}
	return &Hub{options: o, subs: map[*Subscription]struct{}{}}
}

// Publish hands the event to every subscriber whose patterns select it, in the
// same order for all. It never blocks. The event must not change afterwards.
func (h *Hub) Publish(e *model.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.options.Published(e.Type)
	h.recent.push(e)
	for len(h.recent.events) > h.options.Recent || h.recent.bytes > h.options.RecentBytes {
		h.recent.pop()
	}
	for s := range h.subs {
		s.offer(e)
	}
}

// Recent returns the newest events, oldest first, at most limit; 0 means all
// that are kept.
func (h *Hub) Recent(limit int) []*model.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.recent.events
	if limit > 0 && len(out) > limit {
		out = out[len(out)-limit:]
	}
	return slices.Clone(out)
}

// Subscribe adds a subscriber of events that any of the patterns selects; it
// may have none at first.
func (h *Hub) Subscribe(patterns ...string) (*Subscription, error) {
	s := &Subscription{hub: h, patterns: map[string][]Pattern{}, wake: make(chan struct{}, 1), most: h.options.Queue, bytes: h.options.QueueBytes}
	for _, p := range patterns {
		if err := s.Register(p); err != nil {
			return nil, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		s.shut()
	} else {
		h.subs[s] = struct{}{}
	}
	return s, nil
}

// Close ends all subscriptions once they have been read to their end.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.subs {
		s.shut()
		delete(h.subs, s)
	}
}

// ErrClosed is what Next answers once the subscription or the hub is closed and
// the queue is empty.
var ErrClosed = model.Errorf(model.Conflict, "subscription closed")

// maxPatterns bounds the patterns of one subscriber.
const maxPatterns = 1_000

// Subscription is one subscriber's bounded queue.
type Subscription struct {
	hub  *Hub
	wake chan struct{} // holds a token when Next should look again

	mu       sync.Mutex // guards all below; taken after the hub's
	patterns map[string][]Pattern
	queue    queue
	missed   int
	closed   bool
	most     int    // how many events may wait
	bytes    int    // how large they may be together
	lost     func() // is told of each event that was missed; nil: nobody is
}

// Widen lets so many events wait, of so many bytes together, where that is more
// than the hub's bounds.
func (s *Subscription) Widen(events, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.most, s.bytes = max(s.most, events), max(s.bytes, bytes)
}

// OnMissed has lost called for each event that the subscriber misses. It must be
// quick, and is set before there are any.
func (s *Subscription) OnMissed(lost func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
}

// Waiting is how many events wait to be read.
func (s *Subscription) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue.events)
}

// Register adds a pattern. Acks are queued in the same step: what the pattern
// selects comes after them.
func (s *Subscription) Register(text string, acks ...*model.Event) error {
	parsed, err := ParsePattern(text)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.patterns) >= maxPatterns {
		return model.Errorf(model.Invalid, "cannot register %q: a subscriber has at most %d patterns", text, maxPatterns)
	}
	s.patterns[text] = parsed
	return s.tell(acks)
}

// Deregister removes a pattern by its text. What it selects ends before the
// acks.
func (s *Subscription) Deregister(text string, acks ...*model.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.patterns, text)
	return s.tell(acks)
}

// Tell queues events for this subscriber alone. It is an error to have too many
// of them waiting.
func (s *Subscription) Tell(list ...*model.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tell(list)
}

// tell is Tell; the caller holds the lock.
func (s *Subscription) tell(list []*model.Event) error {
	if waiting := len(s.queue.events); waiting+len(list) > s.most+maxPatterns {
		return model.Errorf(model.RateLimited, "cannot answer: %d events wait to be read", waiting)
	}
	for _, e := range list {
		s.queue.push(e)
	}
	s.nudge()
	return nil
}

// offer queues the event if it is selected, or counts it as missed.
func (s *Subscription) offer(e *model.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.selects(e) {
		return
	}
	if s.full(e) {
		s.missed++
		if s.lost != nil {
			s.lost()
		}
		return
	}
	if s.missed > 0 {
		s.queue.push(s.notice())
	}
	s.queue.push(e)
	s.nudge()
}

// full reports whether there is no room for one more event. One alone has room
// whatever its size.
func (s *Subscription) full(e *model.Event) bool {
	waiting := len(s.queue.events)
	return waiting >= s.most || waiting > 0 && s.queue.bytes+size(e) > s.bytes
}

// selects reports whether any pattern selects the event.
func (s *Subscription) selects(e *model.Event) bool {
	for _, list := range s.patterns {
		for _, p := range list {
			if p.Match(e) {
				return true
			}
		}
	}
	return false
}

// notice makes the event that tells of a gap, and forgets the gap.
func (s *Subscription) notice() *model.Event {
	n := s.missed
	s.missed = 0
	// Not of Type websocket: clients take that for an acknowledgement.
	return &model.Event{
		Time: time.Now(), Type: "events", Action: "missed", Key: strconv.Itoa(n),
		Principal: "system", Object: map[string]int{"Missed": n},
	}
}

// Next waits for the next event. It answers ErrClosed once nothing more comes.
func (s *Subscription) Next(ctx context.Context) (*model.Event, error) {
	for {
		if e, closed := s.take(); e != nil {
			return e, nil
		} else if closed {
			return nil, ErrClosed
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// take pops the queue's head; a gap at its end becomes a notice.
func (s *Subscription) take() (e *model.Event, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue.events) == 0 {
		if s.missed > 0 {
			return s.notice(), false
		}
		return nil, s.closed
	}
	return s.queue.pop(), false
}

// Close ends the subscription; what is queued can still be read.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	delete(s.hub.subs, s)
	s.hub.mu.Unlock()
	s.shut()
}

// shut marks the subscription closed and wakes its reader.
func (s *Subscription) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.nudge()
}

// nudge leaves a token for Next; one is enough.
func (s *Subscription) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
