package endpoint

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"provision-plugins/endpoint/metrics"
	"provision-plugins/endpoint/recent"
	"provision-plugins/endpoint/runs"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

const (
	// maxTimeout bounds oob/timeout.
	maxTimeout = time.Hour
	// replyGrace is how much longer than its own bound an action is waited for.
	replyGrace = 20 * time.Second
	// paramProtected, true on a machine or its profiles, guards it.
	paramProtected = "oob/protected"
	// maxKeyLength bounds an Idempotency-Key.
	maxKeyLength = 255
)

// actions invokes what plugins offer.
type actions struct {
	objects   *objects
	cat       *catalog
	sup       *supervisor
	discovery *discovery
	runs      *runs.Manager
	emit      *emitter
	digest    digester
	tails     *tails
	recent    recent.Book[*readyCall]
	count     *metrics.Set
}

// invocation is a request for an action.
type invocation struct {
	prefix, key    string
	command        string
	plugin         string // the one asked for; empty: choose
	body           model.Params
	override       bool // of oob/protected
	idempotencyKey string
	logLevel       string // the least one of the plugin's lines; empty: its own
	asked          string // of each of many machines (askedFor); empty: of this one
}

// outcome is the answer to an invocation.
type outcome struct {
	status int
	run    string // the run's id; empty for reads
	body   json.RawMessage
	err    error // the run's error
	// receipt tells the run whether its reply arrived.
	receipt receipt
}

// subject is what an action is about, with its secrets in clear.
type subject struct {
	prefix, id, name string
	stored           store.Object
	object           any            // as plugins get it, but for a machine
	machine          *model.Machine // nil for anything else
	from             chain
}

// subject finds what an invocation is about.
func (a *actions) subject(prefix, key string) (*subject, error) {
	if prefix == systemPrefix {
		return &subject{name: systemPrefix, object: map[string]any{}, from: a.objects.globalChain(nil)}, nil
	}
	k := a.objects.kinds.get(prefix)
	if k == nil {
		return nil, notFound(prefix, key)
	}
	found, err := a.objects.find(k, key)
	if err != nil {
		return nil, err
	}
	object, err := a.objects.opened(k, found)
	if err != nil {
		return nil, err
	}
	s := &subject{prefix: prefix, id: found.ID, name: found.ID, stored: found, object: object}
	switch t := object.(type) {
	case *model.Machine:
		s.machine, s.name, s.from = t, t.Name, a.objects.machineChain(t)
	case *model.Plugin:
		s.from = a.objects.pluginChain(t)
	case *record:
		t.hide()
		s.from = a.objects.globalChain(t.params)
	default:
		if params := paramsOf(object); params != nil {
			s.from = a.objects.globalChain(*params)
		}
	}
	return s, nil
}

// model is the object that the plugin gets. A machine's protection may come
// from a profile; a caller that may override it has it taken away here.
func (s *subject) model(override bool) any {
	if s.machine == nil {
		return s.object
	}
	m := *s.machine
	m.Params = maps.Clone(m.Params)
	delete(m.Params, paramProtected)
	delete(m.Params, "oob/wait") // the endpoint does the waiting
	if v, ok := s.from.lookup(paramProtected); ok && !override {
		m.Params[paramProtected] = v
	}
	return &m
}

// call is an invocation that has been resolved.
type call struct {
	invocation
	subject *subject
	offer   offer
	action  *model.Action
	// question is action, encoded, in a call that is shared: it is sent again.
	question *plugin.Question
	info     model.ActionInfo
	timeout  time.Duration
	control  control
	secrets  []string
}

// control is what a request's body tells the endpoint, not the plugin.
type control struct {
	reason       string
	afterUnknown string
	wait         bool
}

// controlParams are for the endpoint, not for the plugin.
var controlParams = [...]string{"oob/reason", "oob/after-unknown", "oob/wait"}

