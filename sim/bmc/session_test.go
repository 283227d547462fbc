package bmc

import (
	"bytes"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

func TestLoginWithBothSuites(t *testing.T) {
	for _, suite := range []types.CipherSuiteID{3, 17} {
		b, _ := newOne(t, Options{On: true})
		c := dial(t, b)
		c.suite = suite
		c.login()
		if !c.on() {
			t.Errorf("suite %d: off", suite)
		}
		if got, want := c.bmcGUID, b.GUID(); got != want {
			t.Errorf("suite %d: GUID %x, want %x", suite, got, want)
		}
		executed(t, b, SessionOpen, 1)
	}
}

func TestSuitesAreConfigurable(t *testing.T) {
	b, _ := newOne(t, Options{Suites: []int{17}})
	c := dial(t, b)
	c.suite = 3
	if got := c.open(); got != byte(types.RmcpStatusCodeInvalidAuthAlg) {
		t.Errorf("suite 3: status %#x", got)
	}
	c.suite = 0
	if got := c.open(); got == 0 {
		t.Error("suite 0 accepted")
	}
	c.suite = 17
	c.login()
}

func TestSessionsStartAtUser(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := dial(t, b)
	c.login()
	for _, q := range []call{
		callOn, callOff, callCycle, callReset, callDiag, callSoft,
		{0, 0x04}, setFlags(0x80, 4, 0, 0, 0), callGetFlags, {6, 0x02},
	} {
		c.refused(q, ccPrivilege)
	}
	if got := b.Executed(PowerOn) + b.Executed(SetBoot) + b.Executed(ChassisIdentify); got != 0 {
		t.Errorf("%d commands executed without the privilege", got)
	}
	if c.on() {
		t.Error("on")
	}
	c.raise(Operator)
	c.must(callOn)
	c.refused(call{6, 0x02}, ccPrivilege) // resetting the BMC needs more
	if !c.on() {
		t.Error("off")
	}
}

func TestPrivilegeLimits(t *testing.T) {
	const exceeds = 0x81
	t.Run("of the account", func(t *testing.T) {
		b, _ := newOne(t, Options{Limit: Operator})
		c := dial(t, b)
		c.open()
		if status, _ := c.rakp1(); status != byte(types.RmcpStatusCodeUnauthorizedRoleOfPriLevel) {
			t.Errorf("ADMINISTRATOR: status %#x", status)
		}
		c.privilege = byte(Operator)
		c.login()
		c.refused(call{6, 0x3b, byte(Administrator)}, exceeds)
		c.raise(Operator)
		c.must(callOn)
	})
	t.Run("of the handshake", func(t *testing.T) {
		b, _ := newOne(t, Options{})
		c := dial(t, b)
		c.privilege = byte(User)
		c.login()
		c.refused(call{6, 0x3b, byte(Operator)}, exceeds)
		c.refused(callOn, ccPrivilege)
		c.on()
	})
	t.Run("below USER", func(t *testing.T) {
		b, _ := newOne(t, Options{})
		c := dial(t, b)
		c.privilege = byte(Callback)
		c.login()
		c.refused(callStatus, ccPrivilege)
	})
	t.Run("no such level", func(t *testing.T) {
		b, _ := newOne(t, Options{})
		c := dial(t, b)
		c.login()
		c.refused(call{6, 0x3b, 1}, 0xcc)
		c.refused(call{6, 0x3b, 9}, 0xcc)
		c.refused(call{6, 0x3b}, 0xc7)
		if got := c.must(call{6, 0x3b, 0}); got[0] != byte(User) {
			t.Errorf("present level %d, want USER", got[0])
		}
	})
}

func TestReplaysAreDropped(t *testing.T) {
	b, _ := newOne(t, Options{On: true, CycleOff: -1})
	c := operator(t, b)
	cycle := c.datagram(callCycle)
	for range 3 {
		c.write(cycle)
	}
	if a := c.unseal(c.read()); a.cc != ccOK {
		t.Fatalf("completion code %#x", a.cc)
	}
	c.barrier()
	executed(t, b, PowerCycle, 1)
	for range 5 {
		c.on() // the replay is now some numbers behind
	}
	c.write(cycle)
	c.barrier()
	executed(t, b, PowerCycle, 1)
}

func TestReplaysAreAcceptedByAFault(t *testing.T) {
	b, _ := newOne(t, Options{On: true, CycleOff: -1})
	c := operator(t, b)
	b.SetFaults(Faults{AcceptsReplays: true})
	cycle := c.datagram(callCycle)
	for range 3 {
		c.write(cycle)
		c.unseal(c.read())
	}
	executed(t, b, PowerCycle, 3)
}

func TestSequenceWindow(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	base := c.seq
	steps := []struct {
		seq  uint32
		want bool
	}{
		{0, false},
		{base, false}, // seen
		{base + windowAhead + 1, false},
		{base + windowAhead, true},
		{base + 1, true}, // late, but not seen
		{base + 1, false},
		{base + windowAhead + 16, false},
		{base + windowAhead + 15, true},
		{base + windowAhead - 2, false}, // too far behind
		{base + windowAhead - 1, true},
	}
	for i, s := range steps {
		c.write(c.seal(s.seq, message15(0, callStatus)))
		if s.want {
			c.unseal(c.read())
		}
		c.barrier()
		if t.Failed() {
			t.Fatalf("step %d: sequence number %d", i, s.seq)
		}
	}
}

func TestForgedDatagramsAreDropped(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	good := c.datagram(callOn)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x10
		if i == 1 || i == 2 {
			continue // reserved, and the RMCP sequence number: of no meaning
		}
		c.write(bad)
		if i == 3 {
			continue // another RMCP class
		}
	}
	for n := range good {
		c.write(good[:n])
	}
	c.write(append(bytes.Clone(good), 0))
	c.plain = true
	unauthenticated := c.datagram(callOn)
	unauthenticated[5] &^= types.PayloadFlagAuthenticated
	c.write(unauthenticated)
	c.barrier()
	executed(t, b, PowerOn, 0)
	c.write(good)
	c.plain = false
	if a := c.unseal(c.read()); a.cc != ccOK {
		t.Errorf("the genuine one: completion code %#x", a.cc)
	}
	executed(t, b, PowerOn, 1)
}

