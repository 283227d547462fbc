package secret

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/chacha20poly1305"

	"provision-plugins/shared/model"
)

const (
	// KeyFile is the master key's file in the data directory, where nothing else
	// holds the key.
	KeyFile = "master.key"
	// Credential is the name under which systemd hands the key over.
	Credential = "oob-master-key"
	// EnvKey is the variable that holds the key.
	EnvKey = "OOB_MASTER_KEY"
	// EnvKeyFile is the variable that names the key's file.
	EnvKeyFile = "OOB_MASTER_KEY_FILE"

	keySize = chacha20poly1305.KeySize
	// maxKeyFile bounds a key's file in bytes.
	maxKeyFile = 4096
)

// Master is the key under which all others are sealed.
type Master struct {
	key    [keySize]byte
	beside *Master // opens what this one does not; nil: none
	// Source says where the key came from, for messages.
	Source string
}

// NewMaster makes a master key of its 32 bytes.
func NewMaster(raw []byte, source string) (*Master, error) {
	m := &Master{Source: source}
	if len(raw) != keySize {
		return nil, model.Errorf(model.Invalid, "cannot use the master key of %s: it has %d bytes, want %d", source, len(raw), keySize)
	}
	copy(m.key[:], raw)
	return m, nil
}

// LoadMaster finds the master key: in systemd's credentials, in the environment,
// in a file that the environment names, or in dir, where it is made if it is
// not there. getenv is os.Getenv.
func LoadMaster(dir string, getenv func(string) string) (*Master, error) {
	if creds := getenv("CREDENTIALS_DIRECTORY"); creds != "" {
		path := filepath.Join(creds, Credential)
		if m, err := fromFile(path); !errors.Is(err, fs.ErrNotExist) {
			return m, err
		}
	}
	if text := getenv(EnvKey); text != "" {
		return fromText([]byte(text), "the variable "+EnvKey)
	}
	if path := getenv(EnvKeyFile); path != "" {
		return fromFile(path)
	}
	path := filepath.Join(dir, KeyFile)
	m, err := fromFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	return MakeFile(path)
}

// LoadFile reads a key's file, which must be nobody else's to read.
func LoadFile(path string) (*Master, error) { return fromFile(path) }

// Beside has another key open what this one does not, until the keys that were
// sealed with that one are sealed with this.
func (m *Master) Beside(other *Master) { m.beside = other.Alone() }

// Alone is the key without another one beside it.
func (m *Master) Alone() *Master { return &Master{key: m.key, Source: m.Source} }

// fromFile reads a key's file, which must be nobody else's to read.
func fromFile(path string) (*Master, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxKeyFile {
		err = errors.New("it is no key")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read the master key %s: %w", path, pathCause(err))
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, model.Errorf(model.Invalid, "cannot use the master key %s: others may read it (mode %04o): chmod 0600 it", path, info.Mode().Perm())
	}
	return fromText(text, path)
}

// pathCause strips the operation and the path, which the message names.
func pathCause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// fromText reads a key as base64.
func fromText(text []byte, source string) (*Master, error) {
	raw, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot use the master key of %s: want %d bytes as base64 (openssl rand -base64 32)", source, keySize)
	}
	return NewMaster(raw, source)
}

// MakeFile writes a new key. A file that somebody made meanwhile is not
// overwritten: what is sealed with it would be lost.
func MakeFile(path string) (*Master, error) {
	raw := make([]byte, keySize)
	_, _ = rand.Read(raw) // never fails: the runtime ends the program first
	m, err := NewMaster(raw, path)
	if err != nil {
		return nil, err
	}
	return m, WriteFile(path, m)
}

// Derive returns a key for one purpose: none tells anything about another, nor
// about the master key.
func (m *Master) Derive(purpose string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, m.key[:])
	mac.Write([]byte("oob endpoint: " + purpose))
	return [sha256.Size]byte(mac.Sum(nil))
}

// Seal encrypts what only this key opens, and only for the same owner.
func (m *Master) Seal(owner string, plain []byte) ([]byte, error) {
	aead, err := m.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	_, _ = rand.Read(nonce) // never fails: the runtime ends the program first
	return aead.Seal(nonce, nonce, plain, []byte(owner)), nil
}

// Open decrypts what Seal made for the same owner.
func (m *Master) Open(owner string, sealed []byte) ([]byte, error) {
	aead, err := m.aead()
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, model.Errorf(model.Internal, "cannot open the key of %s: it is cut off", owner)
	}
	nonce, text := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, text, []byte(owner))
	if err != nil && m.beside != nil {
		return m.beside.Open(owner, sealed)
	}
	if err != nil {
		return nil, model.Errorf(model.Internal, "cannot open the key of %s with the master key of %s: it was sealed with another", owner, m.Source)
	}
	return plain, nil
}

// aead is the cipher of the master key. Its nonces are long enough to be drawn
// at random for ever.
func (m *Master) aead() (cipher.AEAD, error) {
	aead, err := chacha20poly1305.NewX(m.key[:])
	if err != nil {
		return nil, model.Errorf(model.Internal, "cannot use the master key: %w", err)
	}
	return aead, nil
}

// ID tells this master key from others, and nothing else about it.
func (m *Master) ID() string {
	sum := m.Derive("id")
	return hex.EncodeToString(sum[:8])
}

// Bytes is the key itself, for a backup that its owner wants it in.
func (m *Master) Bytes() []byte { return m.key[:] }
