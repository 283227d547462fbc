package endpoint

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// listed returns the rows of an action listing, as "provider.command".
func (r *rig) listed(path string) string {
	r.t.Helper()
	var list []model.AvailableAction
	if err := r.c.Get(r.t.Context(), path, &list); err != nil {
		r.t.Fatal(err)
	}
	var rows []string
	for _, a := range list {
		if a.RequiredParams == nil || a.OptionalParams == nil {
			r.t.Errorf("%s: null lists in %+v", path, a)
		}
		rows = append(rows, a.Provider+"."+a.Command)
	}
	return strings.Join(rows, " ")
}

// A machine shows what it has the params for, wherever they come from, once for
// each provider.
func TestWhichActionsAMachineShows(t *testing.T) {
	t.Parallel()
	r := start(t, "toy", "other")
	r.ready("other")
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "toy-two", Provider: "toy"}, nil); err != nil {
		t.Fatal(err)
	}
	r.machine("m1", nil)
	const toys = "toy.poweron toy.poweroff toy.powercycle toy.powerreset toy.powerstatus toy.getParams toy.getModel toy.crash toy.leak"
	for path, want := range map[string]string{
		"machines/Name:m1/actions":                toys,
		"machines/Name:m1/actions?plugin=toy-two": toys,
		"machines/Name:m1/actions?plugin=toy":     toys,
		"machines/Name:m1/actions?plugin=other":   "",
		"plugins/toy/actions":                     "toy.getInventory toy.getTalk",
		"plugins/other/actions":                   "",
		"profiles/global/actions":                 "",
		"system/actions":                          "",
	} {
		if got := r.listed(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if err := r.c.Post(t.Context(), "profiles/global/params/other%2Fid", "x", nil); err != nil {
		t.Fatal(err)
	}
	if got := r.listed("machines/Name:m1/actions"); !strings.HasPrefix(got, "other.poweron toy.") {
		t.Errorf("with the param of a profile: %q", got)
	}
}

// The reference's clients know errors of actions by these words.
func TestTheWordsOfRefusals(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/machines/fred/actions/poweron", "{}", `"Model":"machines","Key":"fred","Type":"POST","Messages":["Not Found`},
		{"POST", "/machines/" + uuid + "/actions/warp", "{}", `"Model":"machines","Key":"` + uuid + `","Type":"INVOKE","Messages":["Action warp on machines: Not Found"],"Code":404`},
		{"GET", "/machines/" + uuid + "/actions/warp", "", `"Model":"machines","Key":"` + uuid + `","Type":"GET","Messages":["warp: Not Found"],"Code":404`},
		{"POST", "/machines/" + uuid + "/actions/poweron", `{"toy/size":"big"}`, `"Type":"INVOKE","Messages":["Action poweron: Invalid Parameter: toy/size: : (root): Invalid type. Expected: integer, given: string"],"Code":400`},
		{"POST", "/system/actions/warp", "{}", `"Model":"system","Key":"global","Type":"INVOKE","Messages":["Action warp on system: Not Found"],"Code":404`},
		{"GET", "/system/actions/warp", "", `warp: Not Found`},
		{"POST", "/machines/" + uuid + "/actions/powerreset", "{}", `"Type":"busy"`},
	} {
		if _, raw := r.ask(c.method, apiRoot+c.path, r.e.token, c.body); !strings.Contains(string(raw), c.want) {
			t.Errorf("%s %s: %s, want %s", c.method, c.path, raw, c.want)
		}
	}
}

// A request may ask for more of the plugin's log than the endpoint keeps.
func TestARequestMayAskForMoreLog(t *testing.T) {
	t.Parallel()
	r := newRig(t, "old")
	r.start()
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "old", Provider: "old", Params: model.Params{"old/token": "t0ken-value"}}, nil); err != nil {
		t.Fatal(err)
	}
	r.ready("old")
	r.oldMachine("m1")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+r.e.Addr()+apiRoot+"/machines/Name:m1/actions/increment", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Log-Request", "trace")
	if resp, raw := r.do(req, r.e.token); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, raw)
	}
	if got := r.lines("old-levels"); len(got) == 0 || got[len(got)-1] != "trace" {
		t.Errorf("levels asked for: %v", got)
	}
}

// From the first moment of a stop no action is taken; one that was sent before
// still ends as it should.
func TestNoNewActionsDuringAStop(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	r.open()
	r.ready("toy")
	r.machine("m1", nil)
	r.machine("m2", nil)
	reply := r.holdCycle("m1")
	eventually(t, "at work", func() bool { return len(r.executed()) == 1 })
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.stop()
	}()
	eventually(t, "refused", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.c.Invoke(ctx, client.ActionRequest{Prefix: "machines", Key: "Name:m2", Command: "poweroff", Params: model.Params{"oob/wait": false}})
		return model.KindOf(err) == model.Busy && strings.Contains(err.Error(), "the endpoint is stopping")
	})
	r.put("go", "")
	<-stopped
	if n := len(r.executed()); n > 2 { // before the stop had begun one more could be taken
		t.Errorf("executed %v", r.executed())
	}
	r.start()
	var run model.Run
	if err := r.c.Get(t.Context(), "runs/"+reply.Run, &run); err != nil || run.State != model.RunDone {
		raw, _ := json.Marshal(run) // for the message only
		t.Errorf("%s, %v", raw, err)
	}
}

// A path that lacks its last word is none: nothing is redirected.
func TestAPathWithoutItsNameIsNoRoute(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	for _, path := range []string{"/machines/" + uuid + "/params", "/machines/" + uuid + "/params/", "/plugin_providers/toy/trust/", "/runs/"} {
		resp, raw := r.ask("DELETE", apiRoot+path, r.e.token, "")
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("DELETE %s: %d %s", path, resp.StatusCode, raw)
		}
	}
}