func TestUnencryptedInsideASession(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	c.plain = true
	if !c.on() {
		t.Error("off")
	}
}

func TestOutboundSequenceGrows(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	before := c.lastOutboundOfBMC
	for range 20 {
		c.on()
	}
	if got := c.lastOutboundOfBMC - before; got != 20 {
		t.Errorf("grew by %d over 20 answers", got)
	}
}

func TestSlotsAreLimited(t *testing.T) {
	for _, row := range []struct{ option, slots int }{{0, 4}, {1, 1}, {7, 7}} {
		b, clock := newOne(t, Options{Sessions: row.option})
		var first *console
		for range row.slots {
			c := dial(t, b)
			c.login()
			if first == nil {
				first = c
			}
		}
		late := dial(t, b)
		if got := late.open(); got != byte(types.RmcpStatusCodeNoResToCreateSess) {
			t.Fatalf("%d slots: status %#x for one more", row.slots, got)
		}
		if got := b.Sessions(); got != row.slots {
			t.Errorf("%d sessions, want %d", got, row.slots)
		}
		first.must(first.closeRequest())
		late.login()
		clock.advance(idleTimeout + time.Second)
		if got := b.Sessions(); got != 0 {
			t.Errorf("%d sessions after the timeout", got)
		}
	}
}

func TestHandshakesThatStoppedGiveWay(t *testing.T) {
	b, _ := newOne(t, Options{})
	for range 10 {
		dial(t, b).open()
	}
	if got := b.Sessions(); got != 4 {
		t.Errorf("%d slots in use, want 4", got)
	}
	if got := b.Open(); got != 0 {
		t.Errorf("%d sessions are open before anybody logged in", got)
	}
	dial(t, b).login()
	if got := b.Open(); got != 1 {
		t.Errorf("%d sessions are open, want 1", got)
	}
}

func TestIdleSessionsExpire(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	for range 5 {
		clock.advance(idleTimeout - time.Second)
		c.on()
	}
	clock.advance(idleTimeout + time.Second)
	c.write(c.datagram(callStatus))
	c.barrier()
	if got := b.Sessions(); got != 0 {
		t.Errorf("%d sessions", got)
	}
}

func TestClosedSessionsAreClosed(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	c.must(c.closeRequest())
	executed(t, b, SessionClose, 1)
	c.write(c.datagram(callStatus))
	c.barrier()
	executed(t, b, ChassisStatus, 0)
}

