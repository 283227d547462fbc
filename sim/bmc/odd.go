package bmc

import (
	"slices"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"
)

// Odd is the ways in which some BMCs do not do as IPMI says, the whole time. The
// zero value is a BMC without any.
type Odd struct {
	// OpenPrivilege makes the keys of a session from the privilege of its Open
	// Session Request, not from that of RAKP 1 (IPMI 2.0 §13.31).
	OpenPrivilege bool
	// BadChecksums sends replies with a wrong checksum inside a session.
	BadChecksums bool
	// AuthCapabilities hides in Get Channel Authentication Capabilities that
	// the BMC speaks IPMI 2.0.
	AuthCapabilities bool
	// OffersSuite0 lists cipher suite 0, which protects nothing.
	OffersSuite0 bool
	// DeafTo are the cipher suites whose Open Session Request is not answered.
	DeafTo []int
	// DeadIn are the cipher suites that are agreed to, and in which RAKP 1 is not
	// answered.
	DeadIn []int
	// NoEFI drops the EFI bit of the boot flags.
	NoEFI bool
	// StuckCause answers one and the same restart cause for ever.
	StuckCause bool
	// EagerCause makes a restart by command the cause of the last one as soon as
	// a command is taken, whether it is executed or ignored.
	EagerCause bool
	// NilGUID answers a GUID of zeros.
	NilGUID bool
	// Serials are the serial numbers of the areas of the inventory: FRUBoard,
	// FRUProduct, FRUChassis. One that is not given is the BMC's own.
	Serials map[string]string
	// FRUWords makes offsets and counts in the inventory those of words.
	FRUWords bool
	// LogWraps loses the oldest event for a new one where there is no room.
	LogWraps bool
	// LosesReservations is how many times a reservation, of the events or of the
	// records of sensors, is lost just before it is used.
	LosesReservations int
	// EraseTime is how long it takes to erase the events.
	EraseTime time.Duration
	// RecordMost is how many bytes of a record of a sensor fit an answer; 0 is as
	// many as there are.
	RecordMost int
	// RepositoryAge is how many seconds later than usual the repository of sensors
	// was changed last.
	RepositoryAge int
	// CutsPasswords keeps no more than 16 bytes of a password that is set.
	CutsPasswords bool
	// Inventory is what is on the inventory device in place of what should be.
	Inventory []byte
	// Pace is how far apart requests must come: one that comes sooner is not
	// heard.
	Pace time.Duration
	// Codes answers the named commands with a completion code in place of
	// executing them.
	Codes map[string]uint8
	// RefusesSame answers the completion code to a power on or off for what is so
	// already; 0 carries it out.
	RefusesSame uint8
}

// tooSoon reports whether a request comes before the BMC is ready for one.
func (b *BMC) tooSoon() bool {
	pace := b.faults.Odd.Pace
	if pace <= 0 {
		return false
	}
	now := b.opts.Clock.Now()
	soon := now.Sub(b.heard) < pace
	if !soon {
		b.heard = now
	}
	return soon
}

// odd returns the completion code with which the BMC refuses the named command.
func (b *BMC) odd(name string) (types.CompletionCode, bool) {
	o := &b.faults.Odd
	if code, ok := o.Codes[name]; ok {
		return types.CompletionCode(code), true
	}
	same := name == PowerOn && b.chassis.on || name == PowerOff && !b.chassis.on
	return types.CompletionCode(o.RefusesSame), same && o.RefusesSame != 0
}

// suiteIn is the cipher suite that an Open Session Request proposes, by its
// authentication algorithm (IPMI 2.0 Table 13-9); 0 if it is none of ours.
func suiteIn(payload []byte) int {
	const authAt = 12
	if len(payload) <= authAt {
		return 0
	}
	return suiteOf(types.AuthAlg(payload[authAt] & 0x3f))
}

// suiteOf is the cipher suite of ours with an authentication algorithm.
func suiteOf(a types.AuthAlg) int {
	switch a {
	case types.AuthAlg_HMAC_SHA1:
		return 3
	case types.AuthAlg_HMAC_SHA256:
		return 17
	}
	return 0
}

// deaf reports whether an Open Session Request is not to be answered.
func (b *BMC) deaf(payload []byte) bool {
	return slices.Contains(b.faults.Odd.DeafTo, suiteIn(payload))
}

// oddRAKP1 changes RAKP 1 as an odd BMC would read it; ok is false if it does not
// answer.
func (b *BMC) oddRAKP1(payload []byte, id uint32) (read []byte, ok bool) {
	const roleAt, levelMask = 24, 0x0f
	o := &b.faults.Odd
	if !o.OpenPrivilege && len(o.DeadIn) == 0 {
		return payload, true
	}
	s, err := b.ipmi.Sessions.Get(id)
	if err != nil {
		return payload, true
	}
	if slices.Contains(o.DeadIn, suiteOf(s.AuthAlg)) {
		return nil, false
	}
	if o.OpenPrivilege {
		payload = slices.Clone(payload)
		payload[roleAt] &= levelMask
	}
	return payload, true
}
