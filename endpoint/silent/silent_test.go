package silent

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served starts an https server with a bound.
func served(t *testing.T, limit int) (*httptest.Server, *Bound) {
	t.Helper()
	b := New(limit)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	s.Config.ConnState, s.Config.ErrorLog = b.Note, log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, b
}

// connect connects; a secure client ends the handshake too.
func connect(t *testing.T, s *httptest.Server, secure bool) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // many are closed already
	if !secure {
		return conn
	}
	config := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com" // as its certificate has it
	over := tls.Client(conn, config)
	if err := over.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return over
}

// ended waits until the server closes a connection.
func ended(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it is still connected")
	}
}

// counted waits until so many are silent and so many were closed.
func counted(t *testing.T, b *Bound, waiting, closed int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	timeout := time.After(20 * time.Second)
	for {
		w, c := b.Counts()
		if w == waiting && c == closed {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%d silent and %d closed, want %d and %d", w, c, waiting, closed)
		}
	}
}

// The oldest of too many goes, whether it has ended its handshake or not; who has
// sent a request is not counted.
func TestTheOldestGoes(t *testing.T) {
	for name, secure := range map[string]bool{"with a handshake": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			s, b := served(t, 3)
			resp, err := s.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close() // it has none
			counted(t, b, 0, 0)
			var all []net.Conn
			for i := range 5 {
				all = append(all, connect(t, s, secure))
				counted(t, b, min(i+1, 3), max(0, i-2))
			}
			ended(t, all[0])
			ended(t, all[1])
			if resp, err = s.Client().Get(s.URL); err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close() // it has none
			counted(t, b, 3, 2)
			_ = all[3].Close() // who leaves is not counted
			counted(t, b, 2, 2)
		})
	}
}

// A client that comes while the others are silent is served, however many there
// are.
func TestSilenceKeepsNobodyOut(t *testing.T) {
	s, b := served(t, 4)
	for range 40 {
		connect(t, s, false)
	}
	s.Client().Transport.(*http.Transport).DisableKeepAlives = true
	for range 10 {
		connect(t, s, false)
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close() // it has none
	}
	if waiting, closed := b.Counts(); waiting > 4 || closed < 40 {
		t.Errorf("%d silent, %d closed", waiting, closed)
	}
}
