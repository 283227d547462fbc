package endpoint

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// idlers is how many clients connect and say nothing, or too little.
func idlers() int {
	if os.Getenv("OOB_NIGHTLY") == "1" {
		return 5000
	}
	return 500
}

// Clients that connect and send no request, or the beginning of one, are cut off
// soon, and keep nobody else out meanwhile.
func TestIdleConnectionsAreCutOff(t *testing.T) {
	t.Parallel()
	r := start(t)
	n := idlers()
	began := time.Now()
	var ended sync.WaitGroup
	for i := range n {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", r.e.Socket())
		for errors.Is(err, syscall.EAGAIN) { // the queue of those who wait to be accepted is full
			conn, err = (&net.Dialer{}).DialContext(t.Context(), "unix", r.e.Socket())
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			if _, err := io.WriteString(conn, "GET /api/v3/info HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
				t.Error(err)
			}
		}
		ended.Go(func() {
			defer conn.Close()
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			_, err := io.Copy(io.Discard, conn)
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				t.Error("a silent client is still connected")
			}
		})
	}
	open := time.Since(began)
	if err := r.c.Get(t.Context(), "info", nil); err != nil {
		t.Errorf("beside them: %v", err)
	}
	ended.Wait()
	t.Logf("%d silent connections opened in %s, all closed %s after the first", n, open.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}

// A body that is announced and does not come keeps a stranger connected as little
// as silence does, at any route that reads none.
func TestBodiesThatDoNotCome(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, c := range map[string]struct{ head, want string }{
		"without a token":        {"POST /api/v3/machines HTTP/1.1\r\nContent-Length: 1000\r\n", "401"},
		"with a bad token":       {"POST /api/v3/machines HTTP/1.1\r\nAuthorization: Bearer x\r\nContent-Length: 1000\r\n", "401"},
		"in pieces":              {"POST /api/v3/machines HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", "401"},
		"at a probe":             {"GET /healthz HTTP/1.1\r\nContent-Length: 1000\r\n", "200"},
		"at a probe, by another": {"POST /readyz HTTP/1.1\r\nContent-Length: 1000\r\n", "404"},
		"at a path of no route":  {"POST /api/v3//machines HTTP/1.1\r\nAuthorization: Bearer " + r.e.token + "\r\nContent-Length: 1000\r\n", "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := tls.Dial("tcp", r.e.Addr(), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, c.head+"Host: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(conn)
			if !strings.HasPrefix(string(raw), "HTTP/1.1 "+c.want) || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v: %.200s", err, raw)
			}
		})
	}
}

// Both listeners are timed alike.
func TestEveryListenerIsTimed(t *testing.T) {
	s := (&api{}).server(unknownPeer)
	if s.ReadHeaderTimeout != 2*time.Second || s.IdleTimeout != time.Minute || s.MaxHeaderBytes != 16<<10 || bodyTimeout != 30*time.Second {
		t.Errorf("heads %s, rest %s, heads of %d bytes, bodies %s", s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes, bodyTimeout)
	}
}

// secured connects to the https port, and bounds what the test waits for.
func (r *rig) secured() *tls.Conn {
	r.t.Helper()
	conn, err := tls.Dial("tcp", r.e.Addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() }) // the endpoint has closed it mostly
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return conn
}

// A client of the https port that goes no further than some point of its first
// request is cut off.
func TestClientsThatStopOnTheWay(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, send := range map[string]func(raw net.Conn) (net.Conn, error){
		"connected": func(raw net.Conn) (net.Conn, error) { return raw, nil },
		"in the hello": func(raw net.Conn) (net.Conn, error) {
			_, err := raw.Write([]byte{22, 3, 1, 2, 0, 1})
			return raw, err
		},
		"after the handshake": func(raw net.Conn) (net.Conn, error) {
			conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
			return conn, conn.HandshakeContext(t.Context())
		},
		"in the head": func(raw net.Conn) (net.Conn, error) {
			conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
			_, err := io.WriteString(conn, "GET /api/v3/info HTTP/1.1\r\nHost: x\r\nX-Slow: ")
			return conn, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.e.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			conn, err := send(raw)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("it is still connected")
			}
		})
	}
}

// Who is not known gets its answer, and no connection to rest on; who is known may
// ask again on the same one.
func TestStrangersAreNotKept(t *testing.T) {
	t.Parallel()
	r := start(t)
	for name, c := range map[string]struct {
		head, want string
		kept       bool
	}{
		"no token":           {"GET /api/v3/machines HTTP/1.1\r\n", "401", false},
		"a bad token":        {"GET /api/v3/machines HTTP/1.1\r\nAuthorization: Bearer x\r\n", "401", false},
		"a bad password":     {"GET /api/v3/info HTTP/1.1\r\nAuthorization: Basic eDp5\r\n", "401", false},
		"no route":           {"GET /x HTTP/1.1\r\n", "401", false},
		"a file":             {"GET /files/x HTTP/1.1\r\n", "401", false},
		"a probe":            {"GET /healthz HTTP/1.1\r\n", "200", false},
		"another probe":      {"GET /readyz HTTP/1.1\r\n", "200", false},
		"not even a request": {"x\r\n", "400", false},
		"a large head":       {"GET /healthz HTTP/1.1\r\nX-Large: " + strings.Repeat("x", 32<<10) + "\r\n", "431", false},
		"who is known":       {"GET /api/v3/info HTTP/1.1\r\nAuthorization: Bearer " + r.e.token + "\r\n", "200", true},
		"known, no route":    {"GET /api/v3/x HTTP/1.1\r\nAuthorization: Bearer " + r.e.token + "\r\n", "404", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := (&rig{t: t, e: r.e}).secured()
			if _, err := io.WriteString(conn, c.head+"Host: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(conn)
			for range 2 { // asked once more where it is kept
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil || !strings.HasPrefix(resp.Status, c.want) || resp.Close == c.kept {
					t.Errorf("%s, closed %v, %v", resp.Status, resp.Close, err)
				}
				if !c.kept {
					break
				}
				if _, err := io.WriteString(conn, c.head+"Host: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
			}
			if c.kept {
				return
			}
			if _, err := io.Copy(io.Discard, in); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("it is still connected")
			}
		})
	}
}
