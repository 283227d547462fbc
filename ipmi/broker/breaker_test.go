package broker

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/ipmi/udptest"
	"provision-plugins/sim/bmc"
)

// lockout starts a BMC that locks its account after three refused logins.
func lockout(t *testing.T) *bmc.BMC {
	t.Helper()
	sim := startFleet(t, bmc.Options{On: true}).BMC(0)
	sim.SetFaults(bmc.Faults{LockoutAfter: 3})
	return sim
}

// checkTried fails unless the BMC saw so many logins, of which none counts
// against an account any more.
func checkTried(t *testing.T, sim *bmc.BMC, want int) {
	t.Helper()
	eventually(t, "the BMC was told that the login is given up", func() bool {
		return sim.Executed(bmc.LoginRefused)+sim.Executed(bmc.SessionOpen) >= min(want, sim.Executed(bmc.RAKP1))
	})
	if got := sim.Executed(bmc.RAKP1); got != want {
		t.Errorf("the BMC saw %d logins, want %d: %v", got, want, sim.Ledger())
	}
	if sim.Locked() {
		t.Error("the account is locked")
	}
}

// TestLockoutNever: a hundred callers with a wrong password cost two logins, at
// once and one after the other.
func TestLockoutNever(t *testing.T) {
	sim := lockout(t)
	b := newBroker(t, Options{})
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			err := tryOpen(bounded(t), b, sim, wrong)
			if r := reasonIn(err); r != rmcp.BadPassword && r != Suspended {
				t.Errorf("%v, want a refusal", err)
			}
		})
	}
	all.Wait()
	checkTried(t, sim, 2)
	for range 20 {
		err := tryOpen(bounded(t), b, sim, wrong)
		var s *Suspension
		if reasonIn(err) != Suspended || !errors.As(err, &s) || s.Reason != rmcp.BadPassword || s.Refusals != 2 {
			t.Errorf("%v, want %q", err, Suspended)
		}
		if err != nil && strings.Contains(err.Error(), string(wrong.Password)) {
			t.Errorf("%v tells the password", err)
		}
	}
	checkTried(t, sim, 2)
	state := b.Inspect(sim.Addr(), wrong)
	if state.Breaker != Open || state.Refusals != 2 || state.Reason != rmcp.BadPassword || state.Until.IsZero() {
		t.Errorf("%+v", state)
	}
}

// TestLockoutImpatient: callers that leave after the first refusal count, too.
func TestLockoutImpatient(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	b := newBroker(t, Options{})
	refused, left := make(chan struct{}), make(chan struct{})
	first := true
	proxy := udptest.New(t, sim.Addr(), func(d udptest.Datagram) [][]byte {
		const payloadAt, rakp3 = 5, 0x14
		if first && d.Direction == udptest.ToServer && d.Data[payloadAt] == rakp3 { // the login is given up
			first = false
			close(refused)
			<-left
		}
		return udptest.Pass(d)
	})
	ctx, cancel := context.WithCancel(bounded(t))
	go func() {
		<-refused
		cancel()
		close(left)
	}()
	target := Target{Peer: proxy.Addr(), Login: wrong, Interval: -1}
	if _, err := b.Open(ctx, target); err == nil {
		t.Fatal("opened")
	}
	for range 5 {
		if _, err := b.Open(bounded(t), target); err == nil {
			t.Fatal("opened")
		}
	}
	checkTried(t, sim, 2)
}

// TestBreakerPerCredential: the password of one caller is not the fault of
// another, and a new one is tried at once.
func TestBreakerPerCredential(t *testing.T) {
	sim := lockout(t)
	b := newBroker(t, Options{})
	good := open(t, b, sim.Addr())
	if err := tryOpen(bounded(t), b, sim, wrong); reasonIn(err) != rmcp.BadPassword {
		t.Fatalf("%v", err)
	}
	if _, err := status(bounded(t), good); err != nil {
		t.Errorf("the right password: %v", err)
	}
	sessions := sim.Executed(bmc.SessionOpen)
	if err := tryOpen(bounded(t), b, sim, wrong); reasonIn(err) != Suspended {
		t.Errorf("%v, want %q", err, Suspended)
	}
	if _, err := status(bounded(t), good); err != nil {
		t.Errorf("the right password: %v", err)
	}
	if got := sim.Executed(bmc.SessionOpen); got != sessions {
		t.Errorf("%d sessions more: a login that was not tried cost another its session", got-sessions)
	}
	if got := b.Inspect(sim.Addr(), login); got.Breaker != Shut || got.Refusals != 0 || !got.Session {
		t.Errorf("the right password: %+v", got)
	}
	for _, other := range []rmcp.Login{
		{Username: "admin", Password: "guess", Kg: "key"}, {Username: "admin2", Password: "guess"}, {Username: "admin", Password: "guess2"},
	} {
		if got := b.Inspect(sim.Addr(), other); got.Breaker != Shut {
			t.Errorf("%s: %+v", other.Username, got)
		}
	}
}

