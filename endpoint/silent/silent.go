// Package silent bounds how many clients of a server may be connected and have
// sent no request yet. Each of them costs a descriptor and some memory before
// anybody knows who it is.
package silent

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// Bound closes the oldest of those that are too many: who means it has sent a
// request long before.
type Bound struct {
	max int

	mu     sync.Mutex // guards all below
	waits  *list.List // of net.Conn, the oldest first
	found  map[net.Conn]*list.Element
	closed int
}

// New makes a bound of so many connections.
func New(limit int) *Bound {
	return &Bound{max: limit, waits: list.New(), found: map[net.Conn]*list.Element{}}
}

// Note takes what becomes of a connection: http.Server's ConnState.
func (b *Bound) Note(conn net.Conn, state http.ConnState) {
	if oldest := b.note(conn, state); oldest != nil {
		_ = inner(oldest).Close() // nothing was written; its own goroutine notices
	}
}

// note keeps count, and returns the connection that is too many.
func (b *Bound) note(conn net.Conn, state http.ConnState) net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state != http.StateNew {
		if e := b.found[conn]; e != nil {
			b.waits.Remove(e)
			delete(b.found, conn)
		}
		return nil
	}
	b.found[conn] = b.waits.PushBack(conn)
	if b.waits.Len() <= b.max {
		return nil
	}
	oldest := b.waits.Remove(b.waits.Front()).(net.Conn)
	delete(b.found, oldest)
	b.closed++
	return oldest
}

// Counts are how many are silent now, and how many were closed for it.
func (b *Bound) Counts() (waiting, closed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waits.Len(), b.closed
}

// wrapper is a connection over another one, as that of TLS is.
type wrapper interface {
	// NetConn is the one below.
	NetConn() net.Conn
}

// inner is the connection below TLS: to close it waits for nobody.
func inner(conn net.Conn) net.Conn {
	if u, ok := conn.(wrapper); ok {
		return u.NetConn()
	}
	return conn
}
