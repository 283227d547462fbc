package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"provision-plugins/shared/client"
	"provision-plugins/shared/hostlist"
	"provision-plugins/shared/model"
)

// overEndpoint is how much longer than the action's timeout an answer is
// waited for; the endpoint itself waits 20 s longer for the plugin.
const overEndpoint = 25 * time.Second

// actionCall is what is asked of each machine.
type actionCall struct {
	verb    string // for people: "power cycle"
	command string
	params  model.Params
}

// actionOptions are the flags of commands that run an action on machines.
type actionOptions struct {
	selection
	pacing
	params     paramFlags
	plugin     string
	timeout    seconds
	forceAfter seconds
	reason     string
	yes        bool
	dryRun     bool
	wait       bool
	override   bool
	each       bool
	after      string
}

// addReadFlags adds the flags of every action.
func (o *actionOptions) addReadFlags(fs *pflag.FlagSet) {
	o.selection.addFlags(fs)
	fs.Var(&o.timeout, "timeout", "bound of the action, such as 90s (sets oob/timeout)")
	fs.StringArrayVar(&o.params.values, "param", nil, "param `k=v` for this action alone (may be repeated)")
	fs.StringArrayVar(&o.params.files, "param-file", nil, "param `k=FILE` with the value in a file, for secrets; - is stdin")
	fs.StringVar(&o.plugin, "plugin", "", "ask this `PLUGIN`, not the machine's own")
	fs.BoolVar(&o.dryRun, "dry-run", false, "print the plan and send nothing")
	fs.BoolVar(&o.each, "each", false, "print each machine's answer as it comes, in place of one line for all that agree")
}

// addChangeFlags adds the flags of actions that change something.
func (o *actionOptions) addChangeFlags(fs *pflag.FlagSet) {
	o.addReadFlags(fs)
	o.pacing.addFlags(fs)
	fs.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	fs.StringVar(&o.reason, "reason", "", "why; kept with the run (sets oob/reason)")
	fs.BoolVar(&o.wait, "wait", true, "wait for the outcome; --wait=false returns once the action is recorded")
	fs.StringVar(&o.after, "after-unknown", "", "act although this `RUN` of the machine ended unknown (sets oob/after-unknown)")
	fs.BoolVar(&o.override, "override-protected", false, "act on protected machines too, if you may")
}

// newActionCommand makes a command that runs an action on its targets.
func newActionCommand(a *app, use, short string, change bool, call func(o *actionOptions) (actionCall, error)) (*cobra.Command, *actionOptions) {
	o := &actionOptions{wait: true}
	cmd := &cobra.Command{
		Use:   use + " TARGETS...",
		Short: short,

		ValidArgsFunction: a.completesTargets(),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.args = args
			c, err := call(o)
			if err != nil {
				return err
			}
			return runAction(cmd.Context(), a, c, *o)
		},
	}
	if change {
		o.addChangeFlags(cmd.Flags())
	} else {
		o.addReadFlags(cmd.Flags())
	}
	return cmd, o
}

// runAction runs an action on each of its targets and prints the answers.
func runAction(ctx context.Context, a *app, call actionCall, o actionOptions) error {
	if err := cmp.Or(o.selection.check(), o.pacing.check()); err != nil {
		return err
	}
	return a.withClient(func(c *client.Client) error {
		params, err := o.allParams(ctx, a, c, call)
		if err != nil {
			return err
		}
		call.params = params
		info := model.ActionOf(call.command, nil)
		if info.Class == model.Read && len(o.args) == 0 && !o.dryRun {
			if done, err := readSelected(ctx, a, c, invocation{call: call, o: o}); done {
				return err
			}
		}
		o.selection.brief = true
		machines, missing, err := resolve(ctx, c, o.selection)
		if err != nil {
			return err
		}
		if len(missing) > 0 && (info.Class != model.Read || len(machines) == 0) {
			return noMachines(missing)
		}
		if len(machines) == 0 {
			return errNoMatch()
		}
		if o.dryRun {
			return a.printPlan(call, o, machines)
		}
		if info.Class != model.Read && (info.Guarded || len(machines) > 1) {
			if err := a.confirm(ctx, call.verb, namesOf(machines), o.yes); err != nil {
				return err
			}
		}
		return invokeAll(ctx, a, c, invocation{call, o, machines, missing, leastBound(ctx, c, call)})
	})
}

