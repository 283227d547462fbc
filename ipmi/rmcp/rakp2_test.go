package rmcp

import (
	"encoding/binary"
	"testing"
	"time"

	"provision-plugins/ipmi/udptest"
	sim "provision-plugins/sim/bmc"
)

// TestForgedRefusals: what claims that a login was refused is not believed when
// the BMC's own answer follows, and nothing counts as a refusal.
func TestForgedRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		kind  payloadType
		forge func(d []byte) []byte
	}{
		"RAKP 2, other proof":   {payloadRAKP2, func(d []byte) []byte { return with(d, func(b []byte) { b[len(b)-1] ^= 1 }) }},
		"RAKP 2, other random":  {payloadRAKP2, func(d []byte) []byte { return with(d, func(b []byte) { b[headerLen+8] ^= 1 }) }},
		"RAKP 2, unknown name":  {payloadRAKP2, func(d []byte) []byte { return with(d, func(b []byte) { b[headerLen+1] = 0x0d }) }},
		"RAKP 4, other check":   {payloadRAKP4, func(d []byte) []byte { return with(d, func(b []byte) { b[len(b)-1] ^= 1 }) }},
		"RAKP 4, bad integrity": {payloadRAKP4, func(d []byte) []byte { return with(d, func(b []byte) { b[headerLen+1] = 0x0f }) }},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, bmcOptions{})
			b.chassis.set(t, true)
			p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
				if d.Direction == udptest.ToServer || d.Data[offPayload] != byte(tc.kind) {
					return udptest.Pass(d)
				}
				return [][]byte{tc.forge(d.Data), d.Data}
			})
			tr := newTestTransport(t)
			s, err := tr.Open(testContext(t), Target{
				Peer: p.Addr(), Login: login(), Known: unhurried(), OnRefusal: func(r Reason) { t.Errorf("refused: %s", r) },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if s.Known().Suite != 17 || !powerIsOn(t, s) {
				t.Error("not the session that was asked for")
			}
			if tr.Drops(DropForged) == 0 {
				t.Error("the forgery is not counted")
			}
		})
	}
}

