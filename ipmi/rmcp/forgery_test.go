package rmcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/model"
)

// injection forges datagrams around the answers of a BMC.
type injection struct {
	mu     sync.Mutex
	before func(answer []byte) [][]byte // what arrives ahead of each answer
	past   [][]byte                     // answers so far
}

// filter is the udptest.Filter.
func (i *injection) filter(d udptest.Datagram) [][]byte {
	if d.Direction == udptest.ToServer || d.Data[offPayload]&typeMask != 0 {
		return udptest.Pass(d)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	out := append(i.before(d.Data), d.Data)
	i.past = append(i.past, d.Data)
	return out
}

// with returns a copy of b with some bytes changed.
func with(b []byte, change func([]byte)) []byte {
	c := bytes.Clone(b)
	change(c)
	return c
}

// plainOff is an unauthenticated, unencrypted "power is off" for a session.
func plainOff(answer []byte, seq byte) []byte {
	msg := []byte{addrConsole, 0x01 << 2, 0, addrBMC, seq << 2, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00}
	out := appendHeader(nil, 0, binary.LittleEndian.Uint32(answer[offSession:]), 1, len(msg))
	return append(out, msg...)
}

// TestForgeriesAreNotBelieved puts forged answers before the real one: the
// machine is on, and reads on.
func TestForgeriesAreNotBelieved(t *testing.T) {
	var in injection
	for name, tc := range map[string]struct {
		drop   Drop
		before func(answer []byte) [][]byte
	}{
		"plain power is off": {DropForged, func(a []byte) [][]byte {
			var out [][]byte
			for seq := range byte(seqCount) {
				out = append(out, plainOff(a, seq))
			}
			return out
		}},
		"IPMI 1.5 without authentication": {DropMalformed, func(a []byte) [][]byte {
			return [][]byte{append([]byte{6, 0, 0xff, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11},
				0x81, 0x04, 0x7b, 0x20, 0x04, 0x01, 0, 0, 0, 0, 0xdb)}
		}},
		"wrong HMAC": {DropForged, func(a []byte) [][]byte {
			return [][]byte{with(a, func(b []byte) { b[len(b)-1] ^= 1 })}
		}},
		"altered payload": {DropForged, func(a []byte) [][]byte {
			return [][]byte{with(a, func(b []byte) { b[headerLen+20] ^= 1 })}
		}},
		"no authentication flag": {DropForged, func(a []byte) [][]byte {
			return [][]byte{with(a, func(b []byte) { b[offPayload] &^= flagAuthenticated })}
		}},
		"cut trailer": {DropForged, func(a []byte) [][]byte {
			return [][]byte{a[:len(a)-1], a[:len(a)-14]}
		}},
		"wrong session": {DropUnknown, func(a []byte) [][]byte {
			return [][]byte{with(a, func(b []byte) { b[offSession] ^= 1 })}
		}},
		"old answer again": {DropReplayed, func([]byte) [][]byte { return in.past }},
	} {
		t.Run(name, func(t *testing.T) {
			in = injection{before: func([]byte) [][]byte { return nil }}
			b := startBMC(t, bmcOptions{})
			p := udptest.New(t, b.addr, in.filter)
			tr := newTestTransport(t)
			s := openTo(t, tr, p.Addr())
			powerIsOn(t, s) // off: what a replay would tell
			b.chassis.set(t, true)
			in.mu.Lock()
			in.before = tc.before
			in.mu.Unlock()
			for range 3 {
				if !powerIsOn(t, s) {
					t.Error("a forged answer was believed: power reads off")
				}
			}
			if tr.Drops(tc.drop) == 0 {
				t.Errorf("none counted as %v", tc.drop)
			}
		})
	}
}

// TestUnencryptedAnswer: authentic is not enough in a session that encrypts.
func TestUnencryptedAnswer(t *testing.T) {
	s, h := fuzzSession(t)
	s.begin(types.CommandGetChassisStatus)
	s.pending.seqs = 1 << s.pending.first
	b := appendHeader(nil, uint8(payloadIPMI)|flagAuthenticated, s.consoleID, 1, len(answer))
	b = append(append(b, answer...), 0xff, 0xff, 0xff, 3, nextHeader)
	b = append(b, s.keys.sign(b[offAuthType:])...)
	p, ok := parsePacket(b)
	if !ok || !s.keys.authentic(&p) {
		t.Fatal("the packet is not authentic")
	}
	s.receive(&p)
	if s.pending.done || h.t.Drops(DropPlain) != 1 {
		t.Errorf("answered = %v, %d dropped as %v", s.pending.done, h.t.Drops(DropPlain), DropPlain)
	}
}

// TestOtherPayload: an authentic datagram of another payload type is no answer.
func TestOtherPayload(t *testing.T) {
	const serialOverLAN = 1
	s, h := fuzzSession(t)
	s.begin(types.CommandGetChassisStatus)
	s.pending.seqs = 1 << s.pending.first
	b := s.keys.seal(nil, s.consoleID, 1, answer)
	b[offPayload] |= serialOverLAN
	mac := len(b) - s.keys.macLen
	copy(b[mac:], s.keys.sign(b[offAuthType:mac]))
	p, ok := parsePacket(b)
	if !ok || !s.keys.authentic(&p) {
		t.Fatal("the packet is not authentic")
	}
	s.receive(&p)
	if s.pending.done || h.t.Drops(DropUnexpected) != 1 {
		t.Errorf("answered = %v, %d dropped as %v", s.pending.done, h.t.Drops(DropUnexpected), DropUnexpected)
	}
}

// TestAnswersToOthers: an authentic answer to another command, or to another
// request for the same one, ends no wait.
func TestAnswersToOthers(t *testing.T) {
	for name, at := range map[string]int{"network function": 1, "request": 4, "command": 5} {
		t.Run(name, func(t *testing.T) {
			s, h := fuzzSession(t)
			s.begin(types.CommandGetChassisStatus)
			s.pending.seqs = 1 << s.pending.first
			for seq, msg := range [][]byte{with(answer, func(b []byte) { b[at] += 1 << 2 }), answer} {
				p, ok := parsePacket(s.keys.seal(nil, s.consoleID, uint32(seq+1), msg))
				if !ok {
					t.Fatal("no packet")
				}
				s.receive(&p)
				if own := seq == 1; s.pending.done != own {
					t.Errorf("answer %d: answered = %v", seq, s.pending.done)
				}
			}
			if h.t.Drops(DropUnexpected) != 1 {
				t.Errorf("%d dropped as %v, want 1", h.t.Drops(DropUnexpected), DropUnexpected)
			}
		})
	}
}

// TestLateAnswer: the genuine answer to a read that was given up comes during
// the next one. The machine was off then, and is on now.
func TestLateAnswer(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	p := udptest.New(t, b.addr, udptest.Pass)
	tr := newTestTransport(t)
	s := openSlow(t, tr, p.Addr())
	gone, cancel := context.WithCancel(context.Background())
	var held []byte
	p.SetFilter(func(d udptest.Datagram) [][]byte {
		if d.Direction == udptest.ToServer {
			return udptest.Pass(d)
		}
		if held == nil {
			held = d.Data
			cancel()
			return nil
		}
		return [][]byte{held, d.Data}
	})
	if err := s.Do(gone, &Call{Request: &chassis.GetChassisStatusRequest{}, Class: model.Read}); reasonIn(err) != Cancelled {
		t.Fatalf("error %v, want %q", err, Cancelled)
	}
	b.chassis.set(t, true)
	if !powerIsOn(t, s) {
		t.Error("the answer to the earlier read was believed: power reads off")
	}
	if tr.Drops(DropUnexpected) != 1 {
		t.Errorf("%d dropped as %v, want 1", tr.Drops(DropUnexpected), DropUnexpected)
	}
}

// TestOldSequence takes a genuine answer that was held back until the window
// has moved on: its command has long been answered.
func TestOldSequence(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	var held []byte
	in := injection{}
	in.before = func(a []byte) [][]byte {
		if len(in.past) == windowSize+2 {
			return [][]byte{held}
		}
		if held == nil {
			held = a
		}
		return nil
	}
	p := udptest.New(t, b.addr, in.filter)
	tr := newTestTransport(t)
	s := openTo(t, tr, p.Addr())
	for range windowSize + 4 {
		powerIsOn(t, s)
	}
	if tr.Drops(DropReplayed) != 1 {
		t.Errorf("%d replays counted, want 1", tr.Drops(DropReplayed))
	}
}

// TestMalformedCorpus sends every datagram of testdata/malformed ahead of each
// answer of a whole handshake and command.
func TestMalformedCorpus(t *testing.T) {
	corpus := readCorpus(t)
	b := startBMC(t, bmcOptions{})
	b.chassis.set(t, true)
	p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
		if d.Direction == udptest.ToServer {
			return udptest.Pass(d)
		}
		var out [][]byte
		for _, c := range corpus {
			out = append(out, c.aimed(d.Data))
		}
		return append(out, d.Data)
	})
	tr := newTestTransport(t)
	s := openTo(t, tr, p.Addr())
	if !powerIsOn(t, s) {
		t.Error("power reads off")
	}
	var dropped uint64
	for d := range numDrops {
		dropped += tr.Drops(d)
	}
	if want := uint64(4 * len(corpus)); dropped != want {
		t.Errorf("%d datagrams dropped, want all %d", dropped, want)
	}
}