// invocation is a checked and confirmed action on its machines.
type invocation struct {
	call     actionCall
	o        actionOptions
	machines []machine
	missing  []string
	least    time.Duration // what every machine's action may take
}

// invokeAll sends the action to each machine.
func invokeAll(ctx context.Context, a *app, c *client.Client, inv invocation) error {
	r := inv.report(a, len(inv.machines)+len(inv.missing))
	for _, name := range inv.missing {
		r.add(answer{machine: machine{name: name}, err: model.Errorf(model.NotFound, "no such machine")})
	}
	if len(inv.machines) > 1 && !r.patient && readAll(ctx, r, c, inv) {
		return r.finish()
	}
	return fanOut(ctx, r, inv.o.parallel, inv.machines, asMachine, func(ctx context.Context, m machine) answer {
		return invoke(ctx, c, inv, m)
	})
}

// report starts the report on so many machines.
func (inv *invocation) report(a *app, total int) *report {
	r := newReport(a, inv.call.verb, total, inv.o.each)
	r.pace = inv.o.pacing
	r.ladders = laddersOf(inv.call.command)
	r.patient = model.ActionOf(inv.call.command, nil).Class != model.Read
	return r
}

// asMachine is the machine of a machine.
func asMachine(m machine) machine { return m }

// invoke sends the action to one machine.
func invoke(ctx context.Context, c *client.Client, inv invocation, m machine) answer {
	bound := inv.bound(m)
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("waited %s", bound))
	defer cancel()
	reply, err := c.Invoke(ctx, client.ActionRequest{
		Prefix: "machines", Key: m.uuid, Command: inv.call.command,
		Plugin: inv.o.plugin, Params: inv.call.params, OverrideProtected: inv.o.override,
	})
	out := answer{machine: m}
	if reply != nil {
		out.run, out.raw = reply.Run, reply.Result
	}
	if err != nil {
		out.err, out.raw = actionError(err, inv.call.command, m.name), nil
	}
	return out
}

// paramTimeout is how many seconds an action may take.
const paramTimeout = "oob/timeout"

// timeoutIn is the oob/timeout of some params, 0 if they have none. What the
// endpoint will refuse counts as none.
func timeoutIn(params model.Params) time.Duration {
	d, err := params.Seconds(paramTimeout, 0, longest)
	if err != nil {
		return 0
	}
	return d
}

// leastBound is what every machine's action may take: as the request says, else
// the longest of the command's defaults and of what profiles say. Which profiles
// count for a machine is the endpoint's business; to wait too long for an
// endpoint that hangs is better than to call a slow outcome unknown.
func leastBound(ctx context.Context, c *client.Client, call actionCall) time.Duration {
	if d := timeoutIn(call.params); d > 0 {
		return d
	}
	least := usualBound(ctx, c, call.command)
	profiles, err := c.Profiles().List(ctx, client.Query{})
	if err != nil {
		return least // who may not list profiles may still act
	}
	for i := range profiles {
		least = max(least, timeoutIn(profiles[i].Params))
	}
	return least
}

// usualBound is the default of a command: the vocabulary's, else the longest that a
// provider has.
func usualBound(ctx context.Context, c *client.Client, command string) time.Duration {
	info := model.ActionOf(command, nil)
	if info.Summary != "" {
		return info.Timeout
	}
	providers, err := c.Providers().List(ctx, client.Query{})
	if err != nil {
		return info.Timeout // who may not list providers may still act
	}
	for i := range providers {
		info.Timeout = max(info.Timeout, model.ActionOf(command, providers[i].Meta).Timeout)
	}
	return info.Timeout
}

// bound is how long a machine's answer is waited for.
func (inv *invocation) bound(m machine) time.Duration {
	if d := timeoutIn(inv.call.params); d > 0 {
		return d + overEndpoint
	}
	return max(inv.least, timeoutIn(m.params)) + overEndpoint
}