// TestForgedBehind: a handshake that looks out for a doubled RAKP 2, because the
// BMC refused one before that it had agreed to, takes the last one that proves
// something.
func TestForgedBehind(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	behind := func(d udptest.Datagram) [][]byte {
		if d.Data[offPayload] != byte(payloadRAKP2) {
			return udptest.Pass(d)
		}
		return [][]byte{d.Data, with(d.Data, func(b []byte) { b[len(b)-1] ^= 1 })}
	}
	p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
		if d.Data[offPayload] != byte(payloadRAKP4) {
			return udptest.Pass(d)
		}
		return [][]byte{with(d.Data, func(b []byte) { b[headerLen+1] = 0x0f })}
	})
	refused := 0
	s, err := newTestTransport(t).Open(testContext(t), Target{Peer: p.Addr(), Login: login(), OnRefusal: func(Reason) {
		refused++
		p.SetFilter(behind)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if refused != 1 || s.Known().Suite != 17 {
		t.Errorf("%d refusals, suite %d; want 1 and 17", refused, s.Known().Suite)
	}
}

// startOrderly starts a BMC that takes one datagram at a time and answers in that
// order, as real ones do. That of startBMC takes each in a goroutine of its own: its
// newest random number may not be that of its last answer.
func startOrderly(tb testing.TB) *sim.BMC {
	tb.Helper()
	f, err := sim.New(sim.Options{
		Username: testUser, Password: testPassword, On: true,
		Sessions: 63, // a doubled Open Session takes two
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.Close(); err != nil {
			tb.Error(err)
		}
	})
	return f.BMC(0)
}

// unhurried is known of a BMC whose second answer is looked out for for long,
// however busy this machine is.
func unhurried() Known { return Known{RTT: 400 * time.Millisecond} }

// doubling is a network that doubles RAKP 1, and hands the BMC's two answers on
// in that order, or the other.
func doubling(reversed func(handshake int) bool) udptest.Filter {
	var held []byte
	handshakes := 0
	return func(d udptest.Datagram) [][]byte {
		switch payloadType(d.Data[offPayload]) {
		case payloadRAKP1:
			handshakes++
			return [][]byte{d.Data, d.Data}
		case payloadRAKP2:
			if held == nil {
				held = d.Data
				return nil
			}
			first := held
			held = nil
			if reversed(handshakes) {
				return [][]byte{d.Data, first}
			}
			return [][]byte{first, d.Data}
		}
		return udptest.Pass(d)
	}
}

// TestDoubledRAKP1: of two answers to one message it cannot be told which is the
// newer, so a guess may be a login that the BMC counts as failed. One is made
// before that is known, and no other as long as the network may become better;
// one that doubles all in order is believed in the end.
func TestDoubledRAKP1(t *testing.T) {
	for name, tc := range map[string]struct {
		reversed func(handshake int) bool
		better   bool
	}{
		"out of order, then well": {func(n int) bool { return n > 1 }, true},
		"in order, for ever":      {func(int) bool { return false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused, opened := 0, 0
			bad := doubling(tc.reversed)
			p := udptest.New(t, startOrderly(t).Addr(), func(d udptest.Datagram) [][]byte {
				if payloadType(d.Data[offPayload]) == payloadOpenRequest {
					opened++
				}
				if tc.better && opened > maxWary {
					return udptest.Pass(d)
				}
				return bad(d)
			})
			s, err := newTestTransport(t).Open(testContext(t), Target{
				Peer: p.Addr(), Login: login(), Known: unhurried(), OnRefusal: func(Reason) { refused++ },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if refused > 1 {
				t.Errorf("%d logins were refused, want 1 at most", refused)
			}
		})
	}
}

// TestNoThirdRefusal: also on a network that doubles each RAKP 1, and hands its
// answers on so that whatever is believed is the wrong one, no login is refused
// three times; and the password is not blamed.
func TestNoThirdRefusal(t *testing.T) {
	p := udptest.New(t, startOrderly(t).Addr(), doubling(func(handshake int) bool { return handshake > 1 }))
	refused := 0
	s, err := newTestTransport(t).Open(testContext(t), Target{
		Peer: p.Addr(), Login: login(), Known: unhurried(), OnRefusal: func(r Reason) {
			if refused++; r != Crossed { // the BMC has shown that the password is right
				t.Errorf("refused for %q", r)
			}
		},
	})
	if err == nil {
		s.Close()
	}
	if refused == 0 {
		t.Error("nothing was refused: this shows nothing")
	}
	if refused > maxRefusals {
		t.Errorf("%d logins were refused, want %d at most", refused, maxRefusals)
	}
}

// TestRefusalOfACopy: a BMC that refuses RAKP 3 knows the session no more when a
// copy of it comes. Its answer to that hides no refusal.
func TestRefusalOfACopy(t *testing.T) {
	b := startOrderly(t)
	p := udptest.New(t, b.Addr(), func(d udptest.Datagram) [][]byte {
		if payloadType(d.Data[offPayload]) == payloadRAKP3 {
			d.Data[len(d.Data)-1] ^= 1
			return [][]byte{d.Data, d.Data}
		}
		return udptest.Pass(d)
	})
	told := 0
	_, err := newTestTransport(t).Open(testContext(t), Target{
		Peer: p.Addr(), Login: login(), Known: unhurried(), OnRefusal: func(Reason) { told++ },
	})
	if !reasonIn(err).RefusesLogin() {
		t.Errorf("Open: %v", err)
	}
	if refused := b.Executed(sim.LoginRefused); refused != maxRefusals || told != refused {
		t.Errorf("the BMC refused %d logins, %d were told of; want %d", refused, told, maxRefusals)
	}
}

// TestBurstIsTaken: no answer is lost for coming with others, before the first was
// looked at.
func TestBurstIsTaken(t *testing.T) {
	tr := newTestTransport(t)
	h := tr.newHandshake(newPlan(&Target{Login: login()}, 0))
	b := appendHeader(nil, uint8(payloadRAKP2), 0, 0, setupMax)
	b = binary.LittleEndian.AppendUint32(append(b, 0, 0, 0, 0), h.keys.consoleID)
	b = append(b, make([]byte, setupMax-8)...)
	p, ok := parsePacket(b)
	if !ok {
		t.Fatal("not a packet")
	}
	const doubled = 3 * 4
	for range doubled {
		h.receive(&p)
	}
	if got := len(h.answers); got != doubled || tr.Drops(DropUnexpected) != 0 {
		t.Errorf("%d answers are kept of %d", got, doubled)
	}
}

// TestDoubledProbe: a handshake that may be the only one is not given up for that.
func TestDoubledProbe(t *testing.T) {
	p := udptest.New(t, startOrderly(t).Addr(), doubling(func(int) bool { return true }))
	s, err := newTestTransport(t).Open(testContext(t), Target{Peer: p.Addr(), Login: login(), Probe: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}
