package plugin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"provision-plugins/shared/client"
)

const (
	// maxResting bounds the connections that rest between requests.
	maxResting = 64
	// restFor is how long one rests: through a sweep of a fleet, not between two.
	restFor = 5 * time.Second
)

// askPlainly asks by a request over a connection that rested, which takes half of
// an action's overhead away; one that the plugin had closed meanwhile costs a
// second try.
func (p *Process) askPlainly(ctx context.Context, q *Question) (*answer, error) {
	return p.resting.ask(ctx, &exchange{p.socket, pathAction, json.RawMessage(q.asked.Body())})
}

// resting are the connections to a plugin that wait for the next request.
type resting struct {
	mu    sync.Mutex // guards the below
	conns []*restingConn
	sweep *time.Timer // nil while none rests
	ended bool
}

// restingConn is a connection that can be used again.
type restingConn struct {
	net.Conn
	bound  *io.LimitedReader // of one answer
	reader *bufio.Reader     // of bound
	since  time.Time         // when it came to rest
}

// newRestingConn makes a connection one that can be used again.
func newRestingConn(conn net.Conn) *restingConn {
	bound := &io.LimitedReader{R: conn}
	return &restingConn{Conn: conn, bound: bound, reader: bufio.NewReader(bound)}
}

// ask sends a request over a connection that rests, or over a new one. Its error
// is as that of exchange.do.
func (r *resting) ask(ctx context.Context, x *exchange) (*answer, error) {
	request, err := x.encode(traceHeader(ctx))
	if err != nil {
		return nil, &neverSent{err}
	}
	conn, seen := r.take(), false
	if conn != nil {
		a, err := r.over(ctx, conn, request)
		if err == nil || ctx.Err() != nil || conn.bound.N < maxAnswer {
			return a, err
		}
		seen = !NeverSent(err) // or so it may be
	}
	fresh, err := client.DialUnix(ctx, x.socket)
	switch {
	case err != nil && seen:
		return nil, fmt.Errorf("the connection was lost before the answer: %w", err)
	case err != nil:
		return nil, &neverSent{err}
	}
	a, err := r.over(ctx, newRestingConn(fresh), request)
	if seen && NeverSent(err) {
		return nil, fmt.Errorf("the connection was lost before the answer: %w", errors.Unwrap(err))
	}
	return a, err
}

// over sends a request over a connection, and has it rest if it can be used
// again.
func (r *resting) over(ctx context.Context, conn *restingConn, request []byte) (*answer, error) {
	conn.bound.N = maxAnswer
	inTime := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	a, err := roundTrip(ctx, conn, conn.reader, request)
	if inTime() && err == nil && !a.last && conn.reader.Buffered() == 0 && r.put(conn) {
		return a, nil
	}
	_ = conn.Close() // the answer is here, or lost
	return a, err
}

// take takes the connection that came to rest last; nil if there is none.
func (r *resting) take() *restingConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.conns)
	if n == 0 {
		return nil
	}
	conn := r.conns[n-1]
	r.conns[n-1] = nil
	r.conns = r.conns[:n-1]
	return conn
}

// put has a connection rest, unless enough do.
func (r *resting) put(conn *restingConn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || len(r.conns) >= maxResting {
		return false
	}
	conn.since = time.Now()
	r.conns = append(r.conns, conn)
	if r.sweep == nil {
		r.sweep = time.AfterFunc(restFor, r.closeOld)
	}
	return true
}

// closeOld closes the connections that have rested for long: those of the bottom.
func (r *resting) closeOld() {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := 0
	for old < len(r.conns) && time.Since(r.conns[old].since) >= restFor {
		_ = r.conns[old].Close() // nothing is under way on it
		old++
	}
	r.conns = append(r.conns[:0], r.conns[old:]...)
	r.sweep = nil
	if len(r.conns) > 0 && !r.ended {
		r.sweep = time.AfterFunc(time.Until(r.conns[0].since.Add(restFor)), r.closeOld)
	}
}

// close closes what rests; nothing rests from then on.
func (r *resting) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for _, conn := range r.conns {
		_ = conn.Close() // nothing is under way on it
	}
	r.conns = nil
	if r.sweep != nil {
		r.sweep.Stop()
		r.sweep = nil
	}
}
