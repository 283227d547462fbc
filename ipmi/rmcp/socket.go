package rmcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	// aloneBefore is how many commands in a row must have been the only wait of a
	// socket before the next ones read it themselves.
	aloneBefore = 4
	// quietBefore is how long a socket is without any wait before its reader takes
	// it back: what comes unasked must not fill it.
	quietBefore = 100 * time.Millisecond
)

// longAgo is a deadline that ends a read at once.
var longAgo = time.Unix(1, 0)

// socket is one UDP socket. Its reader, a goroutine, takes what comes for any
// number of waits. To hand each answer over to who waits is a third of the CPU of
// commands that come one after another, so the reader stands aside for those: the
// only one who waits then reads for itself, until another wait begins or there has
// been none for a while.
//
// While the reader stands aside there is one wait at most, whose only is, and
// nobody else reads or sets the deadline of reads. The reader returns when it
// finds standing aside undone in recall: that is sent by who undid it, or by the
// one who was reading, when it has left the socket.
type socket struct {
	t      *Transport
	conn   *net.UDPConn
	recall chan struct{} // to the reader that stands aside

	// Of the one that reads for itself.
	room   [maxDatagram]byte
	packet packet

	mu      sync.Mutex // guards everything below
	waits   int        // handshakes and commands under way
	only    *Session   // the one wait there is, if it can read for itself
	alone   int        // commands in a row that were the only wait
	begun   uint64     // waits so far, and
	seen    uint64     // when the reader last looked
	aside   bool       // the reader stands aside
	reading bool       // only reads
	deaf    bool       // nobody reads any more
}

// socket returns the socket for the peer's address family.
func (t *Transport) socket(peer netip.AddrPort) (*socket, error) {
	network, i := "udp4", 0
	if peer.Addr().Is6() {
		network, i = "udp6", 1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.down {
		return nil, net.ErrClosed
	}
	if t.socks[i] == nil {
		c, err := net.ListenUDP(network, nil)
		if err != nil {
			return nil, fmt.Errorf("cannot open a UDP socket: %w", err)
		}
		// Both are improvements: room for the answers of a fleet, and news of
		// refused ports. Without them the timeouts still work.
		_ = c.SetReadBuffer(1 << 20)
		_ = reportErrors(c, i == 1)
		k := &socket{t: t, conn: c, recall: make(chan struct{}, 1)}
		t.socks[i] = k
		t.readers.Go(k.serve)
	}
	return t.socks[i], nil
}

// maxPending bounds how often a send is repeated because the socket had the
// error of another peer to tell first. Nothing leaves the machine in such a try.
const maxPending = 16

// send sends one datagram. An error that it takes from the socket may be news for
// the one that reads for itself.
func (k *socket) send(b []byte, peer netip.AddrPort) (err error) {
	for range maxPending {
		if _, err = k.conn.WriteToUDPAddrPort(b, peer); err == nil {
			return nil
		}
		if k.t.drain(k.conn) {
			k.interrupt()
		} else if !pendingError(err) {
			return err
		}
	}
	return err
}

// serve is the reader: it dispatches what comes in until the socket is closed.
func (k *socket) serve() {
	in := newInbox(k.conn)
	var p packet // one for all: who receives one copies what it keeps
	deliver := func(b []byte, from netip.AddrPort) { k.t.dispatch(&p, b, from) }
	for {
		err := in.receive(deliver)
		switch {
		case err == nil:
			if k.spare() && !k.standAside() {
				return
			}
		case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
			return
		case !k.t.drain(k.conn) && !k.t.pause():
			return
		}
	}
}

// spare reports whether the reader is to stand aside. Who waits is told: its
// answer may not have come yet.
func (k *socket) spare() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.deaf || k.alone < aloneBefore || k.waits > 0 && k.only == nil {
		return false
	}
	k.aside = true
	if k.only != nil {
		k.only.signal()
	}
	return true
}

