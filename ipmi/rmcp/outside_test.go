package rmcp

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// stranger answers datagrams by a function until the test ends.
func stranger(tb testing.TB, answer func(b []byte) [][]byte) netip.AddrPort {
	tb.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var buf [maxDatagram]byte
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf[:])
			if err != nil {
				return
			}
			for _, b := range answer(bytes.Clone(buf[:n])) {
				_, _ = conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	tb.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return netip.MustParseAddrPort(conn.LocalAddr().String())
}

// respond is the answer to a request outside a session.
func respond(b []byte, code uint8, data ...byte) []byte {
	m := b[v15Len:]
	out := []byte{rmcpVersion, 0, rmcpNoAck, rmcpIPMI, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	msg := []byte{m[3], m[1] | 4}
	msg = append(msg, checksum(msg))
	msg = append(msg, m[0], m[4], m[5], code)
	msg = append(msg, data...)
	msg = append(msg, checksum(msg[3:]))
	out[v15SizeAt] = uint8(len(msg))
	return append(out, msg...)
}

// isAsk reports whether a datagram asks for the command.
func isAsk(b []byte, c types.Command) bool {
	return len(b) > v15Len+5 && b[3] == rmcpIPMI && b[v15Len+5] == c.ID
}

func TestGreet(t *testing.T) {
	b := startBMC(t, bmcOptions{suites: []types.CipherSuiteID{3, 17}})
	g, err := Greet(context.Background(), b.addr)
	if err != nil || !g.Answered() || g.Auth == nil || !g.Auth.V20 || !slices.Equal(g.Suites, []uint8{3, 17}) {
		t.Errorf("%+v, auth %+v, %v", g, g.Auth, err)
	}
	if g.Local != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("reached from %v", g.Local)
	}
}

func TestGreetRefused(t *testing.T) {
	g, err := Greet(context.Background(), closedPort(t, net.IPv4(127, 0, 0, 1)))
	var e *Error
	if !errors.As(err, &e) || e.Reason != Refused || g.Answered() {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestGreetSilence(t *testing.T) {
	asked := make(chan struct{}, 100)
	peer := stranger(t, func([]byte) [][]byte {
		asked <- struct{}{}
		return nil
	})
	g, err := Greet(context.Background(), peer)
	if err != nil || g.Answered() || g.Pong || g.Auth != nil || g.Suites != nil {
		t.Errorf("%+v, %v", g, err)
	}
	if n := len(asked); n != 3*greetTries {
		t.Errorf("asked %d times", n)
	}
}

// A caller that leaves is let go at once.
func TestGreetCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	peer := stranger(t, func([]byte) [][]byte {
		cancel()
		return nil
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = Greet(ctx, peer)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
}

// What is lost is asked for again, and what came is not.
func TestGreetAgain(t *testing.T) {
	pings := 0
	peer := stranger(t, func(b []byte) [][]byte {
		switch {
		case b[3] == rmcpASF:
			if pings++; pings == 1 {
				return nil
			}
			b[asfTypeAt] = asfPong
			return [][]byte{b}
		case isAsk(b, types.CommandGetChannelAuthCapabilities):
			return [][]byte{respond(b, 0, 1, 0x80, 0x21, 0x03)}
		}
		return [][]byte{respond(b, 0xc1)} // the list of suites is refused
	})
	g, err := Greet(context.Background(), peer)
	want := AuthCapabilities{V20: true, V15: true, Kg: true, Anonymous: true}
	if err != nil || !g.Pong || g.Auth == nil || *g.Auth != want || len(g.Suites) > 0 {
		t.Errorf("%+v, auth %+v, %v", g, g.Auth, err)
	}
}

// The list of suites comes in parts, and ends with a short one or after eight.
func TestGreetLongList(t *testing.T) {
	for name, tc := range map[string]struct{ parts, want int }{"two parts": {1, 3 + 1}, "without end": {100, 3*maxSuiteParts + maxSuiteParts/8}} {
		t.Run(name, func(t *testing.T) {
			peer := stranger(t, func(b []byte) [][]byte {
				if !isAsk(b, types.CommandGetChannelCipherSuites) {
					return nil
				}
				if int(b[v15Len+8]&0x3f) >= tc.parts {
					return [][]byte{respond(b, 0, 1, 0xc0, 17, 3, 0x44, 0x81)}
				}
				part := append([]byte{1}, bytes.Repeat([]byte{0xc0, 3, 1, 0x41, 0x81}, 3)...)
				return [][]byte{respond(b, 0, append(part, 0x82)...)}
			})
			g, err := Greet(context.Background(), peer)
			if err != nil || len(g.Suites) < 4 || len(g.Suites) > 3*maxSuiteParts {
				t.Errorf("suites %v, %v", g.Suites, err)
			}
		})
	}
}

// Datagrams that are none of an answer leave no trace.
func TestGreetGarbage(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"short":            "0600ff07",
		"another version":  "0500ff0600000011be400000100000000000000000",
		"another tag":      "0600ff06000011be4007001000",
		"a ping":           "0600ff06000011be8000000000",
		"authenticated":    "0600ff0702000000000000000000000000000000000000000000000000",
		"longer than it":   "0600ff070000000000000000003081",
		"a request":        "0600ff07000000000000000000092018c88100388e0435",
		"no room for code": "0600ff07000000000000000000038118",
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			g := &greeter{}
			if known, next := g.take(b); known || next || g.Auth != nil || g.Pong {
				t.Errorf("taken: %+v", g.Greeting)
			}
		})
	}
}

