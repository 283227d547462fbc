package bmc

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

var (
	callSELTime    = call{0x0a, 0x48}
	callPower      = call{0x2c, 0x02, types.GroupExtensionDCMI, 1, 0, 0}
	callAccess     = call{6, 0x41, 0x0e, 0x40}
	callAuth       = call{6, 0x38, 0x8e, 4}
	callSuites     = call{6, 0x54, 0x0e, 0, 0x80}
	callSystemGUID = call{6, 0x37}
)

func TestWhatABMCSaysItIs(t *testing.T) {
	b, _ := newOne(t, Options{Device: Device{Manufacturer: 10876, Product: 0x0866, Major: 3, Minor: 45}})
	c := operator(t, b)
	got := c.must(callDeviceID)
	if want := []byte{0x20, 1, 3, 0x45, 2, 0x8f, 0x7c, 0x2a, 0, 0x66, 0x08}; !bytes.Equal(got, want) {
		t.Errorf("device id %x, want %x", got, want)
	}
	if got := c.must(callAccess); !bytes.Equal(got, []byte{2, byte(Administrator)}) {
		t.Errorf("channel access %x", got)
	}
	c.refused(call{6, 0x41}, 0xc7)
	executed(t, b, ChannelAccess, 1)
}

func TestTheClockOfTheEventLog(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	for _, row := range []struct {
		faults Faults
		want   uint32
	}{
		{Faults{}, uint32(clock.Now().Unix())},
		{Faults{ClockSkew: -time.Hour}, uint32(clock.Now().Add(-time.Hour).Unix())},
		{Faults{ClockSkew: time.Minute}, uint32(clock.Now().Add(time.Minute).Unix())},
		{Faults{ClockUnset: true, ClockSkew: time.Minute}, math.MaxUint32},
	} {
		b.SetFaults(row.faults)
		if got := binary.LittleEndian.Uint32(c.must(callSELTime)); got != row.want {
			t.Errorf("%+v: time %d, want %d", row.faults, got, row.want)
		}
	}
	executed(t, b, SELTime, 4)
}

func TestPowerReading(t *testing.T) {
	b, _ := newOne(t, Options{On: true, Watts: 230})
	c := operator(t, b)
	got := c.must(callPower)
	if len(got) != 18 || got[0] != types.GroupExtensionDCMI || binary.LittleEndian.Uint16(got[1:]) != 230 || got[17]&0x40 == 0 {
		t.Errorf("power reading %x", got)
	}
	b.SetPower(false)
	if got := c.must(callPower); binary.LittleEndian.Uint16(got[1:]) != 23 {
		t.Errorf("power reading of a machine that is off: %x", got)
	}
	c.refused(callPower[:3], 0xc7)
	c.refused(call{0x2c, 0x02, 0xdd, 1, 0, 0}, 0xc7)
	executed(t, b, PowerReading, 2)

	none, _ := newOne(t, Options{})
	operator(t, none).refused(callPower, ccInvalid)
	executed(t, none, PowerReading, 0)
}

func TestOddAnswers(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	b.SetFaults(Faults{Odd: Odd{
		AuthCapabilities: true, OffersSuite0: true, NilGUID: true, StuckCause: true,
		Codes: map[string]uint8{SetBootTimer: 0xff}, RefusesSame: 0xcc,
	}})
	if got := c.must(callAuth); got[1]&0x80 != 0 || got[3] != 0x01 {
		t.Errorf("auth capabilities tell of IPMI 2.0: %x", got)
	}
	want := []byte{1, 0xc0, 0, 0, 0x40, 0x80, 0xc0, 3, 1, 0x41, 0x81, 0xc0, 17, 3, 0x44, 0x81}
	if got := c.must(callSuites); !bytes.Equal(got, want) {
		t.Errorf("cipher suites %x, want %x", got, want)
	}
	if got := c.must(call{6, 0x54, 0x0e, 0, 0x81}); len(got) != 1 {
		t.Errorf("the second part of the cipher suites is %x, want none", got)
	}
	if got := c.must(callSystemGUID); !bytes.Equal(got, make([]byte, 16)) {
		t.Errorf("GUID %x, want zeros", got)
	}
	if got := c.must(callCause); got[0] != restartByCommand {
		t.Errorf("restart cause %x", got)
	}
	c.refused(call{0, 0x08, 3, 8}, 0xff)
	c.refused(callOn, 0xcc)
	c.must(callOff)
	c.refused(callOff, 0xcc)
	c.must(callOn)
	executed(t, b, PowerOn, 1)
	executed(t, b, PowerOff, 1)
	executed(t, b, SetBootTimer, 0)

	b.SetFaults(Faults{})
	if got := c.must(callAuth); got[1]&0x80 == 0 || got[3]&0x02 == 0 {
		t.Errorf("auth capabilities after the faults: %x", got)
	}
	c.must(callOn)
}

