package bmc

import (
	"bytes"
	"math/bits"
	"testing"
	"time"
)

func TestLatencyIsOfBothDirections(t *testing.T) {
	b, clock := newOne(t, Options{})
	c := operator(t, b)
	b.SetFaults(Faults{Latency: time.Second})
	c.write(c.datagram(callOn))
	eventually(t, "it was sent", func() bool { in, _ := b.Datagrams(); return in > 0 && clock.waiting() == 1 })
	executed(t, b, PowerOn, 0)
	clock.advance(time.Second)
	executed(t, b, PowerOn, 1)
	clock.advance(time.Second)
	if a := c.unseal(c.read()); a.cc != ccOK {
		t.Errorf("completion code %#x", a.cc)
	}
}

// waiting is the number of calls to come.
func (c *fakeClock) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

func TestJitterIsDrawnFromTheSeed(t *testing.T) {
	draw := func(seed uint64) (out []time.Duration) {
		s := newFaultState(Faults{Latency: time.Second, Jitter: time.Second}, seed, 1)
		for range 20 {
			d := s.transit()
			if d < time.Second || d >= 2*time.Second {
				t.Errorf("under way for %v", d)
			}
			out = append(out, d)
		}
		return out
	}
	first, again, other := draw(1), draw(1), draw(2)
	for i := range first {
		if first[i] != again[i] {
			t.Errorf("draw %d: %v and %v from one seed", i, first[i], again[i])
		}
	}
	if first[0] == other[0] && first[1] == other[1] {
		t.Error("two seeds draw the same")
	}
}

func TestReorderedRequestIsExecutedAfterTheNext(t *testing.T) {
	b, _ := newOne(t, Options{On: true})
	c := operator(t, b)
	b.SetFaults(Faults{ReorderRate: 1})
	c.write(c.datagram(callOff))
	eventually(t, "it arrived", func() bool { in, _ := b.Datagrams(); return in > 0 && b.lateRequests() == 1 })
	executed(t, b, PowerOff, 0)
}

// lateRequests is the number of requests that are held back.
func (b *BMC) lateRequests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.late)
}

func TestRebootForgetsSessions(t *testing.T) {
	for _, early := range []bool{false, true} {
		b, clock := newOne(t, Options{})
		c := operator(t, b)
		b.SetFaults(Faults{Reboots: once(PowerOn), RebootsEarly: early, RebootTime: 10 * time.Second})
		c.write(c.datagram(callOn))
		eventually(t, "it reboots", func() bool { return b.Executed(Reboot) == 1 })
		if want := !early; b.Power() != want {
			t.Errorf("early %v: power %v, want %v", early, b.Power(), want)
		}
		if n := b.Sessions(); n != 0 {
			t.Errorf("early %v: %d sessions", early, n)
		}
		in, out := b.Datagrams()
		c.write(c.ping())
		eventually(t, "it is ignored", func() bool { now, _ := b.Datagrams(); return now == in+1 })
		if _, now := b.Datagrams(); now != out {
			t.Errorf("early %v: it answers while it reboots", early)
		}
		clock.advance(10 * time.Second)
		c.write(c.datagram(callOn)) // of a session it does not know
		c.barrier()
		dial(t, b).login()
	}
}

func TestInjectedDatagramsComeBeforeTheReply(t *testing.T) {
	for name, f := range map[string]Faults{
		"garbage": {GarbageRate: 1}, "forged": {ForgeRate: 1}, "replayed": {ReplayRate: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newOne(t, Options{On: true, Seed: 3})
			c := operator(t, b)
			b.SetFaults(f)
			var last []byte
			for i := range 40 {
				c.write(c.datagram(callStatus))
				if i == 0 && name == "replayed" { // there is none to replay yet
					last = c.read()
					c.unseal(last)
					continue
				}
				injected, reply := c.read(), c.read()
				if bytes.Equal(injected, reply) {
					t.Fatal("the reply came twice")
				}
				if name == "replayed" && i == 1 && !bytes.Equal(injected, last) {
					t.Fatal("what came first is not the last reply")
				}
				if a := c.unseal(reply); a.cc != ccOK || a.cmd != callStatus[1] {
					t.Fatalf("the reply is %+v", a)
				}
			}
		})
	}
}

func TestForgedRefusalIsForAnotherSession(t *testing.T) {
	b, _ := newOne(t, Options{})
	b.SetFaults(Faults{ForgeRate: 1})
	c := dial(t, b)
	c.write(c.openRequest())
	forged, reply := c.read(), c.read()
	if forged[statusAt] == 0 || reply[statusAt] != 0 {
		t.Errorf("status %#x and %#x", forged[statusAt], reply[statusAt])
	}
	if bytes.Equal(forged[consoleAt:consoleAt+4], reply[consoleAt:consoleAt+4]) {
		t.Error("the forged refusal has the session's own ID")
	}
}

// A datagram arrives with one bit the wrong way round, either way; what was sent
// stays as it was.
func TestFlippedBits(t *testing.T) {
	b, _ := newOne(t, Options{On: true, Seed: 3})
	c := operator(t, b)
	state := newFaultState(Faults{FlipRate: 1}, 3, 1)
	for range 100 {
		sent := c.datagram(callStatus)
		was := bytes.Clone(sent)
		got := state.flip(sent)
		wrong := 0
		for i := range got {
			wrong += bits.OnesCount8(got[i] ^ was[i])
		}
		if len(got) != len(was) || wrong != 1 || !bytes.Equal(sent, was) {
			t.Fatalf("%d bits are wrong; sent %x, came %x", wrong, was, got)
		}
	}
	whole := newFaultState(Faults{}, 3, 1)
	if pkt := c.datagram(callStatus); !bytes.Equal(whole.flip(pkt), pkt) || len(state.flip(nil)) != 0 {
		t.Error("flipped what should not be")
	}
}
