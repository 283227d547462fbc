package runs

import (
	"context"
	"slices"
	"time"

	"provision-plugins/shared/model"
)

const (
	// keptRuns and keptFor bound the history of one object.
	keptRuns = 30
	keptFor  = 30 * 24 * time.Hour
	// pruneEvery is how often history is swept.
	pruneEvery = 24 * time.Hour
	// crowded is how many records of one object are swept without waiting for
	// the day's end. At 120 the engine would drop the oldest by itself, and with
	// it perhaps an unknown run that still holds others back.
	crowded = 100
)

// sweep is the owner of everything that happens by time alone: it starts or
// fails queued runs, ends those past their deadline, writes outcomes that could
// not be written, and sweeps history once a day.
func (m *Manager) sweep() {
	ticks := m.ticks
	if ticks == nil {
		ticker := time.NewTicker(tickEvery)
		defer ticker.Stop()
		ticks = ticker.C
	}
	nextPrune := m.elapsed()
	for {
		select {
		case <-m.stop:
			return
		case <-ticks:
		}
		now := m.elapsed()
		for _, e := range m.activeRuns() {
			m.attend(e, now)
		}
		if now >= nextPrune {
			m.pruneAll(m.base)
			nextPrune = now + pruneEvery
		}
	}
}

// attend does what time asks of one run.
func (m *Manager) attend(e *entry, now time.Duration) {
	run, until := e.snapshot(m), e.until(m)
	switch {
	case e.unwritten.Load():
		m.writeOutcome(m.base, e)
	case run.State == model.RunQueued && now >= until:
		m.settle(m.base, e, neverSent("its plugin was not ready within "+startWithin.String()))
	case run.State == model.RunQueued && e.req != nil && e.req.ready():
		m.dequeue(e)
	case run.State == model.RunSent && now > until:
		m.settle(m.base, e, lostTrack("no answer came by its deadline"))
	case run.State.Terminal() && now > until+lateGrace:
		e.obj.mu.Lock()
		defer e.obj.mu.Unlock()
		if e.cancel != nil {
			e.cancel()
		}
	}
}

// dequeue has a queued run sent, beside the sweeper.
func (m *Manager) dequeue(e *entry) {
	if e.starting.Swap(true) {
		return
	}
	if m.begin() != nil {
		return // Close fails what is queued
	}
	go func() {
		defer e.starting.Store(false)
		if !m.send(e) {
			m.work.Done()
		}
	}()
}

// send makes the sent record of a queued run durable and launches it. It
// reports whether it did; the piece of work that was begun is then the launch's.
func (m *Manager) send(e *entry) bool {
	e.obj.mu.Lock()
	defer e.obj.mu.Unlock()
	err := m.transition(m.base, e, model.RunQueued, func(m *Manager, run *model.Run) *model.Run {
		return m.sent(run, e.req.Timeout)
	})
	if err != nil {
		// Cancelled meanwhile, or the store is in trouble: then the run is
		// still queued, or was recorded as sent and is failed unsent.
		m.log.Warn("cannot start a queued run now", "run", e.id, "err", err)
		return false
	}
	m.launch(e)
	return true
}

// pruneAll sweeps the history of every object.
func (m *Manager) pruneAll(ctx context.Context) {
	m.mu.RLock()
	objects := make([]*object, 0, len(m.objects))
	for _, obj := range m.objects {
		objects = append(objects, obj)
	}
	m.mu.RUnlock()
	for _, obj := range objects {
		obj.mu.Lock()
		m.prune(ctx, obj)
		obj.mu.Unlock()
	}
}

// prune deletes the runs of an object that are beyond the bounds of its
// history. What is live, holds others back or owns the object's last record
// stays. The caller holds obj.mu.
func (m *Manager) prune(ctx context.Context, obj *object) {
	if obj.stale {
		return
	}
	oldest := m.now().Add(-keptFor)
	blocking := m.blocked(obj).entry
	extra := len(obj.runs) - keptRuns
	for i, e := range slices.Clone(obj.runs) {
		run := e.snapshot(m)
		beyond := i < extra || run.Ended.Before(oldest)
		if !beyond || !run.State.Terminal() || e == blocking || slices.Contains(e.seqs, obj.seq) {
			continue
		}
		if err := m.forget(ctx, e); err != nil {
			m.log.Warn("cannot sweep an old run", "run", e.id, "err", err)
			return
		}
	}
}

// forget deletes a run's records and drops it from the view. The caller holds
// e.obj.mu.
func (m *Manager) forget(ctx context.Context, e *entry) error {
	for _, seq := range e.seqs {
		if err := m.store.DeleteRecord(ctx, seq); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e.obj.count -= len(e.seqs)
	e.obj.runs = slices.DeleteFunc(slices.Clone(e.obj.runs), func(o *entry) bool { return o == e })
	delete(m.byID, e.id)
	delete(m.active, e)
	return nil
}
