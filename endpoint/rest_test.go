package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"provision-plugins/shared/model"
)

// allRoutes are the patterns of the whole API: those of the table and those of
// every kind.
func (r *rig) allRoutes() []string {
	var out []string
	for _, row := range r.e.api.routes() {
		out = append(out, row.pattern)
	}
	for _, k := range r.e.objects.kinds.list() {
		for _, row := range r.e.api.kindRoutes(k) {
			out = append(out, row.pattern)
		}
	}
	slices.Sort(out)
	return out
}

// examplePath is a path that a pattern matches.
func examplePath(pattern string) string {
	return strings.NewReplacer("{prefix}", "machines", "{key}", "Name:m1", "{key...}", "Name:m1", "{command}", "poweron", "{name...}", "some/param",
		"{index}", "Name", "{id}", "1", "{path...}", "x").Replace(pattern)
}

// askLocal sends a request over the unix socket, as the endpoint's own user.
func (r *rig) askLocal(method, path, body string, header ...string) (*http.Response, []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "http://unix"+apiRoot+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", r.e.Socket())
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	raw, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		r.t.Fatal(err)
	}
	return resp, raw
}

// want sends a request and decodes what must be a success.
func (r *rig) want(status int, method, path, body string, out any) *http.Response {
	r.t.Helper()
	resp, raw := r.askLocal(method, path, body)
	if resp.StatusCode != status {
		r.t.Fatalf("%s %s: %d, want %d: %s", method, path, resp.StatusCode, status, raw)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			r.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return resp
}

// Each kind that is data can be made, read, changed and deleted, and has every
// field that its shape names.
func TestEveryKindOfRecord(t *testing.T) {
	t.Parallel()
	r := start(t)
	for prefix, s := range recordShapes() {
		if slices.Contains([]string{"users", "roles", "prefs"}, prefix) { // these mean something, and have tests of their own
			continue
		}
		t.Run(prefix, func(t *testing.T) {
			var made, got, patched, gone map[string]any
			key := s.keyField
			r.want(201, "POST", "/"+prefix, `{"`+key+`":"one","Unknown":1}`, &made)
			for _, f := range s.fields {
				if v, has := made[f.name]; !has || f.zero != nil && jsonType(v) != jsonType(f.zero) && jsonType(f.zero) != "a number" {
					t.Errorf("field %s is %v", f.name, v)
				}
			}
			if made[key] != "one" || made["Unknown"] != nil || s.params != (made["Params"] != nil) {
				t.Errorf("made %v", made)
			}
			if _, has := made["Available"]; has && (made["Available"] != true || made["Validated"] != true || made["ReadOnly"] != false) {
				t.Errorf("made %v", made)
			}
			r.want(200, "PATCH", "/"+prefix+"/one", `[{"op":"add","path":"/Meta/color","value":"red"}]`, &patched)
			r.want(200, "GET", "/"+prefix+"/"+key+":one", "", &got)
			if fmt.Sprint(got["Meta"]) != "map[color:red]" || fmt.Sprint(got) != fmt.Sprint(patched) {
				t.Errorf("got %v, patched %v", got, patched)
			}
			r.want(200, "PUT", "/"+prefix+"/one", `{"`+key+`":"one"}`, &got)
			if fmt.Sprint(got["Meta"]) != "map[]" {
				t.Errorf("replaced %v", got)
			}
			var list []map[string]any
			r.want(200, "GET", "/"+prefix+"?"+key+"=one", "", &list)
			if len(list) != 1 {
				t.Errorf("list %v", list)
			}
			r.want(409, "POST", "/"+prefix, `{"`+key+`":"one"}`, nil)
			r.want(400, "POST", "/"+prefix, `{"`+key+`":7}`, nil)
			r.want(400, "POST", "/"+prefix, `{"`+key+`":"two","Meta":"x"}`, nil)
			r.want(422, "POST", "/"+prefix, `{"`+key+`":"../two"}`, nil)
			r.want(400, "PATCH", "/"+prefix+"/one", `[{"op":"replace","path":"/`+key+`","value":"two"}]`, nil)
			r.want(200, "DELETE", "/"+prefix+"/one", "", &gone)
			if gone[key] != "one" {
				t.Errorf("deleted %v", gone)
			}
			r.want(404, "GET", "/"+prefix+"/one", "", nil)
		})
	}
}

func TestObjectsOfLayersAreFilledAndReadOnly(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	var stage, param map[string]any
	r.want(200, "GET", "/stages/none", "", &stage)
	for _, f := range recordShapes()["stages"].fields {
		if _, has := stage[f.name]; !has {
			t.Errorf("the stage has no %s: %v", f.name, stage)
		}
	}
	if stage["ReadOnly"] != true || stage["Bundle"] != "base" || stage["Available"] != true {
		t.Errorf("stage %v", stage)
	}
	r.want(200, "GET", "/params/toy/port", "", &param)
	if param["Available"] != true || param["Errors"] == nil || param["Endpoint"] != "" {
		t.Errorf("param %v", param)
	}
	r.want(409, "PATCH", "/stages/none", "[]", nil)
	r.want(201, "POST", "/stages", `{"Name":"mine"}`, nil)
	var list []struct{ Name string }
	r.want(200, "GET", "/stages", "", &list)
	if len(list) != 2 || list[0].Name != "mine" || list[1].Name != "none" {
		t.Errorf("stages %v are not in the order of their keys", list)
	}
}

// A new machine is what the reference makes of it, whatever its maker sent.
func TestANewMachine(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, body := range []string{`{"Name":"m1"}`, strings.NewReplacer("NAME", "m2", "UUID", "", `"Runnable":true`, `"Runnable":false`).Replace(emptyMachine)} {
		var m model.Machine
		r.want(201, "POST", "/machines", body, &m)
		want := model.NewMachine(m.Name)
		want.Uuid = m.Uuid
		got, err := model.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := model.Marshal(want); err != nil || string(text) != string(got) || !uuidText.MatchString(m.Uuid) {
			t.Errorf("made %s\nwant %s, %v", got, text, err)
		}
	}
	var m model.Machine
	r.want(201, "POST", "/machines", `{"Name":"m3","Uuid":"aaaaaaaa-0000-4000-8000-000000000001","Tasks":["one"],"CurrentTask":0,"Arch":"arm64"}`, &m)
	if m.Uuid != "aaaaaaaa-0000-4000-8000-000000000001" || m.CurrentTask != 0 || m.Arch != "arm64" {
		t.Errorf("made %+v", m)
	}
}

// What a machine points to must be there when it is set, and may go afterwards.
func TestNamesThatPointNowhere(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.fleet(1)
	for field, word := range map[string]string{"Stage": "Stage", "BootEnv": "BootEnv", "Workflow": "Workflow"} {
		resp, raw := r.askLocal("PATCH", "/machines/Name:m0", `[{"op":"replace","path":"/`+field+`","value":"nowhere"}]`)
		if resp.StatusCode != 422 || !strings.Contains(string(raw), `"`+word+` nowhere does not exist"`) || !strings.Contains(string(raw), `"Type":"ValidationError"`) {
			t.Errorf("%s: %d: %s", field, resp.StatusCode, raw)
		}
	}
	r.want(422, "POST", "/machines", `{"Name":"m1","Profiles":["nowhere"]}`, nil)
	r.want(422, "POST", "/profiles", `{"Name":"p1","Profiles":["nowhere"]}`, nil)
	r.want(201, "POST", "/workflows", `{"Name":"w1"}`, nil)
	r.want(200, "PATCH", "/machines/Name:m0", `[{"op":"replace","path":"/Workflow","value":"w1"}]`, nil)
	if _, err := r.e.store.Delete(t.Context(), "workflows", "w1", 0); err != nil {
		t.Fatal(err)
	}
	r.want(200, "PATCH", "/machines/Name:m0", `[{"op":"replace","path":"/Description","value":"goes on"}]`, nil)
}

func TestTagsTellOfChanges(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	for _, path := range []string{"/machines/" + uuid, "/machines/Name:m1", "/profiles/global", "/stages/none", "/plugins/toy"} {
		resp, _ := r.askLocal("GET", path, "")
		tag := resp.Header.Get("ETag")
		if head, raw := r.askLocal("HEAD", path, ""); head.Header.Get("ETag") != tag || tag == "" || len(raw) > 0 {
			t.Errorf("%s: tag %q, by HEAD %q", path, tag, head.Header.Get("ETag"))
		}
		for header, status := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200} {
			resp, raw := r.askLocal("GET", path, "", "If-None-Match", header)
			if resp.StatusCode != status || (len(raw) == 0) != (status == 304) || resp.Header.Get("ETag") != tag {
				t.Errorf("%s, %s: %d, %d bytes, tag %s", path, header, resp.StatusCode, len(raw), resp.Header.Get("ETag"))
			}
		}
		if resp, _ := r.askLocal("GET", path, "", "If-None-Match", tag, "Prefer", "wait=1"); resp.StatusCode != 304 {
			t.Errorf("%s: %d after the wait", path, resp.StatusCode)
		}
	}
	resp, _ := r.askLocal("GET", "/machines/"+uuid, "")
	before := resp.Header.Get("ETag")
	r.want(200, "POST", "/machines/"+uuid+"/params/x", "1", nil)
	if resp, _ := r.askLocal("GET", "/machines/"+uuid, ""); resp.Header.Get("ETag") == before {
		t.Error("a change did not change the tag")
	}
	if resp, _ := r.askLocal("GET", "/machines/nobody", "", "If-None-Match", "*", "Prefer", "wait=5"); resp.StatusCode != 404 {
		t.Errorf("nobody: %d", resp.StatusCode)
	}
}

