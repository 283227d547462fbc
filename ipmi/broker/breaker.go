package broker

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"time"

	"provision-plugins/ipmi/rmcp"
)

// The rules of the breaker. BMCs lock accounts after three to five refused
// logins, some until a person comes.
const (
	// opensAt is how many refused handshakes in a row open it.
	opensAt = 2
	// retryAfter is how long it stays open; one login is then tried.
	retryAfter = 15 * time.Minute
	// againAfter is after how long one is tried for who asks for it, having mended
	// the account on the BMC. It keeps a request that is repeated from being so
	// many logins.
	againAfter = time.Minute
	// maxRefused bounds what is remembered; the oldest goes first. A password that
	// was changed on a whole fleet must fit.
	maxRefused = maxOwners
)

// Suspended is the reason of an error of a login that is not tried, because the
// BMC refused it: nothing was sent.
const Suspended rmcp.Reason = "login not tried again"

// Suspension is the detail of such an error.
type Suspension struct {
	// Refusals is how many handshakes were refused, At when the last was.
	Refusals int
	At       time.Time
	// Reason is why.
	Reason rmcp.Reason
	// Until is when the next one is tried; Left is how long that is.
	Until time.Time
	Left  time.Duration
}

// Error tells it in one line.
func (s *Suspension) Error() string {
	return fmt.Sprintf("%s; refused %d times, last at %s; tried once more after %s, or at once with other credentials",
		s.Reason, s.Refusals, s.At.UTC().Format(time.RFC3339), s.Until.UTC().Format(time.RFC3339))
}

// refusalKey is a login at a BMC. The credential is a keyed hash: who reads it
// learns nothing, and cannot try guesses without the key.
type refusalKey struct {
	peer       netip.AddrPort
	credential [16]byte
}

// refusals is what a BMC refused in a row.
type refusals struct {
	count  int
	at     time.Time
	reason rmcp.Reason
}

// breaker keeps logins that were refused from BMCs, which might lock the
// account. All callers share it.
type breaker struct {
	clock Clock
	keep  keeper

	mu      sync.Mutex // guards the rest
	key     [32]byte   // of the hash
	refused map[refusalKey]refusals
	changes uint64                // of refused
	unsaved map[refusalKey]uint64 // the changes of refused that the file may not hold
}

// newBreaker returns one that is closed.
func newBreaker(c Clock) *breaker {
	b := &breaker{clock: c, refused: map[refusalKey]refusals{}, unsaved: map[refusalKey]uint64{}}
	rand.Read(b.key[:]) // never fails
	return b
}

// remember makes the breaker keep its memory in dir, and reads what is there.
func (b *breaker) remember(dir string, log *slog.Logger) error {
	key, err := readKey(dir)
	if err != nil {
		return err
	}
	b.mu.Lock()
	if key != b.key {
		clear(b.refused) // hashes by another key mean nothing
		clear(b.unsaved)
		b.key = key
	}
	b.mu.Unlock()
	b.keep.begin(dir, log)
	b.refresh()
	return nil
}

// refresh learns what another process that keeps the same file has written.
func (b *breaker) refresh() {
	b.keep.refresh(func(theirs map[refusalKey]refusals) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.merge(theirs)
	})
}

// merge takes what is in the file, but for what is changed here and not written
// yet; of that the higher count is taken. No file changes nothing. mu is held.
func (b *breaker) merge(theirs map[refusalKey]refusals) {
	if theirs == nil {
		return
	}
	for k := range b.unsaved {
		ours, known := b.refused[k]
		switch {
		case !known:
			delete(theirs, k)
		case ours.count >= theirs[k].count:
			theirs[k] = ours
		}
	}
	b.refused = theirs
	b.bound()
}

// id is the key of a login at a BMC. mu is held.
func (b *breaker) id(peer netip.AddrPort, l rmcp.Login) (k refusalKey) {
	mac := hmac.New(sha256.New, b.key[:])
	for _, part := range []string{peer.String(), l.Username, string(l.Password), string(l.Kg)} {
		var n [4]byte
		binary.LittleEndian.PutUint32(n[:], uint32(len(part)))
		mac.Write(n[:])
		mac.Write([]byte(part))
	}
	k.peer = peer
	copy(k.credential[:], mac.Sum(nil))
	return k
}

// state is that of the breaker for what was refused.
func (r *refusals) state(now time.Time) Breaker {
	switch {
	case r.count < opensAt:
		return Shut
	case now.Before(r.at.Add(retryAfter)):
		return Open
	}
	return HalfOpen
}

// suspension is the error of a login that is not tried.
func (r *refusals) suspension(now time.Time) *rmcp.Error {
	until := r.at.Add(retryAfter)
	return &rmcp.Error{Reason: Suspended, Step: "Open Session", Err: &Suspension{
		Refusals: r.count, At: r.at, Reason: r.reason, Until: until, Left: until.Sub(now),
	}}
}