// standAside waits until the reader is to read again; it reports false if that is
// never.
func (k *socket) standAside() bool {
	tick := time.NewTicker(k.t.quiet)
	defer tick.Stop()
	for {
		select {
		case <-k.recall:
			return k.attend()
		case <-tick.C:
			if k.rests() {
				return k.attend()
			}
		case <-k.t.closed:
			return false
		}
	}
}

// rests reports whether no wait has begun for a while: the reader then stands
// aside no more.
func (k *socket) rests() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.aside { // the recall is on its way
		return false
	}
	if k.waits > 0 || k.begun != k.seen {
		k.seen = k.begun
		return false
	}
	k.aside, k.alone = false, 0
	return true
}

// attend lets the reader read, unless that has ended. Nobody else reads.
func (k *socket) attend() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.deaf {
		return false
	}
	_ = k.conn.SetReadDeadline(time.Time{}) // fails on a closed one only
	return true
}

// share ends the standing aside. mu is held.
func (k *socket) share() {
	k.alone = 0
	if !k.aside {
		return
	}
	k.aside = false
	if k.reading {
		_ = k.conn.SetReadDeadline(longAgo) // fails on a closed one only
		return
	}
	k.recall <- struct{}{} // there is room: it is sent once for each standing aside
}

// deafen ends the reading.
func (k *socket) deafen() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deaf = true
	k.share()
	_ = k.conn.SetReadDeadline(longAgo) // fails on a closed one only
}

// join counts a wait that begins: of a command in s, or, if that is nil, of a
// handshake, which cannot read for itself.
func (k *socket) join(s *Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.begun++
	k.waits++
	if k.waits > 1 || s == nil {
		k.only = nil
		k.share()
		return
	}
	k.only = s
	k.alone++
}

// leave counts a wait that has ended.
func (k *socket) leave(s *Session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waits--
	if k.only == s {
		k.only = nil
	}
}

// read reads for a command in s, if that is the only wait and the reader stands
// aside: until it is woken, its time is up, its caller has left, or another wait
// begins. What comes for others is theirs all the same.
func (k *socket) read(ctx context.Context, s *Session, until time.Time) {
	if !k.enter(s, until) {
		return
	}
	defer k.exit()
	stop := context.AfterFunc(ctx, k.interrupt)
	defer stop()
	for len(s.wake) == 0 {
		n, from, err := k.conn.ReadFromUDPAddrPort(k.room[:])
		switch {
		case err == nil:
			k.t.dispatch(&k.packet, k.room[:n], from)
		case !k.goesOn(ctx, err, until):
			return
		}
	}
}

// enter begins the reading of read, if it is the turn of s.
func (k *socket) enter(s *Session, until time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.aside || k.only != s {
		return false
	}
	k.reading = true
	_ = k.conn.SetReadDeadline(until) // fails on a closed one only, and so does reading
	return true
}

// exit ends it.
func (k *socket) exit() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reading = false
	if !k.aside {
		k.recall <- struct{}{} // as in share, which left it to this
	}
}

// interrupt ends a read, for who reads to look whether there is an outcome, and
// whether its caller is still there. If neither, as where it comes late and
// to the read of another, the reading goes on.
func (k *socket) interrupt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.reading {
		_ = k.conn.SetReadDeadline(longAgo) // fails on a closed one only
	}
}

// goesOn reports whether read goes on after an error.
func (k *socket) goesOn(ctx context.Context, err error, until time.Time) bool {
	switch {
	case errors.Is(err, net.ErrClosed):
		return false
	case !errors.Is(err, os.ErrDeadlineExceeded) && k.t.drain(k.conn):
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		k.share() // the reader knows how to bear an error that tells nothing
	}
	if !k.aside || ctx.Err() != nil || !time.Now().Before(until) {
		return false
	}
	_ = k.conn.SetReadDeadline(until) // fails on a closed one only
	return true
}
