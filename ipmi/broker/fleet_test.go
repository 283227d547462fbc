package broker

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/sim/bmc"
)

// envFleet makes this program simulate so many BMCs and do nothing else: what is
// measured here must be the broker's alone.
const envFleet = "BROKER_TEST_FLEET"

// serveFleet prints the addresses of so many BMCs and an empty line, and serves
// until its standard input ends.
func serveFleet(count string) (exit int) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return 2
	}
	f, err := bmc.New(bmc.Options{Count: n, Host: netip.MustParseAddr("127.3.0.1"), On: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer f.Close()
	out := bufio.NewWriter(os.Stdout)
	for i := range n {
		fmt.Fprintln(out, f.BMC(i).Addr())
	}
	fmt.Fprintln(out)
	if out.Flush() != nil {
		return 2
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // whatever ends the input ends the fleet
	return 0
}

// startApart simulates BMCs in a process of their own, until the test ends.
func startApart(tb testing.TB, count int) []netip.AddrPort {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envFleet+"="+strconv.Itoa(count))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			tb.Error(err)
		}
	})
	var addrs []netip.AddrPort
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != ""; {
		addr, err := netip.ParseAddrPort(lines.Text())
		if err != nil {
			tb.Fatal(err)
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) != count {
		tb.Fatalf("%d of %d BMCs came up", len(addrs), count)
	}
	return addrs
}

// statusOf asks all BMCs for their state at once, with that interval.
func statusOf(tb testing.TB, b *Broker, addrs []netip.AddrPort, interval time.Duration) {
	tb.Helper()
	ctx := bounded(tb)
	var all sync.WaitGroup
	for _, addr := range addrs {
		all.Go(func() {
			h, err := b.Open(ctx, Target{Peer: addr, Login: login, Interval: interval})
			if err != nil {
				tb.Errorf("%v: %v", addr, err)
				return
			}
			defer h.Close()
			if on, err := status(ctx, h); err != nil || !on {
				tb.Errorf("%v: on = %v, %v", addr, on, err)
			}
		})
	}
	all.Wait()
}

// heap is the memory in use, and the goroutines.
func heap() (bytes, goroutines int) {
	runtime.GC()
	runtime.GC() // what has a finalizer goes the second time
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc), runtime.NumGoroutine()
}

// The bounds at rest, in bytes.
const (
	perBMC     = 2 << 10
	perSession = 3 << 10
)

// TestAtRest holds what a BMC costs that nobody uses, with its session open and
// when that was closed: memory, goroutines and sockets.
func TestAtRest(t *testing.T) {
	const count = 2000
	addrs := startApart(t, count)
	clock := newClock()
	b := newBroker(t, Options{Clock: clock})
	statusOf(t, b, addrs[:1], -1) // what there is one of
	before, threads := heap()
	sockets := openFiles(t)
	warm := clock.waiting()

	statusOf(t, b, addrs[1:], -1)
	open, goroutines := heap()
	each := (open - before) / (count - 1)
	t.Logf("%d bytes a BMC with its session open, %d goroutines more", each, goroutines-threads)
	if each > perBMC+perSession {
		t.Errorf("%d bytes a BMC with its session open, want %d at most", each, perBMC+perSession)
	}
	if goroutines > threads || clock.waiting() > warm || openFiles(t) > sockets {
		t.Errorf("%d goroutines, %d timers and %d files for BMCs at rest",
			goroutines-threads, clock.waiting()-warm, openFiles(t)-sockets)
	}

	for range 5 { // the sweep comes four times as often
		clock.move(5 * time.Second)
	}
	known, _ := heap()
	rest := (known - before) / (count - 1)
	t.Logf("%d bytes a BMC known; so %d bytes a session", rest, each-rest)
	if rest > perBMC || each-rest > perSession {
		t.Errorf("%d bytes a BMC known, %d a session; want %d and %d at most", rest, each-rest, perBMC, perSession)
	}
	if got := b.Inspect(addrs[7], login); got.Session || got.Known.Suite != 17 || got.Known.RTT <= 0 {
		t.Errorf("at rest: %+v", got)
	}
	if clock.waiting() != 0 {
		t.Errorf("%d timers with nothing to do", clock.waiting())
	}
}

// openFiles is how many files and sockets this process has open; 0 where that
// cannot be told.
func openFiles(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// TestLargeFleet asks thousands of BMCs, then again with all sessions warm.
func TestLargeFleet(t *testing.T) {
	count := 500
	if os.Getenv("OOB_NIGHTLY") != "" {
		count = 10_000
	}
	addrs := startApart(t, count)
	b := newBroker(t, Options{})
	began := time.Now()
	statusOf(t, b, addrs, 0)
	cold := time.Since(began)
	began = time.Now()
	statusOf(t, b, addrs, 0)
	warm := time.Since(began)
	t.Logf("%d BMCs: cold status of all %.2f s, warm %.2f s, %s resident", count, cold.Seconds(), warm.Seconds(), resident(t))
	for _, addr := range addrs[:10] {
		if got := b.Inspect(addr, login); !got.Session || got.Trouble != "" {
			t.Errorf("%v: %+v", addr, got)
		}
	}
}

// resident is the memory of this process, in words.
func resident(tb testing.TB) string {
	tb.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(raw)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			return fields[1] + " KiB at most"
		}
	}
	return "unknown"
}

// BenchmarkWarmStatus is one status in a warm session, opened and closed as an
// action does.
func BenchmarkWarmStatus(b *testing.B) {
	addrs := startApart(b, 1)
	broker := newBroker(b, Options{})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		h, err := broker.Open(ctx, Target{Peer: addrs[0], Login: login, Interval: -1})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := status(ctx, h); err != nil {
			b.Fatal(err)
		}
		h.Close()
	}
}

// BenchmarkFleetStatus is the status of a thousand BMCs with warm sessions.
func BenchmarkFleetStatus(b *testing.B) {
	addrs := startApart(b, 1000)
	broker := newBroker(b, Options{})
	statusOf(b, broker, addrs, -1)
	b.ReportAllocs()
	for b.Loop() {
		statusOf(b, broker, addrs, -1)
	}
}
