package broker

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/rmcp"
)

// plain is what must not stand in a file: the secret, and hashes of it that can
// be looked up, in hexadecimal.
func plain(l rmcp.Login) []string {
	out := []string{string(l.Password), hex.EncodeToString([]byte(l.Password))}
	for _, text := range []string{string(l.Password), l.Username + string(l.Password), l.Username + ":" + string(l.Password)} {
		a, b, c := sha256.Sum256([]byte(text)), sha1.Sum([]byte(text)), md5.Sum([]byte(text))
		for _, sum := range [][]byte{a[:], b[:], c[:]} {
			out = append(out, hex.EncodeToString(sum[:16]))
		}
	}
	return out
}

// some is a memory of two logins.
func some() map[refusalKey]refusals {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return map[refusalKey]refusals{
		{netip.MustParseAddrPort("10.0.0.5:623"), [16]byte{1, 2}}:       {2, at, rmcp.BadPassword},
		{netip.MustParseAddrPort("[2001:db8::1]:6230"), [16]byte{0xff}}: {1, at.Add(time.Second), rmcp.BadUsername},
	}
}

func TestStateRoundTrip(t *testing.T) {
	for _, want := range []map[refusalKey]refusals{some(), {}} {
		got, err := parseState(encodeState(want))
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
}

// broken is files that are not ours.
var broken = map[string]string{
	"empty":           "",
	"garbage":         "\x00\x01\x02",
	"cut":             `{"version":1,"refused":[{"bmc":"10.0.0.5:623","cred`,
	"null":            "null",
	"another version": `{"version":2,"refused":[]}`,
	"no version":      `{"refused":[]}`,
	"more after it":   `{"version":1,"refused":[]}{}`,
	"unknown field":   `{"version":1,"refused":[],"password":"x"}`,
	"no address":      `{"version":1,"refused":[{"bmc":"","credential":"` + zeros + `","count":2,"at":"2026-03-01T12:00:00Z","reason":""}]}`,
	"bad address":     `{"version":1,"refused":[{"bmc":"10.0.0:5","credential":"` + zeros + `","count":2,"at":"2026-03-01T12:00:00Z","reason":""}]}`,
	"short hash":      `{"version":1,"refused":[{"bmc":"10.0.0.5:623","credential":"00","count":2,"at":"2026-03-01T12:00:00Z","reason":""}]}`,
	"long hash":       `{"version":1,"refused":[{"bmc":"10.0.0.5:623","credential":"` + zeros + `00","count":2,"at":"2026-03-01T12:00:00Z","reason":""}]}`,
	"no hash":         `{"version":1,"refused":[{"bmc":"10.0.0.5:623","credential":"guess","count":2,"at":"2026-03-01T12:00:00Z","reason":""}]}`,
	"no count":        `{"version":1,"refused":[{"bmc":"10.0.0.5:623","credential":"` + zeros + `","at":"2026-03-01T12:00:00Z","reason":""}]}`,
	"negative count":  `{"version":1,"refused":[{"bmc":"10.0.0.5:623","credential":"` + zeros + `","count":-2,"at":"2026-03-01T12:00:00Z","reason":""}]}`,
	"no time":         `{"version":1,"refused":[{"bmc":"10.0.0.5:623","credential":"` + zeros + `","count":2,"reason":""}]}`,
	"long reason":     `{"version":1,"refused":[{"bmc":"10.0.0.5:623","credential":"` + zeros + `","count":2,"at":"2026-03-01T12:00:00Z","reason":"` + strings.Repeat("x", 300) + `"}]}`,
}

const zeros = "00000000000000000000000000000000"

func TestParseStateRefuses(t *testing.T) {
	for name, text := range broken {
		if m, err := parseState([]byte(text)); err == nil {
			t.Errorf("%s: taken as %v", name, m)
		}
	}
	many := map[refusalKey]refusals{}
	for i := range maxRefused + 1 {
		k := refusalKey{peer: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 623)}
		many[k] = refusals{count: 2, at: newClock().Now()}
	}
	if _, err := parseState(encodeState(many)); err == nil {
		t.Error("too many entries were taken")
	}
}

// TestCorruptStateIsIgnored: with a warning, and the next one is good.
func TestCorruptStateIsIgnored(t *testing.T) {
	broken["far too long"] = strings.Repeat(" ", maxState+1)
	for name, text := range broken {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, stateName)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			log, book := logger()
			b := newBreaker(newClock())
			if err := b.remember(dir, log); err != nil {
				t.Fatal(err)
			}
			if len(b.refused) != 0 || strings.Count(book.String(), "level=WARN") != 1 || !strings.Contains(book.String(), path) {
				t.Errorf("%d entries; logged %q", len(b.refused), book)
			}
			l, err := b.admit(netip.MustParseAddrPort("10.0.0.5:623"), wrong)
			if err != nil {
				t.Fatal(err)
			}
			l.refused(rmcp.BadPassword)
			if got := readState(dir, log); len(got) != 1 {
				t.Errorf("%d entries afterwards, want 1", len(got))
			}
		})
	}
}

