package rmcp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/shared/model"
)

// socketPair is a socket with its inbox, and how another one sends to it.
func socketPair(tb testing.TB, host string) (in *inbox, at *net.UDPConn, from *net.UDPConn) {
	tb.Helper()
	var ends [2]*net.UDPConn
	for i := range ends {
		s, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(host), 0)))
		if err != nil {
			tb.Skip("no such address here:", err)
		}
		tb.Cleanup(func() { _ = s.Close() })
		ends[i] = s
	}
	// Whoever waits for what does not come ends.
	if err := ends[0].SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return newInbox(ends[0]), ends[0], ends[1]
}

// addrOf is a socket's own address.
func addrOf(s *net.UDPConn) netip.AddrPort { return netip.MustParseAddrPort(s.LocalAddr().String()) }

// post sends a datagram.
func post(tb testing.TB, from *net.UDPConn, to netip.AddrPort, b []byte) {
	tb.Helper()
	if _, err := from.WriteToUDPAddrPort(b, to); err != nil {
		tb.Fatal(err)
	}
}

// receiveAll takes what comes until an error.
func receiveAll(in *inbox, deliver func(b []byte, from netip.AddrPort)) error {
	for {
		if err := in.receive(deliver); err != nil {
			return err
		}
	}
}

// letter is a datagram that came.
type letter struct {
	text []byte
	from netip.AddrPort
}

// collect takes so many datagrams, and counts the errors between.
func collect(tb testing.TB, in *inbox, at *net.UDPConn, want int) (got []letter, failed int) {
	tb.Helper()
	for len(got) < want {
		err := in.receive(func(b []byte, from netip.AddrPort) {
			got = append(got, letter{bytes.Clone(b), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())})
			if len(got) == want {
				_ = at.SetReadDeadline(time.Unix(1, 0)) // that is all
			}
		})
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			failed++
		case err != nil && len(got) < want:
			tb.Fatalf("%d datagrams, want %d: %v", len(got), want, err)
		}
	}
	return got, failed
}

// TestInboxTakesAllInOrder: more datagrams than one call takes, of all lengths,
// none at all and more than there is room for among them, come as they were sent.
func TestInboxTakesAllInOrder(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			in, at, from := socketPair(t, host)
			var sent [][]byte
			for i, n := range []int{0, 1, 16, 100, maxDatagram - 1, maxDatagram, maxDatagram + 1, 4000, 3} {
				for j := range 4 {
					b := bytes.Repeat([]byte{byte(16*i + j)}, n)
					post(t, from, addrOf(at), b)
					sent = append(sent, b[:min(n, maxDatagram)])
				}
			}
			got, _ := collect(t, in, at, len(sent))
			for i := range sent {
				if !bytes.Equal(got[i].text, sent[i]) {
					t.Fatalf("datagram %d has %d bytes, want %d", i, len(got[i].text), len(sent[i]))
				}
			}
		})
	}
}

// TestInboxTellsWhoSent: each datagram is of the one that sent it.
func TestInboxTellsWhoSent(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			in, at, _ := socketPair(t, host)
			const senders = 20
			want := map[netip.AddrPort]string{}
			for i := range senders {
				_, _, from := socketPair(t, host)
				text := fmt.Sprint("datagram ", i)
				want[addrOf(from)] = text
				post(t, from, addrOf(at), []byte(text))
			}
			got, _ := collect(t, in, at, senders)
			for _, l := range got {
				if want[l.from] != string(l.text) {
					t.Errorf("%q is of %v, who sent %q", l.text, l.from, want[l.from])
				}
			}
		})
	}
}

// TestInboxOutlivesErrors: a datagram of ours that the network returns takes
// nothing from those that came, before it or after it.
func TestInboxOutlivesErrors(t *testing.T) {
	in, at, from := socketPair(t, "127.0.0.1")
	if err := reportErrors(at, false); err != nil {
		t.Fatal(err)
	}
	_, nobody, _ := socketPair(t, "127.0.0.1")
	closed := addrOf(nobody)
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	const rounds = 10
	for i := range rounds {
		post(t, from, addrOf(at), []byte{byte(i)})
		// An error that waits fails the next send: it is for that to be repeated.
		_, _ = at.WriteToUDPAddrPort([]byte("to nobody"), closed)
	}
	got, _ := collect(t, in, at, rounds)
	for i := range got {
		if !bytes.Equal(got[i].text, []byte{byte(i)}) {
			t.Errorf("datagram %d is % x", i, got[i].text)
		}
	}
}

