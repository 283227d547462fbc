package chat

import (
	"errors"
	"fmt"
	"strings"

	"provision-plugins/shared/model"
	"provision-plugins/slack/chat/button"
	"provision-plugins/slack/chat/command"
	"provision-plugins/slack/chat/grant"
)

// typed takes a command that somebody typed.
func (r *Room) typed(a *asker, s slash) {
	id := button.NewID()
	if len(r.opts.Policy.Of(a.who)) == 0 {
		r.refuse(a, id, nil, a.stranger())
		return
	}
	c, err := command.Parse(s.Text)
	if err != nil {
		a.say(":grey_question: " + escape(err.Error()))
		return
	}
	r.command(a, id, c)
}

// stranger is the refusal of who may do nothing here.
func (a *asker) stranger() error {
	if a.unsure != nil {
		return errors.New("it cannot be told in which user groups you are; try again")
	}
	return fmt.Errorf("%w; your id is %s", errStranger, a.User)
}

// command does what a command asks for, if who asks may have it.
func (r *Room) command(a *asker, id string, c *command.Command) {
	if !r.opts.Policy.May(a.who, c) {
		r.refuse(a, id, c, model.Errorf(model.Forbidden, "you may not %s here", c.Name))
		return
	}
	handlers := map[string]func(*asker, *command.Command){
		command.List: r.list, command.Runs: r.runs, command.Who: r.whoami, command.Help: r.help,
		"silence list": r.silences, "silence end": r.endSilence,
	}
	if do := handlers[c.Name]; do != nil {
		do(a, c)
		return
	}
	list, v, err := r.judged(a, c)
	switch {
	case model.KindOf(err) == model.Forbidden:
		r.refuse(a, id, c, err)
	case err != nil:
		r.fail(a, err)
	case c.Name == command.Silence:
		r.silence(a, id, c)
	case c.Name == command.Ack:
		r.ack(a, id, c, list)
	case c.Info().Class == model.Read:
		r.inspect(a, id, c, list)
	default:
		r.change(a, id, c, list, v)
	}
}

// judged are the machines of a command, all of which who asks may have it done to,
// and how it is to be confirmed. Of machines that are not there is told the same
// as of those that are not for who asks.
func (r *Room) judged(a *asker, c *command.Command) ([]machine, grant.Verdict, error) {
	if most := r.opts.Policy.Max; len(c.Machines) > most {
		return nil, grant.Verdict{}, model.Errorf(model.Forbidden, "that are %d machines; %d are the most at once", len(c.Machines), most)
	}
	list, missing, err := r.fleet.find(a.ctx, "Name", c.Machines)
	if err != nil {
		return nil, grant.Verdict{}, err
	}
	v := r.opts.Policy.Judge(a.who, c, bare(list))
	for _, m := range v.Refused {
		missing = append(missing, m.Name)
	}
	if len(missing) > 0 {
		return nil, v, model.Errorf(model.Forbidden, "not among the machines that you may %s: %s", c.Name, folded(missing))
	}
	return list, v, nil
}

// bare are machines as rules look at them.
func bare(list []machine) []grant.Machine {
	out := make([]grant.Machine, len(list))
	for i, m := range list {
		out[i] = m.Machine
	}
	return out
}

// freeze are machines as a request keeps them.
func freeze(list []machine) []frozen {
	out := make([]frozen, len(list))
	for i, m := range list {
		out[i] = frozen{m.Uuid, m.Name}
	}
	return out
}

// job is a command as the endpoint is asked for it.
func (r *Room) job(c *command.Command, id, person, why string) job {
	params := model.Params{}
	for name, v := range c.Params {
		params[name] = v
	}
	if why != "" {
		params["oob/reason"] = why
	}
	return job{person: person, id: id, action: c.Action, params: params, override: c.Override}
}

// inspect runs an action that changes nothing, and tells who asked what it found.
func (r *Room) inspect(a *asker, id string, c *command.Command, list []machine) {
	y := tally{total: len(list)}
	for _, o := range r.gather(a, r.job(c, id, a.User, c.Reason), freeze(list)) {
		y.add(o)
	}
	a.say(y.String())
}

// gather runs a job and returns the outcomes.
func (r *Room) gather(a *asker, j job, list []frozen) []outcome {
	found := make(chan outcome, len(list))
	r.fleet.do(a.ctx, j, list, func(o outcome) { found <- o })
	close(found)
	var out []outcome
	for o := range found {
		out = append(out, o)
	}
	return out
}

