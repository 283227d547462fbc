package model

import (
	"encoding/json"
	"time"
)

// RunState is where a run stands.
type RunState string

// The states of a run. Done, failed and unknown are terminal.
const (
	RunQueued  RunState = "queued"  // waits for its plugin; nothing was sent
	RunSent    RunState = "sent"    // handed, or about to be handed, to the plugin
	RunDone    RunState = "done"    // the plugin answered a result
	RunFailed  RunState = "failed"  // the plugin answered an error, or nothing was ever sent
	RunUnknown RunState = "unknown" // may have been executed: look before you act
)

// Terminal reports whether a run in this state has ended.
func (s RunState) Terminal() bool {
	return s == RunDone || s == RunFailed || s == RunUnknown
}

// Run is the record of one action. Its key is ID and its prefix runs.
type Run struct {
	ID      string
	Site    string
	Prefix  string // of the object acted on: machines, plugins, or "" for the endpoint itself
	Key     string // of the object acted on
	Name    string // the object's name, for people
	Command string
	Class   Class
	Plugin  string
	// Principal asked for the run, Reason says why (oob/reason).
	Principal string
	Reason    string
	// Via is the plugin by which a person asked, empty for who asked directly.
	Via string `json:",omitempty"`
	// Params are the request's own params, secrets masked.
	Params Params
	State  RunState
	Result json.RawMessage `json:",omitempty"`
	Error  *Error          `json:",omitempty"`
	// Boot is the id of the endpoint process that sent the run.
	Boot     string
	Created  time.Time
	StartBy  time.Time
	Sent     time.Time
	Ended    time.Time
	Deadline time.Time
	// Released tells who released an unknown run, and the state then seen.
	Released string `json:",omitempty"`
	// Log is the end of the plugin's log of this run, in the last record only.
	Log string `json:",omitempty"`
}

// Observed is a machine's power state as last seen by the endpoint.
type Observed struct {
	Power PowerState
	Raw   string
	Time  time.Time
}

// PowerChange is the Object of a machines.power event: an observed power state
// that differs from the one seen before.
type PowerChange struct {
	Name  string
	Uuid  string
	Was   PowerState
	Power PowerState
	Raw   string
}
