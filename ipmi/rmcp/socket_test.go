package rmcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/command/chassis"

	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/model"
)

// patient is a transport on which a lost wake-up shows as a retransmission: no BMC
// here needs as long. The reader stays aside.
func patient(tb testing.TB) *Transport {
	tr := newTestTransport(tb)
	tr.FirstTry, tr.quiet = 20*time.Second, time.Hour
	return tr
}

// alone asks in s until the reader stands aside for it.
func alone(tb testing.TB, s *Session) *socket {
	tb.Helper()
	k, err := s.t.socket(s.peer)
	if err != nil {
		tb.Fatal(err)
	}
	eventually(tb, "the reader stands aside", func() bool {
		powerIsOn(tb, s)
		return k.state().aside
	})
	return k
}

// roles is who reads a socket.
type roles struct{ aside, reading bool }

// state is who reads the socket now.
func (k *socket) state() roles {
	k.mu.Lock()
	defer k.mu.Unlock()
	return roles{k.aside, k.reading}
}

// relay is a BMC whose answers are held back while hold is not nil.
type relay struct {
	*udptest.Proxy
	mu   sync.Mutex
	hold chan struct{} // closed to let them go
}

// newRelay starts one for a BMC that is on.
func newRelay(tb testing.TB) *relay {
	tb.Helper()
	b := startBMC(tb, bmcOptions{})
	b.chassis.set(tb, true)
	r := &relay{}
	r.Proxy = udptest.New(tb, b.addr, func(d udptest.Datagram) [][]byte {
		r.mu.Lock()
		hold := r.hold
		r.mu.Unlock()
		if d.Direction == udptest.ToClient && hold != nil {
			<-hold
		}
		return udptest.Pass(d)
	})
	tb.Cleanup(r.pass)
	return r
}

// stop holds back what the BMC answers from now on.
func (r *relay) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = make(chan struct{})
}

// pass ends that.
func (r *relay) pass() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hold != nil {
		close(r.hold)
		r.hold = nil
	}
}

// ask reads the power state in the background; what is said must be on.
func ask(ctx context.Context, s *Session) <-chan error {
	said := make(chan error, 1)
	go func() {
		var res chassis.GetChassisStatusResponse
		err := s.Do(ctx, &Call{Request: &chassis.GetChassisStatusRequest{}, Response: &res, Class: model.Read})
		if err == nil && !res.PowerIsOn {
			err = errors.New("power reads off, want on")
		}
		said <- err
	}()
	return said
}

// held asks in s, and returns when s reads for itself and its answer is held back.
func (r *relay) held(ctx context.Context, tb testing.TB, s *Session) <-chan error {
	tb.Helper()
	k, err := s.t.socket(s.peer)
	if err != nil {
		tb.Fatal(err)
	}
	r.stop()
	said := ask(ctx, s)
	eventually(tb, "the session reads for itself", func() bool { return k.state().reading })
	return said
}

// unhurriedly fails if anything was sent again.
func unhurriedly(tb testing.TB, tr *Transport) {
	tb.Helper()
	if n := tr.Counted(Retransmits); n != 0 {
		tb.Errorf("%d datagrams were sent again: a wake-up was lost", n)
	}
}

// TestReadsForItself: commands that come one after another are answered while the
// reader stands aside, by IPv4 and IPv6.
func TestReadsForItself(t *testing.T) {
	for name, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, bmcOptions{v6: v6})
			tr := patient(t)
			s := openTo(t, tr, b.addr)
			k := alone(t, s)
			for i := range 100 {
				on := i%3 == 0
				b.chassis.set(t, on)
				if powerIsOn(t, s) != on {
					t.Fatalf("command %d reads the wrong state", i)
				}
			}
			if got := k.state(); got != (roles{aside: true}) {
				t.Errorf("afterwards: %+v", got)
			}
			unhurriedly(t, tr)
		})
	}
}

// TestReaderReturns: what comes unasked is taken soon after the last command.
func TestReaderReturns(t *testing.T) {
	tr := newTestTransport(t)
	tr.quiet = time.Millisecond
	s := openTo(t, tr, startBMC(t, bmcOptions{}).addr)
	k, err := tr.socket(s.peer)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * aloneBefore {
		powerIsOn(t, s)
	}
	_, _, noisy := socketPair(t, "127.0.0.1")
	own := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addrOf(k.conn).Port())
	post(t, noisy, own, []byte("garbage"))
	eventually(t, "it is counted", func() bool { return tr.Drops(DropMalformed) == 1 })
	eventually(t, "the reader is back", func() bool { return k.state() == roles{} })
	powerIsOn(t, s)
}

