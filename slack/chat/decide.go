package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/slack/chat/button"
	"provision-plugins/slack/chat/command"
	"provision-plugins/slack/silence"
)

// pressed takes a click.
func (r *Room) pressed(a *asker, p press) {
	switch p.Action {
	case actionConfirm, actionCancel:
		r.decided(a, p)
	case ActionAck, ActionSilence1, ActionSilence8, ActionCycle:
		r.incident(a, p)
	}
}

// errForeign is the refusal of a value that stands for nothing here.
var errForeign = errors.New("this button is none of mine")

// ticketOf is the ticket that a click is of: its value is ours and for that, the
// message is the one that was posted for it, and there is time.
func (r *Room) ticketOf(p press, now time.Time) (ticket, error) {
	v, err := button.Read(p.Value)
	if err != nil {
		return ticket{}, err
	}
	t, ok := r.book.get(v.ID)
	if !ok {
		return ticket{}, errForeign
	}
	claim := t.claim(p.Action)
	if err := r.signer.Verify(v, claim, now); err != nil {
		if t.State != asked && r.signer.Verify(v, claim, t.Asked) == nil {
			err = t.over()
		}
		return t, err
	}
	if p.Channel != t.Channel || p.TS != t.TS {
		return t, errForeign
	}
	if t.State != asked {
		return t, t.over()
	}
	return t, nil
}

// decided takes a click on a request's buttons.
func (r *Room) decided(a *asker, p press) {
	t, err := r.ticketOf(p, r.opts.Now())
	if err == nil {
		err = r.mayDecide(a, &t, p.Action)
	}
	switch {
	case err != nil:
		r.refuse(a, refusedID(t), &t.Command, err)
	case p.Action == actionCancel:
		r.cancelled(a, t)
	case t.Typed:
		// Slack gives three seconds to open it; what is asked of the clicker is asked
		// again when it is filled in.
		if err := r.talk.view(a.ctx, p.trigger, t.view(p.Value)); err != nil {
			r.fail(a, fmt.Errorf("cannot open the confirmation; click again: %w", err))
		}
	default:
		r.confirm(a.origin, t)
	}
}

// refusedID names a refusal: by the ticket, if there is one.
func refusedID(t ticket) string {
	if t.ID != "" {
		return t.ID
	}
	return button.NewID()
}

// mayDecide reports what keeps somebody from deciding about a ticket: it is
// another's, or needs another, or the clicker may not have it done.
func (r *Room) mayDecide(a *asker, t *ticket, action string) error {
	own := a.User == t.User && a.Team == t.Team
	switch {
	case action == actionCancel && own:
		return nil
	case !own && !t.Second:
		return errors.New("who asked for it decides")
	case own && t.Second:
		return errors.New("somebody else has to approve it")
	}
	if !r.opts.Policy.May(a.who, &t.Command) {
		if a.unsure != nil {
			return a.stranger()
		}
		return model.Errorf(model.Forbidden, "you may not %s here", t.Command.Name)
	}
	return nil
}

// cancelled takes a ticket back.
func (r *Room) cancelled(a *asker, t ticket) {
	t, err := r.book.move(t.ID, cancelled, a.User, r.opts.Now())
	if err != nil {
		r.refuse(a, t.ID, &t.Command, err)
		return
	}
	r.end(t, cancelled, fmt.Sprintf("cancelled by <@%s>; nothing was done", a.User))
}

// submitted takes what was typed to confirm. What is wrong with it is shown in the
// view, which stays open.
func (r *Room) submitted(s submission) any {
	v, err := button.Read(s.Private)
	t, ok := r.book.get(v.ID)
	if err != nil || !ok {
		return fault(errForeign.Error())
	}
	if strings.TrimSpace(s.Typed) != t.wanted() {
		r.work.Go(func() { r.mistyped(s, &t) })
		return fault("That is not it. Nothing was done.")
	}
	// A view tells no channel and no message: those of the ticket count, which the
	// click that opened the view was held against.
	s.Channel = t.Channel
	p := press{origin: s.origin, TS: t.TS, Action: actionConfirm, Value: s.Private}
	busy := r.take(s.origin, func(a *asker) {
		t, err := r.ticketOf(p, r.opts.Now())
		if err == nil {
			err = r.mayDecide(a, &t, actionConfirm)
		}
		if err != nil {
			r.refuse(a, refusedID(t), &t.Command, err)
			return
		}
		r.confirm(a.origin, t)
	})
	if busy != nil {
		return fault("Too much is going on; try again in a minute.")
	}
	return nil
}