// missingParam finds the param that an action misses in the words of an
// endpoint.
var missingParam = regexp.MustCompile(`Missing Parameter (\S+)$`)

// actionError is the error of an action on a machine, with words for what only
// the command line knows.
func actionError(err error, command, name string) *model.Error {
	e := model.AsError(err)
	switch missing := missingParam.FindStringSubmatch(e.Text()); {
	case errors.Is(err, context.Canceled):
		e.Messages = []string{"interrupted while waiting"}
		if e.Kind() == model.UnknownOutcome {
			e.Messages[0] += "; what was begun goes on: `oob runs list` shows how it ends"
		}
	case e.Kind() == model.NotFound && strings.HasPrefix(e.Text(), "Action "+command+" "):
		e.Messages = []string{"no plugin in use offers " + command + " for this machine; `oob plugin show NAME` lists the actions of one"}
	case missing != nil && model.SecretName(missing[1]):
		e.Messages = []string{fmt.Sprintf("%s; set it by `oob machine set %s --param-file %s=FILE`", e.Text(), word(name), missing[1])}
	case missing != nil:
		e.Messages = []string{fmt.Sprintf("%s; set it by `oob machine set %s %s=VALUE`", e.Text(), word(name), missing[1])}
	}
	return e
}

// allParams are the params of the request: those given, and those that flags
// set.
func (o *actionOptions) allParams(ctx context.Context, a *app, c *client.Client, call actionCall) (model.Params, error) {
	params, err := o.params.read(ctx, a, c)
	if err != nil {
		return nil, err
	}
	flags := model.Params{}
	for name, value := range call.params {
		flags[name] = value
	}
	if o.timeout > 0 {
		flags[paramTimeout] = o.timeout.number()
	}
	if o.forceAfter > 0 {
		flags["oob/force-after"] = o.forceAfter.number()
	}
	if o.reason != "" {
		flags["oob/reason"] = o.reason
	}
	if o.after != "" {
		flags["oob/after-unknown"] = o.after
	}
	if !o.wait {
		flags["oob/wait"] = false
	}
	for name, value := range flags {
		if err := setParam(params, name, value); err != nil {
			return nil, err
		}
	}
	return params, nil
}

// plan is one line of --dry-run --json.
type plan struct {
	Machine   string       `json:"machine"`
	Action    string       `json:"action"`
	Plugin    string       `json:"plugin,omitempty"`
	Params    model.Params `json:"params"`
	Protected bool         `json:"protected,omitempty"`
}

// printPlan prints what would be sent.
func (a *app) printPlan(call actionCall, o actionOptions, machines []machine) error {
	shown := model.RedactParams(call.params, nil)
	folds := newFolder[plan]()
	for _, m := range machines {
		p := plan{Machine: m.name, Action: call.command, Plugin: o.plugin, Params: shown, Protected: m.protected}
		if p.Plugin == "" {
			p.Plugin = m.driver
		}
		if a.flags.json {
			if err := a.printJSON(p); err != nil {
				return err
			}
			continue
		}
		folds.add(p.Plugin+"\x00"+fmt.Sprint(m.protected), m.name, p)
	}
	if a.flags.json {
		return nil
	}
	rows := [][]string{{"MACHINES", "COUNT", "ACTION", "PLUGIN", "NOTE"}}
	for _, f := range folds.list() {
		p, note := f.value, ""
		if p.Protected && model.ActionOf(call.command, nil).Guarded && !o.override {
			note = "protected: will be refused"
		}
		rows = append(rows, []string{hostlist.Fold(f.names), fmt.Sprint(len(f.names)), p.Action, p.Plugin, note})
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	if len(shown) > 0 {
		text, err := json.Marshal(shown)
		if err != nil {
			return model.Errorf(model.Internal, "cannot print params: %w", err)
		}
		fmt.Fprintf(a.stdout, "params: %s\n", clean(string(text)))
	}
	fmt.Fprintf(a.stdout, "%s %s: nothing was sent\n", call.verb, count(len(machines), "machine"))
	return nil
}

// namesOf lists the machines' names.
func namesOf(machines []machine) []string {
	names := make([]string, len(machines))
	for i, m := range machines {
		names[i] = m.name
	}
	return names
}
