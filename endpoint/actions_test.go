package endpoint

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestBadRequests is what a wrong request gets: one line that says what, where
// and what to do.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	r := start(t, "toy", "other")
	r.ready("other")
	r.machine("m1", model.Params{"oob/driver": "toy"})
	r.machine("bare", model.Params{"oob/driver": "toy", "toy/password": nil})
	r.machine("lost", model.Params{"oob/driver": "nobody"})
	r.machine("odd", model.Params{"oob/driver": "other", "other/id": "x"})
	r.machine("neither", model.Params{"toy/address": nil})
	for _, c := range []struct {
		name, machine, command string
		params                 model.Params
		kind                   model.Kind
		texts                  []string
	}{
		{"unknown machine", "m9", "poweron", nil, model.NotFound, []string{"machines/Name:m9", "Not Found"}},
		{"unknown action", "m1", "warp", nil, model.NotFound, []string{"Action warp on machines: Not Found"}},
		{"wrong type", "m1", "poweron", model.Params{"toy/size": "big"}, model.Invalid, []string{"Action poweron: Invalid Parameter: toy/size: : (root): Invalid type. Expected: integer, given: string"}},
		{"missing param", "bare", "poweron", nil, model.Invalid, []string{"Action poweron Missing Parameter toy/password"}},
		{"unknown driver", "lost", "poweron", nil, model.Unsupported, []string{"nobody", "oob/driver", "toy"}},
		{"driver without the action", "odd", "poweroff", nil, model.Unsupported, []string{"called other", "has the action poweroff", "toy"}},
		{"no plugin is complete", "neither", "poweron", nil, model.Conflict, []string{"other (lacks other/id)", "toy (lacks toy/address)"}},
		{"target without credential", "m1", "poweron", model.Params{"toy/address": "evil"}, model.Invalid, []string{"toy/address", "toy/password"}},
		{"other target without credential", "m1", "powerstatus", model.Params{"toy/port": 9}, model.Invalid, []string{"toy/port", "toy/password"}},
		{"masked credential is none", "m1", "poweron", model.Params{"toy/address": "evil", "toy/password": model.Masked}, model.Invalid, []string{"toy/address", "toy/password"}},
		{"protection in the body", "m1", "poweron", model.Params{"oob/protected": false}, model.Invalid, []string{"oob/protected", "machine only"}},
		{"bad timeout", "m1", "poweron", model.Params{"oob/timeout": "soon"}, model.Invalid, []string{"oob/timeout"}},
		{"huge timeout", "m1", "poweron", model.Params{"oob/timeout": 1e9}, model.Invalid, []string{"oob/timeout"}},
		{"bad wait", "m1", "poweron", model.Params{"oob/wait": "no"}, model.Invalid, []string{"oob/wait", "boolean"}},
		{"long reason", "m1", "poweron", model.Params{"oob/reason": strings.Repeat("x", 501)}, model.Invalid, []string{"oob/reason"}},
		{"empty default is no value", "m1", "getLabel", nil, model.Invalid, []string{"Missing Parameter toy/label"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.act(c.machine, c.command, c.params)
			wantError(t, err, c.kind, c.texts...)
			if strings.Contains(err.Error(), "s3cr3t-pw") {
				t.Error("the error shows a secret")
			}
		})
	}
	if got := r.executed(); got != nil {
		t.Errorf("executed %v", got)
	}
}

