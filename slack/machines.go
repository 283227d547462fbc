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
	// namesLife is how long the names of Secure params are taken for true.
	namesLife = 10 * time.Minute
)

// machines knows what messages need beyond their events. It asks the endpoint, and
// only when something has to be known.
type machines struct {
	client *client.Client // nil for none

	mu    sync.Mutex // guards all below
	known map[string]machineFacts
	names map[string]bool // of Secure params
	until time.Time       // names are good until then
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

// secure tells whether a param is declared Secure. Where that cannot be asked, what
// was heard last counts.
func (m *machines) secure(param string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil {
		return false
	}
	if now := time.Now(); !now.Before(m.until) {
		m.until = now.Add(factsLife)
		ctx, cancel := context.WithTimeout(context.Background(), factsTimeout)
		defer cancel()
		if list, err := m.client.Params().List(ctx, client.Query{Filters: []client.Filter{client.Where("Secure", client.Eq, "true")}}); err == nil {
			m.names, m.until = map[string]bool{}, now.Add(namesLife)
			for _, p := range list {
				m.names[p.Name] = p.Secure
			}
		}
	}
	return m.names[param]
}

// log is the end of what a run logged, empty where that cannot be asked.
func (m *machines) log(run string) string {
	if m.client == nil || run == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), factsTimeout)
	defer cancel()
	got, err := m.client.Runs().Get(ctx, run)
	if err != nil {
		return ""
	}
	return got.Log
}
