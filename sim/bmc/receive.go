package bmc

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"

	ipmibmc "github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/handlers"
	"github.com/bougou/go-ipmi/pkg/protocol"
	"github.com/bougou/go-ipmi/pkg/types"
)

// request is a datagram a BMC understood. Nothing has been executed yet.
type request struct {
	op    op
	serve func(b *BMC, r *request) []byte // executes it and returns the datagram to answer with, if any

	payload []byte  // of a handshake or a ping
	msg     message // of the others
	plus    bool    // outside a session: in RMCP+ format, not IPMI 1.5

	session   *session
	seq       uint32
	encrypted bool
}

// handshake is the payloads of RMCP+ that open a session.
var handshake = map[types.PayloadType]struct {
	name  string
	serve func(*BMC, *request) []byte
}{
	types.PayloadTypeRmcpOpenSessionRequest: {SessionRequest, (*BMC).openSession},
	types.PayloadTypeRAKPMessage1:           {RAKP1, (*BMC).rakp1},
	types.PayloadTypeRAKPMessage3:           {RAKP3, (*BMC).rakp3},
}

// arrive takes a datagram to the BMC, past the faults that concern requests of
// a certain command.
func (b *BMC) arrive(from netip.AddrPort, pkt []byte) {
	r, ok := b.parse(pkt)
	if !ok || b.opts.Clock.Now().Before(b.down) || b.tooSoon() {
		return
	}
	name := commands[r.op].name
	switch {
	case take(b.faults.DropRequests, name):
		return
	case take(b.faults.DelayRequests, name), b.faults.strikes(b.faults.ReorderRate):
		b.late = append(b.late, datagram{from, bytes.Clone(pkt)})
		return
	}
	b.execute(from, &r)
	if take(b.faults.DuplicateRequests, name) {
		b.execute(from, &r)
	}
	late := b.late
	b.late = nil
	for _, d := range late {
		if r, ok := b.parse(d.pkt); ok {
			b.execute(d.addr, &r)
		}
	}
}

// execute executes a request and answers it, unless it is what the BMC reboots
// at.
func (b *BMC) execute(from netip.AddrPort, r *request) {
	b.chassis.settle()
	reboots := take(b.faults.Reboots, commands[r.op].name)
	if reboots && b.faults.RebootsEarly {
		b.reboot()
		return
	}
	pkt := r.serve(b, r)
	switch {
	case reboots:
		b.reboot()
	case pkt != nil:
		b.send(from, r, pkt)
	}
}

// reboot forgets what a BMC keeps in its memory, and begins the time in which it
// hears nothing.
func (b *BMC) reboot() {
	b.executed.add(Reboot)
	b.ipmi.Sessions = b.newSessions()
	clear(b.sessions)
	b.late, b.held = nil, nil
	if b.faults.ForgetsBoot {
		b.chassis.boot = bootOptions{}
	}
	b.down = b.opts.Clock.Now().Add(b.faults.RebootTime)
}

// parse reads a datagram. It changes nothing: a datagram may still be lost,
// or arrive twice.
func (b *BMC) parse(pkt []byte) (request, bool) {
	if len(pkt) <= rmcpHeader || len(pkt) > maxDatagram || pkt[0] != rmcpVersion {
		return request{}, false
	}
	switch {
	case pkt[3] == classASF:
		return parsePing(pkt)
	case pkt[3] == classIPMI && pkt[rmcpHeader] == formatPlus:
		return b.parsePlus(pkt)
	case pkt[3] == classIPMI:
		return parseV15(pkt)
	default:
		return request{}, false
	}
}

// parsePing reads an RMCP presence ping (IPMI 2.0 §13.2.3).
func parsePing(pkt []byte) (request, bool) {
	const size, typeAt, presencePing = 12, 8, 0x80
	if len(pkt) < size || pkt[typeAt] != presencePing {
		return request{}, false
	}
	o, _ := named(Ping)
	return request{op: o, payload: pkt, serve: (*BMC).pong}, true
}

// parseV15 reads a datagram in the format of IPMI 1.5, which is understood
// outside a session only.
func parseV15(pkt []byte) (request, bool) {
	if len(pkt) < v15Payload {
		return request{}, false
	}
	size := int(pkt[v15Payload-1])
	for _, zero := range pkt[rmcpHeader : v15Payload-1] { // no authentication, no sequence, no session
		if zero != 0 {
			return request{}, false
		}
	}
	if len(pkt) < v15Payload+size {
		return request{}, false
	}
	m, ok := parseMessage(pkt[v15Payload : v15Payload+size])
	return request{op: find(&m), msg: m, serve: (*BMC).serveOutside}, ok
}

