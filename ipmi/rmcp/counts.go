package rmcp

import (
	"context"
	"errors"
)

// Count is something that a transport counts beside what it drops.
type Count int

// What is counted.
const (
	Retransmits Count = iota // datagrams that were sent again for want of an answer
	Timeouts                 // commands and messages of a login that got no answer at all
	Refusals                 // handshakes that a BMC refused for the login
	numCounts
)

// Counted returns how often something has happened.
func (t *Transport) Counted(c Count) uint64 { return t.counts[c].Load() }

// count notes that it has happened.
func (t *Transport) count(c Count) { t.counts[c].Add(1) }

// countFailure notes what a failed command or handshake was: one for which the
// time was up counts as silence, whosever it was.
func (t *Transport) countFailure(ctx context.Context, err *Error) {
	switch {
	case err == nil:
	case err.Reason.RefusesLogin():
		t.count(Refusals)
	case err.Reason == Silent || errors.Is(ctx.Err(), context.DeadlineExceeded):
		t.count(Timeouts)
	}
}
