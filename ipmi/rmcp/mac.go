package rmcp

import (
	"crypto/sha256"
	"crypto/subtle"
	"hash"
)

// hashBlock is the block length of SHA-1 and SHA-256.
const hashBlock = sha256.BlockSize

// The bytes of the inner and the outer pad (RFC 2104 §2).
const (
	innerPad = 0x36
	outerPad = 0x5c
)

// authenticator computes HMACs (RFC 2104), under one key after another. A
// handshake has five keys, each good for one or two short messages: to make the
// objects that crypto/hmac needs for each costs more than to hash, a tenth of all
// CPU where a fleet is logged in to. One authenticator serves a handshake, and then
// its session. What it makes is compared with hmac.Equal, as any other.
type authenticator struct {
	hash hash.Hash
	key  [hashBlock]byte // padded with zeroes
	pad  [hashBlock]byte // scratch
	text []byte          // scratch
	out  []byte          // scratch
}

// newAuthenticator returns one without a key.
func newAuthenticator(h func() hash.Hash) *authenticator {
	a := &authenticator{hash: h()}
	a.out = make([]byte, 0, a.hash.Size())
	return a
}

// setKey takes the key of what is signed next. No key of IPMI is longer than a
// block; one that is would be hashed first.
func (a *authenticator) setKey(key []byte) {
	if len(key) > hashBlock {
		a.hash.Reset()
		a.hash.Write(key) // a hash never fails
		key = a.hash.Sum(nil)
	}
	n := copy(a.key[:], key)
	clear(a.key[n:])
}

// sum returns the HMAC of the parts, one after another, under the key. It is
// valid until the next call. The parts are joined before they are hashed: what is given
// to a hash.Hash cannot stay on the caller's stack.
func (a *authenticator) sum(key []byte, parts ...[]byte) []byte {
	a.setKey(key)
	a.text = a.text[:0]
	for _, p := range parts {
		a.text = append(a.text, p...)
	}
	return a.sign(a.text)
}

// sign returns the HMAC of b, valid until the next call.
func (a *authenticator) sign(b []byte) []byte {
	a.begin(innerPad)
	a.hash.Write(b)
	a.out = a.hash.Sum(a.out[:0])
	a.begin(outerPad)
	a.hash.Write(a.out)
	a.out = a.hash.Sum(a.out[:0])
	return a.out
}

// begin starts a hash with the key under a pad.
func (a *authenticator) begin(pad byte) {
	for i := range a.pad {
		a.pad[i] = pad
	}
	subtle.XORBytes(a.pad[:], a.pad[:], a.key[:])
	a.hash.Reset()
	a.hash.Write(a.pad[:])
}
