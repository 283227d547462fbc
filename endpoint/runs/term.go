package runs

import (
	"time"

	"provision-plugins/shared/model"
)

// term is when a run's time is up and when it ended, by Manager.elapsed: who sets
// the clock neither ends a run early nor has it wait for ever, and does not make an
// old answer new.
type term struct {
	until time.Duration // a queued run is sent, a sent one answered
	over  time.Duration // it ended; no meaning before
}

// until is when the time of a run is up.
func (e *entry) until(m *Manager) time.Duration {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return e.term.until
}

// mark notes when a run that comes into a state has to leave it. The caller holds
// mu.
func (m *Manager) mark(e *entry, old, next *model.Run) {
	switch {
	case next.State == model.RunQueued:
		e.term.until = m.since(next, next.Created) + next.StartBy.Sub(next.Created)
	case next.State == model.RunSent:
		e.term.until = m.since(next, next.Sent) + next.Deadline.Sub(next.Sent)
	case old == nil || !old.State.Terminal(): // a release is no second end
		e.term.over = m.since(next, next.Ended)
	}
}

// since is the moment at, by elapsed. Of a run of this process it is now. Only of
// one of another process the clock decides; what it has in the future was now: the
// clock was set back.
func (m *Manager) since(run *model.Run, at time.Time) time.Duration {
	if run.Boot == m.boot {
		return m.elapsed()
	}
	return m.elapsed() - max(0, m.now().Sub(at))
}
