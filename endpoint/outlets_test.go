package endpoint

import (
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"provision-plugins/endpoint/loglevel"
	"provision-plugins/shared/model"
)

// planted are secrets of every origin; none is part of another.
var planted = map[string]string{
	"a machine": "Planted-1-machine", "a machine, by its name": "Planted-2-name", "a machine, deep inside": "Planted-3-deep",
	"a profile": "Planted-4-profile", "a plugin": "Planted-5-plugin", "content": "Planted-6-content",
	"a request": "Planted-7-request", "a refused request": "Planted-8-refused", "a password": "Planted-9-password", "an event": "Planted-10-event",
}

// plant puts every secret where it belongs, and has actions, refusals and crashes
// happen around them.
func (r *rig) plant() (uuid string) {
	r.t.Helper()
	token := r.e.token
	uuid = r.machine("m1", model.Params{
		"toy/password": planted["a machine"], "my-token": planted["a machine, by its name"], "deep": map[string]any{"list": []any{map[string]any{"secret": planted["a machine, deep inside"]}}},
	})
	r.wantStatus(201, "POST", "/profiles", token, `{"Name":"pr","Params":{"toy/password":"`+planted["a profile"]+`"}}`)
	r.wantStatus(200, "PATCH", "/machines/"+uuid, token, `[{"op":"replace","path":"/Profiles","from":"","value":["pr"]}]`)
	r.wantStatus(200, "POST", "/plugins/toy/params/toy/password", token, `"`+planted["a plugin"]+`"`)
	r.wantStatus(201, "POST", "/contents", token, pack("site", "v1.0.0", "", `"profiles":{"site-pr":{"Name":"site-pr","Params":{"toy/password":"`+planted["content"]+`"}}}`))
	r.wantStatus(200, "POST", "/events", token, `{"Type":"x","Action":"y","Key":"z","Object":{"Params":{"toy/password":"`+planted["an event"]+`"}}}`)
	r.wantStatus(201, "POST", "/users", token, `{"Name":"ann","Roles":["viewer"]}`)
	r.wantStatus(200, "PUT", "/users/ann/password", token, `{"Password":"`+planted["a password"]+`"}`)
	r.basic("GET", "/info", "ann", planted["a password"]+"x")
	for _, command := range []string{"poweron", "getParams", "getModel", "leak", "crash"} {
		r.ask("POST", apiRoot+"/machines/"+uuid+"/actions/"+command, token, `{"toy/password":"`+planted["a request"]+`"}`)
		r.ready("toy")
		r.ask("POST", apiRoot+"/machines/"+uuid+"/actions/"+command, token, `{}`)
		r.ready("toy")
	}
	for _, body := range []string{`["` + planted["a refused request"] + `"]`, `{"deep":"` + planted["a refused request"] + `"}`} {
		r.wantStatus(400, "POST", "/machines/"+uuid+"/params/toy/password", token, body)
		r.ask("POST", apiRoot+"/machines/"+uuid+"/actions/poweron", token, `{"toy/password":`+body+`}`)
	}
	return uuid
}

// Whatever leaves the endpoint without getSecure, by any route that is read, in
// events, in the log or on the disk, shows none of the secrets.
func TestNoOutletShowsASecret(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy", "listener")
	r.opts.Logger = slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: loglevel.Traffic}))
	r.start()
	r.ready("toy")
	r.ready("listener")
	all := r.watch(bearer(r.e.token), "")
	uuid := r.plant()
	r.wantStatus(200, "POST", "/events", r.e.token, `{"Type":"end","Action":"y","Key":"z"}`)
	outlets := map[string]string{"the log": r.log.String()}
	var streamed strings.Builder
	for {
		_, raw, err := all.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		streamed.Write(raw)
		if strings.Contains(string(raw), `"Type":"end"`) {
			break
		}
	}
	outlets["the stream"] = streamed.String()
	var runs []model.Run
	if err := model.Unmarshal(r.wantStatus(200, "GET", "/runs", r.e.token, ""), &runs); err != nil || len(runs) == 0 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	keys := map[string]string{"machines": uuid, "profiles": "pr", "plugins": "toy", "contents": "site", "users": "ann", "runs": runs[0].ID, "plugin_providers": "toy", "params": "toy/password"}
	for _, pattern := range r.routePatterns() {
		method, path := requestOf(pattern)
		if method != "GET" || strings.HasSuffix(path, "/ws") || strings.HasSuffix(path, "/users/x/token") {
			continue
		}
		for prefix, key := range keys {
			path = strings.Replace(path, "/"+prefix+"/x", "/"+prefix+"/"+key, 1)
		}
		path = strings.Replace(path, "/params/x/y", "/params/toy/password", 1)
		for _, query := range []string{"", "?aggregate=true", "?limit=1000", "?toy/password=" + url.QueryEscape(planted["a machine"])} {
			_, raw := r.ask("GET", path+query, r.e.token, "")
			outlets[path+query] = string(raw)
		}
	}
	for _, path := range []string{metricsPath, healthPath, readyPath, bmcPath + "?target=m1", profilesPath + "cmdline", "/files/plugin_providers/toy/none", "/x"} {
		resp, raw := r.ask("GET", path, r.e.token, "")
		outlets[path] = fmt.Sprint(resp.Header) + string(raw)
	}
	for _, where := range slices.Sorted(maps.Keys(outlets)) {
		for origin, text := range planted {
			// A snapshot is the store as it lies on the disk, for admins only.
			onDisk := strings.Contains(where, backupPath) && (origin == "a machine, deep inside" || origin == "an event")
			if strings.Contains(outlets[where], text) && !onDisk {
				t.Errorf("%s shows the secret of %s", where, origin)
			}
		}
	}
	for _, origin := range []string{"a machine", "a machine, by its name", "a profile", "a plugin", "content", "a request", "a refused request", "a password"} {
		if found := r.onDisk(planted[origin]); found != nil {
			t.Errorf("the secret of %s lies in clear in %v", origin, found)
		}
	}
	for _, what := range []string{"msg=request", "msg=reply", `msg="to plugin" path=poweron`, `msg="to plugin" path=config`, `msg="to plugin" path=publish`, `msg="from plugin"`} {
		if !strings.Contains(outlets["the log"], what) {
			t.Errorf("the traffic has no %s", what)
		}
	}
	if len(outlets) < 100 {
		t.Errorf("only %d outlets were looked at", len(outlets))
	}
}
