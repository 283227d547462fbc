package broker

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/sim/bmc"
)

// sharing returns breakers that keep their memory in one folder, as processes do.
func sharing(t *testing.T, clock Clock, n int) (dir string, out []*breaker) {
	t.Helper()
	dir = t.TempDir()
	log, _ := logger()
	for range n {
		b := newBreaker(clock)
		if err := b.remember(dir, log); err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return dir, out
}

// refuse makes a BMC refuse a login so many times.
func refuse(t *testing.T, b *breaker, peer netip.AddrPort, times int) {
	t.Helper()
	l, err := b.admit(peer, wrong)
	if err != nil {
		t.Fatal(err)
	}
	for range times {
		l.refused(rmcp.BadPassword)
	}
	l.settle(&rmcp.Error{Reason: rmcp.BadPassword})
}

// peerAt is one of many BMCs that are not there.
func peerAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), 623)
}

// TestSharedRefusals: what one process was refused is known to another that
// shares the folder, in time for its next login; neither loses what the other
// wrote; and a login that works is forgotten by both.
func TestSharedRefusals(t *testing.T) {
	clock := newClock()
	dir, both := sharing(t, clock, 2)
	a, b := both[0], both[1]
	refuse(t, a, peerAt(1), 2)
	refuse(t, b, peerAt(2), 2)
	refuse(t, a, peerAt(3), 1)
	for i, want := range map[int]Breaker{1: Open, 2: Open, 3: Shut} {
		for n, p := range both {
			if got := p.inspect(peerAt(i), wrong); got.Breaker != want || got.Refusals == 0 {
				t.Errorf("process %d, BMC %d: %+v, want %s", n, i, got, want)
			}
			if err := p.check(peerAt(i), wrong); (err != nil) != (want == Open) {
				t.Errorf("process %d, BMC %d: %v", n, i, err)
			}
		}
	}
	refuse(t, b, peerAt(3), 1)
	if _, err := a.admit(peerAt(3), wrong); err == nil {
		t.Error("two refusals in two processes are not two")
	}

	clock.move(retryAfter)
	l, err := b.admit(peerAt(1), wrong)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.admit(peerAt(1), wrong); err == nil {
		t.Error("a probe in each process")
	}
	l.settle(nil)
	if got := a.inspect(peerAt(1), wrong); got.Refusals != 0 {
		t.Errorf("it works in one process, and in the other: %+v", got)
	}
	refuse(t, a, peerAt(4), 2)
	log, _ := logger()
	if got := readState(dir, log); len(got) != 3 {
		t.Errorf("%d logins in the file, want 3", len(got))
	}
}

// TestSharedAtOnce: many that write at the same time lose nothing.
func TestSharedAtOnce(t *testing.T) {
	const processes, each = 4, 40
	_, all := sharing(t, newClock(), processes)
	var writers sync.WaitGroup
	for n, b := range all {
		for i := range each {
			writers.Go(func() { refuse(t, b, peerAt(n*each+i), 2) })
		}
	}
	writers.Wait()
	for n, b := range all {
		for i := range processes * each {
			if got := b.inspect(peerAt(i), wrong); got.Breaker != Open {
				t.Fatalf("process %d, BMC %d: %+v", n, i, got)
			}
		}
	}
}

// TestSharedKey: of those that make the key at once all have the same.
func TestSharedKey(t *testing.T) {
	dir := t.TempDir()
	keys := make(chan [32]byte, 8)
	var all sync.WaitGroup
	for range cap(keys) {
		all.Go(func() {
			key, err := readKey(dir)
			if err != nil {
				t.Error(err)
			}
			keys <- key
		})
	}
	all.Wait()
	first := <-keys
	for range cap(keys) - 1 {
		if <-keys != first {
			t.Fatal("two keys")
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v; want the key alone", len(entries), err)
	}
}

// TestFileTakenAway: a file that is gone or damaged takes no refusal from a
// process that knows it.
func TestFileTakenAway(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"gone":    os.Remove,
		"damaged": func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
	} {
		dir, one := sharing(t, newClock(), 1)
		b := one[0]
		refuse(t, b, peerAt(1), 2)
		if err := spoil(filepath.Join(dir, stateName)); err != nil {
			t.Fatal(err)
		}
		if got := b.inspect(peerAt(1), wrong); got.Breaker != Open {
			t.Errorf("%s: %+v", name, got)
		}
		refuse(t, b, peerAt(2), 2)
		log, _ := logger()
		if got := readState(dir, log); len(got) != 2 {
			t.Errorf("%s: %d logins in the file, want 2", name, len(got))
		}
	}
}

// TestUnsavedIsKept: what could not be written is not lost to what another
// process writes.
func TestUnsavedIsKept(t *testing.T) {
	dir, both := sharing(t, newClock(), 2)
	hidden := dir + "-away"
	if err := os.Rename(dir, hidden); err != nil {
		t.Fatal(err)
	}
	refuse(t, both[0], peerAt(1), 2)
	if err := os.Rename(hidden, dir); err != nil {
		t.Fatal(err)
	}
	refuse(t, both[1], peerAt(2), 2)
	for i := 1; i <= 2; i++ {
		if got := both[0].inspect(peerAt(i), wrong); got.Breaker != Open {
			t.Errorf("BMC %d: %+v", i, got)
		}
	}
	refuse(t, both[0], peerAt(3), 1)
	if got := both[1].inspect(peerAt(1), wrong); got.Breaker != Open {
		t.Errorf("the other process, later: %+v", got)
	}
	if len(both[0].unsaved) != 0 {
		t.Errorf("%d changes are still to be written", len(both[0].unsaved))
	}
}

