package endpoint

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
)

// watchedConn is a connection of the API that notices whether its client got
// the last reply: a client that sends more on the same connection, or closes it
// in order, has it. A reset tells nothing.
type watchedConn struct {
	net.Conn

	mu      sync.Mutex // guards arrived
	arrived func()
}

// arm has fn called once the client is known to have the reply that was just
// sent.
func (c *watchedConn) arm(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived = fn
}

// Read reads from the client.
func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	switch {
	case n > 0, errors.Is(err, io.EOF):
		c.settle(true)
	case err != nil && !errors.Is(err, os.ErrDeadlineExceeded):
		c.settle(false)
	}
	return n, err
}

// Close closes the connection from this side, which tells nothing.
func (c *watchedConn) Close() error {
	c.settle(false)
	return c.Conn.Close()
}

// settle takes what was armed and calls it if the reply arrived.
func (c *watchedConn) settle(arrived bool) {
	c.mu.Lock()
	fn := c.arrived
	c.arrived = nil
	c.mu.Unlock()
	if fn != nil && arrived {
		fn()
	}
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
