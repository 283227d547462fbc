package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// Guesses that wait for their turn together are no more tries than those that
// come one after another.
func TestGuessesAtOnceAreCounted(t *testing.T) {
	d := newDesk(t)
	done, err := d.hasher.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const many = 12
	results := make(chan error, many)
	for i := range many {
		go func() { results <- d.try(fmt.Sprint("wrong-", i), here) }()
	}
	for len(d.hasher.waiting) < many+1 {
		runtime.Gosched()
	}
	done()
	kinds := map[model.Kind]int{}
	for range many {
		kinds[model.KindOf(<-results)]++
	}
	if kinds[model.Forbidden] != perPair.burst || kinds[model.RateLimited] != many-perPair.burst {
		t.Errorf("%v", kinds)
	}
}

// Who has failed too often by several counts waits for the longest of them.
func TestTheLongestWaitCounts(t *testing.T) {
	l, now := newLimits(), newClock().now()
	for range perSource.burst + 1 {
		l.failed(now, "alice", here.String())
	}
	if wait := l.wait(now, "alice", here.String()); wait < perPair.every/2 {
		t.Errorf("the wait is %s", wait)
	}
}

// A password that is too long is nobody's, whatever the hash.
func TestLongPasswordsAreNobodys(t *testing.T) {
	d := newDesk(t)
	long := strings.Repeat("x", maxPassword+1)
	hash, err := d.hasher.Hash(t.Context(), long)
	if err != nil {
		t.Fatal(err)
	}
	err = d.Check(t.Context(), Login{User: "alice", Password: long, Hash: hash, Source: here})
	wantKind(t, err, model.Forbidden)
}

// What is remembered of good logins is bounded.
func TestRememberedLoginsAreBounded(t *testing.T) {
	d := newDesk(t)
	for i := range maxGood + 10 {
		d.remember([32]byte{byte(i), byte(i >> 8)})
	}
	if len(d.good) > maxGood {
		t.Errorf("%d are remembered", len(d.good))
	}
}

// A long token is refused before its signature is looked at.
func TestLongTokens(t *testing.T) {
	s := Signer{Key: [32]byte{1}}
	text := tokenHead + base64.RawURLEncoding.EncodeToString([]byte(`{"u":"`+strings.Repeat("x", MaxToken)+`","e":99999999999}`))
	text += "." + base64.RawURLEncoding.EncodeToString(s.mac(text))
	if _, err := s.Open(text, time.Unix(0, 0)); !errors.Is(err, ErrForged) {
		t.Errorf("%v", err)
	}
}

// A place is a place, however its address is written.
func TestPlacesOfLogins(t *testing.T) {
	for a, b := range map[string]string{"192.0.2.1": "::ffff:192.0.2.1", "2001:db8::1": "2001:db8::2", "fe80::1%eth0": "fe80::1%eth1"} {
		if x, y := source(netip.MustParseAddr(a)), source(netip.MustParseAddr(b)); x != y {
			t.Errorf("%s is %s, %s is %s", a, x, b, y)
		}
	}
	if source(netip.MustParseAddr("2001:db8::1")) == source(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("two networks are one place")
	}
}
