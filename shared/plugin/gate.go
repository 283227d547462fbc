package plugin

import (
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// defaultMaxActions is how many actions run at a time at most.
const defaultMaxActions = 16384

// gate counts actions in flight, refuses them past a cap, and refuses them all
// once the plugin stops.
type gate struct {
	max int

	mu      sync.Mutex // guards the below
	n       int
	closing string        // why it is closed, empty while it is open
	idle    chan struct{} // closed once the gate is closed and nothing is in flight
}

// newGate makes an open gate.
func newGate(limit int) *gate { return &gate{max: limit, idle: make(chan struct{})} }

// enter lets one action in, or says busy: nothing was done for it.
func (g *gate) enter() *model.Error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing != "" {
		return model.Errorf(model.Busy, "cannot begin: %s", g.closing).After(time.Second)
	}
	if g.n >= g.max {
		return model.Errorf(model.Busy, "cannot begin: %d requests are running already", g.n).After(time.Second)
	}
	g.n++
	return nil
}

// leave lets one action out.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	g.signal()
}

// close refuses every further action and says why. The first reason stays.
func (g *gate) close(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing == "" {
		g.closing = why
		g.signal()
	}
}

// signal closes idle when its time has come; the caller holds mu.
func (g *gate) signal() {
	if g.closing != "" && g.n == 0 {
		select {
		case <-g.idle:
		default:
			close(g.idle)
		}
	}
}

// running is how many actions are in flight.
func (g *gate) running() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}