func TestParseSuites(t *testing.T) {
	for text, want := range map[string][]uint8{
		"":                                 {},
		"c0":                               {},
		"c000004080":                       {0},
		"c003014181c011034481":             {3, 17},
		"c1800000014181c003014181":         {3}, // a maker's own, which has a number too
		"010203c003":                       {3},
		"c0ffc0fec0":                       {0xff, 0xfe},
		"ffffffffffffffffffffffffffffffff": {},
	} {
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := parseSuites(raw); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestParseAuth(t *testing.T) {
	for name, tc := range map[string]struct {
		m    message
		want AuthCapabilities
	}{
		"IPMI 2.0":         {message{data: []byte{1, 0x80, 0x04, 0x02}}, AuthCapabilities{V20: true}},
		"both":             {message{data: []byte{1, 0x84, 0x04, 0x03, 0, 0, 0, 0}}, AuthCapabilities{V20: true, V15: true}},
		"1.5":              {message{data: []byte{1, 0x04, 0x04, 0x02}}, AuthCapabilities{V15: true}},
		"key and nameless": {message{data: []byte{1, 0x80, 0x21, 0x02}}, AuthCapabilities{V20: true, Kg: true, Anonymous: true}},
		"refused":          {message{code: 0xc1, data: []byte{1, 0x80, 0x04, 0x02}}, AuthCapabilities{}},
		"cut":              {message{data: []byte{1, 0x80, 0x04}}, AuthCapabilities{}},
	} {
		if got := parseAuth(&tc.m); *got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, *got, tc.want)
		}
	}
}

// TestOtherHash tells a BMC that hashes another privilege level from one with
// another password, and drives it if it is told.
func TestOtherHash(t *testing.T) {
	k := &setup{suite: suiteOrder(17, 0)[0], role: 0x13, username: testUser, mac: newAuthenticator(suiteOrder(17, 0)[0].hash)}
	copy(k.kuid[:], testPassword)
	k.unhashed = nameOnlyLookup
	odd := bytes.Clone(k.rakp2())
	k.unhashed = 0
	if err := k.mismatch(odd); err.Reason != OtherHash || k.unhashed != 0 {
		t.Errorf("%v, unhashed %x", err, k.unhashed)
	}
	if err := k.mismatch(bytes.Repeat([]byte{1}, len(odd))); err.Reason != BadPassword {
		t.Error(err)
	}
	if OtherHash.RefusesLogin() {
		t.Error("a password that is right counts as refused")
	}
}

func TestOnlySuite(t *testing.T) {
	for only, want := range map[uint8][]uint8{0: {17, 3}, 3: {3}, 17: {17}, 8: nil} {
		var got []uint8
		for _, s := range suiteOrder(0, only) {
			got = append(got, s.id)
		}
		if !slices.Equal(got, want) {
			t.Errorf("only %d: %v", only, got)
		}
	}
	tr := NewTransport()
	defer func() { _ = tr.Close() }()
	_, err := tr.Open(context.Background(), Target{Login: Login{Username: "x", Password: "y", Ways: Ways{Suite: 8}}})
	var e *Error
	if !errors.As(err, &e) || e.Reason != NoSuite {
		t.Errorf("%v", err)
	}
}

func TestChecksumOfAnswers(t *testing.T) {
	good := []byte{0x81, 0x1c, 0x63, 0x20, 0x04, 0x01, 0x00, 0x00}
	good[7] = checksum(good[3:7])
	if m, ok := parseResponse(good); !ok || !m.sound {
		t.Errorf("%+v, %v", m, ok)
	}
	for _, at := range []int{2, 7} {
		bad := bytes.Clone(good)
		bad[at]++
		if m, ok := parseResponse(bad); !ok || m.sound {
			t.Errorf("checksum at %d: %+v, %v", at, m, ok)
		}
	}
}

func FuzzGreeting(f *testing.F) {
	for _, text := range []string{
		"0600ff06000011be4000001000000000000000000000000000000000",
		"0600ff07000000000000000000108118672004380100840402000000000003",
		"0600ff0700000000000000000012811c63200454000100c003014181c0110344810f",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g := &greeter{}
		for range 2 * maxSuiteParts {
			g.take(b)
		}
		if len(g.Suites) > maxSuiteParts*maxDatagram || g.part > maxSuiteParts {
			t.Fatalf("%d suites in %d parts", len(g.Suites), g.part)
		}
	})
}