// TestAnotherWaitBegins: a session that reads for itself gives way to a command in
// another one, and to a handshake, and all are answered.
func TestAnotherWaitBegins(t *testing.T) {
	for name, other := range map[string]func(ctx context.Context, tr *Transport, s *Session) <-chan error{
		"command": func(ctx context.Context, _ *Transport, s *Session) <-chan error { return ask(ctx, s) },
		"handshake": func(ctx context.Context, tr *Transport, s *Session) <-chan error {
			said := make(chan error, 1)
			go func() {
				s, err := tr.Open(ctx, Target{Peer: s.peer, Login: login()})
				if err == nil {
					s.Close()
				}
				said <- err
			}()
			return said
		},
	} {
		t.Run(name, func(t *testing.T) {
			slow, quick := newRelay(t), newRelay(t)
			tr := patient(t)
			first, second := openTo(t, tr, slow.Addr()), openTo(t, tr, quick.Addr())
			k := alone(t, first)
			said := slow.held(testContext(t), t, first)
			if err := <-other(testContext(t), tr, second); err != nil {
				t.Errorf("the other one: %v", err)
			}
			if got := k.state(); got != (roles{}) {
				t.Errorf("with two waits: %+v", got)
			}
			slow.pass()
			if err := <-said; err != nil {
				t.Errorf("the one that read for itself: %v", err)
			}
			unhurriedly(t, tr)
			alone(t, second) // it can be had again
		})
	}
}

// TestReaderLeavesInMidWait: a reader that stands aside while a command waits for
// its answer tells it to read for itself.
func TestReaderLeavesInMidWait(t *testing.T) {
	r := newRelay(t)
	tr := patient(t)
	s := openTo(t, tr, r.Addr())
	k, err := tr.socket(s.peer)
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	said := ask(testContext(t), s)
	eventually(t, "it waits", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.alone = aloneBefore // as if others had come before
		return k.only == s
	})
	_, _, noisy := socketPair(t, "127.0.0.1")
	post(t, noisy, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), addrOf(k.conn).Port()), []byte("garbage"))
	eventually(t, "it reads for itself", func() bool { return k.state() == roles{true, true} })
	r.pass()
	if err := <-said; err != nil {
		t.Error(err)
	}
	unhurriedly(t, tr)
}

// TestLeavesWhileReading: a caller that leaves ends the reading at once; the late
// answer is dropped by whoever reads next, another session here.
func TestLeavesWhileReading(t *testing.T) {
	r := newRelay(t)
	tr := patient(t)
	s := openTo(t, tr, r.Addr())
	other := openTo(t, tr, newRelay(t).Addr())
	k := alone(t, s)
	ctx, leave := context.WithCancel(testContext(t))
	said := r.held(ctx, t, s)
	leave()
	if err := <-said; reasonIn(err) != Cancelled {
		t.Errorf("error %v, want %q", err, Cancelled)
	}
	if got := k.state(); got != (roles{aside: true}) {
		t.Errorf("afterwards: %+v", got)
	}
	r.pass()
	eventually(t, "the late answer is dropped", func() bool {
		powerIsOn(t, other)
		return tr.Drops(DropUnexpected) == 1
	})
	unhurriedly(t, tr)
}

// TestReadsOnWhenInterrupted: only who has left, or has an outcome, stops reading
// when interrupted.
func TestReadsOnWhenInterrupted(t *testing.T) {
	r := newRelay(t)
	tr := patient(t)
	s := openTo(t, tr, r.Addr())
	k := alone(t, s)
	said := r.held(testContext(t), t, s)
	for range 100 {
		k.interrupt()
		runtime.Gosched()
	}
	r.pass()
	if err := <-said; err != nil {
		t.Error(err)
	}
	unhurriedly(t, tr)
}

