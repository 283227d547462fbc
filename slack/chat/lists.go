package chat

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/slack/chat/button"
	"provision-plugins/slack/chat/command"
	"provision-plugins/slack/mrkdwn"
	"provision-plugins/slack/silence"
)

const (
	// shownRuns are how many runs are listed, of the newest askedRuns.
	shownRuns = 15
	askedRuns = 500
	// shownSilences are how many silences are listed.
	shownSilences = 30
)

// mine are the machines of which who asks may have a command done, of those that
// the command names, or of all.
func (r *Room) mine(a *asker, c *command.Command) ([]machine, error) {
	if len(c.Machines) > 0 {
		list, _, err := r.judged(a, c)
		return list, err
	}
	list, err := r.fleet.all(a.ctx)
	if err != nil {
		return nil, err
	}
	refused := map[string]bool{}
	for _, m := range r.opts.Policy.Judge(a.who, c, bare(list)).Refused {
		refused[m.Uuid] = true
	}
	return slices.DeleteFunc(list, func(m machine) bool { return refused[m.Uuid] }), nil
}

// refusedOr refuses, or tells what went wrong.
func (r *Room) refusedOr(a *asker, c *command.Command, err error) {
	if model.KindOf(err) == model.Forbidden {
		r.refuse(a, button.NewID(), c, err)
		return
	}
	r.fail(a, err)
}

// list tells the machines by their power, as it was last seen.
func (r *Room) list(a *asker, c *command.Command) {
	machines, err := r.mine(a, c)
	if err != nil {
		r.refusedOr(a, c, err)
		return
	}
	seen, err := r.fleet.power(a.ctx)
	if err != nil {
		r.fail(a, err)
		return
	}
	by := map[string][]string{}
	for _, m := range machines {
		state := string(cmp.Or(seen[m.Uuid].Power, model.StateUnknown))
		by[state] = append(by[state], m.Name)
	}
	if len(by) == 0 {
		a.say("There are no machines that you may ask for.")
		return
	}
	var lines []string
	for _, state := range slices.Sorted(maps.Keys(by)) {
		names := by[state]
		slices.Sort(names)
		lines = append(lines, fmt.Sprintf("*%s* (%d): `%s`", escape(state), len(names), mrkdwn.Escape(folded(names))))
	}
	a.say(strings.Join(lines, "\n"))
}

// runs tells what was done last, of machines that who asks may ask for.
func (r *Room) runs(a *asker, c *command.Command) {
	machines, err := r.mine(a, c)
	if err != nil {
		r.refusedOr(a, c, err)
		return
	}
	all, err := r.fleet.runs(a.ctx, askedRuns)
	if err != nil {
		r.fail(a, err)
		return
	}
	mine := map[string]bool{}
	for _, m := range machines {
		mine[m.Uuid] = true
	}
	var lines []string
	for _, run := range all {
		if run.Prefix != "machines" || !mine[run.Key] || len(lines) == shownRuns {
			continue
		}
		lines = append(lines, runLine(&run))
	}
	if len(lines) == 0 {
		lines = []string{"Nothing was done yet."}
	}
	a.say(strings.Join(lines, "\n"))
}

// runLine is a run in one line.
func runLine(run *model.Run) string {
	line := fmt.Sprintf("%s `%s` %s: *%s*, by %s", run.Created.UTC().Format(time.DateTime), escape(run.Name), escape(run.Command),
		escape(string(run.State)), escape(run.Principal))
	if run.Error != nil {
		line += ": " + escape(run.Error.Text())
	}
	if run.Reason != "" {
		line += " _(" + escape(run.Reason) + ")_"
	}
	return cut(line, maxLine)
}

// silences lists them, as far as they are for who asks.
func (r *Room) silences(a *asker, c *command.Command) {
	var lines []string
	for _, s := range r.opts.Desk.Silences() {
		if !r.sees(a, c, s) {
			continue
		}
		until := "for ever"
		if !s.Until.IsZero() {
			until = "until " + s.Until.UTC().Format(time.DateTime)
		}
		line := fmt.Sprintf("`%s` %s %s, by %s", escape(s.ID), escape(strings.Join(s.Machines, ", ")), until, escape(s.By))
		if s.Reason != "" {
			line += " _(" + escape(s.Reason) + ")_"
		}
		if lines = append(lines, line); len(lines) == shownSilences {
			break
		}
	}
	if len(lines) == 0 {
		lines = []string{"There are no silences."}
	}
	a.say(strings.Join(lines, "\n"))
}

// sees reports whether a silence is for somebody to see and end: it is their own,
// or they may have the command for all machines.
func (r *Room) sees(a *asker, c *command.Command, s silence.Silence) bool {
	if s.By == a.User {
		return true
	}
	for _, rule := range r.opts.Policy.Of(a.who) {
		if m := rule.Machines; rule.Gives(c) && len(m.Names)+len(m.Profiles)+len(m.Params) == 0 {
			return true
		}
	}
	return false
}

// endSilence ends one.
func (r *Room) endSilence(a *asker, c *command.Command) {
	id := button.NewID()
	seen := func(s silence.Silence) bool { return s.ID == c.ID && r.sees(a, c, s) }
	if !slices.ContainsFunc(r.opts.Desk.Silences(), seen) {
		r.refuse(a, id, c, model.Errorf(model.Forbidden, "there is no silence %.20q that you may end", c.ID))
		return
	}
	if err := r.noted(a, id, c); err != nil {
		r.fail(a, err)
		return
	}
	if err := r.opts.Desk.EndSilence(a.ctx, c.ID); err != nil {
		r.fail(a, err)
		return
	}
	a.say(":loud_sound: silence `" + escape(c.ID) + "` ended.")
}
