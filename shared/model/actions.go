package model

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Class says what sending an action twice would do.
type Class string

// The classes of actions.
const (
	Read       Class = "read"       // changes nothing; may be sent again
	Idempotent Class = "idempotent" // the second time changes nothing; may be sent again
	Once       Class = "once"       // a second time does it again: sent once, its outcome known or called unknown
)

// The vocabulary of actions on one machine.
const (
	PowerOn       = "poweron"
	PowerOff      = "poweroff"
	PowerSoft     = "powersoft"
	PowerCycle    = "powercycle"
	PowerReset    = "powerreset"
	PowerNMI      = "powernmi"
	PowerStatus   = "powerstatus"
	NextBootPXE   = "nextbootpxe"
	NextBootDisk  = "nextbootdisk"
	NextBootCD    = "nextbootcd"
	NextBootBIOS  = "nextbootbios"
	ForceBootPXE  = "forcebootpxe"
	ForceBootDisk = "forcebootdisk"
	BootStatus    = "bootstatus"
	Identify      = "identify"
	Status        = "status"
	Doctor        = "doctor"
	GetIdentity   = "getIdentity"
)

// ActionInfo is one row of the vocabulary.
type ActionInfo struct {
	Command string
	Class   Class
	// Guarded actions are refused on a machine with oob/protected=true.
	Guarded bool
	// Timeout is the default of oob/timeout.
	Timeout time.Duration
	// Summary is one line for people.
	Summary string
}

// The defaults of oob/timeout. A device may show its power state a minute late,
// so that whoever waits to see one gets more than that.
const (
	readTimeout   = 15 * time.Second
	changeTimeout = 60 * time.Second
	powerTimeout  = 90 * time.Second
	cycleTimeout  = 180 * time.Second // two states, or an operating system that takes its time
)

var actionTable = []ActionInfo{
	{PowerOn, Idempotent, false, powerTimeout, "switch on"},
	{PowerOff, Idempotent, true, powerTimeout, "switch off at once"},
	{PowerSoft, Once, true, cycleTimeout, "ask the operating system to shut down"},
	{PowerCycle, Once, true, cycleTimeout, "off, then on"},
	{PowerReset, Once, true, cycleTimeout, "reset without power loss"},
	{PowerNMI, Once, true, changeTimeout, "send a diagnostic interrupt"},
	{PowerStatus, Read, false, readTimeout, "read the power state"},
	{NextBootPXE, Idempotent, false, changeTimeout, "boot from the network next time only"},
	{NextBootDisk, Idempotent, false, changeTimeout, "boot from disk next time only"},
	{NextBootCD, Idempotent, false, changeTimeout, "boot from CD next time only"},
	{NextBootBIOS, Idempotent, false, changeTimeout, "enter firmware setup next time only"},
	{ForceBootPXE, Idempotent, false, changeTimeout, "boot from the network from now on"},
	{ForceBootDisk, Idempotent, false, changeTimeout, "boot from disk from now on"},
	{BootStatus, Read, false, readTimeout, "read the boot override"},
	{Identify, Idempotent, false, changeTimeout, "light the locator"},
	{Status, Read, false, readTimeout, "read the health"},
	{Doctor, Read, false, changeTimeout, "check everything between here and the device"},
	{GetIdentity, Read, false, readTimeout, "read what tells the machine from all others"},
}

// Actions returns the vocabulary.
func Actions() []ActionInfo { return slices.Clone(actionTable) }

// MetaClasses is the key of Provider.Meta that declares the classes of a
// driver's further actions: a JSON object, command to class.
const MetaClasses = "oob/classes"

// MetaTimeouts is the key of Provider.Meta that declares the defaults of
// oob/timeout of a driver's further actions that take longer than others: a JSON
// object, command to seconds.
const MetaTimeouts = "oob/timeouts"

// MetaColumns is the key of Provider.Meta that tells which params the columns
// address, port, username and password of an inventory CSV set for this
// driver: a JSON object, column to param.
const MetaColumns = "oob/columns"

// MetaTargets is the key of Provider.Meta that ties a credential to the params
// that say where it is sent: a JSON object, credential param to target params.
// A target param in a request body counts only beside its credential.
const MetaTargets = "oob/targets"

// MetaReadStream is the key of Provider.Meta that says, by "true", that a plugin
// takes actions which change nothing through a stream.
const MetaReadStream = "oob/read-stream"

// MetaCancellable is the key of Provider.Meta that names the actions which may be
// given up half done: a JSON list of commands. A cancel of such a run closes its
// request, and the run has failed; any other run that was sent goes on.
const MetaCancellable = "oob/cancellable"