// change has something changed: at once, or when it is confirmed. It is written
// down before anything is done, or nothing is.
func (r *Room) change(a *asker, id string, c *command.Command, list []machine, v grant.Verdict) {
	now := r.opts.Now().UTC()
	t := ticket{
		ID: id, State: asked, Command: *c, Machines: freeze(list), User: a.User, Team: a.Team, Channel: a.Channel,
		Typed: v.Typed, Second: v.Second, Asked: now, Expires: now.Add(ticketLife),
	}
	if name := guarded(&t, list); name != "" {
		r.refuse(a, id, c, model.Errorf(model.Forbidden, "%s is protected (%s); nothing was done", name, paramProtected))
		return
	}
	if err := r.fleet.tell(a.ctx, a.User, "requested", id, t.record("")); err != nil {
		r.fail(a, unwritten(err))
		return
	}
	if c.Confirmed(len(list)) {
		r.ask(a, t)
		return
	}
	ts, err := r.talk.post(a.ctx, t.Channel, t.shown(":hourglass_flowing_sand: working on it"))
	if err != nil { // the bot is not in the channel: who asked is told
		a.say(t.head() + "\n:hourglass_flowing_sand: working on it")
	}
	t.State, t.TS, t.By = taken, ts, a.User
	if err := r.book.put(t); err != nil {
		r.fail(a, err)
		return
	}
	r.run(a, t)
}

// guarded is the name of a machine that is protected against a ticket's action.
func guarded(t *ticket, list []machine) string {
	if !t.Command.Info().Guarded || t.Command.Override {
		return ""
	}
	for _, m := range list {
		if m.protected {
			return m.Name
		}
	}
	return ""
}

// unwritten is the refusal of what could not be written down.
func unwritten(err error) error {
	return model.Errorf(model.KindOf(err), "cannot write down what you ask for, so nothing was done: %s", model.AsError(err).Text())
}

// ask posts a request with its buttons. It counts when it is on disk, with the
// message it is in: a click before that finds nothing.
func (r *Room) ask(a *asker, t ticket) {
	yes, err := r.signer.Sign(t.claim(actionConfirm))
	if err != nil {
		r.fail(a, err)
		return
	}
	no, err := r.signer.Sign(t.claim(actionCancel))
	if err != nil {
		r.fail(a, err)
		return
	}
	if t.TS, err = r.talk.post(a.ctx, t.Channel, t.question(yes, no)); err != nil {
		r.fail(a, fmt.Errorf("cannot ask for confirmation here (is the bot in this channel?): %w", err))
		return
	}
	if err := r.book.put(t); err != nil {
		r.end(t, cancelled, "not taken; nothing was done")
		r.fail(a, err)
	}
}

// help lists the commands that who asks may have.
func (r *Room) help(a *asker, _ *command.Command) {
	var lines []string
	for _, f := range command.Forms() {
		if !r.opts.Policy.May(a.who, &command.Command{Name: f.Name, Action: f.Action}) {
			continue
		}
		lines = append(lines, fmt.Sprintf("`%s` %s", strings.TrimSpace(f.Name+" "+f.Usage), f.Help))
	}
	lines = append(lines, "MACHINES are names or host lists such as `rack[1-4]n[01-32]`. A reason follows `--reason` or `because`.")
	a.say(strings.Join(lines, "\n"))
}

// whoami tells somebody who they are, and by which rules they may what.
func (r *Room) whoami(a *asker, _ *command.Command) {
	lines := []string{fmt.Sprintf("You are <@%s> (`%s`) of `%s`, in `%s`.", a.User, escape(a.User), escape(a.Team), escape(a.Channel))}
	for _, rule := range r.opts.Policy.Of(a.who) {
		text := fmt.Sprintf("• *%s*: %s", escape(rule.Name), rule.Role)
		if len(rule.Commands) > 0 {
			text += ", only " + escape(strings.Join(rule.Commands, ", "))
		}
		if m := rule.Machines; len(m.Names)+len(m.Profiles)+len(m.Params) > 0 {
			text += ", on some machines"
		}
		lines = append(lines, text)
	}
	a.say(strings.Join(lines, "\n"))
}
