package main

import (
	"context"
	"sync"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

const (
	// factsLife is how long what is known of a machine is taken for true.
	factsLife = time.Minute
	// factsTimeout bounds asking for it.
	factsTimeout = 5 * time.Second
	// maxFacts bounds how many machines are known.
	maxFacts = 10_000
)

// machines knows what rules ask about machines. It asks the endpoint, and only
// for rules that ask.
type machines struct {
	client *client.Client // nil for none

	mu    sync.Mutex // guards known
	known map[string]machineFacts
}

// machineFacts are what is known of one machine.
type machineFacts struct {
	profiles []string
	params   model.Params
	read     time.Time
}

// newMachines asks by c.
func newMachines(c *client.Client) *machines {
	return &machines{client: c, known: map[string]machineFacts{}}
}

// facts are a machine's profiles and params.
func (m *machines) facts(uuid string) ([]string, model.Params, error) {
	if m.client == nil {
		return nil, nil, model.Errorf(model.Unreachable, "cannot ask for machines: there is no endpoint")
	}
	m.mu.Lock()
	f, ok := m.known[uuid]
	m.mu.Unlock()
	if ok && time.Since(f.read) < factsLife {
		return f.profiles, f.params, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), factsTimeout)
	defer cancel()
	got, err := m.client.Machines().Get(ctx, uuid)
	if err != nil {
		return nil, nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.known) >= maxFacts {
		clear(m.known)
	}
	m.known[uuid] = machineFacts{got.Profiles, got.Params, time.Now()}
	return got.Profiles, got.Params, nil
}
