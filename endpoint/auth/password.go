package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"provision-plugins/shared/model"
)

// Cost is what a hash of a password costs.
type Cost struct {
	Memory uint32 // KiB
	Passes uint32
}

// DefaultCost is what is taken to be enough today.
func DefaultCost() Cost { return Cost{Memory: 19 << 10, Passes: 2} }

const (
	hashLanes = 1
	hashSize  = 32
	saltSize  = 16

	minPassword = 8
	maxPassword = 1024
	// maxWaiting bounds who waits for the one hash at a time.
	maxWaiting = 16
)

// Hasher makes and verifies argon2id hashes of passwords, one at a time: a flood
// of logins takes neither the memory nor the processors.
type Hasher struct {
	cost    Cost
	head    string        // begins every hash that is made here
	turn    chan struct{} // holds a token while somebody hashes
	waiting chan struct{} // a token for each who hashes or waits to
}

// NewHasher makes a Hasher of a cost.
func NewHasher(c Cost) *Hasher {
	head := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, c.Memory, c.Passes, hashLanes)
	return &Hasher{cost: c, head: head, turn: make(chan struct{}, 1), waiting: make(chan struct{}, maxWaiting)}
}

// CheckPassword refuses a password that is too short or too long.
func CheckPassword(password string) error {
	if len(password) < minPassword || len(password) > maxPassword {
		return model.Errorf(model.Invalid, "cannot set the password: want %d to %d bytes", minPassword, maxPassword)
	}
	return nil
}

// Hash makes the hash of a password.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	done, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: the runtime ends the program first
	encode := base64.RawStdEncoding.EncodeToString
	return h.head + encode(salt) + "$" + encode(h.derive(password, salt)), nil
}

// derive is the costly function.
func (h *Hasher) derive(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, h.cost.Passes, h.cost.Memory, hashLanes, hashSize)
}

// enter waits for the turn to hash. It is refused when too many wait already.
func (h *Hasher) enter(ctx context.Context) (done func(), err error) {
	select {
	case h.waiting <- struct{}{}:
	default:
		return nil, model.Errorf(model.Busy, "cannot check a password now: %d logins are being checked; try again", maxWaiting)
	}
	select {
	case h.turn <- struct{}{}:
		return func() { <-h.turn; <-h.waiting }, nil
	case <-ctx.Done():
		<-h.waiting
		return nil, model.Errorf(model.Busy, "cannot check a password: %w", context.Cause(ctx))
	}
}

// verify reports whether a hash is a password's. The caller has the turn. A
// hash that cannot be read is nobody's, and takes as long.
func (h *Hasher) verify(hash, password string) bool {
	salt, want := h.parse(hash)
	got := h.derive(password, salt)
	return subtle.ConstantTimeCompare(got, want) == 1
}

// parse splits a hash of ours; nothing matches another.
func (h *Hasher) parse(hash string) (salt, sum []byte) {
	rest, ours := strings.CutPrefix(hash, h.head)
	saltText, sumText, _ := strings.Cut(rest, "$")
	salt, saltErr := base64.RawStdEncoding.DecodeString(saltText)
	sum, sumErr := base64.RawStdEncoding.DecodeString(sumText)
	if !ours || saltErr != nil || sumErr != nil || len(salt) != saltSize || len(sum) != hashSize {
		return make([]byte, saltSize), nil
	}
	return salt, sum
}
