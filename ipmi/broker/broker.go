// Package broker gives each BMC one owner: one warm session, one command in
// flight, whatever the number of callers. A fleet of BMCs shares one transport
// and a bounded number of places to be at work in.
package broker

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"provision-plugins/ipmi/rmcp"
)

// Options are the settings of a Broker. The zero value works.
type Options struct {
	// Work is how many BMCs are at work at once; default 128. More loses
	// datagrams in the sockets and gains nothing.
	Work int
	// Idle is how long a session that nobody uses stays open; default 20 s, well
	// below the 60 s (some BMCs: 30 s) after which a BMC closes it by itself.
	Idle time.Duration
}

// Waiting is the reason of an error of a caller whose turn did not come: nothing
// was sent.
const Waiting rmcp.Reason = "other commands came first"

// maxOwners bounds what is remembered of BMCs that nobody uses.
const maxOwners = 16384

// Broker owns sessions.
type Broker struct {
	transport *rmcp.Transport
	idle      time.Duration
	places    chan struct{}
	stop      chan struct{} // closed by Close
	sweepers  sync.WaitGroup

	mu       sync.Mutex // guards everything below, and owner.users and owner.rested
	closed   bool
	sweeping bool
	owners   map[netip.AddrPort]*owner
}

// New returns a broker. It holds nothing until the first Open.
func New(o Options) *Broker {
	if o.Work <= 0 {
		o.Work = 128
	}
	if o.Idle <= 0 {
		o.Idle = 20 * time.Second
	}
	return &Broker{
		transport: rmcp.NewTransport(),
		idle:      o.Idle,
		places:    make(chan struct{}, o.Work),
		stop:      make(chan struct{}),
		owners:    map[netip.AddrPort]*owner{},
	}
}

// Open returns a handle on the BMC at peer, with a session open that was warm
// or is new. The error is an *rmcp.Error.
func (b *Broker) Open(ctx context.Context, peer netip.AddrPort, login rmcp.Login) (*Handle, error) {
	o, err := b.use(peer)
	if err != nil {
		return nil, err
	}
	h := &Handle{b: b, owner: o, login: login}
	err = h.inTurn(ctx, func(p *place) error {
		_, err := o.ensure(ctx, h, p, false)
		return err
	})
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close closes all sessions and the sockets. Commands in flight end.
func (b *Broker) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	close(b.stop)
	owners := b.owners
	b.owners = nil
	b.mu.Unlock()
	for _, o := range owners {
		// An owner whose turn is taken closes its session itself, or leaves it
		// to the BMC's own timeout: the transport ends its wait.
		select {
		case o.turn <- struct{}{}:
			o.drop()
			<-o.turn
		default:
		}
	}
	err := b.transport.Close()
	b.sweepers.Wait()
	return err
}

// use returns the owner of a BMC for one more handle.
func (b *Broker) use(peer netip.AddrPort) (*owner, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, &rmcp.Error{Reason: rmcp.Closed, Step: "open session"}
	}
	o := b.owners[peer]
	if o == nil {
		o = &owner{b: b, peer: peer, turn: make(chan struct{}, 1)}
		b.owners[peer] = o
	}
	o.users++
	if !b.sweeping {
		b.sweeping = true
		b.sweepers.Go(b.sweep)
	}
	return o, nil
}

// unuse ends the use by one handle.
func (b *Broker) unuse(o *owner) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o.users--
	o.rested = time.Now()
}

// sweep closes sessions that nobody uses, until none is left.
func (b *Broker) sweep() {
	tick := time.NewTicker(b.idle / 4)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case now := <-tick.C:
			rested, more := b.rested(now)
			for _, s := range rested {
				s.Close()
			}
			if !more {
				return
			}
		}
	}
}

// rested takes the sessions that have not been in use for long enough from
// their owners. It reports whether there may be more to sweep later, and ends
// the sweeping if not.
func (b *Broker) rested(now time.Time) (sessions []*rmcp.Session, more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for peer, o := range b.owners {
		switch {
		case o.users > 0:
			more = true
		case now.Sub(o.rested) < b.idle:
			more = more || o.session != nil
		default:
			// Without users nobody has the turn: the owner is ours to change.
			if o.session != nil {
				sessions = append(sessions, o.take())
			}
			if len(b.owners) > maxOwners {
				delete(b.owners, peer)
			}
		}
	}
	b.sweeping = more
	return sessions, more
}

// place is a place among those at work.
type place struct {
	owner *owner
	left  bool
}

// enter waits for a place.
func (b *Broker) enter(ctx context.Context, o *owner) (*place, error) {
	select {
	case b.places <- struct{}{}:
		return &place{owner: o}, nil
	default:
	}
	select {
	case b.places <- struct{}{}:
		return &place{owner: o}, nil
	case <-ctx.Done():
		return nil, &rmcp.Error{Reason: Waiting, Step: "wait", Err: context.Cause(ctx)}
	case <-b.stop:
		return nil, &rmcp.Error{Reason: rmcp.Closed, Step: "wait"}
	}
}

// leave gives the place up.
func (p *place) leave() {
	if !p.left {
		p.left = true
		<-p.owner.b.places
	}
}

// silent gives the place up before the work is done: a BMC that does not answer
// costs little, and must not keep others waiting.
func (p *place) silent() {
	p.owner.silent.Store(true)
	p.leave()
}
