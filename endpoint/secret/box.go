package secret

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"sync"

	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/box"

	"provision-plugins/shared/model"
)

const (
	boxKey   = 32
	boxNonce = 24
	// bound begins the plain text of a value that was sealed here: it names the
	// param, so that a sealed value put under another name does not open. What
	// clients seal is JSON, which cannot begin so.
	bound = 1
)

// Box is the key pair of one object's secrets.
type Box struct {
	owner  string
	own    *[boxKey]byte
	public func() *[boxKey]byte // found when first needed: to open takes own alone

	mu     sync.Mutex // guards shared
	shared []shared   // the newest last
}

// shared is the key that opens what one sender sealed. To find it takes a tenth of
// a millisecond, and what is stored is opened for every action.
type shared struct{ sender, key [boxKey]byte }

// maxShared bounds the senders that a box remembers: each value was sealed by its
// own.
const maxShared = 4

// NewBox makes a key pair for an object, and what is to be stored of it.
func (m *Master) NewBox(owner string) (*Box, []byte, error) {
	public, own, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, model.Errorf(model.Internal, "cannot make a key for %s: %w", owner, err)
	}
	sealed, err := m.Seal(owner, own[:])
	if err != nil {
		return nil, nil, err
	}
	return &Box{owner: owner, public: func() *[boxKey]byte { return public }, own: own}, sealed, nil
}

// OpenBox opens the stored key pair of an object.
func (m *Master) OpenBox(owner string, sealed []byte) (*Box, error) {
	raw, err := m.Open(owner, sealed)
	if err != nil {
		return nil, err
	}
	if len(raw) != boxKey {
		return nil, model.Errorf(model.Internal, "cannot use the key of %s: it is damaged", owner)
	}
	own := [boxKey]byte(raw)
	return &Box{owner: owner, own: &own, public: sync.OnceValue(func() *[boxKey]byte {
		var public [boxKey]byte
		curve25519.ScalarBaseMult(&public, &own)
		return &public
	})}, nil
}

// Public is the public key, to which clients seal values.
func (b *Box) Public() []byte { return b.public()[:] }

// Seal seals the value of a param.
func (b *Box) Seal(name string, value any) (*model.SecureData, error) {
	text, err := model.Marshal(value)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot seal %s: %w", name, err)
	}
	public, own, err := box.GenerateKey(rand.Reader)
	if err != nil {
		return nil, model.Errorf(model.Internal, "cannot seal %s: %w", name, err)
	}
	var nonce [boxNonce]byte
	_, _ = rand.Read(nonce[:]) // never fails: the runtime ends the program first
	plain := append([]byte{bound}, name...)
	plain = append(append(plain, 0), text...)
	return &model.SecureData{
		Key: public[:], Nonce: nonce[:],
		Payload: box.Seal(nil, plain, &nonce, b.public(), own),
	}, nil
}

// Open opens the value of a param that Seal or a client sealed. The error shows
// nothing of it.
func (b *Box) Open(name string, sealed *model.SecureData) (any, error) {
	if len(sealed.Key) != boxKey || len(sealed.Nonce) != boxNonce {
		return nil, b.unopened(name)
	}
	key := b.keyWith([boxKey]byte(sealed.Key))
	plain, ok := box.OpenAfterPrecomputation(nil, sealed.Payload, (*[boxNonce]byte)(sealed.Nonce), &key)
	if !ok {
		return nil, b.unopened(name)
	}
	if len(plain) > 0 && plain[0] == bound {
		text, ours := bytes.CutPrefix(plain[1:], append([]byte(name), 0))
		if !ours {
			return nil, model.Errorf(model.Invalid, "Key '%s': the sealed value is another param's", name)
		}
		plain = text
	}
	var value any
	if len(plain) == 0 || model.Unmarshal(plain, &value) != nil {
		return nil, model.Errorf(model.Invalid, "Key '%s': what is sealed is no JSON", name)
	}
	return value, nil
}

// keyWith returns the key that opens what a sender sealed to the box.
func (b *Box) keyWith(sender [boxKey]byte) [boxKey]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.shared {
		if b.shared[i].sender == sender {
			return b.shared[i].key
		}
	}
	s := shared{sender: sender}
	box.Precompute(&s.key, &sender, b.own)
	if len(b.shared) == maxShared {
		b.shared = slices.Delete(b.shared, 0, 1)
	}
	b.shared = append(b.shared, s)
	return s.key
}

// unopened is the refusal of a value that was not sealed to this object.
func (b *Box) unopened(name string) error {
	return model.Errorf(model.Invalid, "Key '%s': the sealed value does not open: seal it to the key of %s/pubkey", name, b.owner)
}

// Parse reads a decoded JSON value as SecureData, nil if it is none: an object
// of just a key, a nonce and a payload of the right sizes.
func Parse(value any) *model.SecureData {
	object, ok := value.(map[string]any)
	if !ok || len(object) != 3 {
		return nil
	}
	key, nonce, payload := field(object, "Key"), field(object, "Nonce"), field(object, "Payload")
	if len(key) != boxKey || len(nonce) != boxNonce || len(payload) < box.Overhead {
		return nil
	}
	return &model.SecureData{Key: key, Nonce: nonce, Payload: payload}
}

// field reads one field of bytes.
func field(object map[string]any, name string) []byte {
	text, ok := object[name].(string)
	if !ok {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return raw
}

// Value is a sealed value as it stands among decoded params.
func Value(s *model.SecureData) map[string]any {
	text := base64.StdEncoding.EncodeToString
	return map[string]any{"Key": text(s.Key), "Nonce": text(s.Nonce), "Payload": text(s.Payload)}
}

// Same reports whether two decoded values are the same sealed value.
func Same(a, b any) bool {
	x, y := Parse(a), Parse(b)
	return x != nil && y != nil && bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Nonce, y.Nonce) && bytes.Equal(x.Payload, y.Payload)
}
