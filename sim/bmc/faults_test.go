package bmc

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// once is a count of one.
func once(name string) map[string]int { return map[string]int{name: 1} }

func TestLostRequest(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{DropRequests: once(PowerOn)})
	on := c.datagram(callOn)
	c.write(on)
	c.barrier()
	executed(t, b, PowerOn, 0)
	if c.on() {
		t.Error("on")
	}
	c.write(on) // it never arrived, so this is no replay
	c.unseal(c.read())
	executed(t, b, PowerOn, 1)
}

func TestLostReply(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{DropReplies: map[string]int{PowerOn: 2}})
	for n := 1; n <= 2; n++ {
		c.write(c.datagram(callOn))
		c.barrier()
		executed(t, b, PowerOn, n)
	}
	if !c.on() {
		t.Error("off")
	}
	c.must(callOn)
	if left := b.Faults().DropReplies[PowerOn]; left != 0 {
		t.Errorf("%d left", left)
	}
}

func TestLostReplyOfAnyCommand(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{DropReplies: once(Any)})
	c.write(c.datagram(callStatus))
	c.barrier()
	c.on()
}

func TestLostHandshakeMessages(t *testing.T) {
	for _, name := range []string{SessionRequest, RAKP1, RAKP3} {
		for _, reply := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reply %v", name, reply), func(t *testing.T) {
				b, _ := newOne(t, Options{})
				f := Faults{DropRequests: once(name)}
				if reply {
					f = Faults{DropReplies: once(name)}
				}
				b.SetFaults(f)
				c := dial(t, b)
				for _, step := range []struct {
					name string
					pkt  func() []byte
					read func() byte
				}{
					{SessionRequest, c.openRequest, c.open},
					{RAKP1, c.rakp1Request, func() byte { s, _ := c.rakp1(); return s }},
					{RAKP3, c.rakp3Request, c.rakp3},
				} {
					if step.name == name {
						c.write(step.pkt())
						c.barrier()
					}
					if got := step.read(); got != 0 {
						t.Fatalf("%s: status %#x", step.name, got)
					}
				}
				c.on()
				executed(t, b, SessionOpen, 1)
			})
		}
	}
}

// cycleOnce does a whole power cycle with a client that sends each datagram
// once, and gives up as soon as an answer does not come.
func cycleOnce(t *testing.T, b *BMC) (finished bool) {
	t.Helper()
	c := dial(t, b)
	answered := func(request []byte, read func([]byte)) bool {
		in, out := b.Datagrams()
		_ = in
		c.write(request)
		eventually(t, "the datagram arrived", func() bool { now, _ := b.Datagrams(); return now == in+1 })
		if _, now := b.Datagrams(); now == out || b.Faults().DropDatagram == in+1+now {
			return false
		}
		read(c.read())
		return true
	}
	steps := []struct {
		request func() []byte
		read    func([]byte)
	}{
		{c.openRequest, func(p []byte) { c.bmcID = uint32(p[24]) | uint32(p[25])<<8 | uint32(p[26])<<16 | uint32(p[27])<<24 }},
		{c.rakp1Request, func(p []byte) { copy(c.bmcRand[:], p[24:]); copy(c.bmcGUID[:], p[40:]) }},
		{c.rakp3Request, func(p []byte) { c.rakp4(p) }},
		{func() []byte { return c.datagram(call{6, 0x3b, 3}) }, func(p []byte) { c.unseal(p) }},
		{func() []byte { return c.datagram(callCycle) }, func(p []byte) { c.unseal(p) }},
		{func() []byte { return c.datagram(callStatus) }, func(p []byte) { c.unseal(p) }},
		{func() []byte { return c.datagram(c.closeRequest()) }, func(p []byte) { c.unseal(p) }},
	}
	for _, s := range steps {
		if !answered(s.request(), s.read) {
			return false
		}
	}
	return true
}