// TestKeyLost: hashes by another key mean nothing; a key that is not one is
// replaced.
func TestKeyLost(t *testing.T) {
	peer := netip.MustParseAddrPort("10.0.0.5:623")
	for name, content := range map[string][]byte{"short": []byte("x"), "long": bytes.Repeat([]byte("x"), 100), "gone": nil, "kept": []byte(nil)} {
		t.Run(name, func(t *testing.T) {
			dir, clock := t.TempDir(), newClock()
			log, _ := logger()
			b := newBreaker(clock)
			if err := b.remember(dir, log); err != nil {
				t.Fatal(err)
			}
			l, _ := b.admit(peer, wrong)
			l.refused(rmcp.BadPassword)
			l.refused(rmcp.BadPassword)
			path := filepath.Join(dir, keyName)
			var err error
			switch {
			case content != nil:
				err = os.WriteFile(path, content, 0o600)
			case name == "gone":
				err = os.Remove(path)
			}
			if err != nil {
				t.Fatal(err)
			}
			next := newBreaker(clock)
			if err := next.remember(dir, log); err != nil {
				t.Fatal(err)
			}
			want := Shut
			if name == "kept" {
				want = Open
			}
			if got := next.inspect(peer, wrong).Breaker; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if raw, err := os.ReadFile(path); err != nil || len(raw) != len(next.key) {
				t.Errorf("key of %d bytes, %v", len(raw), err)
			}
		})
	}
}

// TestHashIsKeyed: what stands for a login in one installation says nothing about
// it in another.
func TestHashIsKeyed(t *testing.T) {
	peer := netip.MustParseAddrPort("10.0.0.5:623")
	seen := map[string]bool{}
	for range 3 {
		dir := t.TempDir()
		log, _ := logger()
		for range 2 { // the second time with the key of the first
			b := newBreaker(newClock())
			if err := b.remember(dir, log); err != nil {
				t.Fatal(err)
			}
			l, _ := b.admit(peer, wrong)
			l.refused(rmcp.BadPassword)
			seen[hex.EncodeToString(l.key.credential[:])] = true
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d hashes of one login in 3 installations, want 3", len(seen))
	}
}

// TestFutureIsNow: a clock that was set back does not keep a breaker open.
func TestFutureIsNow(t *testing.T) {
	dir, clock := t.TempDir(), newClock()
	log, _ := logger()
	b := newBreaker(clock)
	if err := b.remember(dir, log); err != nil {
		t.Fatal(err)
	}
	peer := netip.MustParseAddrPort("10.0.0.5:623")
	clock.move(1000 * time.Hour)
	l, _ := b.admit(peer, wrong)
	l.refused(rmcp.BadPassword)
	l.refused(rmcp.BadPassword)
	past := newClock()
	next := newBreaker(past)
	if err := next.remember(dir, log); err != nil {
		t.Fatal(err)
	}
	if got := next.inspect(peer, wrong); got.Until != past.Now().Add(retryAfter) {
		t.Errorf("open until %v", got.Until)
	}
}

// TestUnwritable: without a file all works, with a warning.
func TestUnwritable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	log, book := logger()
	b := newBreaker(newClock())
	if err := b.remember(dir, log); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l, _ := b.admit(netip.MustParseAddrPort("10.0.0.5:623"), wrong)
	l.refused(rmcp.BadPassword)
	l.refused(rmcp.BadPassword)
	if strings.Count(book.String(), "level=WARN") != 2 || b.inspect(l.key.peer, wrong).Breaker != Open {
		t.Errorf("logged %q", book)
	}
	if err := newBreaker(newClock()).remember(dir, log); err == nil {
		t.Error("a folder that is not there was taken")
	}
}

// TestSaveTogether: many at once are all in the file when they return, in fewer
// writings than there were.
func TestSaveTogether(t *testing.T) {
	dir, clock := t.TempDir(), newClock()
	log, _ := logger()
	b := newBreaker(clock)
	if err := b.remember(dir, log); err != nil {
		t.Fatal(err)
	}
	const n = 200
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 623)
			l, err := b.admit(peer, wrong)
			if err != nil {
				t.Error(err)
				return
			}
			l.refused(rmcp.BadPassword)
			if r := readState(dir, log)[l.key]; r.count != 1 {
				t.Errorf("%s is not in the file when it was remembered", peer)
			}
		})
	}
	all.Wait()
	if got := readState(dir, log); len(got) != n {
		t.Errorf("%d in the file, want %d", len(got), n)
	}
}

// FuzzParseState: whatever stands in the file, what is taken of it is in bounds
// and can be written again.
func FuzzParseState(f *testing.F) {
	f.Add(encodeState(some()))
	for _, text := range broken {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseState(raw)
		if err != nil {
			if m != nil {
				t.Error("an error, and entries")
			}
			return
		}
		for k, r := range m {
			if !k.peer.IsValid() || r.count < 1 || r.count > maxCount || len(r.reason) > maxReason {
				t.Errorf("%+v: %+v", k, r)
			}
		}
		again, err := parseState(encodeState(m))
		if err != nil || fmt.Sprint(len(again)) != fmt.Sprint(len(m)) {
			t.Errorf("%d entries became %d: %v", len(m), len(again), err)
		}
	})
}
