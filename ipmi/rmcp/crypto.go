package rmcp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
)

// The limits of IPMI 2.0 §13.20 and §22.30: user names and passwords or keys.
const (
	maxUsername = 16
	keyLen      = 20
)

// setup is everything the keys of a session are made of (IPMI 2.0 §13.31).
type setup struct {
	suite      *suite
	consoleID  uint32
	managedID  uint32
	consoleRnd [16]byte
	managedRnd [16]byte
	guid       [16]byte
	role       uint8
	unhashed   uint8 // bits of role that the BMC leaves out of what it hashes
	username   string
	kuid       [keyLen]byte // the password, padded
	kg         [keyLen]byte // the BMC key, or the password
	mac        *authenticator
}

// identity is the end of three of the four hashed strings: role, length of the
// user name, user name.
func (s *setup) identity(dst []byte) []byte {
	return append(append(dst, s.role&^s.unhashed, uint8(len(s.username))), s.username...)
}

// rakp2 is the key exchange code a BMC that knows the password sends.
func (s *setup) rakp2() []byte {
	var ids [8]byte
	binary.LittleEndian.PutUint32(ids[:], s.consoleID)
	binary.LittleEndian.PutUint32(ids[4:], s.managedID)
	var id [2 + maxUsername]byte
	return s.mac.sum(s.kuid[:], ids[:], s.consoleRnd[:], s.managedRnd[:], s.guid[:], s.identity(id[:0]))
}

// rakp3 is the key exchange code with which we prove the password.
func (s *setup) rakp3() []byte {
	var console [4]byte
	binary.LittleEndian.PutUint32(console[:], s.consoleID)
	var id [2 + maxUsername]byte
	return s.mac.sum(s.kuid[:], s.managedRnd[:], console[:], s.identity(id[:0]))
}

// sessionKey is the session integrity key, SIK. It stays valid.
func (s *setup) sessionKey() []byte {
	var id [2 + maxUsername]byte
	return bytes.Clone(s.mac.sum(s.kg[:], s.consoleRnd[:], s.managedRnd[:], s.identity(id[:0])))
}

// rakp4 is the integrity check value that ends the handshake.
func (s *setup) rakp4(sik []byte) []byte {
	var id [4]byte
	binary.LittleEndian.PutUint32(id[:], s.managedID)
	return s.mac.sum(sik, s.consoleRnd[:], id[:], s.guid[:])[:s.suite.macLen]
}

// additionalKey is K1 or K2 (IPMI 2.0 §13.32): the HMAC of twenty equal bytes.
func (s *setup) additionalKey(sik []byte, n byte) []byte {
	var c [keyLen]byte
	for i := range c {
		c[i] = n
	}
	return s.mac.sum(sik, c[:])
}

// keys seal and open the packets of one session.
type keys struct {
	mac    *authenticator // keyed with K1
	macLen int
	block  cipher.Block // keyed with K2
}

// deriveKeys makes the packet keys from the session integrity key. The setup
// must not be used any more: the keys take over its authenticator.
func (s *setup) deriveKeys(sik []byte) (*keys, error) {
	block, err := aes.NewCipher(s.additionalKey(sik, 2)[:aes.BlockSize])
	if err != nil {
		return nil, err
	}
	s.mac.setKey(s.additionalKey(sik, 1))
	s.mac.text = nil // what is signed from now on is in one piece
	return &keys{mac: s.mac, macLen: s.suite.macLen, block: block}, nil
}

// seal appends the whole datagram that carries msg: encrypted with a random
// initialization vector (IPMI 2.0 §13.29), then authenticated (§13.28.4).
func (k *keys) seal(dst []byte, session, sequence uint32, msg []byte) []byte {
	padded := len(msg) + 1
	padded += -padded & (aes.BlockSize - 1)
	start := len(dst)
	dst = appendHeader(dst, uint8(payloadIPMI)|flagEncrypted|flagAuthenticated, session, sequence, aes.BlockSize+padded)

	dst = append(dst, make([]byte, aes.BlockSize)...)
	body := len(dst)
	rand.Read(dst[body-aes.BlockSize:]) // never fails
	dst = append(dst, msg...)
	pad := padded - len(msg) - 1
	for i := 1; i <= pad; i++ {
		dst = append(dst, byte(i))
	}
	dst = append(dst, byte(pad))
	iv := dst[body-aes.BlockSize : body]
	k.encrypt(dst[body:], iv)

	// The integrity pad makes the authenticated bytes a multiple of four.
	fill := -(len(dst) - start - offAuthType + 2) & 3
	for range fill {
		dst = append(dst, 0xff)
	}
	dst = append(dst, byte(fill), nextHeader)
	return append(dst, k.sign(dst[start+offAuthType:])...)
}

// sign returns the truncated HMAC of b, valid until the next call.
func (k *keys) sign(b []byte) []byte { return k.mac.sign(b)[:k.macLen] }

// encrypt encrypts whole blocks in place by cipher block chaining. The block
// modes of crypto/cipher take an object of half a kilobyte for each message; those of
// IPMI are two blocks long.
func (k *keys) encrypt(b, iv []byte) {
	for ; len(b) > 0; b = b[aes.BlockSize:] {
		subtle.XORBytes(b[:aes.BlockSize], b[:aes.BlockSize], iv)
		k.block.Encrypt(b, b)
		iv = b[:aes.BlockSize]
	}
}

// decrypt undoes encrypt.
func (k *keys) decrypt(b, iv []byte) {
	for at := len(b) - aes.BlockSize; at >= 0; at -= aes.BlockSize {
		before := iv
		if at > 0 {
			before = b[at-aes.BlockSize : at]
		}
		k.block.Decrypt(b[at:], b[at:])
		subtle.XORBytes(b[at:at+aes.BlockSize], b[at:at+aes.BlockSize], before)
	}
}

// authentic reports whether the packet ends in the right HMAC and nothing
// stands between payload and trailer but the pad it declares.
func (k *keys) authentic(p *packet) bool {
	mac := len(p.raw) - k.macLen
	end := headerLen + len(p.payload)
	if !p.authenticated || mac < end+2 {
		return false
	}
	fill := int(p.raw[mac-2])
	if p.raw[mac-1] != nextHeader || end+fill+2 != mac {
		return false
	}
	return hmac.Equal(k.sign(p.raw[offAuthType:mac]), p.raw[mac:])
}

// open decrypts a payload in place and returns the message in it.
func (k *keys) open(payload []byte) ([]byte, bool) {
	if len(payload) < 2*aes.BlockSize || len(payload)%aes.BlockSize != 0 {
		return nil, false
	}
	iv, body := payload[:aes.BlockSize], payload[aes.BlockSize:]
	k.decrypt(body, iv)
	pad := int(body[len(body)-1])
	if pad >= aes.BlockSize {
		return nil, false
	}
	return body[:len(body)-1-pad], true
}
