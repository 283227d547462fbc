package rmcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/bmc"
	"github.com/bougou/go-ipmi/pkg/command/app"
	"github.com/bougou/go-ipmi/pkg/command/chassis"
	"github.com/bougou/go-ipmi/pkg/hal"
	"github.com/bougou/go-ipmi/pkg/hal/mock"
	"github.com/bougou/go-ipmi/pkg/server"
	"github.com/bougou/go-ipmi/pkg/transport/udp"
	"github.com/bougou/go-ipmi/pkg/types"
	"go.uber.org/goleak"

	"provision-plugins/shared/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testUser     = "admin"
	testPassword = "s3cret-of-twenty-byt"
)

// testBMC is go-ipmi's BMC, which shares no code with this package.
type testBMC struct {
	*bmc.BMC
	addr    netip.AddrPort
	chassis *testChassis
}

// testChassis is a machine that is on or off, and counts its resets.
type testChassis struct {
	*mock.Chassis
	resets atomic.Int32
}

// ColdReset counts.
func (c *testChassis) ColdReset(context.Context) error {
	c.resets.Add(1)
	return nil
}

// set switches the machine.
func (c *testChassis) set(tb testing.TB, on bool) {
	tb.Helper()
	if err := c.SetPower(context.Background(), on); err != nil {
		tb.Fatal(err)
	}
}

// testHAL is hardware with such a machine.
type testHAL struct {
	*mock.HAL
	chassis *testChassis
}

// Chassis is the machine.
func (h *testHAL) Chassis() hal.ChassisHAL { return h.chassis }

// options of a testBMC.
type bmcOptions struct {
	suites    []types.CipherSuiteID
	privilege bmc.PrivilegeLevel
	kg        string
	v6        bool
	sessions  int
}

// startBMC serves a BMC until the test ends.
func startBMC(tb testing.TB, o bmcOptions) *testBMC {
	tb.Helper()
	if o.suites == nil {
		o.suites = []types.CipherSuiteID{3, 17}
	}
	if o.privilege == 0 {
		o.privilege = bmc.PrivilegeLevelOperator
	}
	if o.sessions == 0 {
		o.sessions = 64
	}
	host := net.IPv4(127, 0, 0, 1)
	if o.v6 {
		host = net.IPv6loopback
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: host})
	if err != nil {
		tb.Skip("no such address here:", err)
	}
	h := &testHAL{mock.New(), &testChassis{Chassis: &mock.Chassis{}}}
	b := bmc.New(bmc.DeviceInfo{IPMIVersion: 0x20}, [16]byte{1, 2, 3}, h,
		bmc.WithKG([]byte(o.kg)), bmc.WithCipherSuites(o.suites))
	b.Sessions = bmc.NewSessionStoreWithOptions(b.Clock(), bmc.WithMaxSessions(o.sessions))
	u, err := b.Users.Add(2, testUser)
	if err != nil {
		tb.Fatal(err)
	}
	u.SetPassword([]byte(testPassword))
	u.Enabled = true
	u.ChannelAccess[1] = bmc.UserChannelAccess{MaxPrivilege: o.privilege, Enabled: true}
	serve(tb, server.NewServer(b, udp.Wrap(conn, udp.WithReadTimeout(0))))
	addr := netip.MustParseAddrPort(conn.LocalAddr().String())
	return &testBMC{BMC: b, addr: addr, chassis: h.chassis}
}

// serve runs the server until the test ends.
func serve(tb testing.TB, s *server.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ctx)
	}()
	tb.Cleanup(func() {
		cancel()
		_ = s.Close()
		<-done
	})
}

// login is the right one.
func login() Login { return Login{Username: testUser, Password: testPassword} }

// newTestTransport returns a transport that is closed with the test.
func newTestTransport(tb testing.TB) *Transport {
	tb.Helper()
	t := NewTransport()
	tb.Cleanup(func() {
		if err := t.Close(); err != nil {
			tb.Error(err)
		}
	})
	return t
}

// testContext bounds a test that hangs.
func testContext(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

// openTo opens a session or fails the test.
func openTo(tb testing.TB, t *Transport, peer netip.AddrPort) *Session {
	tb.Helper()
	s, err := t.Open(testContext(tb), Target{Peer: peer, Login: login()})
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// openSlow is openTo for tests that count datagrams: a BMC that is known to be
// slow is sent nothing again for seconds, however busy this machine is.
func openSlow(tb testing.TB, t *Transport, peer netip.AddrPort) *Session {
	tb.Helper()
	s, err := t.Open(testContext(tb), Target{Peer: peer, Login: login(), Known: Known{RTT: 2 * time.Second}})
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// powerIsOn reads the power state.
func powerIsOn(tb testing.TB, s *Session) bool {
	tb.Helper()
	var res chassis.GetChassisStatusResponse
	if err := s.Do(testContext(tb), &Call{
		Request: &chassis.GetChassisStatusRequest{}, Response: &res, Class: model.Read,
	}); err != nil {
		tb.Fatalf("Get Chassis Status: %v", err)
	}
	return res.PowerIsOn
}

// raise gets OPERATOR.
func raise(tb testing.TB, s *Session) {
	tb.Helper()
	req := &app.SetSessionPrivilegeLevelRequest{PrivilegeLevel: types.PrivilegeLevelOperator}
	if err := s.Do(testContext(tb), &Call{Request: req, Class: model.Read}); err != nil {
		tb.Fatalf("Set Session Privilege Level: %v", err)
	}
}

// control is a Chassis Control call.
func control(c chassis.ChassisControl, class model.Class) *Call {
	return &Call{Request: &chassis.ChassisControlRequest{ChassisControl: c}, Class: class, Wait: 300 * time.Millisecond}
}

// reasonIn is the reason of err, or "".
func reasonIn(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// eventually polls until the condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("not seen: %s", what)
		}
	}
}
