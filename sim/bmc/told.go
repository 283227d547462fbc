package bmc

import (
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// Tells is the ways in which a BMC takes what it is ordered and tells otherwise.
// The zero value is one that tells the truth.
type Tells struct {
	// Behind is how late the power state is told.
	Behind time.Duration
	// Flaps tells the power state wrongly and rightly in turn.
	Flaps bool
	// Stray is which readings of the power state from SetFaults on are wrong, the
	// first being 1.
	Stray []int
	// NotPersistent keeps boot flags for every boot as flags for one.
	NotPersistent bool
	// NotValid keeps boot flags without their valid bit.
	NotValid bool
	// NotLit tells the locator as off.
	NotLit bool
	// NoLocator says that the locator is not told.
	NoLocator bool
}

// was is the power state at a time.
type was struct {
	at time.Time
	on bool
}

// maxPast is how many changes of the power state are kept for who is behind.
const maxPast = 16

// told is what a BMC knows of its machine to tell it wrongly. The mutex of its
// BMC guards it.
type told struct {
	Tells
	past []was // kept if it is behind, the oldest first
	read int   // readings so far
}

// restart begins anew with the present state, which always was.
func (t *told) restart(f Tells, on bool) {
	*t = told{Tells: f}
	if f.Behind > 0 {
		t.past = []was{{on: on}}
	}
}

// changed keeps a change of the power state.
func (t *told) changed(at time.Time, on bool) {
	if t.Behind <= 0 {
		return
	}
	t.past = append(t.past, was{at, on})
	if len(t.past) > maxPast {
		t.past = t.past[1:]
	}
}

// power returns the power state as it is told now.
func (t *told) power(now time.Time, on bool) bool {
	for i := len(t.past) - 1; i >= 0 && t.Behind > 0; i-- {
		if on = t.past[i].on; !t.past[i].at.After(now.Add(-t.Behind)) {
			break
		}
	}
	t.read++
	for _, n := range t.Stray {
		on = on != (n == t.read)
	}
	return on != (t.Flaps && t.read%2 == 1)
}

// flags returns the boot flags as they are kept.
func (t *told) flags(f types.BootOptionParam_BootFlags) *types.BootOptionParam_BootFlags {
	f.Persist = f.Persist && !t.NotPersistent
	f.BootFlagsValid = f.BootFlagsValid && !t.NotValid
	return &f
}

// light returns the locator as it is told.
func (t *told) light(l Light) Light {
	if t.NotLit {
		return Light{}
	}
	return l
}
