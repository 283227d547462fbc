// Package journal keeps which passwords of BMCs are being changed, so that a change
// that was cut short can be finished. No password is in it: only what tells whether
// another one is the same.
package journal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"provision-plugins/shared/keep"
	"provision-plugins/shared/model"
)

// folder is where the journal stands in the state directory of the plugin.
const folder = "password-changes"

// maxEntry bounds an entry as it is read.
const maxEntry = 4096

// Journal is the changes under way. The zero value keeps none, and says so.
type Journal struct {
	mu  sync.Mutex // guards dir
	dir string
}

// Entry is one change.
type Entry struct {
	Peer string    `json:"peer"`
	User string    `json:"user"`
	At   time.Time `json:"at"`
	// Salt and Proof tell whether a password is the new one.
	Salt  []byte `json:"salt"`
	Proof []byte `json:"proof"`
}

// Open makes the journal keep its entries in the state directory.
func (j *Journal) Open(state string) error {
	dir := filepath.Join(state, folder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot keep a journal of passwords: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dir = dir
	return nil
}

// path is where the entry of a user of a BMC stands.
func (j *Journal) path(peer, user string) (string, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.dir == "" {
		return "", model.Errorf(model.Internal, "the plugin has no directory to keep its journal in; give it one it can write to")
	}
	sum := sha256.Sum256([]byte(peer + "\x00" + user))
	return filepath.Join(j.dir, hex.EncodeToString(sum[:16])+".json"), nil
}

// Find returns the change of a user's password that is under way; nil if none is.
func (j *Journal) Find(peer, user string) (*Entry, error) {
	path, err := j.path(peer, user)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none is, which is no error
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal of passwords: %w", err)
	}
	defer f.Close()
	raw := make([]byte, maxEntry)
	n, _ := f.Read(raw) // what is missing the decoder tells
	e := &Entry{}
	if err := json.Unmarshal(raw[:n], e); err != nil || e.Peer != peer || e.User != user {
		return nil, model.Errorf(model.Internal, "the journal of passwords cannot be read: remove %s once you know which password user %.16q of BMC %s has", path, user, peer)
	}
	return e, nil
}

// Begin writes down that a password is about to be changed. When it returns, that
// outlives a crash of the computer.
func (j *Journal) Begin(peer, user string, password model.Secret, now time.Time) error {
	path, err := j.path(peer, user)
	if err != nil {
		return err
	}
	e := Entry{Peer: peer, User: user, At: now.UTC(), Salt: make([]byte, sha256.Size)}
	rand.Read(e.Salt) // never fails
	e.Proof = proof(e.Salt, password)
	data, err := json.Marshal(e)
	if err == nil {
		err = keep.File(path, data)
	}
	if err != nil {
		return fmt.Errorf("cannot write the journal of passwords: %w", err)
	}
	return nil
}

// End removes the entry: the change is done, or did not take place.
func (j *Journal) End(peer, user string) error {
	path, err := j.path(peer, user)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot write the journal of passwords: %w", err)
	}
	return keep.Folder(filepath.Dir(path))
}

// Is reports whether a password is the one that the change is to.
func (e *Entry) Is(password model.Secret) bool { return hmac.Equal(e.Proof, proof(e.Salt, password)) }

// proof is what tells a password from others. It takes so long and so much memory
// that trying many costs much.
func proof(salt []byte, password model.Secret) []byte {
	const passes, memory, threads = 1, 8 * 1024, 1
	return argon2.IDKey([]byte(password), salt, passes, memory, threads, sha256.Size)
}
