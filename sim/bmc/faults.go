package bmc

import (
	"maps"
	"math/rand/v2"
	"time"
)

// Any stands for every command in the maps of Faults.
const Any = "*"

// Always is a count that never runs out.
const Always = -1

// Faults is what is wrong with one BMC, or with the network before it. The
// maps are from the name of a command, or Any, to how many times it happens,
// Always for every time. The zero value is a BMC with no faults.
type Faults struct {
	// Silent loses every datagram to the BMC.
	Silent bool
	// DropDatagram loses the n-th datagram, of either direction, counted from
	// SetFaults on, the first being 1.
	DropDatagram int
	// LossRate and DuplicateRate are the shares, from 0 to 1, of the datagrams
	// of each direction that are lost and that arrive twice.
	LossRate, DuplicateRate float64

	// DropRequests loses requests: nothing is executed.
	DropRequests map[string]int
	// DropReplies loses replies: the command was executed.
	DropReplies map[string]int
	// DuplicateRequests makes the network deliver requests twice.
	DuplicateRequests map[string]int
	// DuplicateReplies makes the network deliver replies twice.
	DuplicateReplies map[string]int
	// DelayRequests holds requests back until after the next datagram that is
	// not held back itself.
	DelayRequests map[string]int
	// HoldReplies holds replies back until after the next reply.
	HoldReplies map[string]int
	// Delay is how much later than usual each reply is sent.
	Delay time.Duration

	// Busy answers "node busy" (C0h) in place of executing.
	Busy map[string]int
	// Refuse answers "not supported in the present state" (D5h) in place of
	// executing.
	Refuse map[string]int
	// Ignore answers success without executing anything. It is meant for
	// commands that return no data.
	Ignore map[string]int
	// AcceptsReplays executes a datagram again whose session sequence number
	// was seen before.
	AcceptsReplays bool
	// WrongPassword makes the account have another password than the one in
	// Options.
	WrongPassword bool
	// LockoutAfter disables the account after so many refused logins, until
	// SetFaults is called again.
	LockoutAfter int
	// SessionsFull answers every Open Session Request with "insufficient
	// resources" (01h).
	SessionsFull bool

	// LiesAboutPower makes the power state be reported the wrong way round.
	LiesAboutPower bool
	// SoftIgnored is an operating system that does not react to the request
	// to shut down.
	SoftIgnored bool
	// AppliesLate is added to Options.PowerDelay.
	AppliesLate time.Duration
}

// clone returns a copy that shares no map with f.
func (f Faults) clone() Faults {
	for _, m := range f.counted() {
		*m = maps.Clone(*m)
	}
	return f
}

// counted lists the maps of f.
func (f *Faults) counted() []*map[string]int {
	return []*map[string]int{
		&f.DropRequests, &f.DropReplies, &f.DuplicateRequests, &f.DuplicateReplies,
		&f.DelayRequests, &f.HoldReplies, &f.Busy, &f.Refuse, &f.Ignore,
	}
}

// faultState is the faults of one BMC with what is left of their counts.
type faultState struct {
	Faults
	seen int        // datagrams of either direction since SetFaults
	rng  *rand.Rand // nil unless a rate is set
}

// newFaultState starts the counts of f anew.
func newFaultState(f Faults, seed, stream uint64) faultState {
	s := faultState{Faults: f.clone()}
	if f.LossRate > 0 || f.DuplicateRate > 0 {
		s.rng = rand.New(rand.NewPCG(seed, stream))
	}
	return s
}

// lost reports whether the network loses the next datagram.
func (s *faultState) lost() bool {
	s.seen++
	if s.DropDatagram > 0 && s.seen == s.DropDatagram {
		return true
	}
	return s.LossRate > 0 && s.rng.Float64() < s.LossRate
}

// twice reports whether the network delivers a datagram twice.
func (s *faultState) twice() bool {
	return s.DuplicateRate > 0 && s.rng.Float64() < s.DuplicateRate
}

// take reports whether a counted fault strikes the named command, and counts
// it. A count for the very command is used before one for Any.
func take(counts map[string]int, name string) bool {
	for _, key := range [...]string{name, Any} {
		n := counts[key]
		if n == 0 {
			continue
		}
		if n > 0 {
			counts[key] = n - 1
		}
		return true
	}
	return false
}