func TestEachDatagramOfACycleCanBeDropped(t *testing.T) {
	const datagrams, cycleRequest = 14, 9
	for n := 0; n <= datagrams+1; n++ {
		b, _ := newOne(t, Options{On: true, CycleOff: -1})
		b.SetFaults(Faults{DropDatagram: n})
		if got, want := cycleOnce(t, b), n == 0 || n > datagrams; got != want {
			t.Errorf("datagram %d dropped: finished is %v, want %v", n, got, want)
		}
		want := 1
		if n > 0 && n <= cycleRequest {
			want = 0
		}
		executed(t, b, PowerCycle, want)
	}
}

func TestSilent(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Silent: true})
	in, out := b.Datagrams()
	c.write(c.datagram(callOn))
	c.write(c.ping())
	eventually(t, "both arrived", func() bool { now, _ := b.Datagrams(); return now == in+2 })
	if _, now := b.Datagrams(); now != out {
		t.Errorf("%d datagrams sent", now-out)
	}
	executed(t, b, PowerOn, 0)
	b.SetFaults(Faults{})
	c.must(callOn)
}

func TestDuplicateRequests(t *testing.T) {
	b, _ := newOne(t, Options{On: true, CycleOff: -1})
	c := operator(t, b)
	b.SetFaults(Faults{DuplicateRequests: once(PowerCycle)})
	c.must(callCycle)
	c.barrier()
	executed(t, b, PowerCycle, 1)

	b.SetFaults(Faults{DuplicateRequests: once(PowerCycle), AcceptsReplays: true})
	c.must(callCycle)
	c.unseal(c.read())
	executed(t, b, PowerCycle, 3)
}

func TestDuplicateReplies(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{DuplicateReplies: map[string]int{Any: Always}})
	for range 3 {
		c.write(c.datagram(callStatus))
		first, second := c.read(), c.read()
		if !slices.Equal(first, second) {
			t.Errorf("%x is not a copy of %x", second, first)
		}
	}
	executed(t, b, ChassisStatus, 3)
}

func TestDelayedPastTheNextCommand(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	b.SetFaults(Faults{DelayRequests: once(PowerOff)})
	c.write(c.datagram(callOff))
	c.barrier2() // the ping overtook it
	if c.on() {
		t.Error("on: the delayed command was not executed")
	}
	executed(t, b, PowerOff, 1)
}

// barrier2 reads a pong and the answer to a delayed command after it.
func (c *console) barrier2() {
	c.t.Helper()
	c.barrier()
	c.unseal(c.read())
}

func TestDelayedPastTheEndOfItsSession(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	b.SetFaults(Faults{DelayRequests: once(PowerOff)})
	c.write(c.datagram(callOff))
	c.must(c.closeRequest())
	c.barrier()
	executed(t, b, PowerOff, 0)
}

func TestHeldRepliesAreReordered(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{HoldReplies: once(ChassisStatus)})
	c.write(c.datagram(callStatus))
	c.write(c.datagram(callDeviceID))
	if got := c.unseal(c.read()); got.cmd != callDeviceID[1] {
		t.Errorf("command %#x answered first", got.cmd)
	}
	if got := c.unseal(c.read()); got.cmd != callStatus[1] {
		t.Errorf("command %#x answered second", got.cmd)
	}
}

func TestDelay(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Delay: 2 * time.Second})
	in, _ := b.Datagrams()
	c.write(c.datagram(callOn))
	eventually(t, "it arrived", func() bool { now, _ := b.Datagrams(); return now == in+1 })
	executed(t, b, PowerOn, 1)
	b.SetFaults(Faults{})
	c.barrier() // nothing came before
	clock.advance(2 * time.Second)
	if a := c.unseal(c.read()); a.cc != ccOK {
		t.Errorf("completion code %#x", a.cc)
	}
	b.SetFaults(Faults{Delay: time.Second})
	c.write(c.datagram(callOff)) // never answered: the fleet ends first
	eventually(t, "it was executed", func() bool { return b.Executed(PowerOff) == 1 })
}

