package rmcp

import (
	"testing"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"
)

// FuzzReceive gives a transport one datagram from a BMC with which it is in
// session setup and in a session that waits for an answer. Whatever comes, it
// must not panic, and only a genuine answer may end the wait.
func FuzzReceive(f *testing.F) {
	for _, m := range readCorpus(f) {
		f.Add(m.data)
		f.Add(m.aimed(appendHeader(nil, 0, 7, 0, 0)))
	}
	s, h := fuzzSession(f)
	genuine := s.keys.seal(nil, s.consoleID, 9, answer)
	f.Add(genuine)
	f.Add(s.keys.seal(nil, s.consoleID, 9, nil))
	f.Add(s.keys.seal(nil, s.consoleID, 9, make([]byte, 300)))
	f.Add(append(appendHeader(nil, uint8(payloadRAKP2), 0, 0, 72), make([]byte, 72)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		tr := NewTransport()
		s.t, h.t = tr, tr
		tr.register(s.peer, s.consoleID, s)
		tr.register(s.peer, h.keys.consoleID, h)
		s.window = window{}
		s.rqSeq = 0
		s.begin(types.CommandGetChassisStatus)
		s.pending.seqs = 1 << s.pending.first
		tr.dispatch(new(packet), append([]byte(nil), b...), s.peer)
		if s.pending.done && string(b) != string(genuine) {
			p, _ := parsePacket(b)
			if !s.keys.authentic(&p) {
				t.Fatalf("% x was believed", b)
			}
		}
		for len(h.answers) > 0 {
			a := <-h.answers
			fits(a, stepOpen, []sent{{tag: a.tag()}})
		}
	})
}

// fuzzSession is a session and a handshake with one BMC.
func fuzzSession(tb testing.TB) (*Session, *handshake) {
	target := &Target{Login: login()}
	h := NewTransport().newHandshake(newPlan(target, 0))
	h.keys.consoleID, h.keys.managedID = 7, 8
	s := newSession(h, exampleKeys(tb, h.keys.suite))
	s.consoleID = 9
	return s, h
}

// answer is a good answer to the first Get Chassis Status of a session.
var answer = []byte{addrConsole, 0x01 << 2, 0x7b, addrBMC, 1 << 2, 0x01, 0, 1, 0, 0, 0xda}

// FuzzUnpack gives the response types that are used arbitrary data.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 5, 0x80, 4, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		var status chassis.GetChassisStatusResponse
		_ = status.Unpack(b)
		var boot chassis.GetSystemBootOptionsParamResponse
		if boot.Unpack(b) == nil {
			var flags types.BootOptionParam_BootFlags
			_ = flags.Unpack(boot.ParamData)
		}
	})
}
