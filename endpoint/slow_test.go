package endpoint

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
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
