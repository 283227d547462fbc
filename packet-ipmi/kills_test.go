package main

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// killRuns are how many lives a plugin of the tests of random kills has, each with a
// seed of its own: few, or many at night.
func killRuns() int {
	if os.Getenv("OOB_NIGHTLY") != "" {
		return 60
	}
	return 2
}

// killSeed is the seed of a run: of the clock, or OOB_SEED to repeat one.
func killSeed(t *testing.T, run int) uint64 {
	t.Helper()
	if text := os.Getenv("OOB_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return uint64(time.Now().UnixNano()) + uint64(run)
}

// killer kills a plugin, again and again, when the API has had so many more requests
// as chance says: a moment of the plugin's own work, and not of the clock's.
type killer struct {
	*site
	rand *rand.Rand
}

// onward lets the plugin go on until it has made some more requests, or nothing is
// left to do, and then kills it and starts it again.
func (k *killer) onward(idle func() bool) {
	k.t.Helper()
	at := k.sim.Requests() + k.rand.IntN(7)
	until(k.t, "the plugin goes on", func() bool { return k.sim.Requests() >= at || idle() })
	k.kill()
	k.start()
}

// A plugin that is killed at any moment while it makes devices and takes them away
// makes one for each machine, and leaves none behind.
func TestKilledAtRandomWhileCreating(t *testing.T) {
	t.Parallel()
	for run := range killRuns() {
		seed := killSeed(t, run)
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			t.Logf("OOB_SEED=%d", seed)
			s := newSite(t, packet.Options{Timing: packet.Every(20 * time.Millisecond), Latency: 2 * time.Millisecond}, nil)
			k := &killer{s, rand.New(rand.NewPCG(seed, 1))}
			idle := func() bool { return s.left("jobs") == 0 }
			const machines = 4
			var ids []string
			for i := range machines {
				ids = append(ids, s.ours("m"+strconv.Itoa(i), nil).Uuid)
				k.onward(idle)
			}
			for range 3 {
				k.onward(idle)
			}
			for _, id := range ids {
				s.ready(id)
			}
			if n, made := len(s.sim.Devices()), s.sim.Executed("", "create"); n != machines || made != machines {
				t.Errorf("%d devices, %d created", n, made)
			}
			// An event of which nobody was left to hear is lost: the plugin is killed only
			// once it has them all, which it cannot carry out so long.
			s.sim.SetFaults(packet.Oops("delete", packet.Always))
			for _, id := range ids {
				s.endpoint.drop(id)
			}
			until(t, "all events are heard", func() bool { return s.left("jobs") == machines })
			k.onward(idle)
			s.sim.SetFaults()
			k.onward(idle)
			k.onward(idle)
			until(t, "no device is left", func() bool { return len(s.sim.Devices()) == 0 && idle() })
			if n := s.sim.Executed("", "delete"); n != machines {
				t.Errorf("%d deleted", n)
			}
		})
	}
}

// A plugin that is killed at any moment of a boot for once restores always_pxe, and the
// device boots from the network at most once for each order.
func TestKilledAtRandomWhileBootingOnce(t *testing.T) {
	t.Parallel()
	for run := range killRuns() {
		seed := killSeed(t, run)
		t.Run(strconv.Itoa(run), func(t *testing.T) {
			t.Logf("OOB_SEED=%d", seed)
			s := newSite(t, packet.Options{Latency: 2 * time.Millisecond}, nil)
			id := s.sim.Add("default", 1, packet.Device{})[0]
			k := &killer{s, rand.New(rand.NewPCG(seed, 2))}
			var running sync.WaitGroup
			defer running.Wait()
			for _, command := range []string{model.NextBootPXE, model.PowerReset} {
				p, over := s.process, make(chan struct{})
				running.Go(func() {
					defer close(over)
					_, _ = p.Action(context.Background(), &model.Action{ // it may be killed meanwhile
						Model: map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{paramUUID: id}}, Command: command, Params: model.Params{},
					})
				})
				k.onward(func() bool {
					select {
					case <-over:
						return true
					default:
						return false
					}
				})
			}
			if err := s.act(model.PowerReset, id); err != nil { // the boot of an order that was taken
				t.Fatal(err)
			}
			until(t, "always_pxe is restored", func() bool { d, _ := s.sim.Device(id); return !d.AlwaysPXE })
			if err := s.act(model.PowerReset, id); err != nil {
				t.Fatal(err)
			}
			d, _ := s.sim.Device(id)
			fromNet := 0
			for _, b := range d.Boots {
				if b.PXE {
					fromNet++
				}
			}
			if fromNet > 1 || d.Boots[len(d.Boots)-1].PXE {
				t.Errorf("booted %+v", d.Boots)
			}
		})
	}
}