// mistyped has it written down that something else was typed to confirm.
func (r *Room) mistyped(s submission, t *ticket) {
	what := t.record("something else was typed to confirm")
	if err := r.fleet.tell(r.ctx, s.User, "refused", t.ID, what); err != nil {
		r.opts.Logger.WarnContext(r.ctx, "cannot write down a refusal", "user", s.User, "cause", err)
	}
}

// fault is what is shown in a view beside its field.
func fault(text string) any {
	return map[string]any{"response_action": "errors", "errors": map[string]string{fieldBlock: text}}
}

// confirm has a ticket done that was confirmed: if the one who asked and the one
// who decided still may, if the machines are what they were, and if nobody else
// was first. All is asked anew.
func (r *Room) confirm(by origin, t ticket) {
	a := r.asker(by, true)
	err := r.mayDecide(a, &t, actionConfirm)
	var list []machine
	if err == nil {
		list, err = r.same(a, &t)
	}
	if err == nil {
		err = r.stillMay(a, &t, list)
	}
	if err != nil {
		if r.unasked(err) {
			r.fail(a, err)
			return
		}
		r.refuse(a, t.ID, &t.Command, err)
		return
	}
	next := t
	next.State, next.By = taken, a.User
	if err := r.fleet.tell(a.ctx, a.User, "confirmed", t.ID, next.record("")); err != nil {
		r.fail(a, unwritten(err))
		return
	}
	next, err = r.book.move(t.ID, taken, a.User, r.opts.Now())
	if err != nil {
		r.refuse(a, t.ID, &t.Command, err)
		return
	}
	r.show(next, fmt.Sprintf(":hourglass_flowing_sand: confirmed by <@%s>", a.User))
	r.run(a, next)
}

// unasked reports whether an error says that something could not be asked for,
// which is no refusal.
func (r *Room) unasked(err error) bool {
	var e *model.Error
	return errors.As(err, &e) && e.Kind() != model.Forbidden
}

// same are the machines of a ticket, if they are what they were when it was asked:
// none is gone, has another name, or is protected now.
func (r *Room) same(a *asker, t *ticket) ([]machine, error) {
	var keys []string
	for _, m := range t.Machines {
		keys = append(keys, m.Uuid)
	}
	list, missing, err := r.fleet.find(a.ctx, "Uuid", keys)
	if err != nil {
		return nil, err
	}
	changed := func(why string, m frozen) error {
		return model.Errorf(model.Forbidden, "%s %s since it was asked for; nothing was done: ask again", m.Name, why)
	}
	for _, m := range t.Machines {
		i := slices.IndexFunc(list, func(is machine) bool { return is.Uuid == m.Uuid })
		switch {
		case i < 0 || slices.Contains(missing, m.Uuid):
			return nil, changed("was removed", m)
		case list[i].Name != m.Name:
			return nil, changed("was renamed", m)
		}
	}
	if name := guarded(t, list); name != "" {
		return nil, model.Errorf(model.Forbidden, "%s is protected now (%s); nothing was done", name, paramProtected)
	}
	return list, nil
}

// stillMay reports what keeps the one who asked, or the one who decides, from having
// it done to the machines now.
func (r *Room) stillMay(a *asker, t *ticket, list []machine) error {
	people := []*asker{a}
	if a.User != t.User {
		people = append(people, r.asker(origin{User: t.User, Team: t.Team, Channel: t.Channel}, true))
	}
	for _, one := range people {
		v := r.opts.Policy.Judge(one.who, &t.Command, bare(list))
		switch {
		case len(v.Refused) > 0 && one == a:
			return model.Errorf(model.Forbidden, "you may not %s all of these machines", t.Command.Name)
		case len(v.Refused) > 0:
			return errors.New("who asked for it may not have it done any more")
		case v.Second && !t.Second:
			return errors.New("it needs a second person now; ask again")
		}
	}
	return nil
}

