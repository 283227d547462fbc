package bmc

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/bougou/go-ipmi/pkg/protocol"
	"github.com/bougou/go-ipmi/pkg/types"
)

// datagram is a datagram on its way, with the address at its other end.
type datagram struct {
	addr netip.AddrPort
	pkt  []byte
}

// receive takes a datagram off the network, past the faults of the network.
func (b *BMC) receive(from netip.AddrPort, pkt []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.in++
	if b.faults.lost() || b.faults.Silent {
		return
	}
	pkt = b.faults.flip(pkt)
	twice := b.faults.strikes(b.faults.DuplicateRate)
	delay := b.faults.transit()
	if delay <= 0 && !twice { // the usual case copies nothing
		b.arrive(from, pkt)
		return
	}
	pkt = bytes.Clone(pkt)
	b.after(delay, func() { b.arrive(from, pkt) })
	if twice {
		b.after(b.faults.transit(), func() { b.arrive(from, pkt) })
	}
}

// after does something with the BMC once d has passed, at once if d is nothing.
// The lock is held, and will be then.
func (b *BMC) after(d time.Duration, do func()) {
	if d <= 0 {
		do()
		return
	}
	b.delayed++
	id := b.delayed
	b.timers[id] = b.opts.Clock.AfterFunc(d, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if _, waiting := b.timers[id]; waiting {
			delete(b.timers, id)
			do()
		}
	})
}

// send takes the answer to a request to the network, past the faults that
// concern answers.
func (b *BMC) send(to netip.AddrPort, r *request, pkt []byte) {
	b.out++
	name := commands[r.op].name
	if b.faults.lost() || take(b.faults.DropReplies, name) {
		return
	}
	pkt = b.faults.flip(pkt)
	if take(b.faults.HoldReplies, name) || b.faults.strikes(b.faults.ReorderRate) {
		b.held = append(b.held, datagram{to, pkt})
		return
	}
	b.inject(to, r, pkt)
	b.deliver(datagram{to, pkt})
	if b.faults.strikes(b.faults.DuplicateRate) || take(b.faults.DuplicateReplies, name) {
		b.deliver(datagram{to, pkt})
	}
	held := b.held
	b.held = nil
	for _, d := range held {
		b.deliver(d)
	}
}

// deliver writes a datagram to the socket, now or when its delay is over. UDP
// may lose it, and so may a socket that was closed meanwhile.
func (b *BMC) deliver(d datagram) {
	b.after(b.faults.Delay+b.faults.transit(), func() {
		_, _ = b.conn.WriteToUDPAddrPort(d.pkt, d.addr)
	})
}

// keptReplies is how many replies a BMC keeps to replay.
const keptReplies = 8

// inject delivers what an attacker, or a network out of order, puts before a
// reply.
func (b *BMC) inject(to netip.AddrPort, r *request, pkt []byte) {
	f := &b.faults
	if f.strikes(f.GarbageRate) {
		b.deliver(datagram{to, f.garbage(pkt)})
	}
	if f.strikes(f.ForgeRate) {
		b.deliver(datagram{to, f.forge(r, pkt)})
	}
	if f.ReplayRate <= 0 {
		return
	}
	if len(b.kept) > 0 && f.strikes(f.ReplayRate) {
		b.deliver(datagram{to, b.kept[f.rng.IntN(len(b.kept))]})
	}
	b.kept = append(b.kept, pkt)
	if len(b.kept) > keptReplies {
		b.kept = slices.Delete(b.kept, 0, 1)
	}
}

// The offsets in an RMCP+ datagram (IPMI 2.0 §13.6), and in the payloads of a
// handshake.
const (
	flagsAt    = 5
	sequenceAt = 10
	sizeAt     = 14
	statusAt   = plusPayload + 1
	consoleAt  = plusPayload + 4
)

// garbage makes a datagram of bytes that mean nothing, or of a reply that was
// cut, or altered in one bit; or one that is too short for what it announces.
func (s *faultState) garbage(reply []byte) []byte {
	const longest = 96
	switch s.rng.IntN(4) {
	case 0:
		return s.bytes(s.rng.IntN(longest))
	case 1:
		return bytes.Clone(reply[:s.rng.IntN(len(reply))])
	case 2:
		return s.altered(reply)
	}
	short := append(bytes.Clone(reply[:min(len(reply), plusPayload)]), s.bytes(s.rng.IntN(longest))...)
	if len(short) > sizeAt+1 && short[rmcpHeader] == formatPlus {
		short[flagsAt] |= types.PayloadFlagAuthenticated | types.PayloadFlagEncrypted
		binary.LittleEndian.PutUint16(short[sizeAt:], uint16(s.rng.IntN(longest)))
	}
	return short
}

// flip is a datagram as it arrives: at times with one bit altered.
func (s *faultState) flip(pkt []byte) []byte {
	if !s.strikes(s.FlipRate) || len(pkt) == 0 {
		return pkt
	}
	return s.altered(pkt)
}

// altered is a datagram with one bit altered.
func (s *faultState) altered(pkt []byte) []byte {
	out := bytes.Clone(pkt)
	out[s.rng.IntN(len(out))] ^= 1 << s.rng.IntN(8)
	return out
}

// bytes draws n bytes.
func (s *faultState) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return b
}

// forge makes a reply that claims something else: in a session by who knows all
// that can be seen and no key, in a handshake by who cannot see it.
func (s *faultState) forge(r *request, reply []byte) []byte {
	if r.session == nil {
		return forgeRefusal(reply)
	}
	lie := r.msg.reply(types.CodeOK, make([]byte, 4)) // to Get Chassis Status: off
	switch s.rng.IntN(3) {
	case 0:
		return frameV15(lie)
	case 1:
		next := binary.LittleEndian.Uint32(reply[sequenceAt:]) + 1
		return protocol.BuildRMCPPlusPacket(uint8(types.PayloadTypeIPMI), 0, r.session.ConsoleID, next, lie)
	}
	altered := bytes.Clone(reply)
	altered[plusPayload+s.rng.IntN(len(altered)-plusPayload)] ^= 1
	return altered
}

// forgeRefusal turns a reply of a handshake into the refusal of another one.
func forgeRefusal(reply []byte) []byte {
	forged := bytes.Clone(reply)
	if len(forged) < consoleAt+4 {
		return forged
	}
	forged[statusAt] = byte(types.RmcpStatusCodeUnauthorizedName)
	forged[consoleAt] ^= 0xff
	return forged
}