func TestKg(t *testing.T) {
	kg := []byte("a key of twenty byte")
	b, _ := newOne(t, Options{Kg: kg, On: true})
	c := dial(t, b)
	c.kg = kg
	c.login()
	if !c.on() {
		t.Error("off")
	}
	// Get Channel Authentication Capabilities tells that there is one.
	d := dial(t, b)
	if got := d.outside(call{6, 0x38, 0x8e, 4}).data[2] & 0x20; got == 0 {
		t.Error("the Kg bit is not set")
	}
}

func TestWrongCredentials(t *testing.T) {
	t.Run("password", func(t *testing.T) {
		b, _ := newOne(t, Options{})
		c := dial(t, b)
		c.password = "passwort"
		c.open()
		if status, proven := c.rakp1(); status != 0 || proven {
			t.Errorf("RAKP 2: status %#x, proven %v", status, proven)
		}
		if got := c.rakp3(); got == 0 {
			t.Error("let in")
		}
		executed(t, b, SessionOpen, 0)
		executed(t, b, LoginRefused, 1)
	})
	t.Run("user", func(t *testing.T) {
		b, _ := newOne(t, Options{})
		c := dial(t, b)
		c.user = "nobody"
		c.open()
		c.rakp1()
		if got := c.rakp3(); got == 0 {
			t.Error("let in")
		}
	})
	t.Run("no user", func(t *testing.T) {
		b, _ := newOne(t, Options{})
		c := dial(t, b)
		c.user, c.password = "", ""
		c.open()
		if status, _ := c.rakp1(); status == 0 {
			t.Error("let in without a name")
		}
	})
	t.Run("as a fault", func(t *testing.T) {
		b, _ := newOne(t, Options{})
		b.SetFaults(Faults{WrongPassword: true})
		c := dial(t, b)
		c.open()
		if status, proven := c.rakp1(); status != 0 || proven {
			t.Errorf("RAKP 2: status %#x, proven %v", status, proven)
		}
		if got := c.rakp3(); got == 0 {
			t.Error("let in")
		}
		b.SetFaults(Faults{})
		dial(t, b).login()
	})
}

func TestRepeatedHandshakeMessages(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := dial(t, b)
	c.open()
	c.rakp1()
	rand := c.bmcRand
	if status, proven := c.rakp1(); status != 0 || !proven || c.bmcRand == rand {
		t.Errorf("a repeated RAKP 1: status %#x, proven %v, new number %v", status, proven, c.bmcRand != rand)
	}
	third := c.rakp3Request()
	c.write(third)
	first := c.read()
	if got := c.rakp4(first); got != 0 {
		t.Fatalf("status %#x", got)
	}
	c.raise(Operator)
	c.write(third)
	if again := c.read(); !bytes.Equal(first, again) {
		t.Errorf("a repeated RAKP 3 is answered by %x, want %x", again, first)
	}
	executed(t, b, SessionOpen, 1)
	other := bytes.Clone(third)
	other[len(other)-1] ^= 1
	c.write(other)
	c.barrier()
	c.must(callOn) // the session is as it was
	if got := c.open(); got != 0 {
		t.Errorf("status %#x", got)
	}
}

func TestHandshakeOfNoSession(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := dial(t, b)
	c.open()
	c.bmcID++
	if status, _ := c.rakp1(); status != byte(types.RmcpStatusCodeInvalidSessionID) {
		t.Errorf("RAKP 1: status %#x", status)
	}
	if got := c.rakp3(); got != byte(types.RmcpStatusCodeInvalidSessionID) {
		t.Errorf("RAKP 3: status %#x", got)
	}
	executed(t, b, LoginRefused, 0)
}

func TestRefusalByTheConsoleCounts(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := dial(t, b)
	c.open()
	c.rakp1()
	refusal := c.rakp3Request()
	refusal[16+1] = byte(types.RmcpStatusCodeInvalidIntegrityCheckValue)
	c.write(refusal)
	c.read()
	executed(t, b, LoginRefused, 1)
	if got := b.Sessions(); got != 0 {
		t.Errorf("%d sessions", got)
	}
}