// The buttons of incidents.
const (
	ActionAck      = "oob_ack"
	ActionSilence1 = "oob_silence_1h"
	ActionSilence8 = "oob_silence_8h"
	ActionCycle    = "oob_cycle"
)

// incidentOf begins the keys of incidents of machines, before their UUID.
const incidentOf = "machine:"

// incident takes a click on a button of an incident: it asks for what could be
// typed too.
func (r *Room) incident(a *asker, p press) {
	id := button.NewID()
	c := &command.Command{Name: command.Ack, Reason: "clicked at an incident"}
	switch p.Action {
	case ActionSilence1:
		c.Name, c.For = command.Silence, time.Hour
	case ActionSilence8:
		c.Name, c.For = command.Silence, 8*time.Hour
	case ActionCycle:
		c.Name, c.Action = "power cycle", model.PowerCycle
	}
	if len(r.opts.Policy.Of(a.who)) == 0 {
		r.refuse(a, id, nil, a.stranger())
		return
	}
	uuid, ofMachine := strings.CutPrefix(p.Value, incidentOf)
	if !ofMachine {
		r.ackOther(a, id, c, p.Value)
		return
	}
	m, err := r.fleet.get(a.ctx, uuid)
	switch {
	case err != nil:
		r.fail(a, err)
	case m == nil:
		r.refuse(a, id, c, errors.New("the machine is not there any more"))
	default:
		c.Machines = []string{m.Name}
		r.command(a, id, c)
	}
}

// ackOther acknowledges an incident that is of no machine: who may acknowledge at
// all may.
func (r *Room) ackOther(a *asker, id string, c *command.Command, key string) {
	if c.Name != command.Ack || !r.opts.Policy.May(a.who, c) {
		r.refuse(a, id, c, errors.New("you may not do that to this incident"))
		return
	}
	r.acked(a, id, c, []string{key})
}

// ack acknowledges the incidents of machines.
func (r *Room) ack(a *asker, id string, c *command.Command, list []machine) {
	var keys []string
	for _, m := range list {
		keys = append(keys, incidentOf+m.Uuid)
	}
	r.acked(a, id, c, keys)
}

// acked acknowledges incidents.
func (r *Room) acked(a *asker, id string, c *command.Command, keys []string) {
	if err := r.noted(a, id, c); err != nil {
		r.fail(a, err)
		return
	}
	n := 0
	for _, key := range keys {
		err := r.opts.Desk.Ack(a.ctx, key, a.User)
		switch {
		case err == nil:
			n++
		case model.KindOf(err) != model.NotFound:
			r.fail(a, err)
			return
		}
	}
	if n == 0 {
		a.say("There is nothing to acknowledge: no incident of these goes on.")
		return
	}
	a.say(fmt.Sprintf(":eyes: %d acknowledged.", n))
}

// noted has the endpoint write down a command that changes nothing of machines.
func (r *Room) noted(a *asker, id string, c *command.Command) error {
	what := map[string]any{"User": a.User, "Channel": a.Channel, "Command": c.Name, "Machines": c.Machines, "Reason": c.Reason}
	if err := r.fleet.tell(a.ctx, a.User, "requested", id, what); err != nil {
		return unwritten(err)
	}
	return nil
}

// silence has nothing told of machines for a while.
func (r *Room) silence(a *asker, id string, c *command.Command) {
	if err := r.noted(a, id, c); err != nil {
		r.fail(a, err)
		return
	}
	until := r.opts.Now().Add(c.For).UTC()
	name, err := r.opts.Desk.Silence(a.ctx, silence.Silence{Machines: c.Machines, Until: until, By: a.User, Reason: c.Reason})
	if err != nil {
		r.fail(a, err)
		return
	}
	a.say(fmt.Sprintf(":mute: `%s` silenced until %s: `silence end %s` ends it.", escape(folded(c.Machines)), until.Format(time.DateTime+" MST"), name))
}