// takeControl reads the control params and removes them from the body.
func (a *actions) takeControl(command string, body model.Params) (control, error) {
	var c control
	found := model.Params{}
	for _, name := range controlParams {
		if v, ok := body[name]; ok {
			found[name] = v
			delete(body, name)
		}
	}
	err := a.cat.checkAction(command, found)
	if err != nil {
		return c, err
	}
	if c.reason, err = found.String("oob/reason", ""); err != nil {
		return c, err
	}
	if c.afterUnknown, err = found.String("oob/after-unknown", ""); err != nil {
		return c, err
	}
	c.wait, err = found.Bool("oob/wait", true)
	return c, err
}

// invoke runs an action and waits for its end, unless the caller would rather
// not.
func (a *actions) invoke(ctx context.Context, in invocation) (*outcome, error) {
	a.discovery.wait(ctx)
	c, err := a.resolve(in)
	if err != nil {
		return nil, in.refused(err)
	}
	if c.info.Class == model.Read {
		return a.read(ctx, c)
	}
	return a.change(ctx, c)
}

// invokeRead is invoke for what must change nothing.
func (a *actions) invokeRead(ctx context.Context, in invocation) (*outcome, error) {
	a.discovery.wait(ctx)
	c, err := a.resolveRead(in)
	if err != nil {
		return nil, in.refused(err)
	}
	if c.info.Class != model.Read {
		return nil, model.Errorf(model.Invalid, "cannot %s many machines by one request: it is no action that changes nothing", in.command).On(in.prefix, c.subject.id)
	}
	return a.read(ctx, c)
}

// refused words an error of a request that came to nothing as the reference does:
// it names the object, and as its Type what was asked for, where the status alone
// says what is wrong.
func (in *invocation) refused(err error) error {
	e := *model.AsError(err)
	kind := e.Kind()
	if e.Model == "" || e.Model == systemPrefix {
		e.Model, e.Key = in.prefix, in.key
	}
	if in.prefix == systemPrefix {
		e.Key = systemKey
	}
	if string(kind) != e.Type || !objectKinds[kind] {
		return &e
	}
	if e.Type = "INVOKE"; kind == model.NotFound && strings.HasPrefix(e.Text(), "Not Found") {
		e.Type = http.MethodPost // it is the object that is not there
	}
	return &e
}

// resolve finds the object, the plugin and the params of an invocation.
func (a *actions) resolve(in invocation) (*call, error) {
	if len(in.idempotencyKey) > maxKeyLength {
		return nil, model.Errorf(model.Invalid, "Idempotency-Key is longer than %d bytes", maxKeyLength)
	}
	s, err := a.subject(in.prefix, in.key)
	if err != nil {
		return nil, err
	}
	in.body = dropMasked(in.body)
	if err := a.objects.open(in.body, s.stored); err != nil {
		return nil, err
	}
	c := &call{invocation: in, subject: s}
	if c.control, err = a.takeControl(in.command, in.body); err != nil {
		return nil, err
	}
	if c.offer, err = a.choose(c); err != nil {
		return nil, err
	}
	params, err := a.cat.actionParams(c.offer, in.body, s.from)
	if err != nil {
		return nil, err
	}
	c.info = model.ActionOf(in.command, c.offer.provider.Meta)
	if err := c.unprotected(); err != nil {
		return nil, err
	}
	if c.timeout, err = a.timeout(c.info, in.body, s.from); err != nil {
		return nil, err
	}
	c.action = &model.Action{Model: s.model(in.override), Plugin: c.offer.plugin, Command: in.command, Params: params}
	c.secrets = append(model.SecretValues(params, a.cat.secure), model.SecretValues(s.from.merged(), a.cat.secure)...)
	return c, nil
}

// unprotected refuses what a protected machine must not have done to it. A
// plugin of the suite would refuse it too; others do not know of protection.
func (c *call) unprotected() error {
	if !c.info.Guarded || c.override {
		return nil
	}
	v, ok := c.subject.from.lookup(paramProtected)
	if !ok {
		return nil
	}
	protected, err := model.Params{paramProtected: v}.Bool(paramProtected, false)
	if err != nil || !protected {
		return err
	}
	return model.Errorf(model.Forbidden, "cannot start %s: the machine is protected (%s); nothing was sent", c.command, paramProtected)
}

