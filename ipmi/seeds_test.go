package main

import (
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// seedClass counts the answers over networks that lose the same share.
type seedClass struct {
	loss                 float64
	asked, failed, wrong int
	crossed              int // of those failed, a login that the BMC proved and refused
	executed, twice      int
}

// TestSeeds asks BMCs over networks that each are bad in a way of their own:
// datagrams are lost, doubled, out of order, late, altered. What is answered is
// right, and what is sent once is executed once at most. How much is answered
// within half a minute is printed.
func TestSeeds(t *testing.T) {
	t.Parallel()
	count, classes := 6, []seedClass{{loss: 0.1}}
	if os.Getenv("OOB_NIGHTLY") != "" {
		count, classes = 999, []seedClass{{loss: 0.1}, {loss: 0.3}, {loss: 0.5}}
	}
	f := startFleet(t, bmc.Options{Count: count, On: true, Seed: 17, Sessions: 4})
	s := &seeds{survey: survey{p: briskProvider(t), brief: model.Params{"oob/timeout": 30}}, classes: classes}
	places := make(chan struct{}, 128)
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			places <- struct{}{}
			s.ask(t, f.BMC(i), i)
			<-places
		})
	}
	all.Wait()
	for _, c := range s.classes {
		t.Logf("loss %.0f %%: %d asked, %d answered (%.1f %%), %d failed, %d of them since datagrams crossed; %d wrong; %d sent once were executed, %d twice",
			100*c.loss, c.asked, c.asked-c.failed-c.wrong, 100-100*float64(c.failed+c.wrong)/float64(c.asked), c.failed, c.crossed, c.wrong, c.executed, c.twice)
		if c.wrong+c.twice > 0 {
			t.Errorf("loss %.0f %%: %d wrong, %d executed twice", 100*c.loss, c.wrong, c.twice)
		}
	}
}

// seeds is the answers of a fleet of bad networks.
type seeds struct {
	survey
	mu      sync.Mutex // guards classes
	classes []seedClass
}

// badNetwork draws a network.
func badNetwork(seed uint64, loss float64) bmc.Faults {
	rnd := rand.New(rand.NewPCG(seed, 1))
	return bmc.Faults{
		LossRate: loss, DuplicateRate: 0.2, ReorderRate: 0.1 * rnd.Float64(), FlipRate: 0.002 * rnd.Float64(),
		Jitter: []time.Duration{0, 30 * time.Millisecond, 300 * time.Millisecond}[rnd.IntN(3)],
	}
}

// ask reads the state of a machine, resets it and switches it off, over a network
// of its own.
func (s *seeds) ask(t *testing.T, b *bmc.BMC, i int) {
	class := i % len(s.classes)
	s.mu.Lock()
	loss := s.classes[class].loss
	s.mu.Unlock()
	b.SetFaults(badNetwork(uint64(i), loss))
	var c seedClass
	res, err := s.act(model.PowerStatus, b, b.Addr())
	c.count(t, i, model.PowerStatus, err, res.Power == model.StateOn)

	res, err = s.act(model.PowerReset, b, b.Addr())
	c.executed = b.Executed(bmc.PowerReset)
	told := err == nil || model.KindOf(err) == model.UnknownOutcome || model.KindOf(err) == model.Timeout
	if c.executed > 1 {
		c.twice++
	}
	if err == nil && c.executed == 0 || !told && c.executed > 0 {
		c.wrong++
		t.Errorf("seed %d: reset executed %d times, and called %+v, %v", i, c.executed, res, err)
	}

	_, err = s.act(model.PowerOff, b, b.Addr())
	c.count(t, i, model.PowerOff, err, !b.Power())
	s.sum(class, c)
}

// count counts an answer to what may be asked again: it is right, or there is
// none in time.
func (c *seedClass) count(t *testing.T, seed int, command string, err error, right bool) {
	t.Helper()
	c.asked++
	switch kind := model.KindOf(err); {
	case err == nil && right:
	case kind == model.Unreachable, kind == model.Timeout, kind == model.UnknownOutcome, kind == model.Busy: // by sessions half open
		c.failed++
		if strings.Contains(err.Error(), string(rmcp.Crossed)) {
			c.crossed++
		}
	default:
		c.wrong++
		t.Errorf("seed %d: %s: right %v, %v", seed, command, right, err)
	}
}

// sum adds the answers of one BMC to those of its class.
func (s *seeds) sum(class int, c seedClass) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := &s.classes[class]
	sum.asked += c.asked
	sum.failed += c.failed
	sum.crossed += c.crossed
	sum.wrong += c.wrong
	sum.executed += c.executed
	sum.twice += c.twice
}