// Who waits for a change has it as soon as it is there; so has who waits when
// the object goes.
func TestAWaitEndsWithTheChange(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.want(201, "POST", "/profiles", `{"Name":"a.b"}`, nil)
	for _, step := range []struct {
		method, body string
		status       int
	}{{"PATCH", `[{"op":"replace","path":"/Description","value":"new"}]`, 200}, {"DELETE", "", 404}} {
		resp, _ := r.askLocal("GET", "/profiles/a.b", "")
		tag := resp.Header.Get("ETag")
		answered := make(chan int, 1)
		go func() {
			resp, _ := r.askLocal("GET", "/profiles/a.b", "", "If-None-Match", tag, "Prefer", "respond-async, wait=600")
			answered <- resp.StatusCode
		}()
		eventually(t, "a waiter", func() bool { return r.e.hub.Subscribers() > 0 })
		r.want(200, step.method, "/profiles/a.b", step.body, nil)
		if status := <-answered; status != step.status {
			t.Errorf("%s: %d, want %d", step.method, status, step.status)
		}
		eventually(t, "no waiter", func() bool { return r.e.hub.Subscribers() == 0 })
	}
}

// Patches of one object at the same time are all there in the end.
func TestConcurrentPatches(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.fleet(1)
	const writers, each = 8, 12
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				patch := fmt.Sprintf(`[{"op":"add","path":"/Params/w%d-%d","from":"","value":%d}]`, w, i, i)
				path := "/machines/Name:m0"
				switch i % 3 {
				case 1:
					patch = fmt.Sprintf(`[{"op":"add","path":"/w%d-%d","from":"","value":%d}]`, w, i, i)
					path += "/params"
				case 2:
					patch = fmt.Sprintf(`[{"op":"add","path":"/w%d-%d","from":"","value":"%d"}]`, w, i, i)
					path = "/meta" + path
				}
				if resp, raw := r.askLocal("PATCH", path, patch); resp.StatusCode != 200 {
					t.Errorf("%d: %s", resp.StatusCode, raw)
				}
			}
		})
	}
	wg.Wait()
	var m model.Machine
	r.want(200, "GET", "/machines/Name:m0", "", &m)
	if got := len(m.Params) - 2 + len(m.Meta) - 1; got != writers*each {
		t.Errorf("%d of %d patches are there", got, writers*each)
	}
}

