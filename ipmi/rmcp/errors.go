package rmcp

import (
	"errors"
	"fmt"
	"net"

	"github.com/bougou/go-ipmi/pkg/types"
)

// Reason is why a session could not be opened or a command not be answered, in
// words for people.
type Reason string

// The reasons.
const (
	Silent      Reason = "connection timeout"
	Refused     Reason = "connection refused"
	NoRoute     Reason = "no route to host"
	Unsent      Reason = "datagram not sent"
	Cancelled   Reason = "cancelled"
	Closed      Reason = "closing"
	BadUsername Reason = "username invalid"
	BadPassword Reason = "username or password invalid"
	BadKg       Reason = "k_g invalid"
	Crossed     Reason = "the BMC proved that it knows the password, and refused it: datagrams crossed on the way"
	Privilege   Reason = "privilege level cannot be obtained for this user"
	NoSuite     Reason = "cipher suite id unavailable"
	NoSlot      Reason = "no session slot free"
	LostSession Reason = "session lost during setup"
	OtherHash   Reason = "the password is right, but another privilege level is hashed than was asked for"
	Checksum    Reason = "the answers have a wrong checksum"
	Protocol    Reason = "protocol error"
	TooLong     Reason = "too long for IPMI 2.0"
)

// Error is the failure of a step of the protocol.
type Error struct {
	Reason Reason
	// Step is the message that was not answered, or not as it should be.
	Step string
	// Err adds detail; it may be nil.
	Err error
	// Sent tells that a command had left when it failed: it may have been
	// executed.
	Sent bool
}

// fail makes an error of a command that has not left.
func fail(r Reason, step string, cause error) *Error {
	return &Error{Reason: r, Step: step, Err: cause}
}

// Error renders "reason (step: detail)".
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return fmt.Sprintf("%s (%s)", e.Reason, e.Step)
	case e.Step == "":
		return fmt.Sprintf("%s: %v", e.Reason, e.Err)
	}
	return fmt.Sprintf("%s (%s: %v)", e.Reason, e.Step, e.Err)
}

// Unwrap returns the detail.
func (e *Error) Unwrap() error { return e.Err }

// unsent makes an error of a datagram that did not leave.
func unsent(step string, cause error) *Error {
	if errors.Is(cause, net.ErrClosed) {
		return fail(Closed, step, cause)
	}
	return fail(Unsent, step, cause)
}

// unanswered is the number of tries that had no answer.
type unanswered int

// Error tells the number.
func (n unanswered) Error() string { return fmt.Sprintf("no answer to %d tries", int(n)) }

// Details of failures.
var (
	errAlgorithm = errors.New("the BMC chose another algorithm than was proposed")
	errNoID      = errors.New("the BMC's session ID is 0")
	errProof     = errors.New("the BMC's proof does not match")
	errDoubled   = errors.New("the BMC answered twice, with different numbers")
	errCheck     = errors.New("the integrity check value does not match")
)

// Refusal is a command that the BMC answered with a completion code other than
// 00h: it was not executed.
type Refusal struct {
	Command types.Command
	Code    types.CompletionCode
}

// Error names the command and the code.
func (e *Refusal) Error() string {
	return fmt.Sprintf("%s refused with completion code %02Xh", e.Command.Name, uint8(e.Code))
}

// status is an RMCP+ status code (IPMI 2.0 Table 13-15).
type status uint8

// The status codes that are named in code.
const (
	statusOK           status = 0x00
	statusBadIntegrity status = 0x0f
	statusIllegal      status = 0x12
)

// statusTable says what each status code means and what it is a case of.
var statusTable = [...]struct {
	text   string
	reason Reason
}{
	0x01: {"insufficient resources to create a session", NoSlot},
	0x02: {"invalid session ID", LostSession},
	0x03: {"invalid payload type", Protocol},
	0x04: {"invalid authentication algorithm", NoSuite},
	0x05: {"invalid integrity algorithm", NoSuite},
	0x06: {"no matching authentication payload", NoSuite},
	0x07: {"no matching integrity payload", NoSuite},
	0x08: {"inactive session ID", LostSession},
	0x09: {"invalid role", Privilege},
	0x0a: {"unauthorized role or privilege level requested", Privilege},
	0x0b: {"insufficient resources at the requested role", NoSlot},
	0x0c: {"invalid name length", BadUsername},
	0x0d: {"unauthorized name", BadUsername},
	0x0e: {"unauthorized GUID", BadUsername},
	0x0f: {"invalid integrity check value", BadPassword},
	0x10: {"invalid confidentiality algorithm", NoSuite},
	0x11: {"no cipher suite match with proposed security algorithms", NoSuite},
	0x12: {"illegal or unrecognized parameter", Protocol},
}

// Error renders the code and its meaning.
func (s status) Error() string {
	if int(s) < len(statusTable) && statusTable[s].text != "" {
		return fmt.Sprintf("status %02Xh, %s", uint8(s), statusTable[s].text)
	}
	return fmt.Sprintf("status %02Xh", uint8(s))
}

// reason is what the code is a case of.
func (s status) reason() Reason {
	if int(s) < len(statusTable) && statusTable[s].reason != "" {
		return statusTable[s].reason
	}
	return Protocol
}
