package bmc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"hash"

	ipmibmc "github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/protocol"
	"github.com/bougou/go-ipmi/pkg/types"
)

// Sizes of datagrams (IPMI 2.0 §13.6).
const (
	maxDatagram   = 1024 // longer ones are dropped; IPMI needs less than half
	rmcpHeader    = 4
	sessionHeader = 12 // of RMCP+, behind the RMCP header
	plusPayload   = rmcpHeader + sessionHeader
	v15Header     = 10 // of an unauthenticated IPMI 1.5 datagram
	v15Payload    = rmcpHeader + v15Header

	rmcpVersion = 0x06
	classASF    = 0x06
	classIPMI   = 0x07
	formatPlus  = 0x06 // the authentication type that means RMCP+
	nextHeader  = 0x07 // of the session trailer
)

// message is an IPMI request (IPMI 2.0 §13.8).
type message struct {
	netFn, cmd uint8
	rsLUN      uint8
	rqAddr     uint8
	rqSeqLUN   uint8
	data       []byte
}

// The offsets of an IPMI message.
const (
	minMessage = 7
	bmcAddress = 0x20
)

// parseMessage reads a request; ok is false unless it is addressed to a BMC
// and both checksums are right.
func parseMessage(b []byte) (m message, ok bool) {
	if len(b) < minMessage || b[0] != bmcAddress {
		return message{}, false
	}
	last := len(b) - 1
	if protocol.Checksum(b[:2]) != b[2] || protocol.Checksum(b[3:last]) != b[last] {
		return message{}, false
	}
	m = message{
		netFn: b[1] >> 2, rsLUN: b[1] & 3, cmd: b[5],
		rqAddr: b[3], rqSeqLUN: b[4], data: b[6:last],
	}
	return m, m.netFn%2 == 0 // odd ones are responses
}

// reply builds the response to m.
func (m *message) reply(cc types.CompletionCode, data []byte) []byte {
	b := make([]byte, 0, minMessage+1+len(data))
	b = append(b, m.rqAddr, (m.netFn|1)<<2|m.rqSeqLUN&3)
	b = append(b, protocol.Checksum(b))
	b = append(b, bmcAddress, m.rqSeqLUN&^3|m.rsLUN, m.cmd, byte(cc))
	b = append(b, data...)
	return append(b, protocol.Checksum(b[3:]))
}

// frameV15 wraps an IPMI message for outside a session in the format of
// IPMI 1.5.
func frameV15(msg []byte) []byte {
	pkt := make([]byte, v15Payload, v15Payload+len(msg))
	pkt[0], pkt[2], pkt[3] = rmcpVersion, 0xff, classIPMI
	pkt[v15Payload-1] = byte(len(msg))
	return append(pkt, msg...)
}

// framePlus wraps a payload for outside a session in the format of RMCP+.
func framePlus(payloadType types.PayloadType, payload []byte) []byte {
	return protocol.BuildRMCPPlusPacket(uint8(payloadType), 0, 0, 0, payload)
}

// cryptor authenticates and encrypts the datagrams of one session.
type cryptor struct {
	mac    hash.Hash
	macLen int
	block  cipher.Block
}

// newCryptor takes the keys from a session that completed its handshake. Both
// suites the simulator offers encrypt by AES-CBC-128 and authenticate by HMAC
// (IPMI 2.0 §13.28.4, §13.29).
func newCryptor(s *ipmibmc.Session) (*cryptor, bool) {
	c := &cryptor{}
	switch s.IntegrityAlg {
	case types.IntegrityAlg_HMAC_SHA1_96:
		c.mac, c.macLen = hmac.New(sha1.New, s.K1), 12
	case types.IntegrityAlg_HMAC_SHA256_128:
		c.mac, c.macLen = hmac.New(sha256.New, s.K1), 16
	default:
		return nil, false
	}
	if len(s.K2) < aes.BlockSize {
		return nil, false
	}
	var err error
	c.block, err = aes.NewCipher(s.K2[:aes.BlockSize])
	return c, err == nil
}

// authentic reports whether the trailer of pkt, which follows the payload that
// ends at end, was made by who knows the session's key.
func (c *cryptor) authentic(pkt []byte, end int) bool {
	code := len(pkt) - c.macLen
	if code < end+2 || pkt[code-1] != nextHeader || end+int(pkt[code-2])+2 != code {
		return false
	}
	return hmac.Equal(c.sum(pkt[rmcpHeader:code]), pkt[code:])
}

// sum returns the authentication code of data.
func (c *cryptor) sum(data []byte) []byte {
	c.mac.Reset()
	c.mac.Write(data) // a hash never fails
	return c.mac.Sum(nil)[:c.macLen]
}

// decrypt returns the plain text of a payload.
func (c *cryptor) decrypt(payload []byte) ([]byte, bool) {
	if len(payload) < 2*aes.BlockSize || len(payload)%aes.BlockSize != 0 {
		return nil, false
	}
	plain := make([]byte, len(payload)-aes.BlockSize)
	cipher.NewCBCDecrypter(c.block, payload[:aes.BlockSize]).CryptBlocks(plain, payload[aes.BlockSize:])
	end := len(plain) - 1 - int(plain[len(plain)-1])
	if end < 0 {
		return nil, false
	}
	return plain[:end], true
}

// encrypt appends the initialisation vector and the cipher text of msg to pkt.
func (c *cryptor) encrypt(pkt, msg []byte) []byte {
	start := len(pkt)
	pkt = append(pkt, make([]byte, aes.BlockSize)...)
	_, _ = rand.Read(pkt[start:]) // never fails
	text := len(pkt)
	pkt = append(pkt, msg...)
	pad := byte(0)
	for (len(pkt)-text+1)%aes.BlockSize != 0 {
		pad++
		pkt = append(pkt, pad)
	}
	pkt = append(pkt, pad)
	cipher.NewCBCEncrypter(c.block, pkt[start:text]).CryptBlocks(pkt[text:], pkt[text:])
	return pkt
}

// seal wraps an IPMI message in a datagram of the session.
func (c *cryptor) seal(s *ipmibmc.Session, encrypted bool, msg []byte) []byte {
	pkt := make([]byte, plusPayload, plusPayload+len(msg)+64)
	pkt[0], pkt[2], pkt[3], pkt[4] = rmcpVersion, 0xff, classIPMI, formatPlus
	pkt[5] = uint8(types.PayloadTypeIPMI) | types.PayloadFlagAuthenticated
	binary.LittleEndian.PutUint32(pkt[6:], s.ConsoleID)
	binary.LittleEndian.PutUint32(pkt[10:], s.NextOutboundSeq())
	if encrypted {
		pkt[5] |= types.PayloadFlagEncrypted
		pkt = c.encrypt(pkt, msg)
	} else {
		pkt = append(pkt, msg...)
	}
	binary.LittleEndian.PutUint16(pkt[14:], uint16(len(pkt)-plusPayload))
	pad := byte(0)
	for (len(pkt)-rmcpHeader+2)%4 != 0 {
		pad++
		pkt = append(pkt, 0xff)
	}
	pkt = append(pkt, pad, nextHeader)
	return append(pkt, c.sum(pkt[rmcpHeader:])...)
}