// malformed is one datagram of the corpus.
type malformed struct {
	data  []byte
	aimAt int // where the session id of an answer is copied to; -1: nowhere
}

// aimed returns the datagram, for the session of a genuine answer.
func (m *malformed) aimed(answer []byte) []byte {
	at := offSession
	if answer[offPayload]&typeMask != 0 {
		at = headerLen + 4
	}
	if m.aimAt < 0 || m.aimAt+4 > len(m.data) {
		return m.data
	}
	return with(m.data, func(b []byte) { copy(b[m.aimAt:], answer[at:at+4]) })
}

// readCorpus reads testdata/malformed: a datagram a line, in hex, after the
// offset of the session id ("-" for none).
func readCorpus(tb testing.TB) []malformed {
	tb.Helper()
	files, err := filepath.Glob("testdata/malformed/*.hex")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no corpus: %v", err)
	}
	var corpus []malformed
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			corpus = append(corpus, parseCorpusLine(tb, line))
		}
	}
	return corpus
}

// parseCorpusLine reads one line.
func parseCorpusLine(tb testing.TB, line string) malformed {
	tb.Helper()
	aim, text, _ := strings.Cut(line, " ")
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		tb.Fatalf("%q: %v", line, err)
	}
	m := malformed{data, -1}
	switch aim {
	case "session":
		m.aimAt = offSession
	case "payload":
		m.aimAt = headerLen + 4
	case "-":
	default:
		tb.Fatalf("%q: begins with neither session, payload nor -", line)
	}
	return m
}
