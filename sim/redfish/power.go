package redfish

import (
	"net/http"
	"slices"
	"time"
)

// machine is a computer system: its power, and what it does when it starts.
type machine struct {
	on     bool
	plan   []change // what is still to happen, in the order of time
	boot   boot
	led    string
	booted string // override target of the last start
	boots  int
	reset  time.Time // when it was last reset
}

// boot is a boot override (ComputerSystem, Boot).
type boot struct{ enabled, target, mode string }

// change is a power state that is reached at some time.
type change struct {
	at    time.Time
	on    bool
	start bool // the system starts, even if it was on
	rests bool // until then the state before holds: nothing is on its way
}

// newMachine is a system as it is at first.
func newMachine(o *Options, d *dialect) machine {
	return machine{on: o.On, led: "Off", booted: "None", boot: boot{enabled: "Disabled", target: "None", mode: d.mode}}
}

// settle does what was to happen until now.
func (m *machine) settle(now time.Time) {
	for len(m.plan) > 0 && !m.plan[0].at.After(now) {
		c := m.plan[0]
		m.plan = m.plan[1:]
		m.turn(c)
	}
	if len(m.plan) == 0 {
		m.plan = nil
	}
}

// turn reaches a power state. A system that starts uses the boot override up if it
// is for once.
func (m *machine) turn(c change) {
	starts := c.on && (!m.on || c.start)
	m.on = c.on
	if !starts {
		return
	}
	m.boots++
	m.reset = c.at
	m.booted = "None"
	if m.boot.enabled != "Disabled" {
		m.booted = m.boot.target
	}
	if m.boot.enabled == "Once" {
		m.boot.enabled, m.boot.target = "Disabled", "None"
	}
}

// state is the PowerState (Resource, PowerState).
func (m *machine) state(transitional bool) string {
	if transitional && len(m.plan) > 0 && !m.plan[0].rests && m.plan[0].on != m.on {
		if m.on {
			return "PoweringOff"
		}
		return "PoweringOn"
	}
	if m.on {
		return "On"
	}
	return "Off"
}

// The states in which a reset type does something.
const (
	inAny = iota
	inOn
	inOff
)

// resetType is what a reset type does (Resource, ResetType).
type resetType struct {
	in    int    // in which state
	steps []bool // the states that follow
	soft  bool   // only if the operating system plays along
	both  bool   // the first step is the opposite of the present state
}

// resetTypes is what each reset type does.
var resetTypes = map[string]resetType{
	"On":               {in: inOff, steps: []bool{true}},
	"ForceOn":          {in: inOff, steps: []bool{true}},
	"ForceOff":         {in: inOn, steps: []bool{false}},
	"GracefulShutdown": {in: inOn, steps: []bool{false}, soft: true},
	"GracefulRestart":  {in: inOn, steps: []bool{true}, soft: true},
	"ForceRestart":     {in: inOn, steps: []bool{true}},
	"PowerCycle":       {in: inOn, steps: []bool{false, true}},
	"PushPowerButton":  {both: true},
	"Nmi":              {in: inOn},
}

// fits reports whether a reset type does something now.
func (t resetType) fits(on bool) bool {
	return t.in == inAny || (t.in == inOn) == on
}

// begin plans what a reset type does.
func (b *BMC) begin(m *machine, name string) {
	t, o := resetTypes[name], &b.fleet.opts
	at := o.Clock.Now().Add(o.PowerDelay + b.faults.AppliesLate)
	if t.soft && b.faults.SoftIgnored || b.faults.PowerStuck {
		return
	}
	steps := t.steps
	if t.both {
		steps = []bool{!m.on}
	}
	if len(steps) > 0 {
		m.plan = nil
	}
	for i, on := range steps {
		m.plan = append(m.plan, change{at: at, on: on, start: on, rests: i > 0})
		at = at.Add(o.CycleOff)
	}
	b.settleMachine(m)
}

// resets lists the reset types that are allowed.
func (b *BMC) resets() []string {
	if b.faults.ResetTypes != nil {
		return b.faults.ResetTypes
	}
	return b.fleet.dialect.resets
}

// resetSystem is the action ComputerSystem.Reset.
func (x *exchange) resetSystem() answer {
	name, bad := x.word("ResetType", x.b.resets())
	if bad != nil {
		return *bad
	}
	b, d := x.b, x.b.fleet.dialect
	m := b.machine(x.system)
	if !resetTypes[name].fits(m.on) && d.sameState != 0 {
		return x.fail(d.sameState, msgWrongState, name)
	}
	return x.run("reset "+name, d.reset, func() {
		if resetTypes[name].fits(m.on) || name == "PowerCycle" || name == "ForceRestart" {
			b.begin(m, name)
		}
		b.log("sel", "Info", "Power command "+name)
	})
}

// resetManager is the action Manager.Reset. The BMC does not answer for a while and
// forgets its sessions; the machine is not touched.
func (x *exchange) resetManager() answer {
	name, bad := x.word("ResetType", []string{"ForceRestart", "GracefulRestart"})
	if bad != nil {
		return *bad
	}
	return x.run("bmc reset", x.b.fleet.dialect.action, func() {
		x.b.back = x.now.Add(x.b.fleet.opts.RebootTime)
		x.b.sessions = nil
		x.b.log("manager", "Info", "Manager reset "+name)
	})
}

// word takes a parameter of an action that is one of some words.
func (x *exchange) word(name string, allowed []string) (string, *answer) {
	v, has := x.body[name]
	if !has {
		a := x.fail(http.StatusBadRequest, msgMissing, name)
		return "", &a
	}
	word, _ := v.(string)
	if !slices.Contains(allowed, word) {
		a := x.fail(http.StatusBadRequest, msgNotInList, shown(v), name)
		return "", &a
	}
	return word, nil
}