func TestMetaOfObjects(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	var meta map[string]string
	r.want(200, "GET", "/meta/machines/"+uuid, "", &meta)
	if meta == nil || len(meta) != 0 {
		t.Errorf("meta %v", meta)
	}
	r.want(200, "PATCH", "/meta/machines/Name:m1", `[{"op":"test","path":"","from":"","value":{}},{"op":"add","path":"/k","from":"","value":"v"}]`, &meta)
	if meta["k"] != "v" {
		t.Errorf("meta %v", meta)
	}
	r.want(200, "PUT", "/meta/machines/Name:m1", `{"a":"b"}`, &meta)
	r.want(200, "GET", "/meta/machines/"+uuid, "", &meta)
	r.want(409, "PATCH", "/meta/machines/"+uuid, `[{"op":"test","path":"","value":{"x":"y"}}]`, nil)
	r.want(400, "PATCH", "/meta/machines/"+uuid, `[{"op":"add","path":"/k","value":7}]`, nil)
	r.want(400, "PUT", "/meta/machines/"+uuid, `[7]`, nil)
	r.want(404, "GET", "/meta/machines/nobody", "", nil)
	r.want(404, "GET", "/meta/freds/x", "", nil)
	r.want(404, "PATCH", "/meta/freds/x", "[]", nil)
	r.want(200, "GET", "/meta/params/toy/port", "", &meta)
	r.want(409, "PATCH", "/meta/params/toy/port", "[]", nil)
}

