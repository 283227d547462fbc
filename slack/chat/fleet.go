package chat

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/slack/chat/grant"
)

const (
	// askTimeout bounds a question to the endpoint.
	askTimeout = 15 * time.Second
	// oneByOne is up to how many machines are asked for one by one.
	oneByOne = 16
	// paramProtected guards a machine.
	paramProtected = "oob/protected"
)

// machine is a machine as the endpoint has it, its params as they resolve.
type machine struct {
	grant.Machine
	protected bool
}

// fleet is the endpoint. It is read as the plugin, and acted on in the names of
// people.
type fleet struct {
	client *client.Client
	plugin string // the provider's name, which is the type of the events
}

// known makes a machine of the endpoint's.
func known(m *model.Machine) machine {
	out := machine{Machine: grant.Machine{Uuid: m.Uuid, Name: m.Name, Profiles: m.Profiles, Params: m.Params}}
	// What is no boolean guards too: the endpoint refuses it either way.
	protected, err := m.Params.Bool(paramProtected, false)
	out.protected = protected || err != nil
	return out
}

// get reads one machine, nil if it is not there.
func (f *fleet) get(ctx context.Context, key string) (*machine, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var m model.Machine
	err := f.client.Get(ctx, client.Path("machines", key)+"?aggregate=true", &m)
	if model.KindOf(err) == model.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := known(&m)
	return &out, nil
}

// all reads every machine.
func (f *fleet) all(ctx context.Context) ([]machine, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var list []model.Machine
	if err := f.client.Get(ctx, "machines?aggregate=true", &list); err != nil {
		return nil, err
	}
	out := make([]machine, len(list))
	for i := range list {
		out[i] = known(&list[i])
	}
	return out, nil
}

// find reads machines by index: Name or Uuid. Those that are not there are missing.
func (f *fleet) find(ctx context.Context, index string, keys []string) (found []machine, missing []string, err error) {
	if len(keys) <= oneByOne {
		for _, key := range keys {
			if index == "Name" {
				key = "Name:" + key
			}
			m, err := f.get(ctx, key)
			if err != nil {
				return nil, nil, err
			}
			if m == nil {
				missing = append(missing, strings.TrimPrefix(key, "Name:"))
				continue
			}
			found = append(found, *m)
		}
		return found, missing, nil
	}
	list, err := f.all(ctx)
	if err != nil {
		return nil, nil, err
	}
	by := map[string]machine{}
	for _, m := range list {
		by[map[string]string{"Name": m.Name, "Uuid": m.Uuid}[index]] = m
	}
	for _, key := range keys {
		if m, ok := by[key]; ok {
			found = append(found, m)
			continue
		}
		missing = append(missing, key)
	}
	return found, missing, nil
}

// power are the power states as they were last seen, by UUID.
func (f *fleet) power(ctx context.Context) (map[string]model.Observed, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out := map[string]model.Observed{}
	return out, f.client.Get(ctx, "power", &out)
}

// runs are the newest runs.
func (f *fleet) runs(ctx context.Context, limit int) ([]model.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return f.client.Runs().List(ctx, client.Query{Limit: limit, Without: []string{"Log"}})
}

// tell has the endpoint write down what somebody asked for, or what was decided: as
// an event, and in its audit trail.
func (f *fleet) tell(ctx context.Context, person, action, id string, what any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	e := model.Event{Type: f.plugin, Action: action, Key: id, Object: what}
	return f.client.For(person).Post(ctx, "events", e, new(json.RawMessage))
}

// job is an action on machines, in the name of a person.
type job struct {
	person   string
	id       string // names it: an action of it on a machine is done once
	action   string
	params   model.Params
	override bool
}

// outcome is what became of it on one machine.
type outcome struct {
	machine frozen
	result  json.RawMessage
	err     error
}

// do runs a job on machines, some at once, and tells each outcome as it comes.
func (f *fleet) do(ctx context.Context, j job, machines []frozen, tell func(outcome)) {
	const atOnce = 16
	gate := make(chan struct{}, atOnce)
	var work sync.WaitGroup
	defer work.Wait()
	for _, m := range machines {
		gate <- struct{}{}
		work.Go(func() {
			defer func() { <-gate }()
			tell(f.one(ctx, j, m))
		})
	}
}

// one runs a job on one machine.
func (f *fleet) one(ctx context.Context, j job, m frozen) outcome {
	if ctx.Err() != nil {
		return outcome{m, nil, model.Errorf(model.Unreachable, "not sent: the plugin is stopping")}
	}
	reply, err := f.client.For(j.person).Invoke(ctx, client.ActionRequest{
		Prefix: "machines", Key: m.Uuid, Command: j.action, Params: j.params, OverrideProtected: j.override,
		IdempotencyKey: j.id + "." + m.Uuid,
	})
	if err != nil {
		return outcome{m, nil, err}
	}
	return outcome{m, reply.Result, nil}
}

// words are an outcome in one line, and whether it is well.
func (o *outcome) words(evidence bool) (line string, well bool) {
	if o.err != nil {
		return strings.Join(strings.Fields(model.AsError(o.err).Text()), " "), false
	}
	var r struct {
		model.Result
		Status string
	}
	if model.Unmarshal(o.result, &r) != nil {
		return "done", true
	}
	var parts []string
	for _, p := range []string{string(r.Power), r.Status, r.Raw} {
		if p != "" {
			parts = append(parts, p)
			break
		}
	}
	if b := r.Boot; b != nil && len(parts) == 0 {
		often := " next"
		if b.Persistent {
			often = " always"
		}
		parts = append(parts, string(b.Device)+often)
	}
	if r.Outcome != "" {
		parts = append(parts, string(r.Outcome))
	}
	if evidence && r.Evidence != "" {
		parts = append(parts, r.Evidence)
	}
	if len(parts) == 0 {
		return "done", true
	}
	return strings.Join(parts, ", "), true
}