// TestHigherCountWins: of what this process could not write and what another has
// written of the same login, the one that was refused more often counts.
func TestHigherCountWins(t *testing.T) {
	for name, tc := range map[string]struct{ ours, theirs int }{"ours": {3, 1}, "theirs": {1, 3}, "the same": {2, 2}} {
		dir, both := sharing(t, newClock(), 2)
		hidden := dir + "-away"
		if err := os.Rename(dir, hidden); err != nil {
			t.Fatal(err)
		}
		refuse(t, both[0], peerAt(1), tc.ours)
		if err := os.Rename(hidden, dir); err != nil {
			t.Fatal(err)
		}
		refuse(t, both[1], peerAt(1), tc.theirs)
		want := max(tc.ours, tc.theirs)
		if got := both[0].inspect(peerAt(1), wrong); got.Refusals != want {
			t.Errorf("%s: %d refusals, want %d", name, got.Refusals, want)
		}
		refuse(t, both[0], peerAt(2), 1) // writes both
		if got := both[1].inspect(peerAt(1), wrong); got.Refusals != want {
			t.Errorf("%s, in the other process: %d refusals, want %d", name, got.Refusals, want)
		}
	}
}

// TestConfiguredAgain: the folder may be named again while logins are refused.
func TestConfiguredAgain(t *testing.T) {
	dir, one := sharing(t, newClock(), 1)
	log, _ := logger()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { refuse(t, one[0], peerAt(i), 2) })
		all.Go(func() {
			if err := one[0].remember(dir, log); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range 20 {
		if got := one[0].inspect(peerAt(i), wrong); got.Breaker != Open {
			t.Errorf("BMC %d: %+v", i, got)
		}
	}
}

// TestFleetOfRefusals: a password that is wrong on a whole fleet is remembered of
// each BMC, and read back.
func TestFleetOfRefusals(t *testing.T) {
	m := map[refusalKey]refusals{}
	for i := range maxRefused {
		k := refusalKey{peer: netip.AddrPortFrom(netip.AddrFrom16([16]byte{
			0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, byte(i >> 8), byte(i),
		}), 65535)}
		m[k] = refusals{count: maxCount, at: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC), reason: rmcp.Privilege}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, stateName), encodeState(m), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readState(dir, slog.New(slog.DiscardHandler)); len(got) != len(m) {
		t.Errorf("%d of %d read back", len(got), len(m))
	}
}

// TestClockSetBack: a clock that is set back while this runs keeps no breaker
// open for longer.
func TestClockSetBack(t *testing.T) {
	clock := newClock()
	_, both := sharing(t, clock, 2)
	refuse(t, both[0], peerAt(1), 2)
	if got := both[1].inspect(peerAt(1), wrong); got.Breaker != Open {
		t.Fatalf("%+v", got)
	}
	clock.move(-100 * time.Hour)
	for n, b := range both {
		if got := b.inspect(peerAt(1), wrong); got.Until.After(clock.Now().Add(retryAfter)) {
			t.Errorf("process %d: open until %v", n, got.Until)
		}
	}
	clock.move(retryAfter)
	if _, err := both[1].admit(peerAt(1), wrong); err != nil {
		t.Errorf("a quarter of an hour later: %v", err)
	}
}

// TestTryAgain: who has mended the account on the BMC need not wait; whoever asks
// for it, and how often, costs one handshake, and no more for a minute.
func TestTryAgain(t *testing.T) {
	sim := startFleet(t, bmc.Options{}).BMC(0)
	sim.SetFaults(bmc.Faults{WrongPassword: true})
	clock := newClock()
	b := newBroker(t, Options{Clock: clock})
	_ = tryOpen(bounded(t), b, sim, login)
	checkTried(t, sim, opensAt)
	again := func() error {
		h, err := b.OpenOnce(bounded(t), Target{Peer: sim.Addr(), Login: login, Again: true, Interval: -1})
		if err == nil {
			h.Close()
		}
		return err
	}
	if err := again(); reasonIn(err) != Suspended {
		t.Errorf("at once: %v, want %q", err, Suspended)
	}
	checkTried(t, sim, opensAt)

	clock.move(againAfter)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := again(); reasonIn(err) != rmcp.BadPassword && reasonIn(err) != Suspended {
				t.Errorf("%v, want a refusal", err)
			}
			_ = tryOpen(bounded(t), b, sim, login)
		})
	}
	all.Wait()
	checkTried(t, sim, opensAt+1)
	if got := b.Inspect(sim.Addr(), login); got.Breaker != Open || got.Until != clock.Now().Add(retryAfter) {
		t.Errorf("%+v", got)
	}

	sim.SetFaults(bmc.Faults{})
	clock.move(againAfter)
	if err := tryOpen(bounded(t), b, sim, login); reasonIn(err) != Suspended {
		t.Errorf("who does not ask for it: %v", err)
	}
	if err := again(); err != nil {
		t.Errorf("mended: %v", err)
	}
	if err := tryOpen(bounded(t), b, sim, login); err != nil {
		t.Errorf("after that: %v", err)
	}
}