func TestIndexesAndPrefixes(t *testing.T) {
	t.Parallel()
	r := start(t)
	var all map[string]map[string]index
	r.want(200, "GET", "/indexes", "", &all)
	for name, want := range map[string]index{
		"Key": {Type: "string", Unique: true, Regex: true}, "Uuid": {Type: "UUID", Unique: true, Regex: true}, "Name": {Type: "string", Unique: true, Regex: true},
		"Address": {Type: "IP Address", Regex: true}, "Runnable": {Type: "boolean", Unordered: true}, "Valid": {Type: "boolean", Unordered: true}, "CurrentTask": {Type: "number"},
	} {
		if got := all["machines"][name]; got != want {
			t.Errorf("index %s: %+v, want %+v", name, got, want)
		}
		var one index
		r.want(200, "GET", "/indexes/machines/"+name, "", &one)
		if one != want {
			t.Errorf("index %s alone: %+v", name, one)
		}
	}
	if _, has := all["machines"]["Params"]; has || !all["templates"]["ID"].Unique {
		t.Errorf("indexes %v", all["templates"])
	}
	r.want(404, "GET", "/indexes/machines/Params", "", nil)
	r.want(404, "GET", "/indexes/freds", "", nil)
	r.want(404, "GET", "/indexes/freds/x", "", nil)
	var prefixes []string
	r.want(200, "GET", "/objects", "", &prefixes)
	for _, want := range []string{"machines", "plugins", "plugin_providers", "params", "profiles", "contents", "templates", "stages", "tasks", "workflows", "bootenvs", "users", "roles"} {
		if !slices.Contains(prefixes, want) {
			t.Errorf("no %s in %v", want, prefixes)
		}
	}
	if !slices.IsSorted(prefixes) {
		t.Errorf("prefixes %v", prefixes)
	}
}

func TestTheLogIsKept(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	var lines []model.Line
	r.want(200, "GET", "/logs", "", &lines)
	if !slices.ContainsFunc(lines, func(l model.Line) bool {
		return l.Service == logService && l.Level == "info" && strings.Contains(l.Message, "endpoint started") && strings.HasSuffix(l.File, ".go") && l.Line > 0
	}) {
		t.Errorf("the start is not in %d lines", len(lines))
	}
	for i := 1; i < len(lines); i++ {
		if lines[i].Seq <= lines[i-1].Seq {
			t.Fatalf("line %d has the number %d", i, lines[i].Seq)
		}
	}
	conn := r.dial()
	say(t, conn, "register log.*.*")
	r.e.log.Warn("something odd", "machine", "m1")
	for {
		e := hear(t, conn)
		var l model.Line
		if err := model.Remarshal(e.Object, &l); err != nil || e.Type != "log" {
			t.Fatalf("%+v, %v", e, err)
		}
		if l.Message == "something odd machine=m1" {
			if name(e) != "log.warn."+logService || l.Level != "warn" || l.Data == nil {
				t.Errorf("event %s, line %+v", name(e), l)
			}
			break
		}
	}
}