func TestBusy(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Busy: map[string]int{PowerOn: 2}})
	c.refused(callOn, ccBusy)
	c.refused(callOn, ccBusy)
	executed(t, b, PowerOn, 0)
	c.must(callOn)
	executed(t, b, PowerOn, 1)
	b.SetFaults(Faults{Busy: map[string]int{Any: Always}})
	for range 5 {
		c.refused(callStatus, ccBusy)
	}
	b.SetFaults(Faults{})
	c.on()
}

func TestRefuse(t *testing.T) {
	b, _ := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Refuse: once(PowerOn)})
	c.refused(callOn, ccNotNow)
	executed(t, b, PowerOn, 0)
	c.must(callOn)
	executed(t, b, PowerOn, 1)
}

func TestSessionsFull(t *testing.T) {
	b, _ := newOne(t, Options{})
	b.SetFaults(Faults{SessionsFull: true})
	c := dial(t, b)
	if got := c.open(); got != byte(types.RmcpStatusCodeNoResToCreateSess) {
		t.Errorf("status %#x", got)
	}
	b.SetFaults(Faults{})
	c.login()
}

func TestLockout(t *testing.T) {
	b, _ := newOne(t, Options{})
	b.SetFaults(Faults{LockoutAfter: 2})
	for range 2 {
		c := dial(t, b)
		c.password = "guess"
		c.open()
		c.rakp1()
		c.rakp3()
	}
	executed(t, b, LoginRefused, 2)
	c := dial(t, b) // with the right password
	c.open()
	if status, _ := c.rakp1(); status != byte(types.RmcpStatusCodeUnauthorizedName) {
		t.Errorf("status %#x", status)
	}
	executed(t, b, LoginRefused, 3)
	b.SetFaults(Faults{LockoutAfter: 2})
	c.login()
}

func TestRatesAreDrawnFromTheSeed(t *testing.T) {
	run := func(seed uint64) []int {
		b, _ := newOne(t, Options{Seed: seed})
		c := dial(t, b)
		b.SetFaults(Faults{LossRate: 0.3, DuplicateRate: 0.3})
		var counts []int
		for i := range 100 {
			c.write(c.ping())
			eventually(t, "it arrived", func() bool { in, _ := b.Datagrams(); return in == i+1 })
			counts = append(counts, b.Executed(Ping))
		}
		return counts
	}
	first := run(7)
	if !slices.Equal(first, run(7)) {
		t.Error("the same seed gives another run")
	}
	if slices.Equal(first, run(8)) {
		t.Error("another seed gives the same run")
	}
	if last := first[99]; last == 0 || last == 100 {
		t.Errorf("%d of 100 executed", last)
	}
}

func TestFaultsAreCopied(t *testing.T) {
	b, _ := newOne(t, Options{})
	mine := Faults{DropReplies: once(PowerOn)}
	b.SetFaults(mine)
	mine.DropReplies[PowerOn] = 9
	got := b.Faults()
	if got.DropReplies[PowerOn] != 1 {
		t.Errorf("%d, want 1", got.DropReplies[PowerOn])
	}
	got.DropReplies[PowerOn] = 5
	if again := b.Faults(); again.DropReplies[PowerOn] != 1 {
		t.Errorf("%d, want 1", again.DropReplies[PowerOn])
	}
}

func TestTake(t *testing.T) {
	counts := map[string]int{PowerOn: 1, Any: 1, PowerOff: Always}
	for i, row := range []struct {
		name string
		want bool
	}{
		{PowerOn, true}, {PowerOn, true}, {PowerOn, false}, {GetBoot, false},
		{PowerOff, true}, {PowerOff, true}, {PowerOff, true},
	} {
		if got := take(counts, row.name); got != row.want {
			t.Errorf("%d: %s: %v, want %v", i, row.name, got, row.want)
		}
	}
	if take(nil, PowerOn) {
		t.Error("a fault out of nothing")
	}
}
