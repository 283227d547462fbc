package rmcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/ipmi/udptest"
	"provision-plugins/shared/model"
)

func TestOpen(t *testing.T) {
	for name, tc := range map[string]struct {
		bmc   bmcOptions
		login Login
		want  Known
	}{
		"both suites":     {bmcOptions{}, login(), Known{Suite: 17}},
		"suite 3 only":    {bmcOptions{suites: []types.CipherSuiteID{3}}, login(), Known{Suite: 3}},
		"suite 17 only":   {bmcOptions{suites: []types.CipherSuiteID{17}}, login(), Known{Suite: 17}},
		"user privileges": {bmcOptions{privilege: bmc.PrivilegeLevelUser}, login(), Known{Suite: 17, UserOnly: true}},
		"BMC key":         {bmcOptions{kg: "k_g of the BMC"}, Login{Username: testUser, Password: testPassword, Kg: "k_g of the BMC"}, Known{Suite: 17}},
		"IPv6":            {bmcOptions{v6: true}, login(), Known{Suite: 17}},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, tc.bmc)
			b.chassis.set(t, true)
			s, err := newTestTransport(t).Open(testContext(t), Target{Peer: b.addr, Login: tc.login})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if !powerIsOn(t, s) {
				t.Error("power reads off, want on")
			}
			got := s.Known()
			if got.RTT <= 0 {
				t.Errorf("round trip %v, want more", got.RTT)
			}
			if got.RTT = 0; got != tc.want {
				t.Errorf("Known = %+v, want %+v", got, tc.want)
			}
			if s.MayControl() == tc.want.UserOnly {
				t.Errorf("MayControl = %v", s.MayControl())
			}
		})
	}
}

// TestOpenFloor holds the number of round trips: four for a cold status.
func TestOpenFloor(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	p := udptest.New(t, b.addr, udptest.Pass)
	powerIsOn(t, openSlow(t, newTestTransport(t), p.Addr()))
	if p.Count() != 8 {
		t.Errorf("%d datagrams for a cold status, want 8", p.Count())
	}
}

// TestOpenRemembers goes straight to what worked before.
func TestOpenRemembers(t *testing.T) {
	b := startBMC(t, bmcOptions{suites: []types.CipherSuiteID{3}, privilege: bmc.PrivilegeLevelUser})
	p := udptest.New(t, b.addr, udptest.Pass)
	tr := newTestTransport(t)
	first := openSlow(t, tr, p.Addr())
	p.SetFilter(udptest.Pass)
	second, err := tr.Open(testContext(t), Target{Peer: p.Addr(), Login: login(), Known: first.Known()})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if p.Count() != 6 {
		t.Errorf("%d datagrams, want the 6 of one handshake", p.Count())
	}
}

func TestOpenRefused(t *testing.T) {
	long := strings.Repeat("x", 40)
	for name, tc := range map[string]struct {
		bmc   bmcOptions
		login Login
		want  Reason
	}{
		"wrong password":   {bmcOptions{}, Login{Username: testUser, Password: "wrong password", Kg: ""}, BadPassword},
		"no other suite":   {bmcOptions{suites: []types.CipherSuiteID{17}}, Login{Username: testUser, Password: "wrong password", Kg: ""}, BadPassword},
		"unknown user":     {bmcOptions{}, Login{Username: "nobody", Password: testPassword, Kg: ""}, BadPassword},
		"wrong BMC key":    {bmcOptions{kg: "right"}, Login{Username: testUser, Password: testPassword, Kg: "wrong"}, BadKg},
		"no privilege":     {bmcOptions{privilege: bmc.PrivilegeLevelCallback}, login(), Privilege},
		"no common suite":  {bmcOptions{suites: []types.CipherSuiteID{1}}, login(), NoSuite},
		"password too big": {bmcOptions{}, Login{Username: testUser, Password: model.Secret(long), Kg: ""}, TooLong},
		"name too long":    {bmcOptions{}, Login{Username: long, Password: testPassword, Kg: ""}, TooLong},
		"key too long":     {bmcOptions{}, Login{Username: testUser, Password: testPassword, Kg: model.Secret(long)}, TooLong},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, tc.bmc)
			_, err := newTestTransport(t).Open(testContext(t), Target{Peer: b.addr, Login: tc.login})
			if reasonIn(err) != tc.want {
				t.Fatalf("error %v, want reason %q", err, tc.want)
			}
			for _, secret := range []string{testPassword, "wrong password", long} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error tells a secret: %v", err)
				}
			}
			if tc.want != BadKg {
				eventually(t, "no session left on the BMC", func() bool { return b.Sessions.Count() == 0 })
			}
		})
	}
}

