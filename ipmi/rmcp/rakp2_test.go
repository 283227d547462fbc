package rmcp

import (
	"testing"

	"provision-plugins/ipmi/udptest"
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
				Peer: p.Addr(), Login: login(), OnRefusal: func(r Reason) { t.Errorf("refused: %s", r) },
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
