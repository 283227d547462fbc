package rmcp

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Drop is why a datagram was dropped.
type Drop int

// The reasons for dropping a datagram.
const (
	DropMalformed  Drop = iota // not RMCP+, or not as long as it says
	DropUnknown                // from no peer, or for no session, of ours
	DropForged                 // wrong or missing HMAC
	DropPlain                  // authenticated, but not encrypted
	DropReplayed               // a sequence number seen before or too old
	DropUnexpected             // genuine, but answers nothing that was asked
	numDrops
)

var dropNames = [numDrops]string{"malformed", "unknown", "forged", "plain", "replayed", "unexpected"}

// String names the reason.
func (d Drop) String() string { return dropNames[d] }

// receiver takes what comes in for one console session id.
type receiver interface {
	// receive takes a datagram; it must copy what it keeps.
	receive(p *packet)
	// unreachable tells that the network returned one of ours.
	unreachable(r Reason)
}

// entry is a receiver under its console session id.
type entry struct {
	id uint32
	to receiver
}

// Transport carries any number of sessions over one socket per address family.
type Transport struct {
	// FirstTry is how long an answer is waited for at least before a datagram is
	// sent again; default 350 ms. It is not changed after the first Open.
	FirstTry time.Duration

	quiet   time.Duration // quietBefore, but in tests
	closed  chan struct{}
	readers sync.WaitGroup
	drops   [numDrops]atomic.Uint64
	counts  [numCounts]atomic.Uint64
	timers  sync.Pool // of *time.Timer that are stopped

	mu    sync.Mutex // guards down, socks and peers
	down  bool
	socks [2]*socket // IPv4, IPv6; opened when first used
	peers map[netip.AddrPort][]entry
}

// NewTransport returns a transport. It holds nothing until the first session
// is opened.
func NewTransport() *Transport {
	return &Transport{quiet: quietBefore, closed: make(chan struct{}), peers: map[netip.AddrPort][]entry{}}
}

// Drops returns how many datagrams were dropped for the reason.
func (t *Transport) Drops(d Drop) uint64 { return t.drops[d].Load() }

// Close closes the sockets, ends every wait and returns when the readers have
// ended. Sessions must be closed before; they say nothing more.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.down {
		t.mu.Unlock()
		return nil
	}
	t.down = true
	socks := t.socks
	close(t.closed)
	var waiting []entry
	for _, list := range t.peers {
		waiting = append(waiting, list...)
	}
	t.mu.Unlock()
	for _, e := range waiting {
		e.to.unreachable(Closed)
	}

	var errs []error
	for _, s := range socks {
		if s != nil {
			errs = append(errs, s.conn.Close())
		}
	}
	t.readers.Wait()
	return errors.Join(errs...)
}

// Deafen ends the reading of what comes in. It is for who closes all sessions, and
// then the Transport: the answers to that are of no interest.
func (t *Transport) Deafen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.socks {
		if s != nil {
			s.deafen()
		}
	}
}

// send sends one datagram.
func (t *Transport) send(b []byte, peer netip.AddrPort) error {
	k, err := t.socket(peer)
	if err != nil {
		return err
	}
	return k.send(b, peer)
}

// pause is for an error that says nothing of a peer, such as no memory: the socket
// is not to be asked again at once. It reports false when the Transport is closed.
func (t *Transport) pause() bool {
	timer := t.timer(10 * time.Millisecond)
	defer t.rest(timer)
	select {
	case <-timer.C:
		return true
	case <-t.closed:
		return false
	}
}

// drain tells the receivers what the socket's error queue holds, and reports
// whether it held anything.
func (t *Transport) drain(s *net.UDPConn) bool {
	found := false
	for {
		peer, reason, ok := nextError(s)
		if !ok {
			return found
		}
		found = true
		if reason == "" {
			continue
		}
		for _, e := range t.entries(peer) {
			e.to.unreachable(reason)
		}
	}
}

// dispatch gives a datagram to the session it names. p is scratch.
func (t *Transport) dispatch(p *packet, b []byte, from netip.AddrPort) {
	var ok bool
	if *p, ok = parsePacket(b); !ok {
		t.drop(DropMalformed)
		return
	}
	id := p.session
	if id == 0 {
		// Session setup names the session inside the payload.
		if id, ok = setupID(p); !ok {
			t.drop(DropMalformed)
			return
		}
	}
	if to := t.lookup(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), id); to != nil {
		to.receive(p)
		return
	}
	t.drop(DropUnknown)
}

// drop counts a dropped datagram.
func (t *Transport) drop(d Drop) { t.drops[d].Add(1) }

// timer returns a timer that ends after d. It is given back by rest.
func (t *Transport) timer(d time.Duration) *time.Timer {
	if timer, ok := t.timers.Get().(*time.Timer); ok {
		timer.Reset(d)
		return timer
	}
	return time.NewTimer(d)
}

// rest stops a timer, and takes it back.
func (t *Transport) rest(timer *time.Timer) {
	timer.Stop()
	t.timers.Put(timer)
}

// register makes to the receiver of peer and id.
func (t *Transport) register(peer netip.AddrPort, id uint32, to receiver) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.peers[peer] = append(t.others(peer, id), entry{id, to})
}

// unregister ends that, unless another receiver has taken the place.
func (t *Transport) unregister(peer netip.AddrPort, id uint32, to receiver) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.peers[peer], entry{id, to}) {
		return
	}
	if rest := t.others(peer, id); len(rest) > 0 {
		t.peers[peer] = rest
		return
	}
	delete(t.peers, peer)
}

// others copies the peer's entries but the one of id; the list itself may be
// in use by who asked for entries. mu is held.
func (t *Transport) others(peer netip.AddrPort, id uint32) []entry {
	old := t.peers[peer]
	list := make([]entry, 0, len(old)+1)
	for _, e := range old {
		if e.id != id {
			list = append(list, e)
		}
	}
	return list
}

// entries returns the receivers of a peer.
func (t *Transport) entries(peer netip.AddrPort) []entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peers[peer]
}

// lookup finds the receiver of peer and id. An id of 0, in the refusal of a
// message whose session the BMC does not know, finds the peer's newest.
func (t *Transport) lookup(peer netip.AddrPort, id uint32) receiver {
	list := t.entries(peer)
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].id == id || id == 0 {
			return list[i].to
		}
	}
	return nil
}