// TestOpenUnknownSuite is a BMC older than suite 17, which calls its algorithms
// an illegal parameter.
func TestOpenUnknownSuite(t *testing.T) {
	b := startBMC(t, bmcOptions{suites: []types.CipherSuiteID{3}})
	refused := 0
	p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
		const at = headerLen + 1
		if d.Data[offPayload] != byte(payloadOpenResponse) || d.Data[at] == byte(statusOK) {
			return udptest.Pass(d)
		}
		refused++
		return [][]byte{with(d.Data, func(b []byte) { b[at] = byte(statusIllegal) })}
	})
	s := openTo(t, newTestTransport(t), p.Addr())
	p.SetFilter(udptest.Pass) // the filter is done with refused
	if got := s.Known().Suite; got != 3 || refused != 1 {
		t.Errorf("suite %d after %d refusals, want 3 after 1", got, refused)
	}
}

// TestOpenOddAnswers is a BMC whose answer to Open Session, without error, is
// not what was asked for.
func TestOpenOddAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		alter func(payload []byte)
		want  Reason
	}{
		"no session id":         {func(p []byte) { copy(p[8:12], make([]byte, 4)) }, Protocol},
		"other authentication":  {func(p []byte) { p[16] ^= 2 }, NoSuite},
		"no integrity":          {func(p []byte) { p[24] = 0 }, NoSuite},
		"no confidentiality":    {func(p []byte) { p[32] = 0 }, NoSuite},
		"another's transaction": {func(p []byte) { p[4] ^= 1 }, Silent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBMC(t, bmcOptions{})
			p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
				if d.Data[offPayload] != byte(payloadOpenResponse) {
					return udptest.Pass(d)
				}
				return [][]byte{with(d.Data, func(b []byte) { tc.alter(b[headerLen:]) })}
			})
			ctx, cancel := context.WithTimeout(testContext(t), time.Second)
			defer cancel()
			if _, err := newTestTransport(t).Open(ctx, Target{Peer: p.Addr(), Login: login()}); reasonIn(err) != tc.want {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// TestOpenNoSlot is a BMC whose sessions are all in use.
func TestOpenNoSlot(t *testing.T) {
	b := startBMC(t, bmcOptions{sessions: 1})
	tr := newTestTransport(t)
	openTo(t, tr, b.addr)
	_, err := tr.Open(testContext(t), Target{Peer: b.addr, Login: login()})
	if reasonIn(err) != NoSlot {
		t.Fatalf("error %v, want %q", err, NoSlot)
	}
}

// deaf returns an address where datagrams are taken and never answered.
func deaf(t *testing.T) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return netip.MustParseAddrPort(c.LocalAddr().String())
}

// closedPort returns an address where nobody listens.
func closedPort(t *testing.T, host net.IP) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: host})
	if err != nil {
		t.Skip("no such address here:", err)
	}
	addr := netip.MustParseAddrPort(c.LocalAddr().String())
	_ = c.Close()
	return addr
}

