package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

const (
	// maxLog bounds the log that is kept with a run.
	maxLog = 16 << 10
	// maxResult bounds the result that is kept with a run.
	maxResult = store.MaxValue / 2
	// writeAttempts bounds how often a write that others came before is tried.
	writeAttempts = 5
)

// ending makes a run's terminal state from its present one.
type ending func(m *Manager, run *model.Run) *model.Run

// end returns a copy of a run that ended now.
func (m *Manager) end(run *model.Run, state model.RunState, err *model.Error) *model.Run {
	next := *run
	next.State, next.Error, next.Ended = state, err, m.now().UTC()
	return &next
}

// neverSent ends a run of which nothing was sent.
func neverSent(why string) ending {
	return func(m *Manager, run *model.Run) *model.Run {
		return m.end(run, model.RunFailed, model.Errorf(model.Unreachable,
			"cannot start %s: %s, never sent", phrase(run), why).On(run.Prefix, run.Key))
	}
}

// cancelled ends a queued run at somebody's wish: nothing was sent, which has
// one kind whatever the reason.
func cancelled(who string) ending { return neverSent("cancelled by " + who) }

// givenUp ends a sent run at somebody's wish: its action was declared to bear
// that.
func givenUp(who string) ending {
	return func(m *Manager, run *model.Run) *model.Run {
		return m.end(run, model.RunFailed, model.Errorf(model.Conflict,
			"cannot finish %s: cancelled by %s, after it was sent at %s", phrase(run), who, clock(run.Sent)).On(run.Prefix, run.Key))
	}
}

// lostTrack ends a run that may have been executed.
func lostTrack(why string) ending {
	return func(m *Manager, run *model.Run) *model.Run {
		return m.end(run, model.RunUnknown, model.Errorf(model.UnknownOutcome,
			"cannot tell whether %s was executed: %s, after it was sent at %s; %s",
			phrase(run), why, clock(run.Sent), advice(run)).On(run.Prefix, run.Key))
	}
}

// phrase names an action for people: "powercycle of machines/m1".
func phrase(run *model.Run) string {
	switch {
	case run.Prefix == "":
		return run.Command
	case run.Name != "":
		return fmt.Sprintf("%s of %s/%s", run.Command, run.Prefix, run.Name)
	}
	return fmt.Sprintf("%s of %s/%s", run.Command, run.Prefix, run.Key)
}

// advice says how to go on after an unknown outcome.
func advice(run *model.Run) string {
	if run.Class == model.Once {
		return fmt.Sprintf("look at it first (powerstatus), then repeat, with oob/after-unknown=%s if need be", run.ID)
	}
	return "look at it (powerstatus, bootstatus), or repeat: a second time changes nothing"
}

// advised adds to an unknown outcome how to go on.
func advised(err *model.Error, run *model.Run) *model.Error {
	e := *err
	e.Messages = append(slices.Clone(e.Messages), advice(run))
	return &e
}

// clock is a time for people.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// answered makes the ending that fits what Send returned.
func answered(result json.RawMessage, err error) ending {
	return func(m *Manager, run *model.Run) *model.Run {
		var next *model.Run
		wire := (*model.Error)(nil)
		switch {
		case err == nil:
			next = m.end(run, model.RunDone, nil)
			next.Result = bounded(result)
		case !errors.As(err, &wire) && model.KindOf(err) == model.Timeout:
			// The wait ended, not the action.
			next = lostTrack("no answer came")(m, run)
		case model.KindOf(err) == model.UnknownOutcome:
			next = m.end(run, model.RunUnknown, advised(model.AsError(err), run))
		default:
			next = m.end(run, model.RunFailed, model.AsError(err))
		}
		return next
	}
}

// withLog keeps the end of the plugin's log with the end of a run.
func withLog(e *entry, end ending) ending {
	if e.req == nil || e.req.Log == nil {
		return end
	}
	return func(m *Manager, run *model.Run) *model.Run {
		next := end(m, run)
		next.Log = tail(e.req.Log(e.id), maxLog)
		return next
	}
}