// TestInboxEndsWithItsSocket: who waits is told that the socket was closed.
func TestInboxEndsWithItsSocket(t *testing.T) {
	in, at, _ := socketPair(t, "127.0.0.1")
	ended := make(chan error, 1)
	go func() {
		ended <- in.receive(func([]byte, netip.AddrPort) { t.Error("something came") })
	}()
	if err := at.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the wait ended with %v", err)
	}
}

// TestOneSocketManyBMCs opens sessions with many BMCs at once over one socket, with
// garbage of all lengths between their answers, and asks each.
func TestOneSocketManyBMCs(t *testing.T) {
	const count = 40
	tr := newTestTransport(t)
	_, _, noisy := socketPair(t, "127.0.0.1")
	errs := make(chan error, count)
	for i := range count {
		b := startBMC(t, bmcOptions{})
		b.chassis.set(t, i%2 == 0)
		go func() {
			errs <- func() error {
				s, err := tr.Open(testContext(t), Target{Peer: b.addr, Login: login()})
				if err != nil {
					return err
				}
				defer s.Close()
				tr.mu.Lock()
				at := addrOf(tr.socks[0].conn)
				tr.mu.Unlock()
				own := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
				if _, err := noisy.WriteToUDPAddrPort(make([]byte, 50*i), own); err != nil {
					return err
				}
				var res chassis.GetChassisStatusResponse
				err = s.Do(testContext(t), &Call{Request: &chassis.GetChassisStatusRequest{}, Response: &res, Class: model.Read})
				if err == nil && res.PowerIsOn != (i%2 == 0) {
					err = fmt.Errorf("%v is told on: %v", b.addr, res.PowerIsOn)
				}
				return err
			}()
		}()
	}
	for range count {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// TestDeafened: who closes all hears no more of the answers, and every session is
// closed all the same.
func TestDeafened(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	tr := newTestTransport(t)
	sessions := []*Session{openTo(t, tr, b.addr), openTo(t, tr, b.addr)}
	eventually(t, "both are open", func() bool { return b.Sessions.Count() == 2 })
	tr.Deafen()
	tr.readers.Wait()
	for _, s := range sessions {
		s.Close()
	}
	eventually(t, "both are closed", func() bool { return b.Sessions.Count() == 0 })
	tr.Deafen() // once more changes nothing
}

// TestInboxWakesForEach: datagrams that come one at a time, each after the one
// before was taken, all come, although the socket was told to be empty each time.
func TestInboxWakesForEach(t *testing.T) {
	in, at, from := socketPair(t, "127.0.0.1")
	const count = 500
	taken, ended := make(chan byte), make(chan error, 1)
	go func() {
		ended <- receiveAll(in, func(b []byte, _ netip.AddrPort) { taken <- b[0] })
	}()
	for i := range count {
		post(t, from, addrOf(at), []byte{byte(i)})
		select {
		case got := <-taken:
			if got != byte(i) {
				t.Fatalf("datagram %d is told as %d", i, got)
			}
		case err := <-ended:
			t.Fatalf("datagram %d did not come: %v", i, err)
		}
	}
	_ = at.SetReadDeadline(time.Unix(1, 0)) // that is all
	<-ended
}

// BenchmarkInbox takes datagrams that come sixteen at a time.
func BenchmarkInbox(b *testing.B) {
	const burst = 16
	in, at, from := socketPair(b, "127.0.0.1")
	if err := at.SetReadDeadline(time.Time{}); err != nil {
		b.Fatal(err)
	}
	to, text := addrOf(at), make([]byte, 72)
	taken, ended := make(chan struct{}, burst), make(chan error, 1)
	go func() {
		ended <- receiveAll(in, func([]byte, netip.AddrPort) { taken <- struct{}{} })
	}()
	b.ReportAllocs()
	for b.Loop() {
		for range burst {
			post(b, from, to, text)
		}
		for range burst {
			<-taken
		}
	}
	_ = at.SetReadDeadline(time.Unix(1, 0)) // that is all
	<-ended
}
