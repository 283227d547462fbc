package udptest

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every datagram with itself.
func echo(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFromUDP(buf)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDP(buf[:n], from)
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	addr, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// dial connects to the relay.
func dial(t *testing.T, p *Proxy) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// send sends text and returns what comes back until marker does.
func send(t *testing.T, c *net.UDPConn, text string, marker string) []string {
	t.Helper()
	for _, s := range []string{text, marker} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var got []string
	buf := make([]byte, 2048)
	for {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("no answer after %q: %v", got, err)
		}
		if s := string(buf[:n]); s != marker {
			got = append(got, s)
			continue
		}
		return got
	}
}

func TestProxyFilters(t *testing.T) {
	forge := func(d Datagram) [][]byte {
		if d.Direction == ToClient && bytes.Equal(d.Data, []byte("a")) {
			return [][]byte{[]byte("forged"), d.Data, d.Data}
		}
		return Pass(d)
	}
	for name, tc := range map[string]struct {
		filter Filter
		want   []string
	}{
		"pass":            {Pass, []string{"a"}},
		"request lost":    {LoseNth(1), nil},
		"forged, doubled": {forge, []string{"forged", "a", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := New(t, echo(t), tc.filter)
			got := send(t, dial(t, p), "a", "end")
			if len(got) != len(tc.want) {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
			for i := range got {
				if got[i] != tc.want[i] {
					t.Fatalf("got %q, want %q", got, tc.want)
				}
			}
		})
	}
}

func TestProxyCountsFromSetFilter(t *testing.T) {
	p := New(t, echo(t), Pass)
	c := dial(t, p)
	send(t, c, "a", "end")
	if p.Count() != 4 {
		t.Fatalf("Count = %d, want 4", p.Count())
	}
	p.SetFilter(Pass)
	if p.Count() != 0 {
		t.Fatalf("Count = %d after SetFilter, want 0", p.Count())
	}
}

func TestProxyKeepsClientsApart(t *testing.T) {
	p := New(t, echo(t), Pass)
	for _, text := range []string{"one", "two"} {
		got := send(t, dial(t, p), text, "end")
		if len(got) != 1 || got[0] != text {
			t.Fatalf("got %q, want %q alone", got, text)
		}
	}
}