func TestOpenRefusedPort(t *testing.T) {
	for name, host := range map[string]net.IP{"IPv4": net.IPv4(127, 0, 0, 1), "IPv6": net.IPv6loopback} {
		t.Run(name, func(t *testing.T) {
			tr := newTestTransport(t)
			// Many at once: the socket tells of one's error while another sends.
			errs := make(chan error)
			const n = 50
			for range n {
				peer := closedPort(t, host)
				go func() {
					_, err := tr.Open(testContext(t), Target{Peer: peer, Login: login()})
					errs <- err
				}()
			}
			for range n {
				if err := <-errs; reasonIn(err) != Refused {
					t.Errorf("error %v, want %q", err, Refused)
				}
			}
		})
	}
}

// TestOpenWhileOthersAreRefused must not be disturbed by them.
func TestOpenWhileOthersAreRefused(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	tr := newTestTransport(t)
	closed := closedPort(t, net.IPv4(127, 0, 0, 1))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			_, _ = tr.Open(testContext(t), Target{Peer: closed, Login: login()})
		}
	}()
	s := openTo(t, tr, b.addr)
	raise(t, s)
	for range 200 {
		if err := s.Do(testContext(t), control(3, model.Once)); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	if b.chassis.resets.Load() != 200 {
		t.Errorf("%d resets, want 200", b.chassis.resets.Load())
	}
}

func TestOpenSilent(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err := newTestTransport(t).Open(ctx, Target{Peer: deaf(t), Login: login()})
	if reasonIn(err) != Silent {
		t.Fatalf("error %v, want %q", err, Silent)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v does not tell of the deadline", err)
	}
}

// TestOpenCancelled: who has left gets no session, and takes no slot of the BMC.
func TestOpenCancelled(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	_, err := newTestTransport(t).Open(ctx, Target{Peer: deaf(t), Login: login(), OnSilence: cancel})
	if reasonIn(err) != Cancelled {
		t.Fatalf("left while waiting: error %v, want %q", err, Cancelled)
	}
	p := udptest.New(t, b.addr, udptest.Pass)
	tr := newTestTransport(t)
	if _, err = tr.Open(ctx, Target{Peer: p.Addr(), Login: login()}); reasonIn(err) != Cancelled {
		t.Fatalf("left before: error %v, want %q", err, Cancelled)
	}
	openSlow(t, tr, p.Addr()) // what was sent before it has arrived by now
	if p.Count() != 6 {
		t.Errorf("%d datagrams, want the 6 of the handshake after it", p.Count())
	}
}

func TestOpenEndsWithTransport(t *testing.T) {
	tr := newTestTransport(t)
	peer := deaf(t)
	silent := make(chan struct{})
	errs := make(chan error)
	go func() {
		_, err := tr.Open(context.Background(), Target{Peer: peer, Login: login(), OnSilence: func() { close(silent) }})
		errs <- err
	}()
	<-silent
	if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-errs; reasonIn(err) != Closed {
		t.Fatalf("error %v, want %q", err, Closed)
	}
	if _, err := tr.Open(context.Background(), Target{Peer: peer, Login: login()}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Open after Close: %v", err)
	}
}

// TestOpenLosingEach loses each datagram of a cold control in turn.
func TestOpenLosingEach(t *testing.T) {
	for n := 1; n <= 8; n++ {
		b := startBMC(t, bmcOptions{})
		p := udptest.New(t, b.addr, udptest.LoseNth(n))
		s := openTo(t, newTestTransport(t), p.Addr())
		raise(t, s)
		if s.Stale() {
			t.Errorf("losing %d: a session without a change is stale", n)
		}
	}
}

