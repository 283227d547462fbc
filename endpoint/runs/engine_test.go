package runs

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// memory is an engine in memory: what is durable, whoever dies. It keeps for every
// object its records, each under a sequence that grows.
type memory struct {
	mu   sync.Mutex // guards all below
	seq  uint64
	logs map[[2]string][]store.Record
}

// last is the last record of an object. The caller holds mu.
func (m *memory) last(prefix, id string) store.Record {
	list := m.logs[[2]string{prefix, id}]
	if len(list) == 0 {
		return store.Record{Prefix: prefix, ID: id}
	}
	return list[len(list)-1]
}

// put appends a record by compare-and-set.
func (m *memory) put(r store.Record) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last(r.Prefix, r.ID).Seq != r.Seq {
		return 0, model.Errorf(model.Conflict, "there is a newer one")
	}
	m.seq++
	r.Seq, r.Data = m.seq, slices.Clone(r.Data)
	name := [2]string{r.Prefix, r.ID}
	m.logs[name] = append(m.logs[name], r)
	return m.seq, nil
}

// records lists the records of one object, or of all, in order.
func (m *memory) records(prefix, id string) []store.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.Record
	for name, list := range m.logs {
		if prefix == "" || name == [2]string{prefix, id} {
			out = append(out, list...)
		}
	}
	slices.SortFunc(out, func(a, b store.Record) int { return int(a.Seq) - int(b.Seq) }) //nolint:gosec // few
	return out
}

// remove deletes a record.
func (m *memory) remove(seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, list := range m.logs {
		m.logs[name] = slices.DeleteFunc(list, func(r store.Record) bool { return r.Seq == seq })
	}
}

// errDead is what a process that has died gets of everything.
var errDead = errors.New("this process is dead")

// dice is a source of chance that many draw from.
type dice struct {
	mu  sync.Mutex // guards rnd
	rnd *rand.Rand
}

// roll returns a number below n.
func (d *dice) roll(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rnd.IntN(n)
}

// process is an endpoint's process as its runs see it: the engine, until it dies.
// It dies by chance, before or after a record is written, or before or after an
// action is executed.
type process struct {
	*memory
	dice *dice
	odds int // one in so many of these moments is its last; 0: it does not die
	dead atomic.Bool
	died chan struct{}
	once sync.Once
}

// die ends the process.
func (p *process) die() {
	p.once.Do(func() {
		p.dead.Store(true)
		close(p.died)
	})
}

// moment is one at which the process may die. It reports whether it lives on.
func (p *process) moment() bool {
	if p.odds > 0 && p.dice.roll(p.odds) == 0 {
		p.die()
	}
	return !p.dead.Load()
}

// LastRecord implements Log.
func (p *process) LastRecord(_ context.Context, prefix, id string) (store.Record, error) {
	if p.dead.Load() {
		return store.Record{}, errDead
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last(prefix, id), nil
}

// PutRecord implements Log. Now and then the answer to it gets lost: the record is
// there, or it is not, and the manager has to find out.
func (p *process) PutRecord(_ context.Context, r store.Record) (uint64, error) {
	if !p.moment() {
		return 0, errDead
	}
	lost := p.odds > 0 && p.dice.roll(3*p.odds) == 0
	if lost && p.dice.roll(2) == 0 {
		return 0, model.Errorf(model.Internal, "not written")
	}
	seq, err := p.put(r)
	if !p.moment() {
		return 0, errDead
	}
	if lost {
		return 0, model.Errorf(model.Internal, "no answer")
	}
	return seq, err
}

// ScanRecords implements History.
func (p *process) ScanRecords(_ context.Context, prefix, id string, fn func(store.Record) error) error {
	for _, r := range p.records(prefix, id) {
		if p.dead.Load() {
			return errDead
		}
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}

// ReadRecord implements History.
func (p *process) ReadRecord(_ context.Context, seq uint64) (store.Record, error) {
	for _, r := range p.records("", "") {
		if r.Seq == seq && !p.dead.Load() {
			return r, nil
		}
	}
	return store.Record{}, errDead
}

// DeleteRecord implements History.
func (p *process) DeleteRecord(_ context.Context, seq uint64) error {
	if !p.moment() {
		return errDead
	}
	p.remove(seq)
	if !p.moment() {
		return errDead
	}
	return nil
}

// Room implements Bounds.
func (p *process) Room() error { return nil }