// choose picks the plugin of a call.
func (a *actions) choose(c *call) (offer, error) {
	q := question{
		model: c.prefix, key: c.subject.id, command: c.command, asked: c.plugin,
		offers: a.sup.offers(c.subject.prefix, c.command), body: c.body, from: c.subject.from,
	}
	if c.prefix == "plugins" { // a plugin's own action
		q.asked = c.subject.id
	}
	return a.cat.choose(q)
}

// timeout is the action's own bound.
func (a *actions) timeout(info model.ActionInfo, body model.Params, from chain) (time.Duration, error) {
	params := model.Params{}
	if v, ok := append(chain{body}, from...).lookup("oob/timeout"); ok {
		params["oob/timeout"] = v
	}
	return params.Seconds("oob/timeout", info.Timeout, maxTimeout)
}

// read sends an action that changes nothing. It ends with its caller and is
// kept in memory only.
func (a *actions) read(ctx context.Context, c *call) (*outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+replyGrace)
	defer cancel()
	began := time.Now()
	proc, err := a.sup.await(ctx, c.offer.plugin)
	if err != nil {
		return nil, err
	}
	raw, err := a.send(ctx, proc, c)
	a.kept(ctx, c, began, raw, err)
	if err != nil {
		return nil, err
	}
	a.seen(ctx, c, began, raw)
	return &outcome{status: http.StatusOK, body: raw}, nil
}

// kept notes a read in the ring.
func (a *actions) kept(ctx context.Context, c *call, began time.Time, raw json.RawMessage, err error) {
	r := model.Run{
		ID: newUUID(), Prefix: c.subject.prefix, Key: c.subject.id, Name: c.subject.name,
		Command: c.command, Class: model.Read, Plugin: c.offer.plugin,
		Principal: principal(ctx), Via: callerOf(ctx).via, Reason: c.control.reason,
		Params: a.shownBody(c),
		State:  model.RunDone, Result: raw,
		Created: began, Sent: began, Ended: time.Now(),
	}
	if err != nil {
		r.State, r.Result, r.Error = model.RunFailed, nil, model.AsError(err)
	}
	countRun(a.count, nil, &r)
	a.runs.Read(r)
}

// seen takes a power state from a read: it is shown as the last one seen, and
// may release a run whose outcome was unknown.
func (a *actions) seen(ctx context.Context, c *call, began time.Time, raw json.RawMessage) {
	state, word, ok := powerIn(raw)
	if !ok || c.subject.machine == nil {
		return
	}
	a.emit.observed(c.subject.id, c.subject.name, principal(ctx), model.Observed{Power: state, Raw: word})
	if c.command != model.PowerStatus {
		return
	}
	err := a.runs.ObservedPower(context.WithoutCancel(ctx), runs.Observation{
		Prefix: c.prefix, Key: c.subject.id, Who: principal(ctx), State: state, Began: began,
	})
	if err != nil {
		a.emit.log.Error("cannot release a run of unknown outcome", "machine", c.subject.name, "error", err)
	}
}

// change sends an action that changes something, through a durable run.
func (a *actions) change(ctx context.Context, c *call) (*outcome, error) {
	ticket, err := a.submit(ctx, c)
	if err != nil {
		if model.KindOf(err) == model.Conflict {
			a.count.Conflict()
		}
		return nil, err
	}
	out := &outcome{status: http.StatusOK, run: ticket.ID(), receipt: ticket}
	// A run that had ended before is not on its way: its outcome is the answer.
	ended := ticket.Repeated() && ticket.Run().State.Terminal()
	if !c.control.wait && !ended {
		out.status = http.StatusAccepted
		out.body, err = model.Marshal(model.Result{Outcome: model.Accepted, Run: ticket.ID()})
		return out, err
	}
	run, err := ticket.Wait(ctx)
	if err != nil {
		ticket.Lost()
		return nil, err
	}
	out.body = run.Result
	if run.Error != nil {
		failed := *run.Error
		if failed.Model == "" {
			failed.Model, failed.Key = c.prefix, c.subject.id
		}
		out.err = &failed
	}
	return out, nil
}