// parsePlus reads a datagram in the format of RMCP+ (IPMI 2.0 §13.6).
func (b *BMC) parsePlus(pkt []byte) (request, bool) {
	id, seq, kind, flags, payload, ok := protocol.ParseRMCPPlusHeader(pkt)
	if !ok {
		return request{}, false
	}
	if h, ok := handshake[types.PayloadType(kind)]; ok && id == 0 {
		o, _ := named(h.name)
		return request{op: o, payload: payload, serve: h.serve}, true
	}
	if types.PayloadType(kind) != types.PayloadTypeIPMI {
		return request{}, false
	}
	if id == 0 {
		m, ok := parseMessage(payload)
		return request{op: find(&m), msg: m, plus: true, serve: (*BMC).serveOutside}, ok
	}
	s := b.session(id)
	if s == nil || flags&types.PayloadFlagAuthenticated == 0 || !s.authentic(pkt, plusPayload+len(payload)) {
		return request{}, false
	}
	encrypted := flags&types.PayloadFlagEncrypted != 0
	if encrypted {
		if payload, ok = s.decrypt(payload); !ok {
			return request{}, false
		}
	}
	m, ok := parseMessage(payload)
	return request{
		op: find(&m), msg: m, serve: (*BMC).serveInside,
		session: s, seq: seq, encrypted: encrypted,
	}, ok
}

// session returns the active session of that id, or nil.
func (b *BMC) session(id uint32) *session {
	b.ipmi.Sessions.EvictExpired()
	return b.sessions[id]
}

// pong answers a presence ping.
func (b *BMC) pong(r *request) []byte {
	const tagAt = 9
	b.executed.add(Ping)
	return protocol.BuildASFPresencePong(r.payload[tagAt])
}

// serveOutside executes a command that came outside a session.
func (b *BMC) serveOutside(r *request) []byte {
	cc, data := types.CodeInsufficientPrivilege, []byte(nil)
	if commands[r.op].need == noSession {
		// The table of commands decides what needs no session; on a channel
		// like this one go-ipmi does not ask again.
		trusted := &ipmibmc.Channel{Number: lanChannel, Medium: ipmibmc.ChannelMediumSystemIF}
		cc, data = b.dispatch(r, &handlers.HandlerContext{BMC: b.ipmi, Channel: trusted})
	}
	msg := r.msg.reply(cc, data)
	if r.plus {
		return framePlus(types.PayloadTypeIPMI, msg)
	}
	return frameV15(msg)
}

// serveInside executes a command of a session, unless it is a replay.
func (b *BMC) serveInside(r *request) []byte {
	s := r.session
	if b.sessions[s.BMCID] != s || !s.accept(r.seq, b.faults.AcceptsReplays) {
		return nil
	}
	b.ipmi.Sessions.Touch(s.BMCID)
	cc, data := types.CodeInsufficientPrivilege, []byte(nil)
	if Privilege(s.PrivilegeLevel) >= commands[r.op].need {
		cc, data = b.dispatch(r, &handlers.HandlerContext{
			BMC: b.ipmi, Session: s.Session, User: s.User, Channel: b.channel,
		})
	}
	msg := r.msg.reply(cc, data)
	if b.faults.Odd.BadChecksums {
		msg[len(msg)-1]++
	}
	return s.seal(s.Session, r.encrypted, msg)
}

// dispatch executes a command the sender is entitled to and puts it into the
// ledger if that succeeded.
func (b *BMC) dispatch(r *request, h *handlers.HandlerContext) (types.CompletionCode, []byte) {
	name := commands[r.op].name
	if take(b.faults.Busy, name) {
		return types.CodeNodeBusy, nil
	}
	if take(b.faults.Refuse, name) {
		return types.CodeNotSupported, nil
	}
	if cc, ok := b.odd(name); ok {
		return cc, nil
	}
	if take(b.faults.Ignore, name) {
		if b.faults.Odd.EagerCause {
			b.chassis.cause = restartByCommand
		}
		return types.CodeOK, nil
	}
	data, cc, _ := b.registry.Dispatch(context.Background(), h, r.msg.netFn, r.msg.cmd, r.msg.data)
	if cc != types.CodeOK {
		return cc, nil
	}
	b.executed[r.op]++
	if b.opts.Logger.Enabled(context.Background(), slog.LevelDebug) {
		b.opts.Logger.Debug("executed", "bmc", b.addr, "command", name)
	}
	return cc, data
}
