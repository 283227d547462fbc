package endpoint

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"provision-plugins/endpoint/recent"
	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// must fails a test that cannot go on.
func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// resolved is what a read of a machine is resolved to, as for many machines.
func (r *rig) resolved(uuid, command string, params model.Params) *call {
	r.t.Helper()
	in := invocation{prefix: "machines", key: uuid, command: command, body: params}
	in.asked = r.e.api.actions.askedFor(in)
	c, err := r.e.api.actions.resolveRead(in)
	r.must(err)
	return c
}

// What a read was resolved to serves as long as nothing changes that it came from.
// After each change the plugin gets what a single action gives it, to the letter.
func TestReadsSeeEveryChange(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	ctx := t.Context()
	m1 := r.machine("m1", nil)
	patch := func(ops ...client.Op) func() error {
		return func() error { _, err := r.c.Machines().Patch(ctx, m1, ops...); return err }
	}
	setProfile := func(profile, param string, v any) func() error {
		return func() error { _, err := r.c.Profiles().SetParam(ctx, profile, param, v); return err }
	}
	post := func(path, body string) func() error {
		return func() error { return r.c.Post(ctx, path, json.RawMessage(body), nil) }
	}
	for _, step := range []struct {
		name string
		do   func() error
		want string // in what the plugin gets
	}{
		{"nothing", func() error { return nil }, `"toy/port":7`},
		{"a param", patch(client.Add("/Params/toy~1port", 8)), `"toy/port":8`},
		{"the password", patch(client.Replace("/Params/toy~1password", "other-s3cret")), `"other-s3cret"`},
		{"another profile", post("profiles", `{"Name":"p1","Params":{"toy/size":5}}`), `"toy/port":8`},
		{"its profiles", patch(client.Replace("/Profiles", []string{"p1"})), `"toy/size":5`},
		{"its profile", setProfile("p1", "toy/size", 6), `"toy/size":6`},
		{"a profile of its profile", post("profiles", `{"Name":"p2","Params":{"oob/reason":"x","oob/timeout":77}}`), `"toy/size":6`},
		{"and that is named", func() error {
			_, err := r.c.Profiles().Patch(ctx, "p1", client.Replace("/Profiles", []string{"p2"}))
			return err
		}, `"oob/timeout":77`},
		{"the global profile", setProfile(model.GlobalProfile, "oob/force-after", 9), `"oob/force-after":9`},
		{"a stage", post("stages", `{"Name":"st","Params":{"toy/size":70}}`), `"toy/size":6`},
		{"its stage", patch(client.Replace("/Stage", "st")), `"toy/size":6`},
		{"without profiles", patch(client.Replace("/Profiles", []string{})), `"toy/size":70`},
		{"without port", patch(client.Remove("/Params/toy~1port")), `"toy/port":7`},
		{"its name", patch(client.Replace("/Name", "m2")), `"toy/port":7`},
	} {
		r.must(step.do())
		for range 3 {
			if _, err := r.c.Invoke(ctx, client.ActionRequest{Prefix: "machines", Key: m1, Command: "getParams"}); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if a := r.readAll(r.c, client.ReadRequest{Command: "getParams", Machines: []string{m1}})[m1]; a.Error != nil {
				t.Fatalf("%s: %v", step.name, a.Error)
			}
			got := r.lines("params")
			alone, many := got[len(got)-2], got[len(got)-1]
			if alone != many || !strings.Contains(many, step.want) {
				t.Errorf("after a change of %s the plugin gets %s, and alone %s", step.name, many, alone)
			}
		}
		single, err := r.c.Invoke(ctx, client.ActionRequest{Prefix: "machines", Key: m1, Command: "getModel"})
		many := r.readAll(r.c, client.ReadRequest{Command: "getModel", Machines: []string{m1}})[m1]
		if err != nil || many.Error != nil || string(many.Result) != string(single.Result) {
			t.Errorf("after a change of %s the object is %s, and alone %s: %v, %v", step.name, many.Result, single.Result, many.Error, err)
		}
	}
	r.must(r.c.Delete(ctx, "machines/"+m1, nil))
	wantKind(t, r.readAll(r.c, client.ReadRequest{Command: "getParams", Machines: []string{m1}})[m1], model.NotFound, "Not Found")
}