// TestEndsWhileReading: the end of the Transport is the end of a session that reads
// for itself; a deafened one reads no more, and nobody does.
func TestEndsWhileReading(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(tr *Transport, leave func())
		want Reason
	}{
		"closed": {func(tr *Transport, _ func()) { _ = tr.Close() }, Closed},
		"deafened": {func(tr *Transport, leave func()) {
			tr.Deafen()
			tr.readers.Wait()
			leave()
		}, Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelay(t)
			tr := patient(t)
			s := openTo(t, tr, r.Addr())
			alone(t, s)
			ctx, leave := context.WithCancel(testContext(t))
			defer leave()
			said := r.held(ctx, t, s)
			tc.end(tr, leave)
			if err := <-said; reasonIn(err) != tc.want {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// TestClosedWhileAside: a Transport is closed, or deafened, while its reader stands
// aside and nobody waits.
func TestClosedWhileAside(t *testing.T) {
	for name, end := range map[string]func(*Transport){
		"closed":   func(tr *Transport) { _ = tr.Close() },
		"deafened": (*Transport).Deafen,
	} {
		t.Run(name, func(t *testing.T) {
			tr := patient(t)
			alone(t, openTo(t, tr, startBMC(t, bmcOptions{}).addr))
			end(tr)
			tr.readers.Wait()
		})
	}
}

// TestSilenceWhileReading: who reads for itself sends again as often as any other,
// and is told that the port is closed.
func TestSilenceWhileReading(t *testing.T) {
	lost := func(udptest.Datagram) [][]byte { return nil }
	for name, tc := range map[string]struct {
		filter udptest.Filter
		first  time.Duration
		want   Reason
		again  uint64
	}{
		"one datagram lost": {udptest.LoseNth(1), firstTry, "", 1},
		"all lost":          {lost, time.Millisecond, Silent, maxTries - 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := udptest.New(t, startBMC(t, bmcOptions{}).addr, udptest.Pass)
			tr := newTestTransport(t)
			tr.quiet = time.Hour
			s := openTo(t, tr, p.Addr())
			alone(t, s)
			tr.FirstTry = tc.first
			p.SetFilter(tc.filter)
			before := tr.Counted(Retransmits)
			err := s.Do(testContext(t), &Call{Request: &chassis.GetChassisStatusRequest{}, Class: model.Read})
			if again := tr.Counted(Retransmits) - before; reasonIn(err) != tc.want || again != tc.again {
				t.Errorf("error %v after %d retransmissions, want %q after %d", err, again, tc.want, tc.again)
			}
		})
	}
}

// TestRefusedWhileReading: the network's news of a closed port end the reading,
// whoever takes them from the socket.
func TestRefusedWhileReading(t *testing.T) {
	r := newRelay(t)
	tr := patient(t)
	s := openTo(t, tr, r.Addr())
	k := alone(t, s)
	said := r.held(testContext(t), t, s)
	nobody := closedPort(t, r.Addr().Addr().AsSlice())
	tr.register(nobody, s.consoleID, s) // as if it had asked there
	for range 3 {
		_ = k.send([]byte("to nobody"), nobody) // the second may tell of the first
	}
	if err := <-said; reasonIn(err) != Refused {
		t.Errorf("error %v, want %q", err, Refused)
	}
	tr.unregister(nobody, s.consoleID, s)
	r.pass()
	powerIsOn(t, s)
	unhurriedly(t, tr)
}

// TestForgeriesWhileReading: who reads for itself believes no more than the reader.
func TestForgeriesWhileReading(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	b.chassis.set(t, true)
	in := injection{before: func([]byte) [][]byte { return nil }}
	p := udptest.New(t, b.addr, in.filter)
	tr := patient(t)
	s := openTo(t, tr, p.Addr())
	alone(t, s)
	in.mu.Lock()
	in.before = func(a []byte) [][]byte {
		out := [][]byte{[]byte("garbage"), with(a, func(b []byte) { b[len(b)-1] ^= 1 }), bytes.Repeat(a, 40)}
		for seq := range byte(seqCount) {
			out = append(out, plainOff(a, seq))
		}
		return append(out, in.past[0])
	}
	in.mu.Unlock()
	const rounds = 5
	for range rounds {
		if !powerIsOn(t, s) {
			t.Error("a forged answer was believed: power reads off")
		}
	}
	for d, want := range map[Drop]uint64{DropMalformed: 1, DropForged: 2 + seqCount, DropReplayed: 1} {
		if got := tr.Drops(d); got != rounds*want {
			t.Errorf("%d dropped as %v, want %d", got, d, rounds*want)
		}
	}
	unhurriedly(t, tr)
}

// TestTurns has sessions come and go in all orders on one socket, with pauses, and
// callers that leave. Each command is answered without being sent again: nobody is
// left without one that reads for it.
func TestTurns(t *testing.T) {
	const sessions, commands = 3, 400
	tr := patient(t)
	tr.quiet = 200 * time.Microsecond // the reader comes and goes, too
	errs := make(chan error, sessions)
	for i := range sessions {
		b := startBMC(t, bmcOptions{})
		b.chassis.set(t, true)
		s := openTo(t, tr, b.addr)
		random := rand.New(rand.NewPCG(1, uint64(i)))
		go func() {
			for n := range commands {
				if err := turn(s, random); err != nil {
					errs <- fmt.Errorf("session %d, command %d: %w", i, n, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range sessions {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	unhurriedly(t, tr)
}

// turn is one command, after a pause or none, whose caller may leave.
func turn(s *Session, random *rand.Rand) error {
	if random.IntN(4) == 0 {
		<-time.After(time.Duration(random.IntN(1000)) * time.Microsecond)
	}
	ctx, leave := context.WithTimeout(context.Background(), 30*time.Second)
	defer leave()
	leaves := random.IntN(8) == 0
	if leaves {
		after := time.AfterFunc(time.Duration(random.IntN(200))*time.Microsecond, leave)
		defer after.Stop()
	}
	err := <-ask(ctx, s)
	if leaves && reasonIn(err) == Cancelled {
		return nil
	}
	return err
}