// submit records a run and has it sent. The object's lock is held meanwhile, so
// that it cannot be deleted in between.
func (a *actions) submit(ctx context.Context, c *call) (*runs.Ticket, error) {
	digest, err := a.digest.sum([]any{c.body, c.plugin, c.override})
	if err != nil {
		return nil, err
	}
	if c.prefix != systemPrefix {
		defer a.objects.locks.lock(c.prefix, c.subject.id, principal(ctx))()
		if _, err := a.objects.find(a.objects.kinds.get(c.prefix), c.subject.id); err != nil {
			return nil, err
		}
	}
	name := c.offer.plugin
	return a.runs.Submit(ctx, runs.Request{
		Prefix: c.subject.prefix, Key: c.subject.id, Name: c.subject.name,
		Command: c.command, Class: c.info.Class, Plugin: name,
		Principal: principal(ctx), Via: callerOf(ctx).via, Reason: c.control.reason,
		Params: model.RedactParams(c.body, a.cat.secure), Digest: digest,
		IdempotencyKey: c.idempotencyKey, AfterUnknown: c.control.afterUnknown,
		Timeout: c.timeout,
		Ready:   func() bool { return a.sup.settled(name) },
		Send: func(ctx context.Context) (json.RawMessage, error) {
			proc, err := a.sup.process(name)
			if err != nil {
				return nil, err
			}
			return a.send(ctx, proc, c)
		},
		Log:         a.tails.text,
		Cancellable: cancellable(c.offer.provider, c.command),
	})
}

// send has a plugin execute an action. No secret of it is in what comes back,
// nor in what the plugin logs.
func (a *actions) send(ctx context.Context, proc *plugin.Process, c *call) (json.RawMessage, error) {
	defer a.sup.hush.begin(c.secrets)()
	defer a.count.Begin(c.offer.plugin)()
	ctx = plugin.WithTrace(ctx, plugin.Trace{Token: runs.RunOf(ctx), Level: c.logLevel})
	if a.sup.traffic.on() {
		a.sup.traffic.show("to plugin", c.command, c.sent(), "plugin", c.offer.plugin)
	}
	raw, err := c.perform(ctx, proc)
	raw, err = redactReply(raw, err, c.secrets)
	a.sup.traffic.show("from plugin", c.command, raw, "plugin", c.offer.plugin, "error", err)
	return raw, err
}

// cancellable reports whether a provider says that an action may be given up
// half done.
func cancellable(p *model.PluginProvider, command string) bool {
	var commands []string
	// A Meta that does not decode declares nothing: then nothing is given up.
	err := json.Unmarshal([]byte(p.Meta[model.MetaCancellable]), &commands)
	return err == nil && slices.Contains(commands, command)
}

// list answers the actions of an object: all that plugins offer on it whose
// required params have a value, or those of one command.
func (a *actions) list(ctx context.Context, in invocation) ([]model.AvailableAction, error) {
	a.discovery.wait(ctx)
	s, err := a.subject(in.prefix, in.key)
	if err != nil {
		return nil, err
	}
	out := []model.AvailableAction{}
	for _, of := range a.sup.offers(s.prefix, in.command) {
		if in.plugin != "" && in.plugin != of.plugin && in.plugin != of.provider.Name || in.prefix == "plugins" && s.id != of.plugin {
			continue
		}
		row := shownAction(of.provider.Name, of.action)
		twice := func(other model.AvailableAction) bool { // another plugin of the provider
			return other.Provider == row.Provider && other.Command == row.Command
		}
		if len(a.cat.missing(of, nil, s.from)) == 0 && !slices.ContainsFunc(out, twice) {
			out = append(out, row)
		}
	}
	if in.command != "" && len(out) == 0 {
		e := model.Errorf(model.NotFound, "%s: Not Found", in.command).On(in.prefix, s.id)
		e.Type = http.MethodGet
		return nil, e
	}
	return out, nil
}
