// Package button signs the values of buttons, so that a click proves what it was
// asked for: one request, as it was then, until a time.
package button

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"provision-plugins/shared/keep"
	"provision-plugins/shared/model"
)

const (
	// keyFile is the key's, in the state directory.
	keyFile = "chat.key"
	// keySize is the key's size, in bytes.
	keySize = 32
	// format begins every value.
	format = "v1"
	// maxValue bounds what is read; Slack's own bound of a value is 2,000.
	maxValue = 500
)

// Claim is what a button's value stands for.
type Claim struct {
	// Verb is what a click does, ID the request that it is of.
	Verb, ID string

	// Expires is until when.
	Expires time.Time

	// Requester and Channel are who asked, and where.
	Requester, Channel string

	// Subject is all that would be done: the command and the frozen machines.
	Subject any
}

// Signer signs and verifies.
type Signer struct{ key []byte }

// Open reads the key of a state directory, which is made if it is not there.
func Open(dir string) (*Signer, error) {
	path := filepath.Join(dir, keyFile)
	key, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create(path)
	case err != nil:
		return nil, model.Errorf(model.Invalid, "cannot read the key of buttons: %w", err)
	case len(key) != keySize:
		return nil, model.Errorf(model.Invalid, "cannot use %s: it holds %d bytes, not %d; remove it to have one made", path, len(key), keySize)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot make the key of buttons private: %w", err)
	}
	return &Signer{key}, nil
}

// create makes a key.
func create(path string) (*Signer, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: the runtime ends the program first
	if err := keep.File(path, key); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot make the key of buttons: %w", err)
	}
	return &Signer{key}, nil
}

// NewID makes an id that nobody can guess.
func NewID() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails: the runtime ends the program first
	return hex.EncodeToString(raw)
}

// Sign makes a button's value.
func (s *Signer) Sign(c Claim) (string, error) {
	mac, err := s.mac(c)
	if err != nil {
		return "", err
	}
	return strings.Join([]string{format, c.Verb, c.ID, strconv.FormatInt(c.Expires.Unix(), 10), mac}, "."), nil
}

// mac is the keyed digest of a claim.
func (s *Signer) mac(c Claim) (string, error) {
	raw, err := model.Marshal([]any{format, c.Verb, c.ID, c.Expires.Unix(), c.Requester, c.Channel, c.Subject})
	if err != nil {
		return "", fmt.Errorf("cannot sign a button: %w", err)
	}
	h := hmac.New(sha256.New, s.key)
	h.Write(raw)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}

// Value is a button's value, read and not yet believed.
type Value struct {
	Verb, ID string
	expires  int64
	mac      string
}

// Read reads a value. That it can be read says nothing of who made it.
func Read(text string) (Value, error) {
	parts := strings.Split(text, ".")
	if len(text) > maxValue || len(parts) != 5 || parts[0] != format {
		return Value{}, errors.New("this button is none of mine")
	}
	expires, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil || strconv.FormatInt(expires, 10) != parts[3] {
		return Value{}, errors.New("this button is none of mine")
	}
	return Value{parts[1], parts[2], expires, parts[4]}, nil
}

// Verify reports what is wrong with a value that should stand for a claim, at a
// time. The claim's own Expires counts.
func (s *Signer) Verify(v Value, c Claim, now time.Time) error {
	want, err := s.mac(c)
	switch {
	case err != nil:
		return err
	case v.Verb != c.Verb || v.ID != c.ID || v.expires != c.Expires.Unix() || !hmac.Equal([]byte(v.mac), []byte(want)):
		return errors.New("this button is none of mine")
	case !now.Before(c.Expires):
		return errors.New("this button has expired; ask again")
	}
	return nil
}
