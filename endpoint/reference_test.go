package endpoint

import (
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// referenceUUID is the machine of the recorded requests.
const referenceUUID = "3e7031fe-3062-45f1-835c-92541bc9cbd3"

// emptyMachine is how the reference's clients send a new machine: every field,
// with its zero value.
const emptyMachine = `{"Validated":false,"Available":false,"Errors":null,"ReadOnly":false,"Meta":null,"Endpoint":"","Bundle":"","Partial":false,` +
	`"Name":"NAME","Description":"","Uuid":"UUID","CurrentJob":"","Address":"","Stage":"","BootEnv":"","Profiles":null,"Params":null,"Tasks":null,` +
	`"CurrentTask":0,"RetryTaskAttempt":0,"TaskErrorStacks":null,"Runnable":true,"Secret":"","OS":"","HardwareAddrs":null,"Workflow":"","Arch":"",` +
	`"Locked":false,"Context":"","Fingerprint":{"SSNHash":"","CSNHash":"","CloudInstanceID":"","SystemUUID":"","MemoryIds":null},"Pool":"",` +
	`"PoolAllocated":false,"PoolStatus":"","WorkflowComplete":false}`

// exchange is one request of the reference's command line, as it was recorded,
// and what must be in the answer.
type exchange struct {
	method, path, body string
	status             int
	texts              []string
}

// referenceExchanges are requests of the reference's clients, in an order in
// which they make sense.
func referenceExchanges() []exchange {
	machine := strings.NewReplacer("NAME", "m1.local", "UUID", referenceUUID).Replace(emptyMachine)
	one := "/machines/" + referenceUUID
	return []exchange{
		{"GET", "/info", "", 200, []string{`"api_port":`, `"version":`, `"features":["api-v3"`}},
		{"POST", "/machines", machine, 201, []string{
			`"Validated":true,"Available":true,"Errors":[],"ReadOnly":false,"Meta":{}`, `"Name":"m1.local"`, `"Stage":"none","BootEnv":"local","Profiles":[],"Params":{}`,
			`"Arch":"amd64"`, `"Pool":"default"`, `"PoolStatus":"Free"`, `"MemoryIds":[]`,
		}},
		{"POST", "/machines", machine, 409, []string{`"Messages":["already exists"]`, `"Model":"machines"`, `"Key":"` + referenceUUID + `"`}},
		{"GET", "/machines", "", 200, []string{`[{"Validated":true`, "m1.local"}},
		{"GET", "/machines?Name=m1.local", "", 200, []string{"m1.local"}},
		{"GET", "/machines?Name=Eq%28m1.local%29&limit=3&sort=Name", "", 200, []string{"m1.local"}},
		{"GET", "/machines?decode=true&params=a%2Cb&slim=Params%2CMeta", "", 200, []string{"m1.local"}},
		{"GET", "/machines?virtualbox%2Fid=Eq%28X%29", "", 200, []string{"[]"}},
		{"GET", one, "", 200, []string{referenceUUID}},
		{"GET", "/machines/Name:m1.local?decode=true", "", 200, []string{referenceUUID}},
		{"PATCH", one, `[{"op":"test","path":"/Description","from":"","value":""},{"op":"replace","path":"/Description","from":"","value":"d"}]`, 200, []string{`"Description":"d"`}},
		{"PATCH", one, `[{"op":"test","path":"/Description","from":"","value":""},{"op":"replace","path":"/Description","from":"","value":"d"}]`, 409, []string{"Patch failed to apply at line 0", "Test op failed."}},
		{"PATCH", one + "?force=true", `[{"op":"replace","path":"/Description","from":"","value":"z"}]`, 200, []string{`"Description":"z"`}},
		{"POST", one + "/params", `{"x":2}`, 200, []string{`{"x":2}`}},
		{"GET", one + "/params?aggregate=true&decode=true&params=a%2Cb", "", 200, []string{`{}`}},
		{"GET", one + "/params?params=a%2Cx", "", 200, []string{`{"x":2}`}},
		{"GET", "/params/toy/address", "", 200, []string{`"Name":"toy/address"`}},
		{"POST", one + "/params/toy/address", `"10.0.0.1"`, 200, []string{`"10.0.0.1"`}},
		{"GET", one + "/params/toy/address?aggregate=true&compose=true&decode=true", "", 200, []string{`"10.0.0.1"`}},
		{"GET", one + "/params/not/set", "", 200, []string{"null"}},
		{"PATCH", one + "/params", `[{"op":"test","path":"","from":"","value":{"toy/address":"10.0.0.1","x":2}},{"op":"add","path":"/toy~1size","from":"","value":3}]`, 200, []string{`"toy/size":3`}},
		{"PATCH", one + "/params", `[{"op":"test","path":"/toy~1address","from":"","value":true},{"op":"replace","path":"/toy~1address","from":"","value":"y"}]`, 409, []string{"line 0"}},
		{"DELETE", one + "/params/toy/size", "", 200, []string{"3"}},
		{"POST", one + "/params/toy/password", `"hunter22"`, 200, []string{`"Payload":"`}},
		{"POST", one + "/params/toy/port", `[5]`, 400, []string{"Key 'toy/port': invalid val '[5]': : (root): Invalid type. Expected: integer, given: array"}},
		{"POST", "/profiles", `{"Name":"p1","Description":"","Params":null,"Profiles":null}`, 201, []string{`"Params":{},"Profiles":[]`}},
		{"PATCH", one, `[{"op":"test","path":"/Profiles","from":"","value":[]},{"op":"replace","path":"/Profiles","from":"","value":["p1"]}]`, 200, []string{`"Profiles":["p1"]`}},
		{"GET", "/params/x", "", 404, []string{`"Key":"x"`, "Not Found"}},
		{"POST", "/profiles/p1/params/x", "1", 200, []string{"1"}},
		{"GET", one + "/actions", "", 200, []string{`{"Provider":"toy","Model":"machines","Command":"poweron","RequiredParams":["toy/address","toy/password"],"OptionalParams":["toy/port","toy/size"]}`}},
		{"GET", one + "/actions?plugin=toy", "", 200, []string{`"Command":"poweron"`}},
		{"GET", one + "/actions/poweron", "", 200, []string{`"Command":"poweron"`}},
		{"POST", one + "/actions/poweron", "{}", 200, []string{`"power":"on"`}},
		{"POST", one + "/actions/poweron?plugin=toy", `{"a":1}`, 200, []string{`"outcome":"verified"`}},
		{"POST", one + "/actions/command", "{}", 404, []string{"Action command on machines: Not Found", `"Model":"machines"`, referenceUUID}},
		{"POST", "/machines/fred/actions/command", "{}", 404, []string{`"Key":"fred"`, "Not Found"}},
		{"GET", one + "/actions/command", "", 404, []string{"command: Not Found"}},
		{"GET", "/machines/john", "", 404, []string{`"Model":"machines","Key":"john"`, "Not Found"}},
		{"GET", "/plugins", "", 200, []string{`"Name":"toy"`, `"Provider":"toy"`, `"PluginErrors":[]`}},
		{"POST", "/plugins", `{"Validated":false,"Available":false,"Errors":null,"ReadOnly":false,"Meta":null,"Endpoint":"","Bundle":"","Partial":false,"Name":"toy2","Description":"","Documentation":"","Params":{},"Provider":"toy","PluginErrors":null}`, 201, []string{`"Name":"toy2"`}},
		{"POST", "/plugins", `{"Name":""}`, 400, []string{"Empty key not allowed"}},
		{"GET", "/plugins/toy2", "", 200, []string{`"Provider":"toy"`}},
		{"POST", "/plugins/toy2/params/slack/bot-key", `"abcdef"`, 200, []string{`"******"`}},
		{"DELETE", "/plugins/toy2", "", 200, []string{`"Name":"toy2"`}},
		{"GET", "/plugin_providers", "", 200, []string{`"Name":"toy","Version":"v1.0.0","PluginVersion":4`, `"Content":""`}},
		{"GET", "/plugin_providers/toy", "", 200, []string{`"AutoStart":true`}},
		{"GET", "/params", "", 200, []string{`"Name":"toy/address"`}},
		{"POST", "/events", `{"Time":"0001-01-01T00:00:00Z","Type":"a","Action":"b","Key":"c","Principal":"","Object":null,"Original":null}`, 200, []string{`"Type":"a"`}},
		{"GET", "/freds", "", 404, []string{`"Key":"/api/v3/freds","Type":"GET","Messages":["No route"]`}},
		{"DELETE", one, "", 200, []string{referenceUUID}},
		{"DELETE", one, "", 404, []string{"Not Found"}},
	}
}

func TestTheReferencesRequests(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	for _, x := range referenceExchanges() {
		resp, raw := r.ask(x.method, apiRoot+x.path, r.e.token, x.body)
		if resp.StatusCode != x.status {
			t.Errorf("%s %s: status %d, want %d: %s", x.method, x.path, resp.StatusCode, x.status, raw)
		}
		for _, text := range x.texts {
			if !strings.Contains(string(raw), text) {
				t.Errorf("%s %s: no %s in %s", x.method, x.path, text, raw)
			}
		}
		if strings.Contains(string(raw), "hunter22") || strings.Contains(string(raw), "abcdef") {
			t.Errorf("%s %s shows a secret: %s", x.method, x.path, raw)
		}
		if resp.Header.Get("Content-Type") != "application/json" || resp.ContentLength < 0 {
			t.Errorf("%s %s: headers %v", x.method, x.path, resp.Header)
		}
	}
}

func TestHeadsAreCountsAndProofs(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, n := range []string{"m1", "m2", "m3"} {
		if err := r.c.Post(t.Context(), "machines", model.NewMachine(n), nil); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"/machines": "3", "/machines?Name=m2": "1", "/machines?limit=2": "3"} {
		for _, method := range []string{"HEAD", "GET"} {
			resp, raw := r.ask(method, apiRoot+path, r.e.token, "")
			if got := resp.Header.Get("X-Drp-List-Filter-Count"); got != want || resp.StatusCode != 200 {
				t.Errorf("%s %s: status %d, count %q, want %s", method, path, resp.StatusCode, got, want)
			}
			if (len(raw) == 0) != (method == "HEAD") {
				t.Errorf("%s %s: %d bytes", method, path, len(raw))
			}
		}
	}
	for path, want := range map[string]int{"/machines/Name:m1": 200, "/machines/Name:m9": 404} {
		if resp, _ := r.ask("HEAD", apiRoot+path, r.e.token, ""); resp.StatusCode != want {
			t.Errorf("HEAD %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
