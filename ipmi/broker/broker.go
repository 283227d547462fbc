// Package broker gives each BMC one owner: one warm session, one command in
// flight, whatever the number of callers. Changes go before reads, identical
// reads in flight are one, commands keep a distance, and a login that the BMC
// refused is not repeated. A fleet of BMCs shares one transport and a bounded
// number of places to be at work in.
package broker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
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
	// FirstTry is how long the answer to a datagram is waited for at least before
	// it is sent again; default 350 ms.
	FirstTry time.Duration
	// Clock is the time; default the clock on the wall. Waiting for answers is
	// always by that.
	Clock Clock
}

// Target is the BMC to reach, and how to treat it.
type Target struct {
	Peer  netip.AddrPort
	Login rmcp.Login
	// Interval is the least time from the begin of one command to that of the
	// next; 0 is DefaultInterval, negative none. The last one asked for counts. A
	// login is a command only where the interval is longer than the default.
	Interval time.Duration
	// Again has OpenOnce try a login although it was refused: for who has mended
	// the account on the BMC, at most once a minute.
	Again bool
}

// DefaultInterval is what even a weak BMC takes.
const DefaultInterval = 20 * time.Millisecond

// interval is the one that counts.
func (t *Target) interval() time.Duration {
	if t.Interval == 0 {
		return DefaultInterval
	}
	return max(t.Interval, 0)
}

// The reasons of errors of callers whose turn did not come: nothing was sent.
const (
	// Waiting is that others were before them.
	Waiting rmcp.Reason = "other commands came first"
	// TimeOver is that their time was over before there was anything to wait for
	// but the interval.
	TimeOver rmcp.Reason = "no time left"
)

// maxOwners bounds what is remembered of BMCs that nobody uses.
const maxOwners = 16384

// Broker owns sessions.
type Broker struct {
	transport *rmcp.Transport
	idle      time.Duration
	clock     Clock
	breaker   *breaker
	work      sync.WaitGroup // workers, and sweeps under way
	places    int

	mu        sync.Mutex // guards everything below, and what owner says
	closed    bool
	owners    map[netip.AddrPort]*owner
	free      int          // places
	busy      int          // jobs under way
	workers   []chan *task // those that wait for a job
	lines     [2]line      // owners that wait for a place: with a change, with reads
	opened    SessionID
	sweeping  bool // a sweep is to come, or under way
	stopSweep func() bool
}

// New returns a broker. It holds nothing until the first Open.
func New(o Options) *Broker {
	if o.Work <= 0 {
		o.Work = 128
	}
	if o.Idle <= 0 {
		o.Idle = 20 * time.Second
	}
	if o.Clock == nil {
		o.Clock = wall{}
	}
	b := &Broker{
		transport: rmcp.NewTransport(),
		idle:      o.Idle,
		clock:     o.Clock,
		breaker:   newBreaker(o.Clock),
		owners:    map[netip.AddrPort]*owner{},
		places:    o.Work,
		free:      o.Work,
	}
	b.transport.FirstTry = o.FirstTry
	return b
}

// Remember makes the broker keep in dir what must outlive it: which logins were
// refused. What is there already is read. Without it, that lasts as long as
// the broker. The logger is told of what could not be kept.
func (b *Broker) Remember(dir string, log *slog.Logger) error {
	if err := b.breaker.remember(dir, log); err != nil {
		return fmt.Errorf("cannot remember refused logins: %w", err)
	}
	return nil
}

// Open returns a handle on the BMC, with a session open that was warm or is
// new. Many callers share one opening. The error is an *rmcp.Error.
func (b *Broker) Open(ctx context.Context, t Target) (*Handle, error) {
	o, warm, err := b.use(&t)
	if err != nil {
		return nil, err
	}
	h := &Handle{owner: o, login: t.Login}
	if warm {
		return h, nil
	}
	if err = b.breaker.check(t.Peer, t.Login); err == nil {
		_, err = o.do(ctx, &job{
			first: true, shared: true, key: flight{login: t.Login},
			work: func(ctx context.Context, p *place) ([]byte, error) {
				_, err := o.ensure(ctx, t.Login, p, false)
				return nil, err
			},
		})
	}
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
	if b.stopSweep != nil {
		b.stopSweep()
	}
	cause := fmt.Errorf("the plugin stops: %w", net.ErrClosed)
	for _, o := range b.owners {
		o.shut()
		if o.running != nil {
			o.running.cancel(cause)
		}
	}
	b.lines = [2]line{}
	b.mu.Unlock()
	b.work.Wait()
	b.transport.Deafen()
	for _, s := range b.takeAll() {
		s.Close()
	}
	return b.transport.Close()
}

// takeAll takes the sessions from their owners, none of which is at work.
func (b *Broker) takeAll() (sessions []*rmcp.Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.owners {
		if s := o.take(); s != nil {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// closing is the error of who comes, or waits, when all is being closed.
func closing(step string) *rmcp.Error { return &rmcp.Error{Reason: rmcp.Closed, Step: step} }

// use returns the owner of a BMC for one more handle, and whether it has a
// session open for the login.
func (b *Broker) use(t *Target) (o *owner, warm bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false, closing("open session")
	}
	o = b.owners[t.Peer]
	if o == nil {
		o = &owner{b: b, peer: t.Peer}
		b.owners[t.Peer] = o
	}
	o.users++
	o.interval = t.interval()
	b.sweepLater()
	return o, o.session != nil && o.login == t.Login, nil
}

// unuse ends the use by one handle.
func (b *Broker) unuse(o *owner) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o.users--
	o.rested = b.clock.Now()
}

// sweepLater has sessions that nobody uses looked for, unless that is so
// already. mu is held.
func (b *Broker) sweepLater() {
	if !b.sweeping && !b.closed {
		b.sweeping = true
		b.stopSweep = b.clock.AfterFunc(b.idle/4, b.sweep)
	}
}

// sweep closes sessions that nobody uses. It is done again while there may be
// more.
func (b *Broker) sweep() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.work.Add(1)
	defer b.work.Done()
	rested, more := b.rested(b.clock.Now())
	b.sweeping = false
	if more {
		b.sweepLater()
	}
	b.mu.Unlock()
	for _, s := range rested {
		s.Close()
	}
}

// rested takes the sessions that have not been in use for long enough from
// their owners, and reports whether there may be more to sweep later. mu is
// held.
func (b *Broker) rested(now time.Time) (sessions []*rmcp.Session, more bool) {
	for peer, o := range b.owners {
		switch {
		case o.users > 0 || o.state != resting:
			more = true
		case now.Sub(o.rested) < b.idle:
			more = more || o.session != nil
		default:
			if s := o.take(); s != nil {
				sessions = append(sessions, s)
			}
			if len(b.owners) > maxOwners {
				delete(b.owners, peer)
			}
		}
	}
	return sessions, more
}
