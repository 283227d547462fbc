package rmcp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// Greeting is what a BMC tells to anybody, outside a session. Nothing in it is
// authenticated: it is for people, and decides nothing.
type Greeting struct {
	// Local is the address that the BMC is reached from.
	Local netip.Addr
	// RTT is how long the first answer took, lost tries included; 0 if there was
	// none.
	RTT time.Duration
	// Pong tells that the BMC answered an RMCP presence ping (IPMI 2.0 §13.2.3).
	Pong bool
	// Auth are the authentication capabilities; nil if they were not told.
	Auth *AuthCapabilities
	// Suites are the cipher suites that the BMC lists; nil if it did not.
	Suites []uint8
}

// Answered reports whether anything came back.
func (g *Greeting) Answered() bool { return g.RTT > 0 }

// AuthCapabilities are the answer to Get Channel Authentication Capabilities
// (IPMI 2.0 §22.13), as far as they are of interest.
type AuthCapabilities struct {
	V20       bool // IPMI 2.0 sessions
	V15       bool // IPMI 1.5 sessions
	Kg        bool // the BMC key is set
	Anonymous bool // anybody may log in, without name and password
}

// Bounds of a greeting.
const (
	greetTries = 3
	greetFirst = 400 * time.Millisecond // doubled for each further try
	// maxSuiteParts bounds the list of cipher suites, which comes in parts of 16
	// bytes (IPMI 2.0 §22.15).
	maxSuiteParts = 8
	suitePart     = 16
)

// Sizes and offsets of datagrams outside a session (IPMI 2.0 §13.2, §13.6).
const (
	rmcpASF    = 0x06
	asfIANA    = 0x000011be
	asfPing    = 0x80
	asfPong    = 0x40
	asfTypeAt  = 8
	asfTagAt   = 9
	asfLen     = 12
	v15Len     = 14 // RMCP and session header of IPMI 1.5 without authentication
	v15SizeAt  = 13
	currentLAN = 0x0e // the channel that a command comes in on
)

// Greet asks a BMC what it tells to anybody. It logs in nowhere. The error is an
// *Error if the network refused; silence is none: the Greeting is empty then.
func Greet(ctx context.Context, peer netip.AddrPort) (Greeting, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(peer))
	if err != nil {
		return Greeting{}, networkError(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) }) // fails on a closed one only
	defer func() {
		stop()
		_ = conn.Close() // nothing is lost by its error
	}()
	g := &greeter{conn: conn}
	if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		g.Local = local.AddrPort().Addr().Unmap()
	}
	if err := g.ask(ctx, func() bool { return g.Pong && g.Auth != nil && g.whole }, g.all); err != nil {
		return g.Greeting, err
	}
	return g.Greeting, nil
}

// networkError is the error of a socket that the network refused something to.
func networkError(err error) *Error {
	const step = "first datagram"
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(Refused, step, nil)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fail(NoRoute, step, nil)
	}
	return fail(Unsent, step, err)
}

// greeter is a Greeting in the making.
type greeter struct {
	Greeting
	conn  *net.UDPConn
	began time.Time // of the first try
	part  uint8     // of the list of cipher suites, the next one
	list  []byte
	whole bool // the list has ended
}

// all sends everything that is not answered yet.
func (g *greeter) all() error {
	var errs []error
	if !g.Pong {
		errs = append(errs, g.send([]byte{rmcpVersion, 0, rmcpNoAck, rmcpASF, 0, 0, 0x11, 0xbe, asfPing, 0, 0, 0}))
	}
	if g.Auth == nil {
		// With the extended data of IPMI 2.0, for OPERATOR.
		errs = append(errs, g.request(types.CommandGetChannelAuthCapabilities, currentLAN|0x80, uint8(types.PrivilegeLevelOperator)))
	}
	if !g.whole {
		errs = append(errs, g.askSuites())
	}
	return errors.Join(errs...)
}

// askSuites asks for the next part of the list of cipher suites.
func (g *greeter) askSuites() error {
	const bySuite = 0x80
	return g.request(types.CommandGetChannelCipherSuites, currentLAN, uint8(payloadIPMI), bySuite|g.part)
}

// request sends a command in the format of IPMI 1.5, which BMCs of either version
// read outside a session.
func (g *greeter) request(c types.Command, data ...byte) error {
	msg := appendRequest(nil, uint8(c.NetFn), c.ID, g.part, data)
	b := make([]byte, v15Len, v15Len+len(msg))
	b[0], b[2], b[3], b[v15SizeAt] = rmcpVersion, rmcpNoAck, rmcpIPMI, uint8(len(msg))
	return g.send(append(b, msg...))
}

// send sends one datagram.
func (g *greeter) send(b []byte) error {
	if _, err := g.conn.Write(b); err != nil {
		return networkError(err)
	}
	return nil
}

