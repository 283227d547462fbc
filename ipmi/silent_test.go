package main

import (
	"testing"

	"provision-plugins/shared/model"
	"provision-plugins/sim/bmc"
)

// TestASilentTenthSlowsNobody asks a fleet at once of which a tenth is silent:
// every other machine is answered before the first of the silent ones is given
// up, from closed sessions and then over those that are open.
func TestASilentTenthSlowsNobody(t *testing.T) {
	t.Parallel()
	const count = 100
	f := startFleet(t, bmc.Options{Count: count, On: true, Seed: 10})
	for i := 0; i < count; i += 10 {
		f.BMC(i).SetFaults(bmc.Faults{Silent: true})
	}
	p := briskProvider(t)
	for _, sessions := range []string{"closed", "open"} {
		type answer struct {
			i   int
			err error
		}
		answers := make(chan answer)
		for i := range count {
			go func() {
				_, err := act(p, model.PowerStatus, f.BMC(i).Addr(), model.Params{"oob/timeout": 3})
				answers <- answer{i, err}
			}()
		}
		givenUp := 0
		for range count {
			a := <-answers
			switch silent := a.i%10 == 0; {
			case silent && model.KindOf(a.err) != model.Unreachable:
				t.Errorf("sessions %s: the silent BMC %d: %v", sessions, a.i, a.err)
			case silent:
				givenUp++
			case a.err != nil:
				t.Errorf("sessions %s: BMC %d: %v", sessions, a.i, a.err)
			case givenUp > 0:
				t.Errorf("sessions %s: BMC %d was answered after %d silent ones were given up", sessions, a.i, givenUp)
			}
		}
	}
}