// TestHalfOpen: after a quarter of an hour one login is tried, once; the right
// password then closes the breaker.
func TestHalfOpen(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	sim.SetFaults(bmc.Faults{WrongPassword: true})
	clock := newClock()
	b := newBroker(t, Options{Clock: clock})
	_ = tryOpen(bounded(t), b, sim, login)
	clock.move(retryAfter - time.Second)
	_ = tryOpen(bounded(t), b, sim, login)
	checkTried(t, sim, 2)

	clock.move(time.Second)
	if got := b.Inspect(sim.Addr(), login); got.Breaker != HalfOpen {
		t.Errorf("%+v, want %s", got, HalfOpen)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { _ = tryOpen(bounded(t), b, sim, login) })
	}
	all.Wait()
	checkTried(t, sim, 3)
	if got := b.Inspect(sim.Addr(), login); got.Breaker != Open || got.Refusals != 3 || got.Until != clock.Now().Add(retryAfter) {
		t.Errorf("%+v", got)
	}

	sim.SetFaults(bmc.Faults{})
	clock.move(retryAfter)
	if err := tryOpen(bounded(t), b, sim, login); err != nil {
		t.Error(err)
	}
	if got := b.Inspect(sim.Addr(), login); got.Breaker != Shut || got.Refusals != 0 {
		t.Errorf("%+v, want %s", got, Shut)
	}
}

// TestProbeWithoutVerdict: a probe that was lost says nothing, and another may
// be made; it sends each message once.
func TestProbeWithoutVerdict(t *testing.T) {
	t.Parallel()
	sim := startFleet(t, bmc.Options{}).BMC(0)
	sim.SetFaults(bmc.Faults{WrongPassword: true})
	clock := newClock()
	b := newBroker(t, Options{Clock: clock})
	_ = tryOpen(bounded(t), b, sim, login)
	eventually(t, "all that was sent has come", func() bool { return sim.Executed(bmc.LoginRefused) == 2 })
	clock.move(retryAfter)
	sim.SetFaults(bmc.Faults{Silent: true})
	before, _ := sim.Datagrams()
	if err := tryOpen(bounded(t), b, sim, login); reasonIn(err) != rmcp.Silent {
		t.Errorf("%v, want %q", err, rmcp.Silent)
	}
	if in, _ := sim.Datagrams(); in != before+1 {
		t.Errorf("%d datagrams for a probe, want 1", in-before)
	}
	sim.SetFaults(bmc.Faults{})
	if err := tryOpen(bounded(t), b, sim, login); err != nil {
		t.Errorf("another probe: %v", err)
	}
}

// TestOneRefusalIsForgotten: one alone means nothing a quarter of an hour later.
func TestOneRefusalIsForgotten(t *testing.T) {
	clock := newClock()
	b := newBreaker(clock)
	peer := netip.MustParseAddrPort("127.0.0.1:623")
	l, err := b.admit(peer, login)
	if err != nil {
		t.Fatal(err)
	}
	l.refused(rmcp.BadPassword)
	l.settle(&rmcp.Error{Reason: rmcp.Silent})
	if l, _ := b.admit(peer, login); l.refusals != 1 || l.probe {
		t.Errorf("%d refusals known, want 1", l.refusals)
	}
	clock.move(retryAfter + time.Second)
	if l, _ := b.admit(peer, login); l.refusals != 0 || l.probe {
		t.Errorf("%d refusals known, want none any more", l.refusals)
	}
}

