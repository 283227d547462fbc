package redfish

import (
	"path"
	"slices"
	"time"
)

// Always is a count that never runs out.
const Always = -1

// Ways in which the body of an answer can be wrong.
const (
	// HTML is a page for browsers.
	HTML = "html"
	// Truncated is the real body of which the second half does not come: the
	// connection ends.
	Truncated = "truncated"
	// CutJSON is the first half of the real body as if it were whole.
	CutJSON = "cut json"
	// Endless is a body that goes on until the client leaves.
	Endless = "endless"
	// Garbage is JSON of another shape.
	Garbage = "garbage"
	// Empty is no body, with the status of one.
	Empty = "empty"
	// Drip is the real body byte by byte, each after Delay.
	Drip = "drip"
)

// Fault is something that goes wrong with requests.
//
// With a Status, or with Close, a request is not carried out (unless Acts is set),
// and answered so. Otherwise it is carried out, and the answer is late or damaged.
type Fault struct {
	// On is the name of the requests it strikes, by the rules of path.Match: what
	// is done or, of what is read, patched or deleted, the method and the type of
	// the resource in small letters: "get root", "get system", "get system list",
	// "get bios", "get task", "get monitor", "session open", "session close",
	// "reset", "bmc reset", "patch system", "patch account", "insert media", "eject
	// media", "clear log", "import configuration". Default: all.
	On string
	// Path is the path of the requests it strikes, by the rules of path.Match.
	// Default: all.
	Path string
	// Skip is how many such requests it lets pass first.
	Skip int
	// Count is how many it strikes then, Always for every one. Default: one.
	Count int

	// Status is the HTTP status of the answer.
	Status int
	// RetryAfter is told with the status, in whole seconds.
	RetryAfter time.Duration
	// Body is what is wrong with the body, one of the words above.
	Body string
	// Delay is how long the answer takes.
	Delay time.Duration
	// Close closes the connection in place of answering.
	Close bool
	// Acts carries the request out in any case.
	Acts bool
	// Lies answers success without carrying the request out.
	Lies bool
	// Task answers 202, and a task does what was asked.
	Task bool
}

// Faults is what is wrong with one BMC. The zero value is a BMC with no faults.
type Faults struct {
	// Requests are the faults of requests; the first that strikes one is it.
	Requests []Fault

	// Silent takes no connection.
	Silent bool
	// Expired shows a certificate that is out of date.
	Expired bool
	// WrongPassword makes all accounts have other passwords than they have.
	WrongPassword bool
	// LockoutAfter locks an account after so many refused logins, until SetFaults
	// is called again.
	LockoutAfter int
	// SessionsFull refuses new sessions, as if all slots were taken.
	SessionsFull bool
	// NoBasic refuses Basic authentication.
	NoBasic bool
	// ForgetsSessions ends a session after so many requests in it.
	ForgetsSessions int
	// NoSystems makes the collection of systems empty.
	NoSystems bool
	// NeedsETag refuses to change a resource without If-Match (428).
	NeedsETag bool
	// NoETags tells no entity tags.
	NoETags bool

	// LiesAboutPower makes the power state be told the wrong way round.
	LiesAboutPower bool
	// PowerWord is told as the power state in place of the real one.
	PowerWord string
	// PowerStuck takes reset commands that then change nothing.
	PowerStuck bool
	// SoftIgnored is an operating system that does not react to the request to
	// shut down.
	SoftIgnored bool
	// AppliesLate is added to Options.PowerDelay.
	AppliesLate time.Duration
	// ForgetsBoot takes a boot override and does not keep it.
	ForgetsBoot bool
	// ResetTypes are told as the reset types that are allowed, and nothing else
	// is. Nil: those of the dialect.
	ResetTypes []string

	// TasksFail makes every task end as an exception with nothing done.
	TasksFail bool
	// TasksHang makes no task ever end; nothing is done.
	TasksHang bool
}

// faultState is the faults of one BMC with what is left of their counts.
type faultState struct{ Faults }

// newFaultState starts the counts of f anew.
func newFaultState(f Faults) faultState {
	f.Requests = slices.Clone(f.Requests)
	f.ResetTypes = slices.Clone(f.ResetTypes)
	for i := range f.Requests {
		f.Requests[i].Count = or(f.Requests[i].Count, 1)
	}
	return faultState{f}
}

// take returns the fault that strikes a request, and counts it.
func (s *faultState) take(op, urlPath string) Fault {
	for i := range s.Requests {
		f := &s.Requests[i]
		if f.Count == 0 || !matches(f.On, op) || !matches(f.Path, urlPath) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Count > 0 {
			f.Count--
		}
		return *f
	}
	return Fault{}
}

// matches reports whether a pattern fits a text; an empty one fits all, and one
// that is none fits nothing.
func matches(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, text)
	return err == nil && ok
}
