package bmc

import (
	"maps"
	"math/rand/v2"
	"slices"
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
	// FlipRate is the share of the datagrams of each direction that arrive with one
	// bit the wrong way round, as past a checksum of UDP that nobody looks at.
	FlipRate float64
	// ReorderRate is the share of the datagrams of each direction that are held
	// back until after the next one of that direction.
	ReorderRate float64
	// Latency is how long each datagram is under way, in each direction; Jitter
	// is what may be added to it, drawn anew for each, so that datagrams overtake
	// one another.
	Latency, Jitter time.Duration
	// GarbageRate, ForgeRate and ReplayRate are the shares of the replies before
	// which the network delivers another datagram from the BMC's address: one of
	// bytes that mean nothing; one that claims another outcome, made by who does
	// not know the session's key or the console's session ID; and one of the
	// last replies once more.
	GarbageRate, ForgeRate, ReplayRate float64

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
	// Reboots executes the command and, in place of answering, forgets all
	// sessions and hears nothing for RebootTime. The machine is not touched.
	Reboots map[string]int
	// RebootTime is how long a reboot takes.
	RebootTime time.Duration
	// RebootsEarly makes the reboot come before the command is executed.
	RebootsEarly bool
	// ForgetsBoot makes a reboot forget the boot options, too.
	ForgetsBoot bool
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

	// Tells is what the BMC tells otherwise than it is.
	Tells Tells
	// Odd is what the BMC does otherwise than IPMI says, for as long as the
	// faults last.
	Odd Odd
	// ClockSkew is how far the clock of the event log is ahead; ClockUnset is a
	// clock that was never set.
	ClockSkew  time.Duration
	ClockUnset bool

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
	f.Odd.Codes = maps.Clone(f.Odd.Codes)
	f.Odd.Serials = maps.Clone(f.Odd.Serials)
	f.Tells.Stray = slices.Clone(f.Tells.Stray)
	return f
}

// counted lists the maps of f.
func (f *Faults) counted() []*map[string]int {
	return []*map[string]int{
		&f.DropRequests, &f.DropReplies, &f.DuplicateRequests, &f.DuplicateReplies,
		&f.DelayRequests, &f.HoldReplies, &f.Busy, &f.Refuse, &f.Ignore, &f.Reboots,
	}
}

// faultState is the faults of one BMC with what is left of their counts.
type faultState struct {
	Faults
	seen int        // datagrams of either direction since SetFaults
	rng  *rand.Rand // nil unless something is drawn
}

// newFaultState starts the counts of f anew.
func newFaultState(f Faults, seed, stream uint64) faultState {
	s := faultState{Faults: f.clone()}
	if f.LossRate+f.DuplicateRate+f.FlipRate+f.ReorderRate+f.GarbageRate+f.ForgeRate+f.ReplayRate > 0 || f.Jitter > 0 {
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
	return s.strikes(s.LossRate)
}

// strikes draws whether something of that rate happens now.
func (s *faultState) strikes(rate float64) bool {
	return rate > 0 && s.rng.Float64() < rate
}

// transit draws how long the next datagram is under way.
func (s *faultState) transit() time.Duration {
	if s.Jitter <= 0 {
		return s.Latency
	}
	return s.Latency + time.Duration(s.rng.Int64N(int64(s.Jitter)))
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
