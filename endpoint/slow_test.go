package endpoint

import (
	"errors"
	"io"
	"net"
	"os"
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
