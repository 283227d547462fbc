package endpoint

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// referenceText renders an error as the reference's clients print it.
func referenceText(e *model.Error) string {
	where := strings.Trim(e.Model+"/"+e.Key, "/")
	if e.Model == "" {
		where = e.Key
	}
	if len(e.Messages) == 1 {
		return e.Type + ": " + where + ": " + e.Messages[0]
	}
	return e.Type + ": " + where + "\n  " + strings.Join(e.Messages, "\n  ")
}

// The error texts of the real endpoint, word for word.
func TestErrorsInTheReferencesWords(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("bob", nil)
	locked := r.machine("held", nil)
	for _, setup := range []struct{ path, body string }{
		{"profiles", `{"Name":"bob"}`},
		{"params", `{"Name":"goodDefault","Schema":{"type":"string","default":"x"}}`},
	} {
		if resp, raw := r.ask("POST", apiRoot+"/"+setup.path, r.e.token, setup.body); resp.StatusCode != 201 {
			t.Fatalf("%s: %s", setup.path, raw)
		}
	}
	if resp, raw := r.ask("PATCH", apiRoot+"/machines/"+locked, r.e.token, `[{"op":"replace","path":"/Locked","value":true}]`); resp.StatusCode != 200 {
		t.Fatal(string(raw))
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"GET", "/machines/john", "", 404, "GET: machines/john: Not Found"},
		{"PATCH", "/machines/john", "[]", 404, "PATCH: machines/john: Not Found"},
		{"DELETE", "/machines/john", "", 404, "DELETE: machines/john: Not Found"},
		{"PUT", "/profiles/john", "{}", 404, "PUT: profiles/john: Not Found"},
		{"GET", "/stages/john", "", 404, "GET: stages/john: Not Found"},
		{"GET", "/params/john/doe", "", 404, "GET: params/john/doe: Not Found"},
		{"POST", "/plugins", `{"Name":"toy","Provider":"toy"}`, 409, "CREATE: plugins/toy: already exists"},
		{"POST", "/templates", `{"ID":""}`, 400, "CREATE: templates: Empty key not allowed"},
		{"POST", "/plugins", `{"Name":""}`, 400, "CREATE: plugins: Empty key not allowed"},
		{"POST", "/plugins", `{"Name":"i-woman"}`, 422, "ValidationError: plugins/i-woman: Invalid Provider ``"},
		{"GET", "/machines/fred/params", "", 404, "GET: machines/fred: Not Found"},
		{"POST", "/machines/fred/params", "{}", 404, "POST: machines/fred: Not Found"},
		{"PATCH", "/profiles/bob", `[{"op":"test","path":"/Description","from":"","value":"x"}]`, 409, "PATCH: profiles/bob\n  Patch failed to apply at line 0\n  Test op failed."},
		{"POST", "/machines/Name:bob/params/goodDefault", "[5]", 400, "POST: machines/Name:bob: Key 'goodDefault': invalid val '[5]': : (root): Invalid type. Expected: string, given: array"},
		{"DELETE", "/machines/" + locked, "", 409, "DELETE: machines/" + locked + ": Locked"},
		{"POST", "/params", `{"Name":"badDefault","Schema":{"type":"string","default":5}}`, 422, "ValidationError: params/badDefault: Error in default value: (root): Invalid type. Expected: string, given: integer"},
		{"GET", "/john", "", 404, "GET: /api/v3/john: No route"},
		{"POST", "/freds", "{}", 404, "POST: /api/v3/freds: No route"},
		{"GET", "/indexes/freds", "", 404, "GET: freds: Not Found"},
		{"GET", "/meta/machines/john", "", 404, "GET: machines/john: Not Found"},
		{"PATCH", "/meta/machines/john", "[]", 404, "PATCH: machines/john: Not Found"},
		{"POST", "/prefs", `{"noSuchPref":"x"}`, 400, "POST: prefs/noSuchPref: Unknown Preference noSuchPref"},
		{"GET", "/templates?fred=1", "", 400, "GET: templates: Filter not found: fred"},
		{"GET", "/machines?limit=-1", "", 400, "GET: machines: Limit cannot be negative"},
		{"GET", "/machines?offset=-1", "", 400, "GET: machines: Offset cannot be negative"},
		{"GET", "/machines/" + uuid + "/actions/command", "", 404, "GET: machines/" + uuid + ": command: Not Found"},
		{"GET", "/contents/john2", "", 404, "GET: contents/john2: No such content store"},
	} {
		resp, raw := r.ask(c.method, apiRoot+c.path, r.e.token, c.body)
		var e model.Error
		if err := model.Unmarshal(raw, &e); err != nil || resp.StatusCode != c.status || e.Code != c.status {
			t.Errorf("%s %s: status %d, want %d: %s, %v", c.method, c.path, resp.StatusCode, c.status, raw, err)
			continue
		}
		if got := referenceText(&e); got != c.text {
			t.Errorf("%s %s:\n got %s\nwant %s", c.method, c.path, got, c.text)
		}
	}
}

// Whatever is wrong with a body, the answer is one error of the reference's
// shape with a status that says whose fault it is.
func TestBadBodiesOnEveryRoute(t *testing.T) {
	t.Parallel()
	r := start(t)
	bodies := map[string]string{
		"empty": "", "half": `{"Name":`, "garbage": "\x00\xff{", "number": "7", "text": `"x"`, "list": "[1]", "null": "null",
		"wrong types": `{"Name":[{}],"Params":7,"Profiles":{},"Meta":[1],"Errors":"x","Schema":9}`, "two values": "{} {}",
		"deep": strings.Repeat(`{"Params":`, 300) + "1" + strings.Repeat("}", 300), "deeper": strings.Repeat("[", 20_000),
	}
	for _, pattern := range r.allRoutes() {
		method, path, _ := strings.Cut(pattern, " ")
		if method == http.MethodGet || method == http.MethodDelete {
			continue
		}
		for name, body := range bodies {
			resp, raw := r.askLocal(method, examplePath(path), body)
			if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented {
				t.Errorf("%s, %s: %d: %.200s", pattern, name, resp.StatusCode, raw)
			}
			if resp.StatusCode < 400 {
				continue
			}
			if err := hasShape("Model:text Key:text Type:text Messages:list Code:number", raw); err != nil {
				t.Errorf("%s, %s: %d: %v: %.200s", pattern, name, resp.StatusCode, err, raw)
			}
		}
	}
}

// What nests too deep is refused before anything looks at it.
func TestDeepBodies(t *testing.T) {
	t.Parallel()
	r := start(t)
	for levels, status := range map[int]int{maxDepth - 10: 201, maxDepth + 10: 400} {
		body := fmt.Sprintf(`{"Name":"m%d","Params":{"x":%s1%s}}`, levels, strings.Repeat("[", levels), strings.Repeat("]", levels))
		if resp, raw := r.askLocal("POST", "/machines", body); resp.StatusCode != status {
			t.Errorf("%d levels: %d: %.200s", levels, resp.StatusCode, raw)
		}
	}
}

// A body that is larger than is taken has a status of its own, on every route.
func TestHugeBodies(t *testing.T) {
	t.Parallel()
	r := start(t)
	huge := `"` + strings.Repeat("x", model.MaxBody) + `"`
	for _, pattern := range []string{"POST /machines", "PATCH /machines/{key}", "PUT /profiles/{key}", "POST /machines/{key}/params", "POST /events", "POST /prefs"} {
		method, path, _ := strings.Cut(pattern, " ")
		if resp, raw := r.askLocal(method, examplePath(path), huge); resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d: %.200s", pattern, resp.StatusCode, raw)
		}
	}
}