// MetaCounts is the key of Provider.Meta that says, by "true", that its plugins
// can be asked for their counters.
const MetaCounts = "oob/counts"

// MetaEvents is the key of Provider.Meta that says which events a provider with
// HasPublish wants: a JSON list of patterns, each type.action.key; without it, all.
// A provider that says so takes an event that comes a second time for the one that
// it is: what its process may have seen when it died is handed to the next one.
const MetaEvents = "oob/events"

// Count is one counter of a plugin, for the endpoint's metrics. No label is of
// one machine.
type Count struct {
	Name   string
	Labels map[string]string `json:",omitempty"`
	Value  float64
}

// ActionOf returns the row of a command. A command outside the vocabulary has
// the class that meta declares, else read if its name begins with "get", else
// once; its timeout is what meta declares, else that of its class.
func ActionOf(command string, meta map[string]string) ActionInfo {
	for _, row := range actionTable {
		if row.Command == command {
			return row
		}
	}
	row := ActionInfo{Command: command, Class: declaredClass(command, meta)}
	row.Timeout = changeTimeout
	if row.Class == Read {
		row.Timeout = readTimeout
	}
	row.Timeout = cmp.Or(declaredTimeout(command, meta), row.Timeout)
	return row
}

// maxDeclared bounds what MetaTimeouts can declare, which is the most that
// oob/timeout takes.
const maxDeclared = 2 * time.Hour

// declaredTimeout looks a command up in MetaTimeouts; 0 is none, or none that fits.
func declaredTimeout(command string, meta map[string]string) time.Duration {
	var seconds map[string]float64
	if err := json.Unmarshal([]byte(meta[MetaTimeouts]), &seconds); err != nil {
		return 0 // as for classes
	}
	n := seconds[command]
	if !(n > 0 && n <= maxDeclared.Seconds()) {
		return 0
	}
	return time.Duration(n * float64(time.Second))
}

// declaredClass looks a command up in MetaClasses and falls back on its name.
func declaredClass(command string, meta map[string]string) Class {
	var classes map[string]Class
	// A Meta that does not decode declares nothing; the safe default follows.
	if err := json.Unmarshal([]byte(meta[MetaClasses]), &classes); err == nil {
		switch c := classes[command]; c {
		case Read, Idempotent, Once:
			return c
		}
	}
	if strings.HasPrefix(command, "get") {
		return Read
	}
	return Once
}

// PowerState is a machine's power state as its device tells it.
type PowerState string

// The power states. A word nobody knows is StateUnknown, never StateOff.
const (
	StateOn         PowerState = "on"
	StateOff        PowerState = "off"
	StateTransition PowerState = "transition"
	StateUnknown    PowerState = "unknown"
)

// BootDevice is where a boot override points.
type BootDevice string

// The boot devices of the vocabulary.
const (
	BootNone  BootDevice = "none"
	BootPXE   BootDevice = "pxe"
	BootDisk  BootDevice = "disk"
	BootCD    BootDevice = "cd"
	BootBIOS  BootDevice = "bios"
	BootOther BootDevice = "other"
)

// BootOverride is a boot override as read from a device.
type BootOverride struct {
	Device     BootDevice `json:"device"`
	Persistent bool       `json:"persistent"`
	UEFI       bool       `json:"uefi"`
	Valid      bool       `json:"valid"`         // the device will honour it
	Raw        string     `json:"raw,omitempty"` // the device's own bytes or word
}

// Outcome says how a change is known to have happened.
type Outcome string

// The outcomes of a successful change; everything else is an error.
const (
	Verified     Outcome = "verified"     // Evidence names what was observed on the device
	Acknowledged Outcome = "acknowledged" // the device confirmed and offers nothing to read back
	Accepted     Outcome = "accepted"     // the caller asked not to wait
)

// Result is the answer of the power and boot actions of every driver. Fields
// that do not apply are left out.
type Result struct {
	Power    PowerState    `json:"power,omitempty"`
	Raw      string        `json:"raw,omitempty"`
	Boot     *BootOverride `json:"boot,omitempty"`
	Changed  *bool         `json:"changed,omitempty"`
	Outcome  Outcome       `json:"outcome,omitempty"`
	Evidence string        `json:"evidence,omitempty"`
	Attempts int           `json:"attempts,omitempty"`
	TookMs   int64         `json:"tookMs"`
	Driver   string        `json:"driver,omitempty"`
	Note     string        `json:"note,omitempty"`
	Run      string        `json:"run,omitempty"` // with Accepted: the run to ask for
}
