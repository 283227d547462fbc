package runs

import (
	"context"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// Observation is an answer of powerstatus.
type Observation struct {
	Prefix string
	Key    string
	Who    string // the principal that asked
	State  model.PowerState
	Began  time.Time // when the request began, by Options.Now, as it came from there
}

// released makes the record that lets the next run follow an unknown one.
func released(who, seen string) ending {
	return func(_ *Manager, run *model.Run) *model.Run {
		next := *run
		next.Released = who + releasedSep + seen
		return &next
	}
}

// releasedSep stands in a released record between who and what was seen.
const releasedSep = ": "

// releasedBy reports whether somebody is the one who released a run.
func releasedBy(run *model.Run, who string) bool {
	return strings.HasPrefix(run.Released, who+releasedSep)
}

// Release lets the next once action follow the unknown run id. Seen says what
// state was seen, for the record. One that was released already stays as it is.
func (m *Manager) Release(ctx context.Context, id, who, seen string) error {
	e, err := m.find(id)
	if err != nil {
		return err
	}
	e.obj.mu.Lock()
	defer e.obj.mu.Unlock()
	return m.release(ctx, e, who, seen)
}

// release is Release for who holds e.obj.mu.
func (m *Manager) release(ctx context.Context, e *entry, who, seen string) error {
	if err := m.refresh(ctx, e.obj); err != nil {
		return err
	}
	if run := e.snapshot(m); run.Released != "" {
		return nil
	}
	return m.transition(ctx, e, model.RunUnknown, released(who, seen))
}

// ObservedPower releases the object's unknown run if the observation began
// after the run became unknown and says on or off. Call it for every
// powerstatus answered; it writes only when there is something to release.
func (m *Manager) ObservedPower(ctx context.Context, o Observation) error {
	if o.State != model.StateOn && o.State != model.StateOff {
		return nil
	}
	m.mu.RLock()
	obj := m.objects[[2]string{o.Prefix, o.Key}]
	m.mu.RUnlock()
	if obj == nil || m.blocked(obj).entry == nil {
		return nil
	}
	obj.mu.Lock()
	defer obj.mu.Unlock()
	s := m.blocked(obj)
	if s.entry == nil || m.elapsed()-m.now().Sub(o.Began) <= s.over {
		return nil
	}
	return m.release(ctx, s.entry, o.Who, "saw "+string(o.State))
}

// blocked returns the run that holds an object back, if any.
func (m *Manager) blocked(obj *object) sibling {
	return blocking(m.siblings(obj))
}

// Cancel ends a queued run as failed, and a sent one whose action is
// cancellable: its Send is cancelled too. Any other sent one is a conflict that
// says when it ends, an ended one a conflict too.
func (m *Manager) Cancel(ctx context.Context, id, who string) error {
	e, err := m.find(id)
	if err != nil {
		return err
	}
	e.obj.mu.Lock()
	defer e.obj.mu.Unlock()
	if err := m.refresh(ctx, e.obj); err != nil {
		return err
	}
	switch run := e.snapshot(m); {
	case run.State == model.RunSent && e.req != nil && e.req.Cancellable && e.started:
		// The record comes first: an answer that follows loses against it.
		if err := m.transition(ctx, e, model.RunSent, withLog(e, givenUp(who))); err != nil {
			return err
		}
		e.cancel()
		return nil
	case run.State == model.RunSent:
		return model.Errorf(model.Conflict, "cannot cancel run %s: already sent, ends by %s", id, EndsBy(run)).On("runs", id)
	case run.State.Terminal():
		return model.Errorf(model.Conflict, "cannot cancel run %s: it ended, %s", id, run.State).On("runs", id)
	}
	return m.transition(ctx, e, model.RunQueued, cancelled(who))
}
