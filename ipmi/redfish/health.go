package redfish

import (
	"context"
	"encoding/json"

	"provision-plugins/ipmi/facts"
	"provision-plugins/shared/driver"
)

var _ driver.HealthReader = (*Session)(nil)

// Health is the answer of status. A part that does not tell is left empty.
type Health struct {
	Status              facts.Health
	ProcessorStatus     facts.Health
	MemoryStatus        facts.Health
	EthernetStatus      facts.Health
	StorageStatus       facts.Health
	SimpleStorageStatus facts.Health
	// Notes says what could not be read.
	Notes []string `json:"Notes,omitempty"`
}

// status is the health of a resource (Resource, Status).
type status struct {
	Health string `json:"Health"`
	Rollup string `json:"HealthRollup"`
}

// healths are the words that count.
var healths = map[string]facts.Health{"OK": facts.OK, "Warning": facts.Warning, "Critical": facts.Critical}

// worst is the worse of a resource's own health and that of what belongs to it.
func (s status) worst() facts.Health { return healths[s.Health].Worse(healths[s.Rollup]) }

// Health reads how well the system is: as it says itself, with the summaries of
// processors and memory, and the worst of the members of the others.
func (s *Session) Health(ctx context.Context) (any, error) {
	var sys struct {
		Status     status
		Processors struct{ Status status } `json:"ProcessorSummary"`
		Memory     struct{ Status status } `json:"MemorySummary"`
	}
	var links map[string]json.RawMessage
	a, err := s.bmc.get(ctx, s.path, &sys)
	if err != nil {
		return nil, err
	}
	if err := a.decode(&links); err != nil {
		return nil, err
	}
	h := &Health{Status: sys.Status.worst(), ProcessorStatus: sys.Processors.Status.worst(), MemoryStatus: sys.Memory.Status.worst()}
	for _, part := range []struct {
		name string
		into *facts.Health
	}{
		{"Processors", &h.ProcessorStatus}, {"Memory", &h.MemoryStatus},
		{"EthernetInterfaces", &h.EthernetStatus}, {"Storage", &h.StorageStatus}, {"SimpleStorage", &h.SimpleStorageStatus},
	} {
		if *part.into != "" { // the summary told
			continue
		}
		worst, err := s.worstOf(ctx, linkIn(links, part.name))
		*part.into = worst
		if err != nil {
			h.Notes = append(h.Notes, part.name+": "+err.Error())
		}
	}
	return h, nil
}

// worstOf is the worst health of a collection's members; empty if there is none.
func (s *Session) worstOf(ctx context.Context, at string) (facts.Health, error) {
	var worst facts.Health
	if at == "" {
		return worst, nil
	}
	paths, err := s.bmc.members(ctx, at)
	if err != nil {
		return worst, err
	}
	for _, p := range paths {
		var member struct{ Status status }
		if _, err := s.bmc.get(ctx, p, &member); err != nil {
			return worst, err
		}
		worst = worst.Worse(member.Status.worst())
	}
	return worst, nil
}
