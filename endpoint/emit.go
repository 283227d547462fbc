package endpoint

import (
	"encoding/json"
	"log/slog"
	"time"

	"provision-plugins/endpoint/events"
	"provision-plugins/endpoint/metrics"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// emitter turns what happens to objects, runs and machines into events.
type emitter struct {
	log     *slog.Logger
	hub     *events.Hub
	objects *objects
	power   *powerBook
	tails   *tails
	count   *metrics.Set
}

// send publishes one event of an object.
func (m *emitter) send(prefix, action, key string, e model.Event) {
	e.Time, e.Type, e.Action, e.Key = time.Now(), prefix, action, key
	m.hub.Publish(&e)
}

// objectChanged tells of a committed write.
func (m *emitter) objectChanged(c store.Change) {
	object, action := c.New, "update"
	switch {
	case c.Old == nil:
		action = "create"
	case c.New == nil:
		object, action = c.Old, "delete"
	}
	k := m.objects.kinds.get(object.Prefix)
	if k == nil {
		return
	}
	e := model.Event{
		Principal: m.objects.locks.holder(object.Prefix, object.ID),
		Object:    m.objects.cat.maskedEvent(k, object),
	}
	if action == "update" {
		// The reference tells of params that are set by themselves as a save.
		if m.objects.locks.saving(object.Prefix, object.ID) {
			action = "save"
		}
		e.Original = m.objects.cat.maskedEvent(k, c.Old)
	}
	m.send(object.Prefix, action, object.ID, e)
}

// runChanged tells of a run's transition, of the action on its machine, and of
// a power state that its result shows.
func (m *emitter) runChanged(old, updated *model.Run) {
	m.tails.follow(old, updated)
	countRun(m.count, old, updated)
	action := "create"
	e := model.Event{Principal: updated.Principal, Object: m.shownRun(updated)}
	if old != nil {
		action, e.Original = "update", m.shownRun(old)
	}
	m.send("runs", action, updated.ID, e)
	if updated.State == model.RunSent && (old == nil || old.State != model.RunSent) {
		m.acted(updated)
	}
	if updated.State == model.RunDone && updated.Prefix == "machines" {
		if state, raw, ok := powerIn(updated.Result); ok {
			m.observed(updated.Key, updated.Name, updated.Principal, model.Observed{Power: state, Raw: raw})
		}
	}
}

// shownRun encodes a run for an event, without its log: that is asked for by
// those who want it.
func (m *emitter) shownRun(r *model.Run) any {
	short := *r
	short.Log = ""
	raw, err := model.Marshal(&short)
	if err != nil {
		m.log.Error("cannot encode run", "run", r.ID, "error", err)
		return nil
	}
	return json.RawMessage(raw)
}

// acted tells of an action on an object, the object as it is.
func (m *emitter) acted(r *model.Run) {
	k := m.objects.kinds.get(r.Prefix)
	if k == nil {
		return
	}
	e := model.Event{Principal: r.Principal}
	if found, err := m.objects.store.Get(r.Prefix, r.Key); err == nil {
		e.Object = m.objects.cat.maskedEvent(k, &found)
	}
	m.send(r.Prefix, r.Command, r.Key, e)
}

// observed notes a machine's power state and tells if it has changed.
func (m *emitter) observed(uuid, name, who string, seen model.Observed) {
	was, changed := m.power.observe(uuid, seen.Power, seen.Raw)
	if !changed {
		return
	}
	m.send("machines", "power", uuid, model.Event{
		Principal: who,
		Object:    &model.PowerChange{Name: name, Uuid: uuid, Was: was, Power: seen.Power, Raw: seen.Raw},
	})
}
