package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

const (
	// goodFor is how long a login that succeeded is not checked again.
	goodFor = time.Minute
	// maxGood bounds how many are remembered.
	maxGood = 1024
)

// Login is one attempt to log in with a password.
type Login struct {
	User, Password string
	Hash           string // the user's; anything for a user who is not there
	Source         netip.Addr
}

// Logins checks passwords, not too many of them.
type Logins struct {
	hasher *Hasher
	now    func() time.Time
	key    [sha256.Size]byte // of the digests in good

	mu   sync.Mutex // guards all below
	good map[[sha256.Size]byte]time.Time
	rate limits
}

// NewLogins makes a Logins; now is time.Now.
func NewLogins(h *Hasher, now func() time.Time) *Logins {
	l := &Logins{hasher: h, now: now, good: map[[sha256.Size]byte]time.Time{}, rate: newLimits()}
	_, _ = rand.Read(l.key[:]) // never fails: the runtime ends the program first
	return l
}

// Check verifies a login. The refusal is the same for a wrong name and a wrong
// password, in its words and in its time.
func (l *Logins) Check(ctx context.Context, in Login) error {
	digest := l.digest(in)
	if l.isGood(digest) {
		return nil
	}
	if err := l.limited(in); err != nil {
		return err
	}
	done, err := l.hasher.enter(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := l.limited(in); err != nil { // those who had their turn before count
		return err
	}
	if len(in.Password) <= maxPassword && l.hasher.verify(in.Hash, in.Password) {
		l.remember(digest)
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate.failed(l.now(), in.User, source(in.Source))
	return model.Errorf(model.Forbidden, "Access Denied: wrong user or password")
}

// limited refuses a login after too many that failed.
func (l *Logins) limited(in Login) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := l.rate.wait(l.now(), in.User, source(in.Source))
	if wait <= 0 {
		return nil
	}
	return model.Errorf(model.RateLimited, "cannot log in: too many logins failed; try again in %s, or on the endpoint's own socket", wait.Round(time.Second)).After(wait)
}

// digest stands for a login and its password without telling either; it
// changes with the user's hash.
func (l *Logins) digest(in Login) [sha256.Size]byte {
	mac := hmac.New(sha256.New, l.key[:])
	for _, part := range []string{in.User, in.Password, in.Hash} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return [sha256.Size]byte(mac.Sum(nil))
}

// isGood reports whether a login has just succeeded.
func (l *Logins) isGood(digest [sha256.Size]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.good[digest]
	age := l.now().Sub(at)
	return ok && age >= 0 && age < goodFor
}

// remember notes a login that succeeded.
func (l *Logins) remember(digest [sha256.Size]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.good) >= maxGood {
		clear(l.good)
	}
	l.good[digest] = l.now()
}

// source is what counts as one place: an address, or the network that an IPv6
// host chooses its addresses from.
func source(addr netip.Addr) string {
	addr = addr.Unmap()
	if addr.Is6() {
		if net, err := addr.WithZone("").Prefix(64); err == nil {
			return net.String()
		}
	}
	return addr.String()
}
