package endpoint

import (
	"sync"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// plugged is which plugin is of which provider. It is read for every action, and
// decoded when a plugin has changed. The zero value is ready.
type plugged struct {
	mu   sync.Mutex // guards the below
	from []*store.Object
	list []pluggedIn
}

// pluggedIn is one plugin.
type pluggedIn struct{ Name, Provider string }

// of returns the plugins of a snapshot of the store, for reading only. What
// cannot be read is left out.
func (p *plugged) of(snapshot []*store.Object) []pluggedIn {
	if len(snapshot) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.from) == len(snapshot) && &p.from[0] == &snapshot[0] {
		return p.list
	}
	list := make([]pluggedIn, 0, len(snapshot))
	for _, o := range snapshot {
		var plugin pluggedIn
		if model.Unmarshal(o.Value, &plugin) == nil {
			list = append(list, plugin)
		}
	}
	p.from, p.list = snapshot, list
	return list
}
