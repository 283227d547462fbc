package endpoint

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// old starts an endpoint with the old plugin in its directory, loaded.
func old(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.install("old", "old")
	r.start()
	r.provider("old", stateLoaded)
	return r
}

// oldReady starts it with a configured plugin object and a machine.
func oldReady(t *testing.T) *rig {
	t.Helper()
	r := old(t)
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "old", Provider: "old", Params: model.Params{"old/token": "old-t0ken-value"}}, nil); err != nil {
		t.Fatal(err)
	}
	r.ready("old")
	r.oldMachine("m1")
	return r
}

// oldMachine adds a machine that the old plugin can drive.
func (r *rig) oldMachine(name string) {
	r.t.Helper()
	m := model.NewMachine(name)
	m.Params = model.Params{"old/address": "192.0.2.1", "old/password": "old-s3cr3t"}
	if err := r.c.Post(r.t.Context(), "machines", m, nil); err != nil {
		r.t.Fatal(err)
	}
}

// What an old binary declares is there as soon as it is loaded: its files, its
// params, its actions with empty lists, its types of object.
func TestAnOldPluginIsTakenUp(t *testing.T) {
	t.Parallel()
	r := old(t)
	p := r.provider("old", stateLoaded)
	if p.Version != "v1.2.3" || p.Content != "" || p.Meta["Type"] != "plugin" || p.Meta["Description"] != "an old plugin" || len(p.AvailableActions) != 9 {
		t.Errorf("provider %+v", p)
	}
	for _, a := range p.AvailableActions {
		if a.RequiredParams == nil || a.OptionalParams == nil || a.Provider != "old" {
			t.Errorf("action %+v", a)
		}
	}
	if resp, raw := r.ask("GET", "/files/plugin_providers/old/readme.txt", r.e.token, ""); resp.StatusCode != 200 || string(raw) != "old files" {
		t.Errorf("unpacked file: %d %s", resp.StatusCode, raw)
	}
	var param model.Param
	if err := r.c.Get(t.Context(), "params/old/token", &param); err != nil || !param.Secure {
		t.Errorf("param %+v, %v", param, err)
	}
	var fred map[string]any
	if err := r.c.Post(t.Context(), "freds", map[string]any{"Id": "f1", "Type": "freds", "color": "green"}, &fred); err != nil || fred["color"] != "green" {
		t.Errorf("an object of its type: %v, %v", fred, err)
	}
	if !strings.Contains(r.log.String(), "cannot be its own") {
		t.Error("it took the machines over")
	}
	if got := r.lines("old-config"); got != nil {
		t.Errorf("configured without a plugin object: %v", got)
	}
}

// A type of object whose fields are declared takes those that fit; the rest is
// free.
func TestDeclaredFields(t *testing.T) {
	t.Parallel()
	r := old(t)
	for _, c := range []struct {
		body   string
		status int
		text   string
	}{
		{`{"Id":"s1","width":3,"color":"red","weight":[1,2]}`, 201, `"weight":[1,2]`},
		{`{"Id":"s2","color":"red"}`, 422, "Missing required field width"},
		{`{"Id":"s2","width":"wide"}`, 422, "Field width: "},
		{`{"Id":"s2","width":3,"color":7}`, 422, "Field color: "},
		{`{"Id":"s1","width":3}`, 409, "already exists"},
	} {
		resp, raw := r.ask("POST", apiRoot+"/sizes", r.e.token, c.body)
		if resp.StatusCode != c.status || !strings.Contains(string(raw), c.text) {
			t.Errorf("%s: %d %s, want %d %s", c.body, resp.StatusCode, raw, c.status, c.text)
		}
	}
	resp, raw := r.ask("PATCH", apiRoot+"/sizes/s1", r.e.token, `[{"op":"replace","path":"/width","from":"","value":"wide"}]`)
	if resp.StatusCode != 422 {
		t.Errorf("patched: %d %s", resp.StatusCode, raw)
	}
	var list []map[string]any
	if err := r.c.Get(t.Context(), "sizes?color=red", &list); err != nil || len(list) != 1 || list[0]["Id"] != "s1" {
		t.Errorf("filtered: %v, %v", list, err)
	}
}

