package runs

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

const (
	// systemPrefix is where the records of actions on the endpoint itself go,
	// each under its own run id.
	systemPrefix = "system"

	// cutAbove is the size of a record from which the view keeps only the head
	// of a run that has ended.
	cutAbove = 4 << 10
)

// object is one machine, plugin or the like with its runs; for the endpoint
// itself there is one per run.
type object struct {
	prefix, key string

	mu    sync.Mutex // held from a decision until what it led to is durable; taken before Manager.mu
	seq   uint64     // of the last record known
	stale bool       // the log may have more than is known: read it before deciding
	count int        // records in the log

	runs []*entry // oldest first; written under mu and Manager.mu
}

// entry is one run.
type entry struct {
	obj    *object
	id     string
	digest string
	idem   string

	run  *model.Run // newest snapshot, never changed in place; guarded by Manager.mu
	cut  bool       // the last record has more than run; guarded by Manager.mu
	term term       // guarded by Manager.mu
	seqs []uint64   // of its records; guarded by obj.mu, read under Manager.mu too

	ended chan struct{} // closed once a terminal record is durable

	req       *Request           // of this process; nil for a run that was found in the log
	started   bool               // Send was or is about to be called; guarded by obj.mu
	cancel    context.CancelFunc // ends Send; set with started
	outcome   *model.Run         // what came back and is not written yet; guarded by obj.mu
	unwritten atomic.Bool        // outcome is set
	starting  atomic.Bool        // the sweeper is taking it out of the queue

	delivery delivery
}

// record is a run as it is stored.
type record struct {
	model.Run
	Digest         string `json:",omitempty"`
	IdempotencyKey string `json:",omitempty"`
}

// snapshot returns the run as it stands.
func (e *entry) snapshot(m *Manager) *model.Run {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return e.run
}

// object returns the object that a request acts on, made if need be.
func (m *Manager) object(prefix, key string) *object {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := [2]string{prefix, key}
	obj := m.objects[name]
	if obj == nil {
		obj = &object{prefix: prefix, key: key}
		m.objects[name] = obj
	}
	return obj
}

// write makes the next state of a run durable, brings it into the view and
// tells about it. After a failure the object is stale: what the log has is not
// known. The caller holds e.obj.mu.
func (m *Manager) write(ctx context.Context, e *entry, next *model.Run) error {
	obj := e.obj
	data, err := model.Marshal(record{Run: *next, Digest: e.digest, IdempotencyKey: e.idem})
	if err != nil {
		return model.Errorf(model.Internal, "cannot record run %s: %w", e.id, err)
	}
	seq, err := m.store.PutRecord(ctx, store.Record{Prefix: obj.prefix, ID: obj.key, Seq: obj.seq, Data: data})
	if err != nil {
		obj.stale = true
		return err
	}
	m.apply(e, next, seq, len(data))
	return nil
}

// apply brings a record that is in the log into the view. The caller holds
// e.obj.mu.
func (m *Manager) apply(e *entry, next *model.Run, seq uint64, size int) {
	old := m.enter(e, next, seq, size)
	m.onRun(old, next)
	e.wake(old, next)
}

// wake lets go who waits for the run's end.
func (e *entry) wake(old, next *model.Run) {
	if next.State.Terminal() && (old == nil || !old.State.Terminal()) {
		close(e.ended)
	}
}

// enter is apply without telling anybody. It returns the run as it was.
func (m *Manager) enter(e *entry, next *model.Run, seq uint64, size int) *model.Run {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, obj := e.run, e.obj
	m.mark(e, old, next)
	obj.seq = seq
	obj.count++
	e.seqs = append(e.seqs, seq)
	e.run, e.cut = next, size > cutAbove && next.State.Terminal()
	if e.cut {
		head := *next
		head.Params, head.Result, head.Log = nil, nil, ""
		e.run = &head
	}
	if old == nil {
		obj.runs = append(obj.runs, e)
		m.byID[e.id] = e
		m.objects[[2]string{obj.prefix, obj.key}] = obj
	}
	if !next.State.Terminal() {
		m.active[e] = true
	} else if !e.started || e.outcome != nil {
		delete(m.active, e)
	}
	return old
}

// refresh brings an object up to what the log has, after a write that failed:
// another process may have written, or the failed write may be there after all.
// The caller holds obj.mu.
func (m *Manager) refresh(ctx context.Context, obj *object) error {
	if !obj.stale {
		return nil
	}
	last, err := m.store.LastRecord(ctx, obj.prefix, obj.key)
	if err != nil {
		return err
	}
	if last.Seq != obj.seq {
		err = m.store.ScanRecords(ctx, obj.prefix, obj.key, func(r store.Record) error {
			if r.Seq <= obj.seq {
				return nil
			}
			e, run, err := m.decode(obj, r)
			if err != nil {
				return err
			}
			m.apply(e, run, r.Seq, len(r.Data))
			return nil
		})
		if err != nil {
			return err
		}
	}
	obj.stale = false
	return m.failUnsent(ctx, obj)
}

// failUnsent ends the runs of this process that are recorded as sent and were
// not: the write of that record failed as far as could be told, so Send was
// never called. The caller holds obj.mu.
func (m *Manager) failUnsent(ctx context.Context, obj *object) error {
	for _, e := range slices.Clone(obj.runs) {
		run := e.snapshot(m)
		if run.State != model.RunSent || run.Boot != m.boot || e.started {
			continue
		}
		if err := m.write(ctx, e, neverSent("its record could not be confirmed in time")(m, run)); err != nil {
			return err
		}
	}
	return nil
}

// decode returns the entry and the run of a record. Its object is obj, or is
// looked up if obj is nil.
func (m *Manager) decode(obj *object, r store.Record) (*entry, *model.Run, error) {
	var rec record
	if err := model.Unmarshal(r.Data, &rec); err != nil || rec.ID == "" {
		return nil, nil, model.Errorf(model.Internal, "cannot read the run record %d of %s/%s: damaged", r.Seq, r.Prefix, r.ID)
	}
	m.mu.RLock()
	e := m.byID[rec.ID]
	m.mu.RUnlock()
	if e != nil {
		return e, &rec.Run, nil
	}
	if obj == nil {
		obj = m.object(r.Prefix, r.ID)
	}
	e = &entry{obj: obj, id: rec.ID, digest: rec.Digest, idem: rec.IdempotencyKey, ended: make(chan struct{})}
	// Nobody knows who got the reply of a run of another process.
	e.delivery.open = 1
	return e, &rec.Run, nil
}
