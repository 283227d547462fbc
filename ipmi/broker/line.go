package broker

import (
	"time"

	"provision-plugins/ipmi/rmcp"
)

// line is owners that wait for a place, the first first.
type line struct {
	owners []*owner
	head   int
}

// push puts an owner at the end. A line that is never empty must not grow for
// ever: the room at its head is used again.
func (l *line) push(o *owner) {
	if len(l.owners) == cap(l.owners) && l.head > len(l.owners)/2 {
		n := copy(l.owners, l.owners[l.head:])
		clear(l.owners[n:])
		l.owners, l.head = l.owners[:n], 0
	}
	l.owners = append(l.owners, o)
}

// pop takes the first owner that still waits; nil if there is none.
func (l *line) pop() *owner {
	for l.head < len(l.owners) {
		o := l.owners[l.head]
		l.owners[l.head] = nil
		l.head++
		if o.state == lined {
			return o
		}
	}
	*l = line{}
	return nil
}

// place is a place among those at work. One that was left, or never taken, is of
// a BMC that costs little: it does not answer, or is waited for.
type place struct {
	owner *owner
	taken bool      // guarded by Broker.mu
	once  bool      // a login is not insisted on; of the job alone
	again bool      // a refused login is tried again soon; of the job alone
	began time.Time // of the last command in this job; zero before the first; of the job alone
}

// silent gives the place up before the work is done: a BMC that does not answer
// costs little, and must not keep others waiting.
func (p *place) silent() { p.leave(rmcp.Silent) }

// leave gives the place up because of what keeps the BMC.
func (p *place) leave(trouble rmcp.Reason) {
	b := p.owner.b
	b.mu.Lock()
	defer b.mu.Unlock()
	p.owner.trouble = trouble
	b.vacate(p)
}

// vacate gives the place to who waits for one. mu is held.
func (b *Broker) vacate(p *place) {
	if p.taken {
		p.taken = false
		b.free++
		b.fill()
	}
}

// fill gives free places to who waits for one, changes first. mu is held.
func (b *Broker) fill() {
	for i := range b.lines {
		for b.free > 0 {
			o := b.lines[i].pop()
			if o == nil {
				break
			}
			b.start(o, true)
		}
	}
}

// state is what an owner is at.
type state uint8

// The states.
const (
	resting state = iota // nothing to do
	pacing               // waits for the interval to end
	lined                // waits for a place
	working              // a job is under way
)

// arrange takes the owner to its next job, if it is not at one. mu is held.
func (b *Broker) arrange(o *owner) {
	if o.state == lined && o.queue[0].change && !o.ahead {
		o.ahead = true
		b.lines[0].push(o) // its other entry is passed over, or comes in handy later
	}
	if o.state != resting || len(o.queue) == 0 || b.closed {
		return
	}
	if wait := o.next.Sub(b.clock.Now()); wait > 0 {
		o.state = pacing
		o.stop = b.clock.AfterFunc(wait, func() { b.paced(o) })
		return
	}
	switch {
	case o.trouble != "": // it needs no place until it answers
		b.start(o, false)
	case b.free > 0:
		b.start(o, true)
	default:
		o.state = lined
		i := 1
		if o.ahead = o.queue[0].change; o.ahead {
			i = 0
		}
		b.lines[i].push(o)
	}
}

// paced ends the pacing.
func (b *Broker) paced(o *owner) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.state == pacing {
		o.state, o.stop = resting, nil
		b.arrange(o)
	}
}