// ask sends, and reads until it is done or three tries are over.
func (g *greeter) ask(ctx context.Context, done func() bool, send func() error) error {
	wait := greetFirst
	g.began = time.Now()
	for range greetTries {
		if err := send(); err != nil {
			return err
		}
		if err := g.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return networkError(err)
		}
		wait *= 2
		if err := g.readUntil(func() bool { return done() || ctx.Err() != nil }); err != nil {
			return err
		}
		if over := done() || ctx.Err() != nil; over {
			break
		}
	}
	return nil
}

// readUntil reads until it is enough, or the try is over.
func (g *greeter) readUntil(enough func() bool) error {
	for !enough() {
		if more, err := g.read(); !more || err != nil {
			return err
		}
	}
	return nil
}

// read reads one datagram; more is false when the try is over.
func (g *greeter) read() (more bool, err error) {
	var buf [maxDatagram]byte
	n, err := g.conn.Read(buf[:])
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return false, nil
	case err != nil:
		return false, networkError(err)
	}
	known, next := g.take(buf[:n])
	if known && g.RTT == 0 {
		g.RTT = max(time.Since(g.began), time.Nanosecond)
	}
	if next {
		return true, g.askSuites()
	}
	return true, nil
}

// take takes a datagram. Known is false for one that answers nothing here; next
// asks for the next part of the list of cipher suites.
func (g *greeter) take(b []byte) (known, next bool) {
	if len(b) < asfLen || b[0] != rmcpVersion {
		return false, false
	}
	if b[3] == rmcpASF {
		return g.takePong(b), false
	}
	m, ok := responseOutside(b)
	if !ok {
		return false, false
	}
	switch m.cmd {
	case types.CommandGetChannelAuthCapabilities.ID:
		g.Auth = parseAuth(&m)
		return true, false
	case types.CommandGetChannelCipherSuites.ID:
		return true, g.takeSuites(&m)
	}
	return false, false
}

// takePong takes the answer to a ping.
func (g *greeter) takePong(b []byte) bool {
	known := binary.BigEndian.Uint32(b[4:]) == asfIANA && b[asfTypeAt] == asfPong && b[asfTagAt] == 0
	g.Pong = g.Pong || known
	return known
}

// responseOutside reads a response of application commands that came outside a
// session, in the format of IPMI 1.5.
func responseOutside(b []byte) (message, bool) {
	if b[3] != rmcpIPMI || len(b) <= v15Len || b[offAuthType] != 0 {
		return message{}, false
	}
	size := int(b[v15SizeAt])
	if len(b) < v15Len+size {
		return message{}, false
	}
	m, ok := parseResponse(b[v15Len : v15Len+size])
	return m, ok && m.netFn == uint8(types.NetFnAppRequest)|1
}

// parseAuth reads the authentication capabilities (IPMI 2.0 Table 22-15). A BMC
// that refuses the command is one that has none.
func parseAuth(m *message) *AuthCapabilities {
	const least, extended, kg, anonymous, v15, v20 = 4, 0x80, 0x20, 0x01, 0x01, 0x02
	if m.code != 0 || len(m.data) < least {
		return &AuthCapabilities{}
	}
	types, users, versions := m.data[1], m.data[2], m.data[3]
	a := &AuthCapabilities{V15: true, Kg: users&kg != 0, Anonymous: users&anonymous != 0}
	if types&extended != 0 {
		a.V15, a.V20 = versions&v15 != 0, versions&v20 != 0
	}
	return a
}

// takeSuites takes a part of the list of cipher suites, and reports whether there
// is another one to ask for.
func (g *greeter) takeSuites(m *message) (next bool) {
	if g.whole || m.seq != g.part {
		return false
	}
	if m.code != 0 || len(m.data) == 0 {
		g.whole = true
		return false
	}
	part := m.data[1:]
	g.list = append(g.list, part...)
	g.part++
	g.whole = len(part) < suitePart || g.part >= maxSuiteParts
	if g.whole {
		g.Suites = parseSuites(g.list)
	}
	return !g.whole
}

// parseSuites reads the records of the list (IPMI 2.0 §22.15.1): a start, the
// number, for those of a maker three bytes more, and algorithms with their high
// bits saying of which kind they are.
func parseSuites(list []byte) []uint8 {
	const standard, oem, kinds = 0xc0, 0xc1, 0xc0
	suites := []uint8{}
	for i := 0; i+1 < len(list); {
		switch list[i] {
		case standard:
			suites = append(suites, list[i+1])
			i += 2
		case oem:
			i += 5
		default:
			i++
			continue
		}
		for i < len(list) && list[i]&kinds != kinds {
			i++
		}
	}
	return suites
}
