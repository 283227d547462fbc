package vbox

import (
	"strings"
	"time"
)

// class of a call: what its repetition does.
type effect int

const (
	once       effect = iota // doing it twice is not doing it once
	idempotent               // doing it again is harmless, or is refused
	read                     // changes nothing
)

// call is what is known of a command before it runs.
type call struct {
	args   []string
	effect effect
	about  string // the virtual machine it is about; "" for none
	vm     string // the same if it changes it
	starts bool   // starts a virtual machine
	long   bool   // prints as much as a guest wrote
}

// rule describes the calls of one sub-command.
type rule struct {
	effect effect
	vm     int // index of the argument that names the VM; 0 for none
}

// rules are the sub-commands whose repetition is known. Of those with verbs of
// their own the verb stands behind a space. What is not listed is once.
var rules = map[string]rule{
	"--version":               {read, 0},
	"list":                    {read, 0},
	"showvminfo":              {read, 1},
	"showmediuminfo":          {read, 0},
	"getextradata":            {read, 1},
	"guestproperty get":       {read, 2},
	"guestproperty enumerate": {read, 2},
	"snapshot list":           {read, 1},

	"createvm":          {idempotent, 0},
	"registervm":        {idempotent, 0},
	"createmedium":      {idempotent, 0},
	"closemedium":       {idempotent, 0},
	"unregistervm":      {idempotent, 1},
	"modifyvm":          {idempotent, 1},
	"setextradata":      {idempotent, 1},
	"storagectl":        {idempotent, 1},
	"storageattach":     {idempotent, 1},
	"startvm":           {idempotent, 1},
	"discardstate":      {idempotent, 1},
	"guestproperty set": {idempotent, 2},

	"controlvm poweroff":      {idempotent, 1},
	"controlvm pause":         {idempotent, 1},
	"controlvm resume":        {idempotent, 1},
	"controlvm savestate":     {idempotent, 1},
	"controlvm screenshotpng": {idempotent, 1},

	"controlvm": {once, 1},
	"debugvm":   {once, 1},
	"snapshot":  {once, 1},
}

// verbAt is where a sub-command has its verb.
var verbAt = map[string]int{"controlvm": 2, "debugvm": 2, "snapshot": 2, "guestproperty": 1}

// callOf tells what is known of a command line.
func callOf(args []string) call {
	c := call{args: args}
	if len(args) == 0 {
		return c
	}
	name := args[0]
	r, known := rules[name]
	if at := verbAt[name]; at > 0 && at < len(args) {
		if with, ok := rules[name+" "+verb(args[at])]; ok {
			r, known = with, true
		}
	}
	if !known {
		return c
	}
	c.effect, c.starts = r.effect, name == "startvm"
	c.long = name == "showvminfo" && len(args) > 2 && args[2] == "--log"
	if r.vm > 0 && r.vm < len(args) {
		c.about = args[r.vm]
	}
	if r.effect != read {
		c.vm = c.about
	}
	return c
}

// verb is a verb without the number of a port or an adapter behind it.
func verb(s string) string { return strings.TrimRight(s, "0123456789") }

// name is the command without its objects, for people: "controlvm poweroff".
func (c *call) name() string {
	if len(c.args) == 0 {
		return "VBoxManage"
	}
	if at := verbAt[c.args[0]]; at > 0 && at < len(c.args) {
		return c.args[0] + " " + c.args[at]
	}
	return c.args[0]
}

// timeout is how long the command may take.
func (m *Manager) timeout(c *call) time.Duration {
	switch {
	case c.starts:
		return m.opts.StartTimeout
	case c.effect == read:
		return m.opts.ReadTimeout
	}
	return m.opts.ChangeTimeout
}