func TestResetOfTheBMC(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	for i, name := range []string{ColdReset, WarmReset} {
		c := dial(t, b)
		c.login()
		c.raise(Administrator)
		c.must(setFlags(0x80, 4, 0, 0, 0))
		c.must(call{0, 8, 3, 8})
		c.must(call{6, byte(2 + i)})
		executed(t, b, name, 1)
		c.write(c.datagram(callStatus))
		c.barrier()
		c = operator(t, b)
		if !c.on() || !b.Boot().Valid {
			t.Error("the machine noticed")
		}
		if got := c.must(call{0, 9, 3, 0, 0}); got[2] != 0 {
			t.Errorf("parameter 3 is %#x after %s", got[2], name)
		}
	}
	if _, boots := b.Booted(); boots != 0 {
		t.Errorf("%d boots", boots)
	}
}

// outside sends a command outside a session, in the format of IPMI 1.5.
func (c *console) outside(q call) answer {
	c.t.Helper()
	m := message15(1, q)
	pkt := append([]byte{6, 0, 0xff, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(m))}, m...)
	c.write(pkt)
	got := c.read()
	if len(got) < 14 || got[4] != 0 || int(got[13]) != len(got)-14 {
		c.t.Fatalf("not a datagram of IPMI 1.5: %x", got)
	}
	return readAnswer(c.t, got[14:])
}

// outsidePlus sends a command outside a session, in the format of RMCP+.
func (c *console) outsidePlus(q call) answer {
	c.t.Helper()
	c.write(frame(types.PayloadTypeIPMI, message15(1, q)))
	return readAnswer(c.t, c.payload(c.read(), types.PayloadTypeIPMI))
}

func TestOutsideASession(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := dial(t, b)
	guid := b.GUID()
	for name, send := range map[string]func(call) answer{"1.5": c.outside, "RMCP+": c.outsidePlus} {
		a := send(call{6, 0x38, 0x8e, 4})
		// Channel 1, extended capabilities, names in use, IPMI 2.0 only.
		if want := []byte{1, 0x80, 0x04, 0x02, 0, 0, 0, 0}; a.cc != 0 || !bytes.Equal(a.data, want) {
			t.Errorf("%s: capabilities %#x %x, want %x", name, a.cc, a.data, want)
		}
		a = send(call{6, 0x54, 0x0e, 0, 0x80})
		if want := []byte{1, 0xc0, 3, 1, 0x41, 0x81, 0xc0, 17, 3, 0x44, 0x81}; !bytes.Equal(a.data, want) {
			t.Errorf("%s: cipher suites %x, want %x", name, a.data, want)
		}
		if a = send(call{6, 0x37}); !bytes.Equal(a.data, guid[:]) {
			t.Errorf("%s: system GUID %x, want %x", name, a.data, guid)
		}
		for _, q := range []call{callStatus, callOn, callDeviceID, {6, 0x3b, 4}, {6, 0x39, 2}, {0x2c, 1}} {
			if a = send(q); a.cc != ccPrivilege {
				t.Errorf("%s: %x: completion code %#x, want %#x", name, []byte(q), a.cc, ccPrivilege)
			}
		}
	}
	executed(t, b, PowerOn, 0)
	executed(t, b, AuthCapabilities, 2)
	executed(t, b, CipherSuites, 2)
	c.barrier()
	executed(t, b, Ping, 1)
}

func TestInformationInsideASession(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := dial(t, b)
	c.login()
	want := []byte{0x20, 1, 1, 0, 2, 0x8f, 0xf2, 0x1b, 0, 0, 0}
	if got := c.must(callDeviceID); !bytes.Equal(got, want) {
		t.Errorf("device id %x, want %x", got, want)
	}
	guid := b.GUID()
	for _, cmd := range []byte{0x08, 0x37} {
		if got := c.must(call{6, cmd}); !bytes.Equal(got, guid[:]) {
			t.Errorf("command %#x: GUID %x, want %x", cmd, got, guid)
		}
	}
	if got := c.must(call{6, 0x3d, 0}); got[1] != 4 || got[2] != 1 || got[4] != byte(User) {
		t.Errorf("session info %x", got)
	}
	c.must(call{0, 0})
	c.refused(call{0x0a, 0x46}, ccInvalid)
	c.refused(call{0x2c, 1}, ccInvalid)
	for name, n := range map[string]int{
		DeviceID: 1, DeviceGUID: 1, SystemGUID: 1, SessionInfo: 1, ChassisCapabilities: 1, Other: 0,
	} {
		executed(t, b, name, n)
	}
}
