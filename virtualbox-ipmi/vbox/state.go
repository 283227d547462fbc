package vbox

import "provision-plugins/shared/model"

// State is the state of a virtual machine.
type State struct {
	// Word is VirtualBox's own.
	Word string
	// Power is what it means. A word that is not known is unknown, never off.
	Power model.PowerState
	// Note says what a plain on or off would hide; "" for most.
	Note string
}

// Words of states that a driver treats in ways of their own.
const (
	WordRunning      = "running"
	WordPowerOff     = "poweroff"
	WordPaused       = "paused"
	WordSaved        = "saved"
	WordAborted      = "aborted"
	WordAbortedSaved = "aborted-saved"
	WordGuru         = "gurumeditation"
)

var states = map[string]State{
	WordRunning:                  {Power: model.StateOn},
	WordPaused:                   {Power: model.StateOn, Note: "paused: its CPUs stand still until it is resumed"},
	WordGuru:                     {Power: model.StateOn, Note: "guru meditation: its CPUs stopped by a fault; only poweroff is possible"},
	"livesnapshotting":           {Power: model.StateOn, Note: "a snapshot is being taken"},
	"onlinesnapshotting":         {Power: model.StateOn, Note: "a snapshot is being taken"},
	"deletingsnapshotlive":       {Power: model.StateOn, Note: "a snapshot is being deleted"},
	"deletingsnapshotlivepaused": {Power: model.StateOn, Note: "paused while a snapshot is being deleted"},
	"teleporting":                {Power: model.StateOn, Note: "being moved to another host"},
	"teleportingpausedvm":        {Power: model.StateOn, Note: "being moved to another host"},
	WordPowerOff:                 {Power: model.StateOff},
	WordAborted:                  {Power: model.StateOff, Note: "aborted: its process ended without being asked to"},
	WordSaved:                    {Power: model.StateOff, Note: "saved: a start goes on where it was saved, and does not boot"},
	WordAbortedSaved:             {Power: model.StateOff, Note: "aborted while it was restored: its saved state is kept, and a start goes on from it"},
	"teleported":                 {Power: model.StateOff, Note: "moved to another host"},
	"deletingsnapshot":           {Power: model.StateOff, Note: "a snapshot is being deleted"},
	"restoringsnapshot":          {Power: model.StateTransition},
	"starting":                   {Power: model.StateTransition},
	"restoring":                  {Power: model.StateTransition},
	"stopping":                   {Power: model.StateTransition},
	"saving":                     {Power: model.StateTransition},
	"settingup":                  {Power: model.StateTransition},
	"teleportingin":              {Power: model.StateTransition},
}

// StateOf returns what a word means.
func StateOf(word string) State {
	s, ok := states[word]
	if !ok {
		s.Power = model.StateUnknown
	}
	s.Word = word
	return s
}
