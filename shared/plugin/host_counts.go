package plugin

import (
	"context"
	"encoding/json"

	"provision-plugins/shared/model"
)

// maxCountsBody bounds the answer of a plugin that tells its counters.
const maxCountsBody = 64 << 10

// Counts asks a plugin that has model.MetaCounts in its definition for its
// counters. Like a read, it may be asked twice.
func (p *Process) Counts(ctx context.Context) ([]model.Count, error) {
	const verb = "read the counters of"
	if err := p.sendable(); err != nil {
		return nil, p.unreachable(verb, &neverSent{err})
	}
	a, err := p.resting.ask(ctx, &exchange{p.socket, pathCounts, nil})
	if err != nil {
		return nil, p.unreachable(verb, err)
	}
	if !a.ok() {
		return nil, a.failure()
	}
	var out []model.Count
	if len(a.body) > maxCountsBody {
		return nil, model.Errorf(model.Invalid, "cannot %s plugin %s: %d bytes are too many", verb, p.options.Name, len(a.body))
	}
	if err := json.Unmarshal(a.body, &out); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot %s plugin %s: %w", verb, p.options.Name, err)
	}
	return out, nil
}