func TestEagerCause(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	b.SetFaults(Faults{Ignore: map[string]int{PowerReset: 1, PowerSoft: 1}})
	c.must(callReset)
	if got := c.must(callCause); got[0] != 0 {
		t.Errorf("restart cause %x without a restart", got)
	}
	b.SetFaults(Faults{Ignore: map[string]int{PowerReset: 1}, Odd: Odd{EagerCause: true}})
	c.must(callReset)
	if got := c.must(callCause); got[0] != restartByCommand {
		t.Errorf("restart cause %x", got)
	}
	executed(t, b, PowerReset, 0)
}

func TestNoEFI(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Odd: Odd{NoEFI: true}})
	c.must(setFlags(0xe0, 0x04, 0, 0, 0))
	if f := b.Boot(); f.EFI || !f.Valid || !f.Persistent || f.Device != "pxe" {
		t.Errorf("flags %+v", f)
	}
	b.SetFaults(Faults{})
	c.must(setFlags(0xe0, 0x04, 0, 0, 0))
	if f := b.Boot(); !f.EFI {
		t.Errorf("flags after the fault %+v", f)
	}
}

func TestBadChecksums(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Odd: Odd{BadChecksums: true}})
	c.write(c.datagram(callStatus))
	pkt := c.read() // authentic, and wrong inside
	if len(pkt) < 40 {
		t.Fatalf("answer %x", pkt)
	}
	executed(t, b, ChassisStatus, 1)
}

func TestDeafAndDead(t *testing.T) {
	b, _ := newOne(t, Options{})
	b.SetFaults(Faults{Odd: Odd{DeafTo: []int{17}, DeadIn: []int{3}}})
	c := dial(t, b)
	c.write(c.openRequest())
	c.barrier()
	executed(t, b, SessionRequest, 0)

	c = dial(t, b)
	c.suite = 3
	if status := c.open(); status != 0 {
		t.Fatalf("Open Session with suite 3: status %#x", status)
	}
	c.write(c.rakp1Request())
	c.barrier()
	executed(t, b, RAKP1, 0)

	b.SetFaults(Faults{})
	c = dial(t, b)
	c.login()
}

func TestKeysOfTheOpenPrivilege(t *testing.T) {
	b, _ := newOne(t, Options{})
	b.SetFaults(Faults{Odd: Odd{OpenPrivilege: true}})
	c := dial(t, b)
	if status := c.open(); status != 0 {
		t.Fatalf("Open Session: status %#x", status)
	}
	if status, proven := c.rakp1(); status != 0 || proven {
		t.Errorf("RAKP 2 has status %#x, and proves the password by the privilege of RAKP 1: %v", status, proven)
	}
	b.SetFaults(Faults{})
	dial(t, b).login()
}

func TestPace(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Odd: Odd{Pace: time.Second}})
	c.must(callStatus)
	before, _ := b.Datagrams()
	c.write(c.datagram(callStatus)) // not heard
	eventually(t, "the request arrives", func() bool {
		in, _ := b.Datagrams()
		return in > before
	})
	b.SetFaults(Faults{})
	c.barrier()
	b.SetFaults(Faults{Odd: Odd{Pace: time.Second}})
	clock.advance(time.Second)
	c.must(callStatus)
	executed(t, b, ChassisStatus, 2)
}
