package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// desk is a Logins, with the hash of one user's password.
type desk struct {
	*Logins
	t     *testing.T
	clock *clock
	hash  string
}

// newDesk makes a desk where alice may log in with "right-password".
func newDesk(t *testing.T) *desk {
	t.Helper()
	h := NewHasher(Cost{Memory: 64, Passes: 1})
	hash, err := h.Hash(t.Context(), "right-password")
	if err != nil {
		t.Fatal(err)
	}
	c := newClock()
	return &desk{Logins: NewLogins(h, c.now), t: t, clock: c, hash: hash}
}

// try logs alice in from a place.
func (d *desk) try(password string, from netip.Addr) error {
	return d.Check(d.t.Context(), Login{User: "alice", Password: password, Hash: d.hash, Source: from})
}

// fail fails to log in some times.
func (d *desk) fail(times int, from netip.Addr) {
	d.t.Helper()
	for i := range times {
		if err := d.try(fmt.Sprint("wrong-", i), from); model.KindOf(err) != model.Forbidden {
			d.t.Fatalf("failure %d: %v", i+1, err)
		}
	}
}

func TestHashes(t *testing.T) {
	h := NewHasher(DefaultCost())
	one, err := h.Hash(t.Context(), "password")
	if err != nil || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(one, "password") {
		t.Fatalf("%q, %v", one, err)
	}
	two, err := h.Hash(t.Context(), "password")
	if err != nil || one == two {
		t.Errorf("two hashes of one password are the same: %v", err)
	}
	salted := one[:strings.LastIndexByte(one, '$')]
	for _, c := range []struct {
		name, hash, password string
		want                 bool
	}{
		{"right", one, "password", true}, {"right, salted otherwise", two, "password", true},
		{"wrong", one, "Password", false}, {"empty", one, "", false}, {"no hash", "", "", false},
		{"a password for a hash", "password", "password", false}, {"cut off", one[:len(one)-2], "password", false},
		{"no sum", salted, "password", false}, {"empty sum", salted + "$", "password", false},
		{"cheaper", strings.Replace(one, "m=19456", "m=8", 1), "password", false},
		{"another algorithm", strings.Replace(one, "argon2id", "argon2i", 1), "password", false},
	} {
		if got := h.verify(c.hash, c.password); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestPasswordRules(t *testing.T) {
	for n, want := range map[int]bool{0: false, 7: false, 8: true, 1024: true, 1025: false} {
		if err := CheckPassword(strings.Repeat("x", n)); (err == nil) != want {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestLogin(t *testing.T) {
	d := newDesk(t)
	if err := d.try("right-password", here); err != nil {
		t.Fatal(err)
	}
	wantKind(t, d.try("wrong-password", here), model.Forbidden)
	wantKind(t, d.try(strings.Repeat("x", maxPassword+1), here), model.Forbidden)
	unknown := d.Check(t.Context(), Login{User: "nobody", Password: "right-password", Source: here})
	if wrong := d.try("wrong", here); unknown == nil || wrong == nil || unknown.Error() != wrong.Error() {
		t.Errorf("an unknown user is told %v, a known one %v", unknown, wrong)
	}
}

// A login that succeeded counts for a minute, without the cost of a hash, and
// only with the same password and the same hash.
func TestLoginIsRemembered(t *testing.T) {
	d := newDesk(t)
	if err := d.try("right-password", here); err != nil {
		t.Fatal(err)
	}
	d.hasher.turn <- struct{}{} // nobody else can hash now
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	quick := func(in Login) error {
		in.Source = here
		return d.Check(ended, in)
	}
	known := Login{User: "alice", Password: "right-password", Hash: d.hash}
	if err := quick(known); err != nil {
		t.Errorf("it was hashed again: %v", err)
	}
	for name, in := range map[string]Login{
		"password": {User: "alice", Password: "wrong", Hash: d.hash},
		"user":     {User: "alic", Password: "eright-password", Hash: d.hash},
		"hash":     {User: "alice", Password: "right-password", Hash: "changed"},
	} {
		if err := quick(in); model.KindOf(err) != model.Busy {
			t.Errorf("another %s: %v", name, err)
		}
	}
	d.clock.move(goodFor - time.Second)
	if err := quick(known); err != nil {
		t.Error(err)
	}
	d.clock.move(time.Second)
	wantKind(t, quick(known), model.Busy)
	d.clock.move(-time.Hour) // a clock that goes back does not make it last longer
	wantKind(t, quick(known), model.Busy)
	<-d.hasher.turn
}

// After five failures one user is refused from one place, with the right
// password too; from another place the user gets in.
func TestBruteForce(t *testing.T) {
	d := newDesk(t)
	d.fail(perPair.burst, here)
	err := d.try("right-password", here)
	wantKind(t, err, model.RateLimited)
	if e := model.AsError(err); e.RetryAfter <= 0 || e.RetryAfter > perPair.every {
		t.Errorf("retry after %s", e.RetryAfter)
	}
	if err := d.try("right-password", there); err != nil {
		t.Errorf("from another place: %v", err)
	}
	d.clock.move(perPair.every)
	if err := d.try("right-password", here); err != nil {
		t.Errorf("later: %v", err)
	}
	d.clock.move(time.Hour)
	d.fail(1, here)
	d.clock.move(-2 * time.Hour)
	wantKind(t, d.try("wrong", here), model.Forbidden)
}

// A place that tries many users is refused, and a user whom many places try.
func TestSprayedPasswords(t *testing.T) {
	d := newDesk(t)
	for i := range perSource.burst {
		d.rate.failed(d.clock.now(), fmt.Sprint("user", i), source(here))
	}
	wantKind(t, d.try("right-password", here), model.RateLimited)
	for i := range perUser.burst {
		d.rate.failed(d.clock.now(), "alice", fmt.Sprint("place", i))
	}
	wantKind(t, d.try("right-password", there), model.RateLimited)
	d.clock.move(perUser.every)
	if err := d.try("right-password", there); err != nil {
		t.Errorf("a user is locked out for longer than %s: %v", perUser.every, err)
	}
}

// Who has just logged in is not locked out by others.
func TestRememberedLoginIsNotLockedOut(t *testing.T) {
	d := newDesk(t)
	if err := d.try("right-password", here); err != nil {
		t.Fatal(err)
	}
	for range perUser.burst {
		d.rate.failed(d.clock.now(), "alice", "elsewhere")
	}
	if err := d.try("right-password", here); err != nil {
		t.Error(err)
	}
}

// However many try at once, one hash is made at a time, and few wait.
func TestFloodOfLogins(t *testing.T) {
	d := newDesk(t)
	d.hasher.turn <- struct{}{}
	var logins sync.WaitGroup
	results := make(chan error, 3*maxWaiting)
	for i := range cap(results) {
		logins.Go(func() {
			results <- d.Check(t.Context(), Login{User: fmt.Sprint("u", i), Password: "wrong", Source: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})})
		})
	}
	for range cap(results) - maxWaiting {
		if err := <-results; model.KindOf(err) != model.Busy {
			t.Errorf("%v, want busy", err)
		}
	}
	<-d.hasher.turn
	logins.Wait()
	close(results)
	for err := range results {
		if model.KindOf(err) != model.Forbidden {
			t.Errorf("%v, want forbidden", err)
		}
	}
}

func TestLoginThatIsGivenUp(t *testing.T) {
	d := newDesk(t)
	d.hasher.turn <- struct{}{}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client has gone")
	cancel(gone)
	err := d.Check(ctx, Login{User: "alice", Password: "x", Hash: d.hash, Source: here})
	if wantKind(t, err, model.Busy); !errors.Is(err, gone) {
		t.Error(err)
	}
	<-d.hasher.turn
	if len(d.hasher.waiting) != 0 {
		t.Error("who has gone still waits")
	}
}

func TestSources(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8::1": "2001:db8::/64", "2001:db8::ffff:1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := source(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

// The memory of failures is bounded, and forgets first what counts elsewhere.
func TestLimitsAreBounded(t *testing.T) {
	l, now := newLimits(), time.Unix(0, 0)
	for i := range 3 * maxBuckets {
		l.failed(now, "alice", fmt.Sprint("place", i))
		if len(l.buckets) > maxBuckets+3 {
			t.Fatalf("%d buckets", len(l.buckets))
		}
	}
	if l.wait(now, "alice", "new place") <= 0 {
		t.Error("that alice is being tried was forgotten")
	}
	l.sweep(now.Add(24 * time.Hour))
	if len(l.buckets) != 0 {
		t.Errorf("%d buckets after a day", len(l.buckets))
	}
}

func FuzzHash(f *testing.F) {
	h := NewHasher(DefaultCost())
	f.Add(h.head + "c2FsdHNhbHRzYWx0c2Fs$c3Vt")
	f.Add(h.head + "c2FsdA$" + strings.Repeat("A", 43)) // a short salt before a sum of the right length
	f.Add("$argon2id$v=19$m=4294967295,t=2,p=1$AAAA$AAAA")
	f.Add("$$$$")
	f.Fuzz(func(t *testing.T, hash string) {
		salt, sum := h.parse(hash)
		if len(salt) != saltSize || sum != nil && len(sum) != hashSize {
			t.Errorf("%q: salt of %d bytes, sum of %d", hash, len(salt), len(sum))
		}
	})
}
