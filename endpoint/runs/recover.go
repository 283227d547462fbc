package runs

import (
	"context"
	"sync"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// recoverers is how many runs are settled at a time at start.
const recoverers = 32

// Recover loads the records and settles what an earlier process left: a sent
// run becomes unknown, a queued one failed. It then starts the sweeper.
func (m *Manager) Recover(ctx context.Context) error {
	err := m.store.ScanRecords(ctx, "", "", func(r store.Record) error {
		e, run, err := m.decode(nil, r)
		if err != nil {
			// One damaged record must not keep the endpoint down; its object
			// goes by the others.
			m.log.Error("skipping a run record", "err", err)
			return nil
		}
		e.wake(m.enter(e, run, r.Seq, len(r.Data)), run)
		return nil
	})
	if err != nil {
		return err
	}
	if err := m.dropRemnants(ctx); err != nil {
		return err
	}
	if err := m.settleLeft(ctx); err != nil {
		return err
	}
	m.sweeper.Go(m.sweep)
	return nil
}

// dropRemnants drops the live runs that another run of their object follows.
// That one could only begin when they had ended, so their end was swept: a kill
// in the middle of a sweep can bring back a part of what was deleted.
func (m *Manager) dropRemnants(ctx context.Context) error {
	for _, e := range m.activeRuns() {
		if err := m.dropRemnant(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// dropRemnant drops a live run if another one of its object follows.
func (m *Manager) dropRemnant(ctx context.Context, e *entry) error {
	e.obj.mu.Lock()
	defer e.obj.mu.Unlock()
	if last := e.obj.runs[len(e.obj.runs)-1]; last == e {
		return nil
	}
	m.log.Info("dropping the remnant of a swept run", "run", e.id)
	return m.forget(ctx, e)
}

// settleLeft ends every run that another process left live.
func (m *Manager) settleLeft(ctx context.Context) error {
	queue := make(chan *entry)
	var workers sync.WaitGroup
	for range recoverers {
		workers.Go(func() {
			for e := range queue {
				m.settleOne(ctx, e)
			}
		})
	}
	for _, e := range m.activeRuns() {
		queue <- e
	}
	close(queue)
	workers.Wait()
	for _, e := range m.activeRuns() {
		if run := e.snapshot(m); run.Boot != m.boot {
			return model.Errorf(model.Internal, "cannot settle run %s, left by an earlier process; see the log", e.id)
		}
	}
	return nil
}

// settleOne ends a run that another process left live.
func (m *Manager) settleOne(ctx context.Context, e *entry) {
	switch run := e.snapshot(m); {
	case run.State == model.RunQueued:
		m.settle(ctx, e, neverSent("the endpoint stopped while it waited for its plugin"))
	case run.State == model.RunSent && run.Boot != m.boot:
		m.settle(ctx, e, lostTrack("the endpoint stopped before an answer came"))
	}
}
