package runs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"provision-plugins/shared/model"
)

// Submit decides about a request and, if it is a new run, records it and has it
// sent. It returns once the first record is durable. A request that repeats an
// earlier one gets a ticket for that run; one that has to give way is a
// conflict naming the run that stands in its way.
func (m *Manager) Submit(ctx context.Context, r Request) (*Ticket, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := m.begin(); err != nil {
		return nil, err
	}
	defer m.work.Done()
	obj := &object{prefix: systemPrefix}
	if r.Prefix == "" {
		m.systemMu.Lock()
		defer m.systemMu.Unlock()
	} else {
		obj = m.object(r.Prefix, r.Key)
	}
	obj.mu.Lock()
	defer obj.mu.Unlock()
	// Named under the lock, the runs of one object are in the order of their ids.
	id, err := uuid.NewV7()
	if err != nil {
		return nil, model.Errorf(model.Internal, "cannot name a run: %w", err)
	}
	if r.Prefix == "" {
		obj.key = id.String()
	}
	for range writeAttempts {
		t, err := m.attempt(ctx, obj, &r, id.String())
		if t != nil || err == nil || model.KindOf(err) != model.Conflict || !obj.stale {
			return t, err
		}
	}
	return nil, model.Errorf(model.Busy, "cannot start %s: others keep writing", r.Command).On(r.Prefix, r.Key).After(time.Second)
}

// attempt decides about a request on what the log is known to have, and writes
// the first record. That another process wrote meanwhile is a conflict, with
// the object stale. The caller holds obj.mu.
func (m *Manager) attempt(ctx context.Context, obj *object, r *Request, id string) (*Ticket, error) {
	if live := m.Live(obj.prefix, obj.key); live != nil && live.Boot != m.boot {
		obj.stale = true // it may have ended without this process being told
	}
	if err := m.refresh(ctx, obj); err != nil {
		return nil, err
	}
	e, free, err := m.decide(obj, r)
	if err != nil {
		return nil, err
	}
	if e != nil {
		return e, nil
	}
	if err := m.store.Room(); err != nil {
		return nil, err
	}
	if free != nil {
		if err := m.transition(ctx, free, model.RunUnknown, released(r.Principal, "oob/after-unknown")); err != nil {
			return nil, err
		}
	}
	return m.create(ctx, obj, r, id)
}

// create writes the first record of a new run, and launches it if its plugin is
// ready. The caller holds obj.mu.
func (m *Manager) create(ctx context.Context, obj *object, r *Request, id string) (*Ticket, error) {
	e := &entry{obj: obj, id: id, digest: r.Digest, idem: r.IdempotencyKey, req: r, ended: make(chan struct{})}
	run := m.newRun(r, id)
	if r.ready() {
		run = m.sent(run, r.Timeout)
	}
	if err := m.write(ctx, e, run); err != nil {
		return nil, err
	}
	if run.State == model.RunSent {
		m.work.Add(1) // Submit's own piece of work is still counted, so Close cannot have passed
		m.launch(e)
	}
	return m.ticket(e, false), nil
}

// newRun makes the run of a request, queued.
func (m *Manager) newRun(r *Request, id string) *model.Run {
	now := m.now().UTC()
	return &model.Run{
		ID:        id,
		Site:      m.site,
		Prefix:    r.Prefix,
		Key:       r.Key,
		Name:      r.Name,
		Command:   r.Command,
		Class:     r.Class,
		Plugin:    r.Plugin,
		Principal: r.Principal,
		Via:       r.Via,
		Reason:    r.Reason,
		Params:    r.Params,
		State:     model.RunQueued,
		Boot:      m.boot,
		Created:   now,
		StartBy:   now.Add(startWithin),
	}
}

// sent makes the state in which a run may be sent.
func (m *Manager) sent(run *model.Run, timeout time.Duration) *model.Run {
	next := *run
	next.State, next.Sent = model.RunSent, m.now().UTC()
	next.Deadline = next.Sent.Add(timeout + margin)
	return &next
}

// siblings are the runs beside a new one of an object, oldest first.
func (m *Manager) siblings(obj *object) []sibling {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []sibling
	if obj.prefix != systemPrefix {
		return obj.appendRuns(out)
	}
	for name, o := range m.objects {
		if name[0] == systemPrefix {
			out = o.appendRuns(out)
		}
	}
	slices.SortFunc(out, func(a, b sibling) int { return cmp.Compare(a.id, b.id) })
	return out
}

// appendRuns appends the object's runs as they stand. The caller holds
// Manager.mu.
func (o *object) appendRuns(out []sibling) []sibling {
	for _, e := range o.runs {
		out = append(out, sibling{e, e.run, e.term.over})
	}
	return out
}
