package plugin

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// Config takes anything.
func (plain) Config(context.Context, *client.Client, model.Params) error { return nil }

const jsonOK = `{"Model":"","Key":"","Type":"","Messages":null,"Code":200}` + "\n"

// The vectors are those of the protocol's description, section 9.
func TestVectors(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"V1 config": {"POST", pathConfig, `{"Name":"ipmi"}`, 200, jsonOK},
		"V2 config error": {"POST", pathConfig, `{"refuse":"dr-provision missing secure-param-upgrade"}`, 500,
			`{"Model":"","Key":"","Type":"","Messages":["{\"Model\":\"plugin\",\"Key\":\"ipmi\",\"Type\":\"rpc\",\"Messages\":[\"dr-provision missing secure-param-upgrade\"],\"Code\":500}"],"Code":500}` + "\n"},
		"V3b unknown": {"POST", pathAction, `{"Command":"x"}`, 404,
			`{"Model":"plugin","Key":"incrementer","Type":"plugin","Messages":["Unknown command: x\n"],"Code":404}` + "\n"},
		"V3b GET": {"GET", pathAction, ``, 404,
			`{"Model":"","Key":"/api-plugin/v4/action","Type":"GET","Messages":null,"Code":404}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := send(t, r.client, c.method, c.path, c.body)
			if status != c.status || body != c.want {
				t.Errorf("%d %s\nwant %d %s", status, body, c.status, c.want)
			}
			if got := header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

func TestVectorV5LogLine(t *testing.T) {
	r := newRig(t)
	r.post(t, pathConfig, `{"Name":"x"}`)
	r.host.await(t, "the line", func() bool { return len(r.host.lines) > 0 })
	raw, err := model.Marshal(r.host.first())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Group":2,"Seq":1,"Time":"2026-11-20T09:49:35.220437988Z","Service":"incrementer","Principal":"","Level":"info","File":"/…/plugin.go","Line":408,"Message":"Setting API session\n","Data":[],"IgnorePublish":false}`
	if got, want := keysOf(t, string(raw)), keysOf(t, want); got != want {
		t.Errorf("keys %s, want %s", got, want)
	}
	line := r.host.first()
	if line.Service != "incrementer" || line.Level != "info" || line.Seq != 1 || line.Group == 0 || line.Data == nil ||
		line.Message != "Setting API session" || !strings.HasSuffix(line.File, "handlers.go") || line.Line == 0 || line.Time.IsZero() {
		t.Errorf("%s", raw)
	}
}

// keysOf lists the keys of a JSON object in their order.
func keysOf(t testing.TB, text string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var keys []string
	depth := 0
	key := false
	for {
		tok, err := dec.Token()
		if err != nil {
			return strings.Join(keys, " ")
		}
		switch d := tok.(type) {
		case json.Delim:
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
			key = depth == 1
			continue
		case string:
			if depth == 1 && key {
				keys = append(keys, d)
				key = false
				continue
			}
		}
		key = depth == 1
	}
}

func TestInboundRules(t *testing.T) {
	r := newRig(t)
	long := `{"Command":"incrstatus","CommandSet":"` + strings.Repeat("x", model.MaxBody) + `"}`
	for name, c := range map[string]struct {
		path, body, contentType string
		status                  int
		want                    string
	}{
		"upper case type":   {pathAction, `{"Command":"incrstatus"}`, "Application/JSON; charset=utf-8", 200, `"Running"`},
		"wrong type":        {pathAction, `{"Command":"incrstatus"}`, "text/plain", 400, `"Type":"POST","Messages":["Invalid content type: text/plain"]`},
		"config wrong type": {pathConfig, `{}`, "text/plain", 400, `"Type":"POST","Messages":["Invalid content type: text/plain"]`},
		"no body":           {pathAction, ``, "application/json", 404, `Unknown command: \n`},
		"config no body":    {pathConfig, ``, "application/json", 200, `"Code":200`},
		"bad JSON":          {pathAction, `{bad`, "application/json", 400, `"Type":"POST","Messages":["cannot parse JSON:`},
		"two values":        {pathAction, `{} {}`, "application/json", 400, `more than one value`},
		"wrong JSON type":   {pathConfig, `[]`, "application/json", 400, `cannot parse JSON`},
		"too long":          {pathAction, long, "application/json", 400, `larger than 16777216 bytes`},
		"names of any case": {pathAction, `{"COMMAND":"incrstatus","unknown":1}`, "application/json", 200, `"Running"`},
		"digits kept":       {pathAction, `{"Command":"echo","Params":{"n":1.123456789012,"i":12345678901234567890}}`, "application/json", 200, `{"i":12345678901234567890,"n":1.123456789012}`},
		"HTML not escaped":  {pathAction, `{"Command":"echo","Params":{"a":"<&>"}}`, "application/json", 200, `{"a":"<&>"}`},
		"model of no kind":  {pathAction, `{"Command":"increment","Model":"bad"}`, "application/json", 409, `json: cannot unmarshal`},
		"elsewhere":         {"/plugin-apis/incr/foo", `{}`, "application/json", 404, `{"Model":"","Key":"/plugin-apis/incr/foo","Type":"POST","Messages":null,"Code":404}`},
		"root":              {"/", ``, "application/json", 404, `"Key":"/"`},
		"publish":           {pathPublish, `{"Type":"x"}`, "application/json", 200, `"Code":200`},
		"publish refused":   {pathPublish, `{"Type":"refuse"}`, "application/json", 429, `{"Model":"","Key":"","Type":"","Messages":["{\"Model\"`},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := r.post(t, c.path, c.body, "Content-Type", c.contentType)
			if status != c.status || !strings.Contains(body, c.want) || !strings.HasSuffix(body, "\n") {
				t.Errorf("%d %s\nwant %d %s", status, body, c.status, c.want)
			}
		})
	}
}