func TestParamsAreResolvedInOrder(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	ctx := t.Context()
	for name, params := range map[string]model.Params{
		"outer": {"toy/size": 3, "from/outer": 1},
		"inner": {"toy/size": 4, "from/inner": 1, "oob/force-after": 9},
	} {
		profile := model.Profile{Name: name, Params: params}
		if name == "outer" {
			profile.Profiles = nil
		}
		if err := r.c.Post(ctx, "profiles", profile, nil); err != nil {
			t.Fatal(err)
		}
	}
	uuid := r.machine("m1", nil)
	if err := r.c.Patch(ctx, "machines/"+uuid, json.RawMessage(`[{"op":"replace","path":"/Profiles","from":"","value":["outer","inner"]}]`), nil); err != nil {
		t.Fatal(err)
	}
	ask := func(body model.Params) model.Params {
		t.Helper()
		if _, err := r.act("m1", "getParams", body); err != nil {
			t.Fatal(err)
		}
		lines := r.lines("params")
		var got model.Params
		if err := model.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := func(got model.Params, name, text string) {
		t.Helper()
		raw, err := model.Marshal(got[name])
		if err != nil || string(raw) != text {
			t.Errorf("%s is %s, want %s", name, raw, text)
		}
	}
	got := ask(model.Params{"free": "passed on", "oob/reason": "because"})
	want(got, "toy/size", "3")               // the first profile
	want(got, "toy/port", "7")               // the schema's default
	want(got, "toy/address", `"192.0.2.1"`)  // the machine
	want(got, "toy/password", `"s3cr3t-pw"`) // in clear, for the plugin alone
	want(got, "free", `"passed on"`)         // unknown, from the body
	want(got, "oob/force-after", "9")        // of the suite, from a profile
	want(got, "oob/reason", "null")          // for the endpoint
	want(got, "from/inner", "null")          // not asked for
	want(ask(model.Params{"toy/size": 8}), "toy/size", "8")
	if err := r.c.Post(ctx, "machines/"+uuid+"/params/toy%2Fsize", 2, nil); err != nil {
		t.Fatal(err)
	}
	want(ask(nil), "toy/size", "2")
	if err := r.c.Post(ctx, "profiles/global/params/toy%2Fport", 77, nil); err != nil {
		t.Fatal(err)
	}
	want(ask(nil), "toy/port", "77")
	full := ask(model.Params{"toy/address": "192.0.2.9", "toy/password": "other-pw"})
	want(full, "toy/address", `"192.0.2.9"`)
	want(full, "toy/password", `"other-pw"`)
}

func TestProtectionReachesThePluginUnlessOverridden(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	ctx := t.Context()
	if err := r.c.Post(ctx, "profiles", model.Profile{Name: "precious", Params: model.Params{"oob/protected": true}}, nil); err != nil {
		t.Fatal(err)
	}
	uuid := r.machine("m1", nil)
	if err := r.c.Patch(ctx, "machines/"+uuid, json.RawMessage(`[{"op":"add","path":"/Profiles/-","value":"precious"}]`), nil); err != nil {
		t.Fatal(err)
	}
	for _, override := range []bool{false, true} {
		reply, err := r.c.Invoke(ctx, client.ActionRequest{Prefix: "machines", Key: uuid, Command: "getModel", OverrideProtected: override})
		if err != nil {
			t.Fatal(err)
		}
		var m model.Machine
		if err := model.Unmarshal(reply.Result, &m); err != nil {
			t.Fatal(err)
		}
		if m.Params.Has("oob/protected") == override {
			t.Errorf("override %v: the plugin sees %v", override, m.Params["oob/protected"])
		}
	}
}

func TestWithoutWaiting(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	r.put("hold", "")
	reply, err := r.act("m1", "powercycle", model.Params{"oob/wait": false, "oob/reason": "drill"})
	if err != nil {
		t.Fatal(err)
	}
	var result model.Result
	if err := model.Unmarshal(reply.Result, &result); err != nil {
		t.Fatal(err)
	}
	if reply.Status != http.StatusAccepted || result.Outcome != model.Accepted || result.Run != reply.Run || reply.Run == "" {
		t.Errorf("status %d, run %q, result %+v", reply.Status, reply.Run, result)
	}
	// A live run holds the machine: nothing else may change it, nor delete it.
	_, err = r.act("m1", "poweroff", nil)
	wantError(t, err, model.Conflict, reply.Run)
	wantError(t, r.c.Delete(t.Context(), "machines/Name:m1", nil), model.Conflict, reply.Run, "powercycle")
	r.put("go", "")
	var run model.Run
	eventually(t, "run done", func() bool {
		return r.c.Get(t.Context(), "runs/"+reply.Run, &run) == nil && run.State.Terminal()
	})
	if run.State != model.RunDone || run.Reason != "drill" || run.Params.Has("oob/wait") {
		t.Errorf("run %+v", run)
	}
	if err := r.c.Delete(t.Context(), "machines/Name:m1", nil); err != nil {
		t.Error(err)
	}
	if got := strings.Join(r.executed(), " "); got != "powercycle" {
		t.Errorf("executed %s", got)
	}
}

// newestRun returns the newest run.
func (r *rig) newestRun() *model.Run {
	r.t.Helper()
	var list []*model.Run
	if err := r.c.Get(r.t.Context(), "runs?limit=1", &list); err != nil || len(list) != 1 {
		r.t.Fatalf("%d runs, %v", len(list), err)
	}
	return list[0]
}

func TestBusyIsPassedOn(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	_, err := r.act("m1", "powerreset", nil)
	wantError(t, err, model.Busy, "toy is busy")
	var e *model.Error
	if !errors.As(err, &e) || e.RetryAfter < time.Second {
		t.Errorf("Retry-After %v", e)
	}
	if run := r.newestRun(); run.State != model.RunFailed {
		t.Errorf("run %+v", run)
	}
}

func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	_, err := r.act("m1", "leak", model.Params{"toy/password": "s3cr3t-body", "toy/address": "192.0.2.2"})
	wantError(t, err, model.DeviceAuth, model.Masked)
	_, err = r.act("m1", "leak", nil)
	wantError(t, err, model.DeviceAuth, model.Masked)
	reply, err := r.act("m1", "getModel", nil)
	if err != nil {
		t.Fatal(err)
	}
	shown := string(reply.Result)
	for _, path := range []string{"machines", "runs", "runs?Class=read", "events/recent", "machines/Name:m1/params?aggregate=true"} {
		var raw json.RawMessage
		if err := r.c.Get(t.Context(), path, &raw); err != nil {
			t.Fatal(err)
		}
		shown += string(raw)
	}
	shown += r.log.String()
	for _, secret := range []string{"s3cr3t-pw", "s3cr3t-body"} {
		if i := strings.Index(shown, secret); i >= 0 {
			t.Errorf("%s is shown: ...%s", secret, shown[max(0, i-200):i])
		}
	}
}

