package client

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// The pauses between tries to connect to a socket whose backlog is full.
const (
	firstPause = time.Millisecond
	lastPause  = 50 * time.Millisecond
)

// DialUnix connects to a unix socket. A server with more connections waiting than
// its backlog holds is tried again until ctx ends: it has seen nothing of this
// one.
func DialUnix(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		conn, err := d.DialContext(ctx, "unix", socket)
		if !errors.Is(err, syscall.EAGAIN) {
			return conn, err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		}
	}
}