func TestRoutesFollowTheInterfaces(t *testing.T) {
	r := newRig(t, func(r *rig) { r.program.impl = plain{} })
	for path, want := range map[string]int{pathConfig: 200, pathAction: 404, pathPublish: 404} {
		if status, body := r.post(t, path, `{}`); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	quiet := newRig(t, func(r *rig) { r.program.def.HasPublish = false })
	if status, _ := quiet.post(t, pathPublish, `{}`); status != 404 {
		t.Errorf("publish without HasPublish: %d", status)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	r := newRig(t)
	status, _, _ := send(t, r.client, http.MethodPost, pathAction, `{}`, "X-Long", strings.Repeat("x", 2*maxHeader))
	if status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", status)
	}
}

func TestActionsPastTheCapAreBusy(t *testing.T) {
	option, said := withWitness(t)
	r := newRig(t, option, func(r *rig) { r.program.timing.maxActions = 1 })
	first := make(chan int, 1)
	go func() {
		status, _ := r.post(t, pathAction, `{"Command":"wait","Model":{"Name":"m"}}`)
		first <- status
	}()
	r.awaitAction(t, said, "wait")
	status, header, body := send(t, r.client, http.MethodPost, pathAction, `{"Command":"incrstatus"}`)
	if e := decodeError(t, body); status != 429 || e.Kind() != model.Busy || header.Get("Retry-After") != "1" {
		t.Errorf("%d %v %s", status, header, body)
	}
	close(r.twin.holder("m"))
	if status := <-first; status != 200 {
		t.Errorf("first: %d", status)
	}
	r.twin.mu.Lock()
	delete(r.twin.hold, "m")
	r.twin.mu.Unlock()
	if status, body := r.post(t, pathAction, `{"Command":"incrstatus"}`); status != 200 {
		t.Errorf("after: %d %s", status, body)
	}
}

func TestSocketIsPrivate(t *testing.T) {
	r := newRig(t)
	info, err := os.Stat(r.socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v", info.Mode(), err)
	}
}

func TestListenPrivate(t *testing.T) {
	dir := shortDir(t)
	if _, err := listenPrivate(dir + "/" + strings.Repeat("x", 120)); err == nil || !strings.Contains(err.Error(), "longer than the 107 bytes") {
		t.Errorf("long path: %v", err)
	}
	file := dir + "/file"
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listenPrivate(file); err == nil {
		t.Error("listened in place of a file")
	}
	if raw, err := os.ReadFile(file); err != nil || string(raw) != "precious" {
		t.Errorf("the file is now %q, %v", raw, err)
	}
}

func TestClientIsMadeOnceAndLazily(t *testing.T) {
	t.Setenv(EnvEndpoint, "https://127.0.0.1:1")
	t.Setenv(EnvToken, "")
	r := newRig(t)
	for range 2 {
		if status, body := r.post(t, pathConfig, `{}`); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	if c := r.twin.client.Load(); c == nil || c.Where() != "https://127.0.0.1:1" {
		t.Errorf("client of %v", c)
	}
	if n := r.twin.configs.Load(); n != 2 {
		t.Errorf("%d configs", n)
	}
}

func TestBadEndpointIsAConfigError(t *testing.T) {
	t.Setenv(EnvEndpoint, "ftp://x")
	r := newRig(t)
	status, body := r.post(t, pathConfig, `{}`)
	inner := unnested(decodeError(t, body))
	if status != 400 || !strings.Contains(inner.Text(), "cannot use RS_ENDPOINT") {
		t.Errorf("%d %s", status, body)
	}
	if r.twin.configs.Load() != 0 {
		t.Error("it was configured all the same")
	}
}

func TestLocalProxyIsUsed(t *testing.T) {
	socket := hostSocket(t, newRecorder())
	t.Setenv(EnvLocalProxy, socket)
	c, err := newClient()
	if err != nil || c.Where() != socket {
		t.Errorf("client of %v, error %v", c, err)
	}
}