// look returns what is remembered of a login. mu is held.
func (b *breaker) look(k refusalKey, now time.Time) refusals {
	r := b.refused[k]
	if r.at.After(now) { // a clock that was set back must not keep it open
		r.at = now
		b.refused[k] = r
	}
	if r.count < opensAt && now.Sub(r.at) > retryAfter {
		return refusals{} // one alone is forgotten
	}
	return r
}

// inspect is the breaker's part of a State.
func (b *breaker) inspect(peer netip.AddrPort, login rmcp.Login) State {
	b.refresh()
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	r := b.look(b.id(peer, login), now)
	s := State{Breaker: r.state(now), Refusals: r.count, Refused: r.at, Reason: r.reason}
	if s.Breaker == Open {
		s.Until = r.at.Add(retryAfter)
	}
	return s
}

// check returns an error if the login is known not to be tried now, so that nobody
// waits for that. Another process may know better: admit asks.
func (b *breaker) check(peer netip.AddrPort, login rmcp.Login) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.refused) == 0 {
		return nil
	}
	now := b.clock.Now()
	if r := b.look(b.id(peer, login), now); r.state(now) == Open {
		return r.suspension(now)
	}
	return nil
}

// leave is a permission to log in. It must be settled.
type leave struct {
	b        *breaker
	peer     netip.AddrPort
	login    rmcp.Login
	key      refusalKey // by id
	refusals int        // in a row before
	probe    bool       // one handshake only
	was      refusals
}

// id is what the login is remembered under. Most logins are never refused, and
// nothing is remembered of them. breaker.mu is held.
func (l *leave) id() refusalKey {
	if !l.key.peer.IsValid() {
		l.key = l.b.id(l.peer, l.login)
	}
	return l.key
}

// admit gives leave to log in, or tells why not.
func (b *breaker) admit(peer netip.AddrPort, login rmcp.Login) (*leave, *rmcp.Error) {
	return b.admitAfter(retryAfter, peer, login)
}

// admitAfter is admit for who waits so long after a refusal. A probe is remembered
// as if it were refused, before it is made: whatever happens, there is no other
// soon.
func (b *breaker) admitAfter(rest time.Duration, peer netip.AddrPort, login rmcp.Login) (*leave, *rmcp.Error) {
	b.refresh()
	b.mu.Lock()
	now := b.clock.Now()
	l := &leave{b: b, peer: peer, login: login}
	if len(b.refused) > 0 {
		l.was = b.look(l.id(), now)
	}
	l.refusals = l.was.count
	switch state := l.was.state(now); {
	case state == Shut:
		b.mu.Unlock()
		return l, nil
	case now.Before(l.was.at.Add(rest)):
		b.mu.Unlock()
		return nil, l.was.suspension(now)
	}
	l.probe = true
	again := l.was
	again.at = now
	b.set(l.id(), again)
	b.mu.Unlock()
	b.save()
	return l, nil
}

// spent reports whether a refused handshake was the last that this leave is for.
func (l *leave) spent() bool { return l.refusals > l.was.count && l.refusals >= opensAt }

// refused remembers a refused handshake, before the next is begun.
func (l *leave) refused(reason rmcp.Reason) {
	b := l.b
	b.mu.Lock()
	now := b.clock.Now()
	r := b.look(l.id(), now)
	b.set(l.id(), refusals{count: r.count + 1, at: now, reason: reason})
	b.mu.Unlock()
	l.refusals++
	b.save()
}

// settle tells how the login ended. A session closes the breaker; a probe
// without a verdict may be repeated.
func (l *leave) settle(err error) {
	b := l.b
	b.mu.Lock()
	known := false
	if len(b.refused) > 0 {
		_, known = b.refused[l.id()]
	}
	switch {
	case err == nil && known:
		delete(b.refused, l.id())
		b.changed(l.id())
	case err != nil && l.probe && l.refusals == l.was.count:
		b.set(l.id(), l.was)
	default:
		b.mu.Unlock()
		return
	}
	b.mu.Unlock()
	b.save()
}

// set remembers, and forgets the oldest if that is too many. mu is held.
func (b *breaker) set(k refusalKey, r refusals) {
	b.refused[k] = r
	b.changed(k)
	b.bound()
}

// changed counts a change. mu is held.
func (b *breaker) changed(k refusalKey) {
	b.changes++
	if len(b.unsaved) < maxRefused { // more: they cannot be written, and others do not either
		b.unsaved[k] = b.changes
	}
}

// bound forgets the oldest of what is too many. mu is held.
func (b *breaker) bound() {
	for len(b.refused) > maxRefused {
		var oldest refusalKey
		first := true
		for k, r := range b.refused {
			if first || r.at.Before(b.refused[oldest].at) {
				oldest, first = k, false
			}
		}
		delete(b.refused, oldest)
	}
}

// save keeps what changed, before it returns.
func (b *breaker) save() {
	b.mu.Lock()
	changes := b.changes
	b.mu.Unlock()
	written := b.keep.save(changes, func(theirs map[refusalKey]refusals) ([]byte, uint64) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.merge(theirs)
		return encodeState(b.refused), b.changes
	})
	if written == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.unsaved, func(_ refusalKey, n uint64) bool { return n <= written })
}
