package plugin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// talker is a fake plugin that serves many requests on a connection: say decides
// what comes of the n-th request of all, on the c-th connection; "" hangs up.
type talker struct {
	conns, requests atomic.Int64
	say             func(conn, request int64) string
}

// talking starts a talker, and returns a process of it that rests its
// connections until the test ends.
func talking(t testing.TB, say func(conn, request int64) string) (*Process, *talker) {
	t.Helper()
	k := &talker{say: say}
	p := process(fakePlugin(t, k.serve))
	t.Cleanup(p.resting.close)
	return p, k
}

// serve serves one connection.
func (k *talker) serve(conn net.Conn) {
	c := k.conns.Add(1)
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		text := k.say(c, k.requests.Add(1))
		if text == "" {
			return
		}
		_, _ = io.WriteString(conn, text)
	}
}

var look = &model.Action{Command: model.PowerStatus}

// TestAskRestsItsConnections asks again and again over one connection.
func TestAskRestsItsConnections(t *testing.T) {
	p, k := talking(t, func(_, n int64) string { return ok200(1) + fmt.Sprint(n) })
	for n := 1; n < 8; n++ {
		got, err := p.Ask(t.Context(), look)
		if err != nil || string(got) != fmt.Sprint(n) {
			t.Fatalf("the answer to %d is %s, %v", n, got, err)
		}
	}
	if n := k.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if _, err := p.Action(t.Context(), &model.Action{Command: model.PowerOn}); err != nil {
		t.Error(err)
	}
	if n := k.conns.Load(); n != 2 {
		t.Errorf("a change went over a connection that rested: %d connections", n)
	}
}

// TestAskOverAClosedConnection asks over connections that end in every way that
// a plugin can end them: a second try answers, and no third is made.
func TestAskOverAClosedConnection(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
	for name, c := range map[string]struct {
		say             func(conn, request int64) string
		conns, requests int64
		kind            model.Kind // of the second answer's error; "" is none
	}{
		"hangs up on the second": {
			say: func(conn, n int64) string {
				if conn == 1 && n == 2 {
					return ""
				}
				return good
			}, conns: 2, requests: 3,
		},
		"hangs up always": {
			say: func(_, n int64) string {
				if n >= 2 {
					return ""
				}
				return good
			}, conns: 2, requests: 3, kind: model.UnknownOutcome,
		},
		"half an answer": {
			say: func(_, n int64) string {
				if n == 2 {
					return "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
				}
				return good
			}, conns: 1, requests: 2, kind: model.UnknownOutcome,
		},
		"says that it will": {
			say: func(int64, int64) string {
				return "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
			},
			conns: 2, requests: 2,
		},
		"HTTP/1.0": {
			say:   func(int64, int64) string { return "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}" },
			conns: 2, requests: 2,
		},
		"more than asked for": {
			say:   func(int64, int64) string { return good + good },
			conns: 2, requests: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, k := talking(t, c.say)
			if _, err := p.Ask(t.Context(), look); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if name == "half an answer" { // it never ends by itself
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
			}
			_, err := p.Ask(ctx, look)
			if c.kind == "" && err != nil || c.kind != "" && model.KindOf(err) != c.kind {
				t.Errorf("got %v", err)
			}
			if k.conns.Load() != c.conns || k.requests.Load() != c.requests {
				t.Errorf("%d connections and %d requests, want %d and %d", k.conns.Load(), k.requests.Load(), c.conns, c.requests)
			}
		})
	}
}

// TestAskOfADeadPlugin asks a plugin that has gone: over a connection that rested
// it cannot be told whether the request was read, without one it was not.
func TestAskOfADeadPlugin(t *testing.T) {
	_, err := process("/nowhere/at/all").Ask(t.Context(), look)
	checkError(t, err, model.Unreachable, "cannot powerstatus: never sent")
	p, _ := talking(t, func(_, n int64) string {
		if n == 2 {
			return ""
		}
		return ok200(2) + "{}"
	})
	if _, err := p.Ask(t.Context(), look); err != nil {
		t.Fatal(err)
	}
	p.socket += "x" // nobody listens there
	_, err = p.Ask(t.Context(), look)
	checkError(t, err, model.UnknownOutcome, "cannot tell whether powerstatus was executed")
	close(p.done)
	_, err = p.Ask(t.Context(), look)
	checkError(t, err, model.Unreachable, "never sent", "its process has ended")
}

// TestAskEndsWithItsContext leaves no connection behind that is still to be
// answered.
func TestAskEndsWithItsContext(t *testing.T) {
	held := make(chan struct{})
	p, k := talking(t, func(conn, _ int64) string {
		if conn == 1 {
			<-held
		}
		return ok200(2) + "{}"
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Ask(ctx, look); model.KindOf(err) != model.UnknownOutcome {
		t.Errorf("got %v", err)
	}
	close(held)
	if got, err := p.Ask(t.Context(), look); err != nil || string(got) != "{}" || k.conns.Load() != 2 {
		t.Errorf("got %s, %v over %d connections", got, err, k.conns.Load())
	}
}

// TestRestingIsBounded lets connections come to rest, grow old, and end.
func TestRestingIsBounded(t *testing.T) {
	var r resting
	defer r.close()
	pipe := func() *restingConn {
		near, far := net.Pipe()
		t.Cleanup(func() { _ = far.Close() })
		return newRestingConn(near)
	}
	for range maxResting {
		if !r.put(pipe()) {
			t.Fatal("refused")
		}
	}
	extra := pipe()
	defer extra.Close()
	if r.put(extra) {
		t.Error("one too many rests")
	}
	for _, conn := range r.conns[:10] {
		conn.since = time.Now().Add(-restFor)
	}
	old := r.conns[9]
	r.closeOld()
	if len(r.conns) != maxResting-10 || r.sweep == nil {
		t.Errorf("%d rest, and will be swept: %v", len(r.conns), r.sweep != nil)
	}
	if _, err := old.Write([]byte("x")); err == nil {
		t.Error("an old one is open")
	}
	newest := r.conns[len(r.conns)-1]
	if got := r.take(); got != newest {
		t.Error("not the newest was taken")
	}
	defer newest.Close()
	r.close()
	if r.take() != nil || r.put(newest) {
		t.Error("something rests after the end")
	}
}
