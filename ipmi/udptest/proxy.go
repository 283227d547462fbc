// Package udptest relays datagrams between clients and one server, for tests
// that lose, repeat, alter or forge them.
package udptest

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// Direction is where a datagram goes.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// Datagram is one datagram on its way.
type Datagram struct {
	Direction Direction
	// N counts the datagrams of both directions from 1.
	N int
	// Data may be kept, not changed.
	Data []byte
}

// Filter returns what is sent on in place of a datagram, in this order: nothing
// to lose it, several to repeat or forge. It is called for one datagram at a
// time.
type Filter func(d Datagram) [][]byte

// Pass sends every datagram on.
func Pass(d Datagram) [][]byte { return [][]byte{d.Data} }

// LoseNth loses the n-th datagram and passes the rest.
func LoseNth(n int) Filter {
	return func(d Datagram) [][]byte {
		if d.N == n {
			return nil
		}
		return Pass(d)
	}
}

// Proxy is one relay. It ends with its test.
type Proxy struct {
	front  *net.UDPConn
	server netip.AddrPort
	relays sync.WaitGroup

	mu      sync.Mutex // guards everything below
	filter  Filter
	n       int
	closed  bool
	clients map[netip.AddrPort]*net.UDPConn
}

// New starts a relay to server.
func New(tb testing.TB, server netip.AddrPort, filter Filter) *Proxy {
	tb.Helper()
	front, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0)))
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{front: front, server: server, filter: filter, clients: map[netip.AddrPort]*net.UDPConn{}}
	p.relays.Go(p.serve)
	tb.Cleanup(p.close)
	return p
}

// Addr is where clients send.
func (p *Proxy) Addr() netip.AddrPort {
	addr, _ := netip.ParseAddrPort(p.front.LocalAddr().String())
	return addr
}

// SetFilter replaces the filter and starts counting again.
func (p *Proxy) SetFilter(f Filter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filter, p.n = f, 0
}

// Count returns how many datagrams came, of both directions, since the last
// SetFilter.
func (p *Proxy) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// close ends the relay and waits for it.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	for _, c := range p.clients {
		_ = c.Close()
	}
	p.mu.Unlock()
	_ = p.front.Close()
	p.relays.Wait()
}

// serve takes what clients send.
func (p *Proxy) serve() {
	buf := make([]byte, 2048)
	for {
		n, from, err := p.front.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		back := p.client(from)
		if err != nil || back == nil {
			continue
		}
		for _, b := range p.pass(ToServer, buf[:n]) {
			_, _ = back.Write(b)
		}
	}
}

// client returns the socket towards the server that stands for one client.
func (p *Proxy) client(from netip.AddrPort) *net.UDPConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.clients[from]; c != nil || p.closed {
		return c
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.server))
	if err != nil {
		return nil
	}
	p.clients[from] = c
	p.relays.Go(func() { p.answer(c, from) })
	return c
}

// answer takes what the server sends to one client.
func (p *Proxy) answer(c *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 2048)
	for {
		n, err := c.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // refused: the server is not there now
			continue
		}
		for _, b := range p.pass(ToClient, buf[:n]) {
			_, _ = p.front.WriteToUDPAddrPort(b, to)
		}
	}
}

// pass asks the filter.
func (p *Proxy) pass(dir Direction, b []byte) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	return p.filter(Datagram{dir, p.n, append([]byte(nil), b...)})
}

// Move makes another server answer from now on: the address has moved to it.
func (p *Proxy) Move(server netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
	for from, c := range p.clients {
		_ = c.Close()
		delete(p.clients, from)
	}
}