func TestReadsAreKeptInMemory(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	_, err := r.act("m1", "powerstatus", nil)
	wantError(t, err, model.Unreachable, "no answer")
	r.put("state", "on")
	if _, err := r.act("m1", "powerstatus", nil); err != nil {
		t.Fatal(err)
	}
	var reads, kept []model.Run
	if err := errors.Join(r.c.Get(t.Context(), "runs?Class=read", &reads), r.c.Get(t.Context(), "runs", &kept)); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 0 || len(reads) != 2 || reads[0].State != model.RunDone || reads[1].State != model.RunFailed {
		t.Errorf("kept %d, reads %+v", len(kept), reads)
	}
	if reads[0].Principal == "" || reads[0].Name != "m1" {
		t.Errorf("read %+v", reads[0])
	}
}

func TestPowerLastSeen(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	look := func() model.Observed {
		t.Helper()
		var all map[string]model.Observed
		if err := r.c.Get(t.Context(), "power", &all); err != nil {
			t.Fatal(err)
		}
		return all[uuid]
	}
	if seen := look(); seen.Power != "" {
		t.Errorf("before: %+v", seen)
	}
	if _, err := r.act("m1", "poweroff", nil); err != nil {
		t.Fatal(err)
	}
	if seen := look(); seen.Power != model.StateOff || seen.Raw != "is off" || seen.Time.IsZero() {
		t.Errorf("after poweroff: %+v", seen)
	}
	r.put("state", "on")
	if _, err := r.act("m1", "powerstatus", nil); err != nil {
		t.Fatal(err)
	}
	if seen := look(); seen.Power != model.StateOn {
		t.Errorf("after powerstatus: %+v", seen)
	}
	if err := r.c.Delete(t.Context(), "machines/"+uuid, nil); err != nil {
		t.Fatal(err)
	}
	if seen := look(); seen.Power != "" {
		t.Errorf("after delete: %+v", seen)
	}
}

func TestActionsOfAPluginObject(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	reply, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "plugins", Key: "toy", Command: "getInventory"})
	if err != nil || string(reply.Result) != `{"plugin":"toy"}` {
		t.Errorf("got %v, %v", reply, err)
	}
	_, err = r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "plugins", Key: "none", Command: "getInventory"})
	wantError(t, err, model.NotFound, "plugins/none")
}

func TestActionListing(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	r.machine("bare", model.Params{"toy/password": nil})
	count := func(path string) int {
		t.Helper()
		var list []model.AvailableAction
		if err := r.c.Get(t.Context(), path, &list); err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if full, none := count("machines/Name:m1/actions"), count("machines/Name:bare/actions"); full != 9 || none != 0 {
		t.Errorf("%d and %d actions", full, none)
	}
	if got := count("machines/Name:m1/actions?plugin=nobody"); got != 0 {
		t.Errorf("%d actions of nobody", got)
	}
	var one model.AvailableAction
	if err := r.c.Get(t.Context(), "machines/Name:m1/actions/poweron", &one); err != nil || one.Command != "poweron" || one.Provider != "toy" {
		t.Errorf("got %+v, %v", one, err)
	}
	wantError(t, r.c.Get(t.Context(), "machines/Name:m1/actions/warp", &one), model.NotFound, "warp: Not Found")
}

func TestAskingForAPlugin(t *testing.T) {
	t.Parallel()
	r := start(t, "toy", "other")
	r.ready("other")
	r.machine("m1", model.Params{"other/id": "x"})
	ask := func(name string) error {
		_, err := r.c.Invoke(t.Context(), client.ActionRequest{Prefix: "machines", Key: "Name:m1", Command: "poweron", Plugin: name})
		return err
	}
	wantError(t, ask(""), model.Conflict, "toy", "other")
	if err := ask("toy"); err != nil {
		t.Error(err)
	}
	wantError(t, ask("nobody"), model.Unsupported, "nobody", "the request")
	if err := r.c.Post(t.Context(), "machines/Name:m1/params/machine-plugin", "toy", nil); err != nil {
		t.Fatal(err)
	}
	if err := ask(""); err != nil {
		t.Errorf("by machine-plugin: %v", err)
	}
}