// TestOpenWithCrossingAnswers is a BMC slower than the first try: the first
// answer of each kind comes when its message has gone out again. Only the answer
// to the second RAKP 1 holds by then.
func TestOpenWithCrossingAnswers(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	held := map[byte][]byte{}
	rakp3 := 0
	p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
		kind := d.Data[offPayload]
		if d.Direction == udptest.ToServer {
			if kind == byte(payloadRAKP3) && d.Data[headerLen+1] == byte(statusOK) { // the others give back what was opened twice
				rakp3++
			}
			return udptest.Pass(d)
		}
		first, again := held[kind]
		held[kind] = d.Data
		switch {
		case kind == byte(payloadRAKP4) || again && first == nil:
			return udptest.Pass(d)
		case again:
			held[kind] = nil
			return [][]byte{first, d.Data}
		}
		return nil
	})
	openTo(t, newTestTransport(t), p.Addr())
	p.SetFilter(udptest.Pass) // the filter is done with rakp3
	if rakp3 != 1 {
		t.Errorf("%d RAKP 3 were sent, want 1: the answer to the wrong RAKP 1 was taken", rakp3)
	}
}

// TestOpenAfterOneMismatch: what does not match once is no proof of wrong
// credentials. A suite in which the BMC proves nothing is not tried twice.
func TestOpenAfterOneMismatch(t *testing.T) {
	for name, tc := range map[string]struct {
		kind  payloadType
		suite uint8
	}{"RAKP 2": {payloadRAKP2, 3}, "RAKP 4": {payloadRAKP4, 17}} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, bmcOptions{})
			altered := 0
			p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
				if d.Direction == udptest.ToServer || d.Data[offPayload] != byte(tc.kind) || altered > 0 {
					return udptest.Pass(d)
				}
				altered++
				return [][]byte{with(d.Data, func(b []byte) { b[len(b)-1] ^= 1 })}
			})
			s := openTo(t, newTestTransport(t), p.Addr())
			if got := s.Known().Suite; got != tc.suite {
				t.Errorf("suite %d, want %d", got, tc.suite)
			}
			eventually(t, "one session on the BMC", func() bool { return b.Sessions.Count() == 1 })
		})
	}
}

