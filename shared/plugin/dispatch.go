package plugin

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// The bounds of the events that wait to be handled, and how many are handled at
// a time.
const (
	maxWaitingEvents = 1000
	maxWaitingBytes  = 32 << 20
	eventWorkers     = 16
)

// dispatcher hands events to a bounded number of workers: those about one
// object one after the other and in order, those about several at a time.
// Workers exist only while there is something to do.
type dispatcher struct {
	handle   func(*model.Event)
	patience time.Duration // how long add waits for room
	freed    chan struct{} // has a value once something was handled

	mu      sync.Mutex                // guards the below
	objects map[string][]waitingEvent // by object; the first is being handled or waits for a worker
	turns   []string                  // objects that wait for a worker
	busy    int                       // workers
	waiting int                       // events in objects
	bytes   int                       // their weight
	late    bool                      // add waited in vain, and there was no room since
	closed  bool
	idle    chan struct{} // closed once it is closed and nothing is in it
}

// newDispatcher makes one.
func newDispatcher(handle func(*model.Event), patience time.Duration) *dispatcher {
	return &dispatcher{
		handle:   handle,
		patience: patience,
		freed:    make(chan struct{}, 1),
		objects:  map[string][]waitingEvent{},
		idle:     make(chan struct{}),
	}
}

// add queues an event and reports whether it did. While there is no room it
// waits, which slows the endpoint's stream down; not for long, so that the
// stream stays alive, and not again before there was room.
func (d *dispatcher) add(ctx context.Context, event *model.Event) bool {
	e := waitingEvent{event, weight(event.Object) + weight(event.Original)}
	if d.offer(e) {
		return true
	}
	d.mu.Lock()
	hopeless := d.late || d.closed
	d.mu.Unlock()
	if hopeless {
		return false
	}
	limit := time.NewTimer(d.patience)
	defer limit.Stop()
	for {
		select {
		case <-d.freed:
			if d.offer(e) {
				return true
			}
		case <-limit.C:
			d.mu.Lock()
			d.late = true
			d.mu.Unlock()
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// offer queues an event if there is room. One alone has room whatever its size.
func (d *dispatcher) offer(e waitingEvent) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	full := d.waiting >= maxWaitingEvents || d.waiting > 0 && d.bytes+e.bytes > maxWaitingBytes
	if d.closed || full {
		return false
	}
	d.late = false
	d.waiting++
	d.bytes += e.bytes
	object := objectOf(e.event)
	d.objects[object] = append(d.objects[object], e)
	if len(d.objects[object]) > 1 {
		return true // who handles the first comes to this one
	}
	d.turns = append(d.turns, object)
	if d.busy < eventWorkers {
		d.busy++
		go d.work()
	}
	return true
}

// work handles events until none waits for a worker.
func (d *dispatcher) work() {
	for {
		object, e, ok := d.next()
		if !ok {
			return
		}
		d.handle(e.event)
		d.finished(object, e)
	}
}

// next takes the object whose turn it is; without one the worker is no more.
func (d *dispatcher) next() (object string, e waitingEvent, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.turns) == 0 {
		d.busy--
		d.signal()
		return "", e, false
	}
	object = d.turns[0]
	d.turns = d.turns[1:]
	return object, d.objects[object][0], true
}

// finished makes room, and gives the object's next event its turn.
func (d *dispatcher) finished(object string, e waitingEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := d.objects[object]
	left[0] = waitingEvent{} // what is behind the slice must not hold it
	left = left[1:]
	d.waiting--
	d.bytes -= e.bytes
	if len(left) == 0 {
		delete(d.objects, object)
	} else {
		d.objects[object] = left
		d.turns = append(d.turns, object)
	}
	select {
	case d.freed <- struct{}{}:
	default:
	}
}

// close refuses further events. What waits is still handled.
func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.signal()
}

// discard forgets what is not being handled, and returns how many events these
// are.
func (d *dispatcher) discard() (dropped int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	forget := func(list []waitingEvent) {
		for _, e := range list {
			d.bytes -= e.bytes
		}
		dropped += len(list)
	}
	for _, object := range d.turns {
		forget(d.objects[object])
		delete(d.objects, object)
	}
	d.turns = nil
	for object, list := range d.objects { // the first of each is being handled
		forget(list[1:])
		d.objects[object] = list[:1:1]
	}
	d.waiting -= dropped
	return dropped
}

// signal closes idle when its time has come; the caller holds mu.
func (d *dispatcher) signal() {
	if !d.closed || d.busy > 0 {
		return
	}
	select {
	case <-d.idle:
	default:
		close(d.idle)
	}
}

// objectOf tells which object an event is about.
func objectOf(e *model.Event) string { return e.Type + "\x00" + e.Key }

// waitingEvent is an event in the queue, with its weight.
type waitingEvent struct {
	event *model.Event
	bytes int
}

// weight is about how much memory a decoded value holds.
func weight(v any) int {
	const head = 64 // of every value: pointers, lengths, a map's share
	n := head
	switch v := v.(type) {
	case string:
		n += len(v)
	case json.Number:
		n += len(v)
	case map[string]any:
		for name, e := range v {
			n += len(name) + weight(e)
		}
	case []any:
		for _, e := range v {
			n += weight(e)
		}
	}
	return n
}