// Who asks for everything gets no log lines: a plugin that logs each event would
// never end.
func TestLogEventsAreForThoseWhoAskForThem(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn := r.dial()
	say(t, conn, "register *.*.*")
	r.e.log.Error("something bad")
	r.want(200, "POST", "/events", `{"Type":"mark","Action":"x","Key":"y"}`, nil)
	if e := hear(t, conn); e.Type != "mark" {
		t.Errorf("got %s", name(e))
	}
	var recent []model.Event
	r.want(200, "GET", "/events/recent?limit=5", "", &recent)
	if slices.ContainsFunc(recent, func(e model.Event) bool { return e.Type == "log" }) {
		t.Error("a log line is among the recent events")
	}
}

func TestFilesArePlainAndBelowTheirDirectory(t *testing.T) {
	t.Parallel()
	r := start(t)
	dir := filepath.Join(r.opts.DataDir, "webroot", "files")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "plugin_providers", "toy", ".hidden"), 0o755),
		os.WriteFile(filepath.Join(dir, "plugin_providers", "toy", "a b.txt"), []byte("hello"), 0o600),
		os.WriteFile(filepath.Join(dir, "plugin_providers", "toy", ".hidden", "x"), []byte("no"), 0o600),
		os.Symlink("/etc/passwd", filepath.Join(dir, "out")), os.Symlink("plugin_providers/toy/a b.txt", filepath.Join(dir, "in")),
	); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/files/plugin_providers/toy/a%20b.txt": "200 hello", "/files/in": "200 hello", "/files/out": "404", "/files/plugin_providers": "404", "/files/plugin_providers/": "404",
		"/files/": "404", "/files/none": "404", "/files/plugin_providers/toy/.hidden/x": "404", "/files/%2e%2e/%2e%2e/admin.token": "404", "/files/..%2f..%2fadmin.token": "404",
	} {
		resp, raw := r.ask("GET", path, r.e.token, "")
		got := fmt.Sprint(resp.StatusCode)
		if resp.StatusCode == 200 {
			got += " " + string(raw)
		}
		if got != want {
			t.Errorf("%s: %s, want %s: %s", path, got, want, raw)
		}
		if resp, _ := r.ask("GET", path, "", ""); resp.StatusCode != 401 {
			t.Errorf("%s without a token: %d", path, resp.StatusCode)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+r.e.Addr()+"/files/in", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=1-2")
	if resp, raw := r.do(req, r.e.token); resp.StatusCode != 206 || string(raw) != "el" {
		t.Errorf("range: %d %q", resp.StatusCode, raw)
	}
}

// A client that speaks through a proxy puts the endpoint's id before the path. A
// request for another endpoint is never taken for one's own.
func TestRequestsThroughAProxy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.opts.Site = "ep1"
	r.start()
	r.fleet(1)
	for path, want := range map[string]int{
		"/ep1/api/v3/info": 200, "/ep1/api/v3/machines/Name:m0": 200, "/ep2/api/v3/info": 404, "/ep1/ep1/api/v3/info": 404, "/ep1/files/x": 404, "/ep1": 404, "//api/v3/info": 404,
	} {
		resp, raw := r.ask("GET", path, r.e.token, "")
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d: %s", path, resp.StatusCode, want, raw)
		}
	}
	if resp, _ := r.ask("GET", "/ep1/api/v3/info", "", ""); resp.StatusCode != 401 {
		t.Errorf("without a token: %d", resp.StatusCode)
	}
}

func TestInfoHasWhatClientsTestFor(t *testing.T) {
	t.Parallel()
	r := start(t)
	var info model.Info
	r.want(200, "GET", "/info", "", &info)
	for _, feature := range []string{"api-v3", "sane-exit-codes", "secure-param-upgrade", "secure-params-in-content-packs", "separate-meta-api", "slim-objects"} {
		if !slices.Contains(info.Features, feature) {
			t.Errorf("no feature %s", feature)
		}
	}
	for _, absent := range []string{"auto-boot-target", "agent-auto-update", "job-exit-states"} {
		if slices.Contains(info.Features, absent) {
			t.Errorf("feature %s is not built", absent)
		}
	}
	if _, has := info.Scopes["machines"]["getSecure"]; !has || len(info.Stats) == 0 {
		t.Errorf("info %+v", info)
	}
}
