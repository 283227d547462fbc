package rmcp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"hash"
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
}

// sum is the HMAC of the parts.
func (s *setup) sum(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(s.suite.hash, key)
	for _, p := range parts {
		mac.Write(p)
	}
	return mac.Sum(nil)
}

// identity is the end of three of the four hashed strings: role, length of the
// user name, user name.
func (s *setup) identity() []byte {
	return append([]byte{s.role &^ s.unhashed, uint8(len(s.username))}, s.username...)
}

// rakp2 is the key exchange code a BMC that knows the password sends.
func (s *setup) rakp2() []byte {
	var ids [8]byte
	binary.LittleEndian.PutUint32(ids[:], s.consoleID)
	binary.LittleEndian.PutUint32(ids[4:], s.managedID)
	return s.sum(s.kuid[:], ids[:], s.consoleRnd[:], s.managedRnd[:], s.guid[:], s.identity())
}

// rakp3 is the key exchange code with which we prove the password.
func (s *setup) rakp3() []byte {
	var id [4]byte
	binary.LittleEndian.PutUint32(id[:], s.consoleID)
	return s.sum(s.kuid[:], s.managedRnd[:], id[:], s.identity())
}

// sessionKey is the session integrity key, SIK.
func (s *setup) sessionKey() []byte {
	return s.sum(s.kg[:], s.consoleRnd[:], s.managedRnd[:], s.identity())
}

// rakp4 is the integrity check value that ends the handshake.
func (s *setup) rakp4(sik []byte) []byte {
	var id [4]byte
	binary.LittleEndian.PutUint32(id[:], s.managedID)
	return s.sum(sik, s.consoleRnd[:], id[:], s.guid[:])[:s.suite.macLen]
}

// additionalKey is K1 or K2 (IPMI 2.0 §13.32): the HMAC of twenty equal bytes.
func (s *setup) additionalKey(sik []byte, n byte) []byte {
	var c [keyLen]byte
	for i := range c {
		c[i] = n
	}
	return s.sum(sik, c[:])
}

// keys seal and open the packets of one session.
type keys struct {
	mac    hash.Hash // keyed with K1
	macLen int
	block  cipher.Block // keyed with K2
	sum    []byte       // scratch of mac
}

// deriveKeys makes the packet keys from the session integrity key.
func (s *setup) deriveKeys(sik []byte) (*keys, error) {
	k1, k2 := s.additionalKey(sik, 1), s.additionalKey(sik, 2)
	block, err := aes.NewCipher(k2[:aes.BlockSize])
	if err != nil {
		return nil, err
	}
	return &keys{mac: hmac.New(s.suite.hash, k1), macLen: s.suite.macLen, block: block}, nil
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
	cipher.NewCBCEncrypter(k.block, iv).CryptBlocks(dst[body:], dst[body:])

	// The integrity pad makes the authenticated bytes a multiple of four.
	fill := -(len(dst) - start - offAuthType + 2) & 3
	for range fill {
		dst = append(dst, 0xff)
	}
	dst = append(dst, byte(fill), nextHeader)
	return append(dst, k.sign(dst[start+offAuthType:])...)
}

// sign returns the truncated HMAC of b, valid until the next call.
func (k *keys) sign(b []byte) []byte {
	k.mac.Reset()
	k.mac.Write(b)
	k.sum = k.mac.Sum(k.sum[:0])
	return k.sum[:k.macLen]
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
	cipher.NewCBCDecrypter(k.block, iv).CryptBlocks(body, body)
	pad := int(body[len(body)-1])
	if pad >= aes.BlockSize {
		return nil, false
	}
	return body[:len(body)-1-pad], true
}