func TestAnOldPluginsConfig(t *testing.T) {
	t.Parallel()
	r := old(t)
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "mine", Provider: "old"}, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the missing param", func() bool { return strings.Contains(r.pluginErrors("mine"), "missing param old/token") })
	set := func(token string) {
		t.Helper()
		if err := r.c.Post(t.Context(), "plugins/mine/params/old%2Ftoken", token, nil); err != nil {
			t.Fatal(err)
		}
	}
	set("bad-token")
	eventually(t, "the error within the error", func() bool {
		return r.pluginErrors("mine") == "it refused its config: the token is no good"
	})
	set("old-t0ken-value")
	r.ready("mine")
	lines := r.lines("old-config")
	var last map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last["Name"] != "mine" || last["old/token"] != "old-t0ken-value" {
		t.Errorf("config %v, %v", last, err)
	}
	// Its habit is to log all of it.
	eventually(t, "its line", func() bool { return strings.Contains(r.log.String(), "Received Config request") })
	if strings.Contains(r.log.String(), "old-t0ken-value") || strings.Contains(r.log.String(), "bad-token") {
		t.Error("a token is in the log")
	}
}

func TestAnOldPluginActs(t *testing.T) {
	t.Parallel()
	r := oldReady(t)
	act := func(command string, body model.Params) string {
		t.Helper()
		reply, err := r.act("m1", command, body)
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		return string(reply.Result)
	}
	// It takes for granted that optional params are there, as numbers.
	if got := act("increment", nil); got != "2" {
		t.Errorf("increment: %s", got)
	}
	if got := act("increment", model.Params{"old/step": 41}); got != "42" {
		t.Errorf("increment by 41: %s", got)
	}
	if got := act("getPort", nil); got != "623" {
		t.Errorf("port: %s", got)
	}
	_, err := r.act("m1", "careless", nil)
	wantError(t, err, model.Internal, "Panic recovered: interface conversion")
	_, err = r.act("m1", "refuse", nil)
	wantError(t, err, model.Conflict, "not with "+model.Masked)
	_, err = r.act("m1", "increment", model.Params{"old/step": "x"})
	wantError(t, err, model.Invalid, "Action increment: Invalid Parameter: old/step: : (root): Invalid type. Expected: integer, given: string")
	first := pidOf(t, r, "old")
	_, err = r.act("m1", "die", nil)
	wantError(t, err, model.UnknownOutcome, "plugin old was lost")
	r.replaced("old", first)
	eventually(t, "its events", func() bool { return strings.Contains(strings.Join(r.lines("old-events"), "\n"), "machines.increment.") })
	for _, secret := range []string{"old-s3cr3t", "old-t0ken-value"} {
		if i := strings.Index(r.log.String(), secret); i >= 0 {
			t.Errorf("%s is in the log: %s", secret, r.log.String()[max(0, i-100):i])
		}
	}
}

// Each line of an action is in the log of its run, and of no other.
func TestAnOldPluginsLinesAreInTheirRuns(t *testing.T) {
	t.Parallel()
	r := oldReady(t)
	r.oldMachine("m2")
	for _, m := range []string{"m1", "m2"} {
		if _, err := r.act(m, "increment", model.Params{"old/step": 7, "marker": "line-of-" + m}); err != nil {
			t.Fatal(err)
		}
	}
	var list []model.Run
	if err := r.c.Get(t.Context(), "runs", &list); err != nil {
		t.Fatal(err)
	}
	for _, head := range list {
		var run model.Run
		if err := r.c.Get(t.Context(), "runs/"+head.ID, &run); err != nil {
			t.Fatal(err)
		}
		if strings.Count(run.Log, "line-of-") != 1 || !strings.Contains(run.Log, "line-of-"+run.Name) || strings.Contains(run.Log, "old-s3cr3t") || strings.Contains(run.Log, "Log token") {
			t.Errorf("log of %s: %q", run.Name, run.Log)
		}
		if resp, raw := r.ask("GET", apiRoot+"/runs/"+run.ID+"/log?follow", r.e.token, ""); string(raw) != run.Log || resp.Header.Get(RunHeader) != run.ID {
			t.Errorf("asked for: %q, in the record: %q", raw, run.Log)
		}
	}
}

