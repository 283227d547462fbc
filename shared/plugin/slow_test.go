package plugin

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// Who connects to either socket and sends no whole head is cut off; a connection
// that rests after a request is not.
func TestSilentConnections(t *testing.T) {
	in := &inbound{handler: quietHandler{slog.New(slog.DiscardHandler)}, logger: slog.New(slog.DiscardHandler)}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	hs := in.server()
	served := serveInbound(hs, l)
	defer func() {
		_ = hs.Close() // ends what rests
		<-served
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("unix", path)
		if err == nil {
			err = conn.SetReadDeadline(time.Now().Add(time.Minute))
		}
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	resting := dial()
	defer resting.Close()
	const request = "POST /api-server/log HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	ask := func() {
		if _, err := io.WriteString(resting, request); err != nil {
			t.Error(err)
		}
		if n, err := resting.Read(make([]byte, 4096)); err != nil || n == 0 {
			t.Errorf("a connection that rested: %v", err)
		}
	}
	ask()
	var ended sync.WaitGroup
	began := time.Now()
	for i := range 300 {
		conn := dial()
		if i%3 == 0 {
			if _, err := io.WriteString(conn, "POST /api-server/log HTTP/1.1\r\nX-Slow: "); err != nil {
				t.Error(err)
			}
		}
		ended.Go(func() {
			defer conn.Close()
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("a silent connection: %v", err)
			}
		})
	}
	ended.Wait()
	t.Logf("300 silent connections closed within %s", time.Since(began).Round(time.Millisecond))
	ask()
}

// Both servers bound the head of a request and nothing else.
func TestOnlyHeadsAreTimed(t *testing.T) {
	for name, hs := range map[string]*http.Server{
		"the plugin's": (&server{lines: newLineHandler(nil, "x")}).httpServer(),
		"the host's":   (&inbound{logger: slog.New(slog.DiscardHandler)}).server(),
	} {
		if hs.ReadHeaderTimeout != headerTimeout || hs.ReadTimeout != 0 || hs.WriteTimeout != 0 || hs.IdleTimeout != 0 || hs.MaxHeaderBytes != maxHeader {
			t.Errorf("%s: %+v", name, hs)
		}
	}
	if model.MaxBody != 16<<20 {
		t.Errorf("bodies of %d bytes", model.MaxBody)
	}
}