// What a read was resolved to is shared while it holds.
func TestReadsAreResolvedOnce(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	m1, m2 := r.machine("m1", nil), r.machine("m2", nil)
	first := r.resolved(m1, "powerstatus", model.Params{"oob/timeout": 3})
	if first.question == nil || first.action != nil || first.subject.object != nil || first.subject.machine.Params != nil {
		t.Error("what it was made from is kept")
	}
	if r.resolved(m1, "powerstatus", model.Params{"oob/timeout": 3}) != first {
		t.Error("resolved anew")
	}
	for name, other := range map[string]*call{
		"another machine": r.resolved(m2, "powerstatus", model.Params{"oob/timeout": 3}),
		"other params":    r.resolved(m1, "powerstatus", model.Params{"oob/timeout": 4}),
		"no params":       r.resolved(m1, "powerstatus", nil),
		"another command": r.resolved(m1, "getParams", model.Params{"oob/timeout": 3}),
	} {
		if other == first {
			t.Errorf("%s is taken for the same", name)
		}
	}
	// A plugin whose binary is replaced, or that is named anew, offers other actions.
	r.e.sup.changes.Add(1)
	second := r.resolved(m1, "powerstatus", model.Params{"oob/timeout": 3})
	if second == first {
		t.Error("the binaries may have changed")
	}
	r.must(r.c.Post(t.Context(), "plugins", model.Plugin{Name: "toy2", Provider: "toy"}, nil))
	in := client.ReadRequest{Command: "powerstatus", Machines: []string{m1}, Params: model.Params{"oob/timeout": 3}}
	wantKind(t, r.readAll(r.c, in)[m1], model.Conflict, "cannot choose a plugin")
}

// What holds a secret of the request, or whose log is followed, is not kept.
func TestReadsThatAreNotKept(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	m1 := r.machine("m1", nil)
	a := r.e.api.actions
	for name, in := range map[string]invocation{
		"a declared secret":  {prefix: "machines", body: model.Params{"toy/password": "pw-of-request"}},
		"a name of a secret": {prefix: "machines", body: model.Params{"x/token": "pw-of-request"}},
		"a log":              {prefix: "machines", logLevel: "debug"},
		"another object":     {prefix: "plugins"},
		"a long one":         {prefix: "machines", body: model.Params{"x/y": strings.Repeat("z", 2*maxAsked)}},
		"what is no JSON":    {prefix: "machines", body: model.Params{"x/y": func() {}}},
	} {
		if key := a.askedFor(in); key != "" {
			t.Errorf("%s: %q", name, key)
		}
	}
	for range 2 {
		got := r.readAll(r.c, client.ReadRequest{Command: "getParams", Machines: []string{m1}, Params: model.Params{"toy/password": "pw-of-request"}})[m1]
		if got.Error != nil || !strings.Contains(r.lines("params")[len(r.lines("params"))-1], "pw-of-request") || strings.Contains(string(got.Result), "pw-of") {
			t.Errorf("%s, %v", got.Result, got.Error)
		}
	}
	in := invocation{prefix: "machines", key: m1, command: "getParams"}
	if _, ok := a.recent.Get(recent.Key{Object: m1, Asked: a.askedFor(in)}, func(*readyCall) bool { return true }); ok {
		t.Error("it is kept")
	}
}

// A change is refused each time, and nothing of it is kept.
func TestChangesAreNotKeptAsReads(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	m1 := r.machine("m1", nil)
	for range 3 {
		wantKind(t, r.readAll(r.c, client.ReadRequest{Command: "poweron", Machines: []string{m1}})[m1], model.Invalid, "changes nothing")
	}
	if c := r.resolved(m1, "poweron", nil); c.question != nil || c.action == nil {
		t.Error("a change was made ready to be sent again")
	}
	if done := r.executed(); len(done) > 0 {
		t.Errorf("executed %v", done)
	}
}

// The fields and params that a client does without are left out of a list, whatever
// else is in it.
func TestBriefMachines(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", model.Params{"a/b": "}", "c/d": []int{1}})
	var list []map[string]any
	r.must(r.c.Get(t.Context(), "machines?slim=Meta,Name,Uuid,Tasks&params=c/d,toy/password,x", &list))
	if len(list) != 1 || list[0]["Name"] != "m1" || list[0]["Uuid"] == nil || list[0]["Partial"] != true || list[0]["Meta"] != nil || list[0]["BootEnv"] == nil {
		t.Fatalf("got %v", list)
	}
	params := list[0]["Params"].(map[string]any)
	if len(params) != 2 || fmt.Sprint(params["c/d"]) != "[1]" || strings.Contains(fmt.Sprint(params), "s3cr3t") {
		t.Errorf("got %v", params)
	}
	machines, err := r.c.Machines().List(t.Context(), client.Query{Without: []string{"Params", "Meta"}})
	if err != nil || len(machines) != 1 || machines[0].Params != nil || machines[0].Meta != nil || machines[0].Name != "m1" {
		t.Errorf("got %+v, %v", machines, err)
	}
}
