package rmcp

import "encoding/binary"

// The RMCP and RMCP+ headers (IPMI 2.0 §13.1.3 and Table 13-8).
const (
	rmcpVersion  = 0x06
	rmcpNoAck    = 0xff
	rmcpIPMI     = 0x07
	authRMCPPlus = 0x06

	offAuthType = 4
	offPayload  = 5
	offSession  = 6
	offSequence = 10
	offLength   = 14
	headerLen   = 16

	flagEncrypted     = 0x80
	flagAuthenticated = 0x40
	typeMask          = 0x3f

	nextHeader = 0x07
)

// maxDatagram bounds what is read from the socket. The largest message of any
// command is well below it; a longer datagram is cut and then fails its checks.
const maxDatagram = 1024

// payloadType is the kind of an RMCP+ payload (IPMI 2.0 Table 13-16).
type payloadType uint8

// The payload types of session setup and commands.
const (
	payloadIPMI         payloadType = 0x00
	payloadOpenRequest  payloadType = 0x10
	payloadOpenResponse payloadType = 0x11
	payloadRAKP1        payloadType = 0x12
	payloadRAKP2        payloadType = 0x13
	payloadRAKP3        payloadType = 0x14
	payloadRAKP4        payloadType = 0x15
)

// packet is a parsed RMCP+ datagram. Its slices are parts of the datagram.
type packet struct {
	kind          payloadType
	encrypted     bool
	authenticated bool
	session       uint32
	sequence      uint32
	payload       []byte
	raw           []byte
}

// parsePacket reads the headers of one datagram. It reports false for anything
// that is not RMCP+ or is shorter than it says.
func parsePacket(b []byte) (packet, bool) {
	if len(b) < headerLen || b[0] != rmcpVersion || b[3] != rmcpIPMI || b[offAuthType] != authRMCPPlus {
		return packet{}, false
	}
	end := headerLen + int(binary.LittleEndian.Uint16(b[offLength:]))
	if end > len(b) {
		return packet{}, false
	}
	return packet{
		kind:          payloadType(b[offPayload] & typeMask),
		encrypted:     b[offPayload]&flagEncrypted != 0,
		authenticated: b[offPayload]&flagAuthenticated != 0,
		session:       binary.LittleEndian.Uint32(b[offSession:]),
		sequence:      binary.LittleEndian.Uint32(b[offSequence:]),
		payload:       b[headerLen:end],
		raw:           b,
	}, true
}

// appendHeader appends the headers of a payload of n bytes.
func appendHeader(dst []byte, typeAndFlags uint8, session, sequence uint32, n int) []byte {
	dst = append(dst, rmcpVersion, 0, rmcpNoAck, rmcpIPMI, authRMCPPlus, typeAndFlags)
	dst = binary.LittleEndian.AppendUint32(dst, session)
	dst = binary.LittleEndian.AppendUint32(dst, sequence)
	return binary.LittleEndian.AppendUint16(dst, uint16(n))
}

// The addresses in an IPMI message over LAN (IPMI 2.0 §13.8, §5.5).
const (
	addrBMC     = 0x20
	addrConsole = 0x81
)

// seqCount is the number of request sequence numbers (six bits, IPMI 2.0 §13.8).
const seqCount = 64

// message is a parsed IPMI response. data is a part of what was parsed.
type message struct {
	netFn uint8
	seq   uint8
	cmd   uint8
	code  uint8
	sound bool // the checksums are right
	data  []byte
}

// appendRequest appends an IPMI request message (IPMI 2.0 §13.8).
func appendRequest(dst []byte, netFn, cmd, seq uint8, data []byte) []byte {
	head := len(dst)
	dst = append(dst, addrBMC, netFn<<2)
	dst = append(dst, checksum(dst[head:]))
	body := len(dst)
	dst = append(dst, addrConsole, seq<<2, cmd)
	dst = append(dst, data...)
	return append(dst, checksum(dst[body:]))
}

// parseResponse reads an IPMI response message: two addresses, network
// function, sequence, command, completion code, data and checksums.
func parseResponse(b []byte) (message, bool) {
	const fixed = 8
	if len(b) < fixed {
		return message{}, false
	}
	return message{
		netFn: b[1] >> 2,
		seq:   b[4] >> 2,
		cmd:   b[5],
		code:  b[6],
		sound: checksum(b[:3]) == 0 && checksum(b[3:]) == 0,
		data:  b[7 : len(b)-1],
	}, true
}

// checksum is the two's complement of the sum of b.
func checksum(b []byte) uint8 {
	var sum uint8
	for _, v := range b {
		sum += v
	}
	return -sum
}
