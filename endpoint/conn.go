package endpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// receipt is told whether a reply arrived.
type receipt interface {
	// Delivered tells that the client has the reply.
	Delivered()
	// Lost tells that it has not.
	Lost()
}

// watchedConn is a connection of the API that notices whether its client got
// the last reply: a client that sends more on the same connection, or closes it
// in order, has it. After a reset it has not. A connection that this side closes
// tells nothing.
type watchedConn struct {
	net.Conn

	mu      sync.Mutex // guards all below
	news    news       // what was heard since the last reply began
	waiting receipt    // of the last reply, until something is heard
}

// news is what a connection tells about the reply that was sent on it.
type news int

const (
	silence news = iota
	arrival      // the client went on, or closed in order
	loss         // the client reset the connection
)

// listen forgets what was heard; a reply is about to be sent.
func (c *watchedConn) listen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.news, c.waiting = silence, nil
}

// arm has the receipt told, once it is known, whether the reply that was just
// sent arrived. A quick client may have been heard already.
func (c *watchedConn) arm(r receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = r
	c.tell()
}

// tell tells who waits what was heard; the caller holds the lock.
func (c *watchedConn) tell() {
	switch {
	case c.waiting == nil || c.news == silence:
		return
	case c.news == arrival:
		c.waiting.Delivered()
	case c.news == loss:
		c.waiting.Lost()
	}
	c.waiting = nil
}

// Read reads from the client.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.news != silence:
	case n > 0, errors.Is(err, io.EOF):
		c.news = arrival
	case errors.Is(err, syscall.ECONNRESET):
		c.news = loss
	}
	c.tell()
	return n, err
}

// watchedListener hands out watched connections.
type watchedListener struct{ net.Listener }

// Accept waits for the next client.
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &watchedConn{Conn: conn}, nil
}

// connKey is where a request's context keeps its connection.
type connKey struct{}

// peerKey is where a request's context keeps the caller at the other end of the
// unix socket.
type peerKey struct{}

// watched returns the request's connection, nil if it is not known.
func watched(ctx context.Context) *watchedConn {
	c, _ := ctx.Value(connKey{}).(*watchedConn)
	return c
}

// unwrapper is a connection around another, such as TLS.
type unwrapper interface {
	// NetConn returns the connection inside.
	NetConn() net.Conn
}

// noteConn keeps the connection in the context of its requests.
func noteConn(ctx context.Context, conn net.Conn) context.Context {
	if u, ok := conn.(unwrapper); ok {
		conn = u.NetConn()
	}
	if c, ok := conn.(*watchedConn); ok {
		ctx = context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}
