package endpoint

import (
	"encoding/json"
	"maps"
	"sync"
	"time"

	"provision-plugins/endpoint/query"
	"provision-plugins/shared/model"
)

// powerBook remembers the power state that each machine was last seen in. It is
// never taken for the state now: it is for showing, and for telling of changes.
type powerBook struct {
	mu   sync.Mutex // guards seen
	seen map[string]model.Observed
}

// observe notes a state and reports whether it differs from the one before. The
// first state of a machine is no change: nobody knows what was before.
func (b *powerBook) observe(uuid string, state model.PowerState, raw string) (was model.PowerState, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		b.seen = map[string]model.Observed{}
	}
	before, known := b.seen[uuid]
	b.seen[uuid] = model.Observed{Power: state, Raw: raw, Time: time.Now()}
	return before.Power, known && before.Power != state
}

// forget drops a machine.
func (b *powerBook) forget(uuid string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.seen, uuid)
}

// all returns what was seen last, by UUID.
func (b *powerBook) all() map[string]model.Observed {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen == nil {
		return map[string]model.Observed{}
	}
	return maps.Clone(b.seen)
}

// powerIn reads the power state out of an action's result, if it has one.
func powerIn(raw json.RawMessage) (state model.PowerState, word string, ok bool) {
	power, ok := query.Member(raw, "power")
	if !ok || len(power) < 2 {
		return "", "", false
	}
	state = model.PowerState(power[1 : len(power)-1])
	switch state {
	case model.StateOn, model.StateOff, model.StateTransition, model.StateUnknown:
	default:
		return "", "", false
	}
	if quoted, there := query.Member(raw, "raw"); there && json.Unmarshal(quoted, &word) != nil {
		return "", "", false
	}
	return state, word, true
}
