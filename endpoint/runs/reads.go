package runs

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/google/uuid"

	"provision-plugins/shared/model"
)

// readsKept is how many read actions are remembered.
const readsKept = 1000

// ring keeps the last read actions.
type ring struct {
	mu   sync.Mutex // guards what follows
	runs []model.Run
	next int // where the next one goes once the ring is full
}

// find returns the run of an id, or a not-found error.
func (m *Manager) find(id string) (*entry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if e := m.byID[id]; e != nil {
		return e, nil
	}
	return nil, model.Errorf(model.NotFound, "run %.80s does not exist", id).On("runs", id)
}

// Get returns a run or a kept read, with its whole result and log, or a
// not-found error.
func (m *Manager) Get(ctx context.Context, id string) (*model.Run, error) {
	e, err := m.find(id)
	if err != nil {
		if run := m.reads.find(id); run != nil {
			return run, nil
		}
		return nil, err
	}
	return m.full(ctx, e)
}

// full returns a run with what the view left out.
func (m *Manager) full(ctx context.Context, e *entry) (*model.Run, error) {
	m.mu.RLock()
	run, cut, seq := *e.run, e.cut, e.seqs[len(e.seqs)-1]
	m.mu.RUnlock()
	if !cut {
		return &run, nil
	}
	rec, err := m.store.ReadRecord(ctx, seq)
	if model.KindOf(err) == model.NotFound {
		return &run, nil // swept meanwhile: the head is what is left
	}
	if err != nil {
		return nil, err
	}
	_, whole, err := m.decode(e.obj, rec)
	return whole, err
}

// List returns the kept runs, newest first, without their logs: those of one
// object, or with an empty prefix all. Of long ones params and result are left
// out too. Runs are shared: do not change them.
func (m *Manager) List(prefix, key string) []*model.Run {
	m.mu.RLock()
	var out []*model.Run
	if prefix == "" {
		out = make([]*model.Run, 0, len(m.byID))
		for _, e := range m.byID {
			out = append(out, e.run)
		}
	} else if obj := m.objects[[2]string{prefix, key}]; obj != nil {
		for _, e := range obj.runs {
			out = append(out, e.run)
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(out, func(a, b *model.Run) int { return cmp.Compare(b.ID, a.ID) })
	return out
}

// Live returns the run of an object that has not ended, or nil: an object with
// one must not be deleted.
func (m *Manager) Live(prefix, key string) *model.Run {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if obj := m.objects[[2]string{prefix, key}]; obj != nil {
		for _, e := range obj.runs {
			if !e.run.State.Terminal() {
				run := *e.run
				return &run
			}
		}
	}
	return nil
}

// Read keeps a finished read action in a ring of 1,000, in memory only.
func (m *Manager) Read(r model.Run) {
	if id, err := uuid.NewV7(); r.ID == "" && err == nil {
		r.ID = id.String()
	}
	r.Site, r.Boot, r.Class = m.site, m.boot, model.Read
	m.reads.add(r)
}

// Reads returns the read actions in the ring, newest first.
func (m *Manager) Reads() []model.Run { return m.reads.list() }

// add puts a run in the place of the oldest one.
func (r *ring) add(run model.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.runs) < readsKept {
		r.runs = append(r.runs, run)
		return
	}
	r.runs[r.next] = run
	r.next = (r.next + 1) % readsKept
}

// list returns the ring, newest first.
func (r *ring) list() []model.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Concat(r.runs[r.next:], r.runs[:r.next])
	slices.Reverse(out)
	return out
}

// find returns a copy of the run of an id, or nil.
func (r *ring) find(id string) *model.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, run := range r.runs {
		if run.ID == id {
			return &run
		}
	}
	return nil
}