// TestBreakerRestart: what a BMC refused is known to the next process, also when
// this one ended without a word.
func TestBreakerRestart(t *testing.T) {
	sim := lockout(t)
	dir := t.TempDir()
	clock := newClock()
	log, book := logger()
	for range 5 {
		b := newBroker(t, Options{Clock: clock})
		if err := b.Remember(dir, log); err != nil {
			t.Fatal(err)
		}
		if err := tryOpen(bounded(t), b, sim, wrong); err == nil {
			t.Fatal("opened")
		}
		// It is not closed until the test ends.
	}
	checkTried(t, sim, 2)

	clock.move(retryAfter)
	for range 3 {
		b := newBroker(t, Options{Clock: clock})
		if err := b.Remember(dir, log); err != nil {
			t.Fatal(err)
		}
		_ = tryOpen(bounded(t), b, sim, wrong)
	}
	if got := sim.Executed(bmc.RAKP1); got != 3 {
		t.Errorf("%d logins, want one probe more", got)
	}
	checkFiles(t, dir)
	if book.String() != "" {
		t.Errorf("logged: %s", book)
	}

	sim.SetFaults(bmc.Faults{})
	b := newBroker(t, Options{Clock: clock})
	if err := b.Remember(dir, log); err != nil {
		t.Fatal(err)
	}
	if err := tryOpen(bounded(t), b, sim, login); err != nil {
		t.Errorf("the right password: %v", err)
	}
}

// checkFiles fails unless the files are the owner's only, and tell nothing of
// the credentials.
func checkFiles(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("%d files, want 2", len(entries))
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", e.Name(), info.Mode(), err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range plain(wrong) {
			if strings.Contains(strings.ToLower(string(raw)), secret) {
				t.Errorf("%s holds %q", e.Name(), secret)
			}
		}
	}
}

// TestBreakerSuccessForgets: a session takes the refusals before it off the file.
func TestBreakerSuccessForgets(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	sim.SetFaults(bmc.Faults{WrongPassword: true})
	dir, clock := t.TempDir(), newClock()
	log, _ := logger()
	b := newBroker(t, Options{Clock: clock})
	if err := b.Remember(dir, log); err != nil {
		t.Fatal(err)
	}
	_ = tryOpen(bounded(t), b, sim, login)
	if got := readState(dir, log); len(got) != 1 {
		t.Errorf("%d logins in the file, want 1", len(got))
	}
	sim.SetFaults(bmc.Faults{})
	clock.move(retryAfter)
	if err := tryOpen(bounded(t), b, sim, login); err != nil {
		t.Fatal(err)
	}
	if got := readState(dir, log); len(got) != 0 {
		t.Errorf("%d logins in the file, want none", len(got))
	}
}

// TestBreakerIsBounded: the oldest refusal makes room.
func TestBreakerIsBounded(t *testing.T) {
	clock := newClock()
	b := newBreaker(clock)
	peer := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 623)
	}
	for i := range maxRefused + 5 {
		l, err := b.admit(peer(i), wrong)
		if err != nil {
			t.Fatal(err)
		}
		l.refused(rmcp.BadPassword)
		l.refused(rmcp.BadPassword)
		clock.move(time.Millisecond)
	}
	if len(b.refused) != maxRefused {
		t.Errorf("%d remembered, want %d", len(b.refused), maxRefused)
	}
	for i, want := range map[int]Breaker{0: Shut, 4: Shut, 5: Open, maxRefused + 4: Open} {
		if got := b.inspect(peer(i), wrong).Breaker; got != want {
			t.Errorf("BMC %d: %s, want %s", i, got, want)
		}
	}
}

// TestLockoutLossy: a network that loses, doubles and delays makes neither a
// wrong password nor the right one lock the account.
func TestLockoutLossy(t *testing.T) {
	t.Parallel()
	count, rate := 24, 0.1
	if os.Getenv("OOB_NIGHTLY") != "" {
		count, rate = 256, 0.2
	}
	f := startFleet(t, bmc.Options{Count: count, Seed: 5})
	b := newBroker(t, Options{FirstTry: brisk})
	var all sync.WaitGroup
	for i := range count {
		sim := f.BMC(i)
		sim.SetFaults(bmc.Faults{
			LockoutAfter: 3, LossRate: rate, DuplicateRate: rate, Latency: 2 * time.Millisecond, Jitter: 10 * time.Millisecond,
		})
		used := []rmcp.Login{login, wrong}[i%2]
		for range 5 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(bounded(t), 8*time.Second)
				defer cancel()
				err := tryOpen(ctx, b, sim, used)
				if (err == nil) != (used == login) && reasonIn(err) != rmcp.Silent {
					t.Errorf("%s: %v", used.Password, err)
				}
			})
		}
	}
	all.Wait()
	for i := range count {
		if sim := f.BMC(i); sim.Locked() {
			t.Errorf("BMC %d, right password %v: the account is locked: %v", i, i%2 == 0, sim.Ledger())
		}
	}
}
