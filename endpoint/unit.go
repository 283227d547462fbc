package endpoint

import (
	"context"
	"sync"

	"golang.org/x/time/rate"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

// desired is what a plugin object asks for: which binary to run, and with
// which params.
type desired struct {
	binary *binary
	params model.Params
	// trusted plugins get a token that may do everything.
	trusted bool
	// revision changes with the plugin object and with anything its params
	// come from.
	revision string
	// problem says why it cannot run; empty if it can.
	problem string
}

// phase is where a unit stands.
type phase int

const (
	starting phase = iota // wait for it
	ready                 // configured: takes actions
	broken                // waiting is of no use until something is changed

)

// unit runs the process of one plugin object: it starts it, configures it,
// starts it again when it crashes, and stops it.
type unit struct {
	name string
	sup  *supervisor
	// lines and events bound what its processes send of their own accord, runLines
	// what is kept with their runs of it.
	lines, runLines, events *flood
	held                    *rate.Limiter // of log lines that are dropped

	wake chan struct{} // holds a token when the loop should look again
	done chan struct{} // closed when the loop has ended and no process is left

	// ctx ends when the unit is to end; it cuts short a start or a config.
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards all below
	want    *desired   // nil: no process
	proc    *plugin.Process
	phase   phase
	fault   string        // why it is not ready, for PluginErrors
	secrets []string      // values that must not be logged
	waiting func() int    // events that wait for it; nil: it gets none
	changed chan struct{} // closed and replaced at every change of phase
}

// newUnit makes a unit and starts its loop.
func newUnit(sup *supervisor, name string, want *desired) *unit {
	u := &unit{
		name: name, sup: sup, want: want,
		lines: newFlood("log lines", lineRate, lineBurst, func() { sup.count.LineDropped(name) }),
		// What is too much for a run was too much for the log, and is counted there.
		runLines: newFlood("log lines about runs", runLineRate, runLineBurst, func() {}),
		events:   newFlood("events", eventRate, eventBurst, func() { sup.count.EventDropped(name) }),
		held:     rate.NewLimiter(heldRate, heldBurst),
		wake:     make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
	sup.count.Plugin(name)
	u.ctx, u.cancel = context.WithCancel(context.Background())
	go u.loop()
	return u
}

// set tells the unit what is wanted now; nil means no process for the time
// being.
func (u *unit) set(want *desired) {
	u.mu.Lock()
	u.want = want
	u.mu.Unlock()
	u.nudge()
}

// end has the unit stop its process and end for good.
func (u *unit) end() {
	u.cancel()
	u.nudge()
}

// nudge has the loop look again.
func (u *unit) nudge() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// onlyListens reports whether the unit's plugin gets events and does nothing
// else.
func (u *unit) onlyListens() bool {
	want := u.wanted()
	return want != nil && onlyListens(want.binary.provider)
}

// onlyListens reports whether a provider's plugins get events and have no
// actions: they owe nothing to any device.
func onlyListens(p *model.PluginProvider) bool {
	return p.HasPublish && len(p.AvailableActions) == 0
}

// wanted returns what was set last.
func (u *unit) wanted() *desired {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.want
}

// become notes a change of phase and tells those who wait for one.
func (u *unit) become(p phase, proc *plugin.Process, fault string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.phase == p && u.proc == proc && u.fault == fault {
		return
	}
	u.phase, u.proc, u.fault = p, proc, fault
	close(u.changed)
	u.changed = make(chan struct{})
}

// look returns the unit's phase, its process and what tells of the next change.
func (u *unit) look() (phase, *plugin.Process, string, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p := u.phase
	if p == ready && exited(u.proc) {
		p = starting // the loop has not noticed yet
	}
	return p, u.proc, u.fault, u.changed
}

// ready is the process of a unit that has one that takes actions, as nearly always.
func (u *unit) ready() (*plugin.Process, bool) {
	p, proc, _, _ := u.look()
	return proc, p == ready
}

// exited reports whether a process has ended.
func exited(p *plugin.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// settled reports whether waiting for the unit is of no use: it is ready, or it
// will not be.
func (u *unit) settled() bool {
	p, _, _, _ := u.look()
	return p != starting
}

// process returns the process if it takes actions now. The error says that
// nothing was sent.
func (u *unit) process() (*plugin.Process, error) {
	p, proc, fault, _ := u.look()
	switch p {
	case ready:
		return proc, nil
	case starting:
		if fault == "" {
			fault = "it is starting"
		}
		return nil, model.Errorf(model.Unreachable, "plugin %s does not answer yet: %s; nothing was sent", u.name, fault).On("plugins", u.name)
	}
	return nil, model.Errorf(model.Unreachable, "plugin %s is out of order: %s; nothing was sent", u.name, fault).On("plugins", u.name)
}

// await waits until the unit is ready, or broken, or ctx ends.
func (u *unit) await(ctx context.Context) (*plugin.Process, error) {
	for {
		p, _, _, changed := u.look()
		if p != starting {
			return u.process()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return u.process()
		}
	}
}

// redact masks in a text the secrets of the plugin itself, and those of the
// machines that are being acted on.
func (u *unit) redact(text string) string {
	return u.sup.hush.redact(model.Redact(text, u.secretValues()))
}

// secretValues returns the values that must not be logged.
func (u *unit) secretValues() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.secrets
}
