// Package health tells whether an endpoint is well: ready for requests, as load
// balancers and monitoring ask (Readiness), and all that it needs on its machine
// in order, as `oob doctor` asks, also while it does not run (Examine).
package health

import (
	"fmt"
	"time"
)

const (
	// maxSilence is how old the last write that succeeded may be. The store writes
	// by itself when nobody else does.
	maxSilence = 5 * time.Second
	// fullAt is the part of the store, in percent, above which nothing new begins.
	fullAt = 90
	// auditFresh is for how long a record that could not be written counts.
	auditFresh = time.Minute
)

// State is what readiness is told from.
type State struct {
	Now time.Time
	// Written is when the last durable write succeeded, WriteFault why none can.
	Written    time.Time
	WriteFault error
	// Used and Limit are the bytes that are stored, and that may be.
	Used, Limit uint64
	// AuditFault is why the last record of the audit trail could not be written,
	// AuditFailed when that was.
	AuditFault  error
	AuditFailed time.Time
	// Stopping tells that the endpoint has begun to stop.
	Stopping bool
}

// Reason is one thing for which an endpoint is not ready. It names no file and
// quotes no error: anybody may ask.
type Reason struct {
	Check string `json:"check"`
	Why   string `json:"why"`
}

// Report is whether requests should be sent to an endpoint.
type Report struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons,omitempty"`
}

// Readiness tells from a state whether an endpoint is ready.
func Readiness(s State) Report {
	var reasons []Reason
	not := func(check, format string, args ...any) {
		reasons = append(reasons, Reason{check, fmt.Sprintf(format, args...)})
	}
	if s.Stopping {
		not("lifecycle", "the endpoint is stopping")
	}
	age := s.Now.Sub(s.Written)
	switch {
	case s.WriteFault != nil:
		not("engine", "the store takes no writes; the endpoint's log says why")
	case age >= maxSilence:
		not("engine", "the last durable write was %s ago; the endpoint's log says why", age.Round(time.Second))
	}
	if s.Limit > 0 && s.Used >= s.Limit/100*fullAt {
		not("store", "%d of %d MiB are used: nothing new begins", s.Used>>20, s.Limit>>20)
	}
	// Nothing is written to the trail by itself: an old failure, after which nobody
	// asked for a change, must not keep requests away for good.
	if s.AuditFault != nil && s.Now.Sub(s.AuditFailed) < auditFresh {
		not("audit", "the audit trail cannot be written, so no change is made; the endpoint's log says why")
	}
	return Report{Ready: len(reasons) == 0, Reasons: reasons}
}
