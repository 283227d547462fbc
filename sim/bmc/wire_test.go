package bmc

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/bougou/go-ipmi/pkg/crypto"
	"github.com/bougou/go-ipmi/pkg/types"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessages(t *testing.T) {
	for _, row := range []struct {
		name string
		hex  string
		want message
		ok   bool
	}{
		{"chassis status", "20 00 e0 81 04 01 7a", message{rqAddr: 0x81, rqSeqLUN: 4, cmd: 1, data: []byte{}}, true},
		{"power on", "20 00 e0 81 08 02 01 74", message{rqAddr: 0x81, rqSeqLUN: 8, cmd: 2, data: []byte{1}}, true},
		{"LUNs", "20 19 c7 81 0a 01 74", message{netFn: 6, rsLUN: 1, rqAddr: 0x81, rqSeqLUN: 0x0a, cmd: 1, data: []byte{}}, true},
		{"first checksum", "20 00 e1 81 04 01 7a", message{}, false},
		{"second checksum", "20 00 e0 81 04 01 7b", message{}, false},
		{"not for a BMC", "22 00 de 81 04 01 7a", message{}, false},
		{"a response", "20 04 dc 81 04 01 7a", message{}, false},
		{"short", "20 00 e0 81 04 01", message{}, false},
		{"nothing", "", message{}, false},
	} {
		got, ok := parseMessage(unhex(t, row.hex))
		if ok != row.ok {
			t.Errorf("%s: ok %v, want %v", row.name, ok, row.ok)
			continue
		}
		same := got.netFn == row.want.netFn && got.cmd == row.want.cmd && got.rsLUN == row.want.rsLUN &&
			got.rqAddr == row.want.rqAddr && got.rqSeqLUN == row.want.rqSeqLUN && bytes.Equal(got.data, row.want.data)
		if ok && !same {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
}

func TestReply(t *testing.T) {
	m, ok := parseMessage(unhex(t, "20 19 c7 81 0a 01 74"))
	if !ok {
		t.Fatal("not read")
	}
	// To the requester and its LUN 2, from the BMC's LUN 1.
	if got, want := m.reply(0xd5, []byte{0xaa}), unhex(t, "81 1e 61 20 09 01 d5 aa 57"); !bytes.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// malformed is datagrams that are not to be answered, nor to do harm.
func malformed(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, s := range []string{
		"",
		"06",
		"06 00 ff 07",
		"06 00 ff 07 06",
		"06 00 ff 06 00 00 11 be 80 01 00",    // a ping cut short
		"06 00 ff 06 00 00 11 be 40 01 00 00", // a pong
		"05 00 ff 07 00 00 00 00 00 00 00 00 00 00", // another RMCP version
		"06 00 ff 08 00 00 00 00 00 00 00 00 00 00", // another class
		"06 00 06 87", // an RMCP acknowledge
		"06 00 ff 07 00 00 00 00 00 00 00 00 00 ff",                      // longer than it is
		"06 00 ff 07 00 00 00 00 00 01 00 00 00 07 20 00 e0 81 04 01 7a", // IPMI 1.5 in a session
		"06 00 ff 07 02 00 00 00 00 00 00 00 00 07 20 00 e0 81 04 01 7a", // IPMI 1.5 by MD5
		"06 00 ff 07 00 00 00 00 00 00 00 00 00 00",                      // no message
		"06 00 ff 07 06 00 00 00 00 00 00 00 00 00 ff ff",                // RMCP+, longer than it is
		"06 00 ff 07 06 00 00 00 00 00 00 00 00 00 f4 ff",                // and so that 16 bits overflow
		"06 00 ff 07 06 01 00 00 00 00 00 00 00 00 00 00",                // SOL
		"06 00 ff 07 06 3f 00 00 00 00 00 00 00 00 00 00",                // no such payload
		"06 00 ff 07 06 00 00 00 00 00 00 00 00 00 00 00",                // an empty message
		"06 00 ff 07 06 c0 01 00 00 00 01 00 00 00 00 00",                // of no session
		"06 00 ff 07 06 12 00 00 00 00 00 00 00 00 00 00",                // an empty RAKP 1
		"06 00 ff 07 06 14 00 00 00 00 00 00 00 00 00 00",                // an empty RAKP 3
	} {
		all = append(all, unhex(t, s))
	}
	for _, n := range []byte{17, 228, 250, 255} { // user names longer than the datagram, or than allowed
		p := make([]byte, 28, 60)
		p[27] = n
		all = append(all, frame(types.PayloadTypeRAKPMessage1, append(p, make([]byte, 20)...)))
	}
	return append(all, make([]byte, maxDatagram+1), bytes.Repeat([]byte{6, 0, 0xff, 7}, 300))
}

func TestMalformedDatagramsAreDropped(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	before := b.Ledger()
	for i, pkt := range malformed(t) {
		c.write(pkt)
		c.barrier()
		if t.Failed() {
			t.Fatalf("number %d: %x", i, pkt)
		}
	}
	if after := b.Ledger(); len(after) != len(before)+1 { // the pings
		t.Errorf("ledger %v, before %v", after, before)
	}
	c.must(callOn)
}

func TestShortHandshakeIsAnIllegalParameter(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := dial(t, b)
	c.write(frame(types.PayloadTypeRmcpOpenSessionRequest, make([]byte, 8)))
	resp := c.payload(c.read(), types.PayloadTypeRmcpOpenSessionResponse)
	if resp[1] != byte(types.RmcpStatusCodeIllegalParameter) {
		t.Errorf("status %#x", resp[1])
	}
}

func TestUnalignedCipherText(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	for n := range 50 {
		// Authentic, and called encrypted, but not the length of a cipher text.
		c.plain = true
		c.seq++
		pkt := c.seal(c.seq, make([]byte, n))
		pkt[5] |= types.PayloadFlagEncrypted
		code := len(pkt) - 16
		sum, err := crypto.SessionIntegrityAuthCode(c.integrity, pkt[4:code], c.k1, "")
		if err != nil {
			t.Fatal(err)
		}
		c.write(append(pkt[:code:code], sum...))
		c.plain = false
	}
	c.seq -= 50
	c.barrier()
	c.must(callOn)
}

// FuzzDatagrams throws anything at a fleet.
func FuzzDatagrams(f *testing.F) {
	fleet := newFleet(f, Options{})
	b := fleet.BMC(0)
	c := operator(f, b)
	for _, pkt := range malformed(f) {
		f.Add(pkt)
	}
	for _, pkt := range [][]byte{c.openRequest(), c.rakp1Request(), c.rakp3Request(), c.datagram(callStatus), c.ping()} {
		f.Add(pkt)
	}
	nowhere := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 9)
	f.Fuzz(func(_ *testing.T, pkt []byte) {
		b.receive(nowhere, pkt)
	})
}

// FuzzCommands throws any command at a BMC, inside a session of the highest
// privilege and outside one.
func FuzzCommands(f *testing.F) {
	fleet := newFleet(f, Options{Sessions: 1})
	b := fleet.BMC(0)
	for _, q := range []call{
		callStatus, callOn, callCycle, callGetFlags, callDeviceID, setFlags(0x80, 4, 0, 0, 0),
		{0, 8, 0, 1}, {6, 0x38, 0x0e, 4}, {6, 0x54, 0x0e, 0, 0x80}, {6, 0x3b, 4}, {6, 0x3d, 0}, {6, 0x42, 0x0e},
		{6, 0x47, 2, 0}, {6, 0x45, 2, 'x'}, {6, 0x43, 0x8e, 2, 2, 0}, // the account's own end
	} {
		f.Add(q[0], q[1], []byte(q[2:]))
	}
	nowhere := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 9)
	f.Fuzz(func(t *testing.T, netFn, cmd byte, data []byte) {
		if len(data) > 255 {
			return
		}
		c := dial(t, b)
		b.mu.Lock()
		b.ipmi.Sessions = b.newSessions() // closed, or not, by the call before
		clear(b.sessions)
		b.newUsers() // renamed, disabled or not
		b.mu.Unlock()
		c.login()
		c.raise(Administrator)
		q := append(call{netFn & 0x3f, cmd}, data...)
		b.receive(nowhere, c.datagram(q))
		b.receive(nowhere, frame(types.PayloadTypeIPMI, message15(1, q)))
	})
}