// bounded returns a result that fits into a record.
func bounded(result json.RawMessage) json.RawMessage {
	if len(result) == 0 {
		return nil
	}
	if !json.Valid(result) {
		return json.RawMessage(`{"note":"the result was not JSON and was not kept"}`)
	}
	if len(result) > maxResult {
		return fmt.Appendf(nil, `{"note":"the result has %d bytes and was not kept"}`, len(result))
	}
	return result
}

// tail returns the end of a text, valid UTF-8 and at most limit bytes long.
func tail(text string, limit int) string {
	if len(text) > limit {
		text = text[len(text)-limit:]
	}
	return strings.ToValidUTF8(text, "")
}

// runKey is where the context of a Send keeps the run's id.
type runKey struct{}

// RunOf returns the id of the run that ctx was given to the Send of, "" for any
// other context.
func RunOf(ctx context.Context) string {
	id, _ := ctx.Value(runKey{}).(string)
	return id
}

// launch calls Send in a goroutine of its own and writes what comes of it. The
// caller holds e.obj.mu, has made the sent record durable and has begun a piece
// of work, which ends here.
func (m *Manager) launch(e *entry) {
	ctx, cancel := context.WithCancel(context.WithValue(m.base, runKey{}, e.id))
	e.started, e.cancel = true, cancel
	go func() {
		defer m.work.Done()
		defer cancel()
		result, err := e.req.Send(ctx)
		m.finish(e, withLog(e, answered(result, err)))
	}()
}

// finish writes the outcome of a Send. A run that ended meanwhile keeps its
// end: what came is logged.
func (m *Manager) finish(e *entry, end ending) {
	e.obj.mu.Lock()
	defer e.obj.mu.Unlock()
	e.outcome = end(m, e.snapshot(m))
	e.unwritten.Store(true)
	m.writeOutcomeLocked(context.WithoutCancel(m.base), e)
	if e.obj.count >= crowded {
		m.prune(context.WithoutCancel(m.base), e.obj)
	}
}

// writeOutcome writes an outcome that could not be written when it came.
func (m *Manager) writeOutcome(ctx context.Context, e *entry) {
	e.obj.mu.Lock()
	defer e.obj.mu.Unlock()
	m.writeOutcomeLocked(ctx, e)
}

// writeOutcomeLocked is writeOutcome for who holds e.obj.mu.
func (m *Manager) writeOutcomeLocked(ctx context.Context, e *entry) {
	if e.outcome == nil {
		return
	}
	err := m.transition(ctx, e, model.RunSent, func(*Manager, *model.Run) *model.Run { return e.outcome })
	if err != nil && model.KindOf(err) != model.Conflict {
		m.log.Error("cannot write the outcome of a run yet", "run", e.id, "err", err)
		return
	}
	if run := e.snapshot(m); err != nil && !(run.State == e.outcome.State && run.Ended.Equal(e.outcome.Ended)) {
		m.log.Warn("an answer came after its run had ended", "run", e.id, "command", e.outcome.Command,
			"state", run.State, "answer", e.outcome.State, "err", e.outcome.Error)
	}
	e.unwritten.Store(false)
	m.mu.Lock()
	defer m.mu.Unlock()
	e.outcome = nil
	delete(m.active, e)
}

// settle ends a run whatever its state, if it has not ended yet.
func (m *Manager) settle(ctx context.Context, e *entry, end ending) {
	e.obj.mu.Lock()
	defer e.obj.mu.Unlock()
	state := e.snapshot(m).State
	if state.Terminal() {
		return
	}
	if err := m.transition(ctx, e, state, withLog(e, end)); err != nil {
		m.log.Error("cannot end a run", "run", e.id, "err", err)
	}
}

// transition moves a run on from a state by compare-and-set; that it is in
// another one is a conflict. The caller holds e.obj.mu.
func (m *Manager) transition(ctx context.Context, e *entry, from model.RunState, next ending) error {
	for range writeAttempts {
		if err := m.refresh(ctx, e.obj); err != nil {
			return err
		}
		run, err := m.full(ctx, e)
		if err != nil {
			return err
		}
		if run.State != from {
			return model.Errorf(model.Conflict, "run %s is %s already", e.id, run.State)
		}
		err = m.write(ctx, e, next(m, run))
		if err == nil || model.KindOf(err) != model.Conflict {
			return err
		}
	}
	return model.Errorf(model.Internal, "cannot record run %s: others keep writing", e.id)
}