// TestOpenAfterMismatchAndLoss: a handshake after a mismatch sends each message
// once, and one that is lost then is no refusal.
func TestOpenAfterMismatchAndLoss(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	n, resent := 0, 0
	last := ""
	p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
		if d.Direction == udptest.ToServer {
			// Two transmissions of a message differ in their tags only.
			now := string(d.Data[:headerLen]) + string(d.Data[headerLen+1:])
			if now == last {
				resent++
			}
			last = now
			return udptest.Pass(d)
		}
		if d.Data[offPayload] != byte(payloadRAKP2) {
			return udptest.Pass(d)
		}
		n++
		switch n {
		case 1:
			return [][]byte{with(d.Data, func(b []byte) { b[len(b)-1] ^= 1 })}
		case 2:
			return nil
		}
		return udptest.Pass(d)
	})
	var refused []Reason
	s, err := newTestTransport(t).Open(testContext(t), Target{
		Peer: p.Addr(), Login: login(), OnRefusal: func(r Reason) { refused = append(refused, r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p.SetFilter(udptest.Pass) // the filter is done with n and resent
	if n != 3 || resent != 0 || len(refused) != 1 || refused[0] != BadPassword {
		t.Errorf("%d RAKP 2, %d messages sent again, refused %v; want 3, 0 and one refusal", n, resent, refused)
	}
}

// TestOpenRefusals counts how often a BMC is bothered with a wrong password: it
// may lock the account.
func TestOpenRefusals(t *testing.T) {
	wrong := Login{Username: testUser, Password: "wrong password", Kg: ""}
	both, new17 := []types.CipherSuiteID{3, 17}, []types.CipherSuiteID{17}
	for name, tc := range map[string]struct {
		suites []types.CipherSuiteID
		target Target
		want   int
	}{
		"nothing known":       {both, Target{Login: wrong}, 2},
		"suite known":         {both, Target{Login: wrong, Known: Known{Suite: 17}}, 2},
		"suite 3 only":        {[]types.CipherSuiteID{3}, Target{Login: wrong}, 2},
		"suite 17 only":       {new17, Target{Login: wrong}, 2},
		"refused before":      {both, Target{Login: wrong, Refusals: 1}, 1},
		"probe":               {both, Target{Login: wrong, Refusals: 2, Probe: true}, 1},
		"probe of suite 17":   {new17, Target{Login: wrong, Refusals: 2, Probe: true, Known: Known{Suite: 3}}, 1},
		"right, after others": {both, Target{Login: login(), Refusals: 2, Probe: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBMC(t, bmcOptions{suites: tc.suites})
			rakp1 := 0
			p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
				if d.Data[offPayload] == byte(payloadRAKP1) {
					rakp1++
				}
				return udptest.Pass(d)
			})
			got := 0
			tc.target.Peer = p.Addr()
			tc.target.OnRefusal = func(Reason) { got++ }
			s, err := newTestTransport(t).Open(testContext(t), tc.target)
			if err == nil {
				s.Close()
			}
			p.SetFilter(udptest.Pass) // the filter is done with rakp1
			if (err == nil) != (tc.want == 0) || err != nil && reasonIn(err) != BadPassword {
				t.Errorf("error %v", err)
			}
			if got != tc.want || rakp1 != max(tc.want, 1) {
				t.Errorf("%d refusals in %d handshakes, want %d", got, rakp1, tc.want)
			}
		})
	}
}

// TestOpenProbeLost: a probe whose answer is lost is not made again, and is no
// refusal.
func TestOpenProbeLost(t *testing.T) {
	t.Parallel()
	b := startBMC(t, bmcOptions{})
	rakp1 := 0
	p := udptest.New(t, b.addr, func(d udptest.Datagram) [][]byte {
		switch d.Data[offPayload] {
		case byte(payloadRAKP1):
			rakp1++
		case byte(payloadRAKP2):
			return nil
		}
		return udptest.Pass(d)
	})
	silent := 0
	_, err := newTestTransport(t).Open(testContext(t), Target{
		Peer: p.Addr(), Login: login(), Refusals: 2, Probe: true,
		OnSilence: func() { silent++ },
		OnRefusal: func(r Reason) { t.Errorf("refused: %s", r) },
	})
	p.SetFilter(udptest.Pass) // the filter is done with rakp1
	if reasonIn(err) != Silent || rakp1 != 1 || silent == 0 {
		t.Errorf("error %v after %d RAKP 1, told of silence %d times; want %q after 1", err, rakp1, silent, Silent)
	}
}

// TestEndedBy is what the end of the caller means.
func TestEndedBy(t *testing.T) {
	for name, tc := range map[string]struct {
		cause error
		want  Reason
	}{
		"left":          {errors.New("left"), Cancelled},
		"out of time":   {fmt.Errorf("gone: %w", context.DeadlineExceeded), Silent},
		"shutting down": {net.ErrClosed, Closed},
	} {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(tc.cause)
		if err := ended(ctx, "step"); err.Reason != tc.want || !errors.Is(err, tc.cause) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestOpenDuplicates gets every datagram twice.
func TestOpenDuplicates(t *testing.T) {
	t.Parallel()
	p := udptest.New(t, startOrderly(t).Addr(), func(d udptest.Datagram) [][]byte {
		return [][]byte{d.Data, d.Data}
	})
	tr := newTestTransport(t)
	for range 2 {
		s, err := tr.Open(testContext(t), Target{Peer: p.Addr(), Login: login(), Known: unhurried()})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if !powerIsOn(t, s) {
			t.Error("power reads off, want on")
		}
	}
}

// TestDiscard waits for the BMC to forget the session.
func TestDiscard(t *testing.T) {
	b := startBMC(t, bmcOptions{})
	s := openTo(t, newTestTransport(t), b.addr)
	s.Discard(testContext(t))
	if b.Sessions.Count() != 0 {
		t.Errorf("%d sessions left on the BMC", b.Sessions.Count())
	}
	req := &app.SetSessionPrivilegeLevelRequest{}
	if err := s.Do(testContext(t), &Call{Request: req, Class: model.Read}); reasonIn(err) != Closed {
		t.Errorf("Do after Discard: %v, want %q", err, Closed)
	}
}