func TestActionsOnTheSystemAndOnDeclaredObjects(t *testing.T) {
	t.Parallel()
	r := oldReady(t)
	var list []model.AvailableAction
	if err := r.c.Get(t.Context(), "system/actions", &list); err != nil || len(list) != 2 || list[0].Command != "incrstatus" || list[0].Provider != "old" {
		t.Errorf("listed %+v, %v", list, err)
	}
	var one model.AvailableAction
	if err := r.c.Get(t.Context(), "system/actions/incrstatus", &one); err != nil || one.Command != "incrstatus" {
		t.Errorf("one %+v, %v", one, err)
	}
	resp, raw := r.ask("POST", apiRoot+"/system/actions/incrstatus", r.e.token, "{}")
	if resp.StatusCode != 200 || strings.TrimSpace(string(raw)) != `"Success"` || resp.Header.Get(RunHeader) == "" {
		t.Errorf("%d %s", resp.StatusCode, raw)
	}
	resp, raw = r.ask("POST", apiRoot+"/system/actions/nothing", r.e.token, "{}")
	if resp.StatusCode != 404 || !strings.Contains(string(raw), `"Model":"system","Key":"global","Type":"INVOKE"`) {
		t.Errorf("%d %s", resp.StatusCode, raw)
	}
	if err := r.c.Post(t.Context(), "freds", map[string]any{"Id": "f1"}, nil); err != nil {
		t.Fatal(err)
	}
	reply, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "freds", Key: "f1", Command: "greet"})
	if err != nil || string(reply.Result) != `"hello f1"` {
		t.Errorf("%+v, %v", reply, err)
	}
	if run := r.newestRun(); run.Prefix != "freds" || run.Key != "f1" {
		t.Errorf("run %+v", run)
	}
}

// An undeclared provider reads until an admin says that it is trusted, and again
// when the trust is taken back.
func TestTrustIsGivenAndTaken(t *testing.T) {
	t.Parallel()
	r := oldReady(t)
	what := func() (got struct{ Read, Write, Machines int }) {
		t.Helper()
		reply, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "system", Key: "global", Command: "getSelf"})
		if err != nil {
			resp, raw := r.ask("POST", apiRoot+"/system/actions/getSelf", r.e.token, "{}")
			if resp.StatusCode != 200 {
				t.Fatalf("%v; %d %s", err, resp.StatusCode, raw)
			}
			reply = &client.ActionReply{Result: raw}
		}
		if err := json.Unmarshal(reply.Result, &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := what(); got.Read != 200 || got.Write != 403 || got.Machines != 1 {
		t.Errorf("before: %+v", got)
	}
	for _, c := range []struct {
		method string
		status int
		meta   string
	}{{"POST", 201, "true"}, {"DELETE", 403, ""}} {
		first := pidOf(t, r, "old")
		resp, raw := r.ask(c.method, apiRoot+"/plugin_providers/old/trust", r.e.token, "")
		var p model.PluginProvider
		if err := json.Unmarshal(raw, &p); err != nil || resp.StatusCode != 200 || p.Meta[metaTrusted] != c.meta {
			t.Fatalf("%s: %d %s, %v", c.method, resp.StatusCode, raw, err)
		}
		r.replaced("old", first)
		if got := what(); got.Write != c.status {
			t.Errorf("after %s: %+v", c.method, got)
		}
	}
	if resp, raw := r.ask("POST", apiRoot+"/plugin_providers/nobody/trust", r.e.token, ""); resp.StatusCode != 404 {
		t.Errorf("trust in nobody: %d %s", resp.StatusCode, raw)
	}
	if strings.Contains(r.log.String(), "old-s3cr3t") {
		t.Error("a secret is in the log")
	}
}

// It ends before it answers to stop; that is an end in order.
func TestAnOldPluginsEnd(t *testing.T) {
	t.Parallel()
	r := oldReady(t)
	pid := pidOf(t, r, "old")
	if err := r.c.Delete(t.Context(), "plugins/old", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its unit is forgotten", func() bool { return r.e.sup.unit("old") == nil })
	if err := syscall.Kill(pid, 0); err == nil && startTime(pid) != "" {
		t.Error("its process is still there")
	}
	if text := r.log.String(); strings.Contains(text, "did not stop politely") || strings.Contains(text, "plugin fault") {
		t.Errorf("its end was taken for a fault")
	}
	if resp, raw := r.ask("DELETE", apiRoot+"/plugin_providers/old", r.e.token, ""); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, raw)
	}
	if _, err := os.Stat(r.opts.PluginDir + "/old"); !os.IsNotExist(err) {
		t.Errorf("its file: %v", err)
	}
	for _, path := range []string{"plugin_providers/old", "freds", "params/old/token"} {
		if resp, raw := r.ask("GET", apiRoot+"/"+path, r.e.token, ""); resp.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, raw)
		}
	}
}
