package endpoint

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

func TestHowLongAClientWouldWait(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "wait=5": 5 * time.Second, "respond-async,  wait=7": 7 * time.Second, "wait=601": maxPrefer, "wait=10000000000": maxPrefer,
		"wait=99999999999999999999": 0, "wait=-1": 0, "wait=0": 0, "wait=x": 0, "wait": 0, "waiting=5": 0,
	} {
		r := &http.Request{Header: http.Header{"Prefer": {header}}}
		if got := waitOf(r); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}

// A patch neither has operations nor makes a document without bound.
func TestPatchesAreBounded(t *testing.T) {
	const add = `{"op":"add","path":"/x","value":1}`
	many := func(n int) []byte { return []byte("[" + strings.Repeat(add+",", n-1) + add + "]") }
	if _, err := applyPatch([]byte("{}"), many(maxPatchOps)); err != nil {
		t.Error(err)
	}
	if _, err := applyPatch([]byte("{}"), many(maxPatchOps+1)); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), "1001 operations") {
		t.Errorf("more than the bound: %v", err)
	}
	double := `[{"op":"add","path":"/0","value":["` + strings.Repeat("x", 1<<20) + `"]}` + strings.Repeat(`,{"op":"copy","from":"/0","path":"/0/-"}`, 10) + "]"
	if _, err := applyPatch([]byte("[]"), []byte(double)); model.KindOf(err) != model.Invalid {
		t.Errorf("a document that doubles: %v", err)
	}
	for _, op := range []string{
		`{"op":"add","path":"/x"}`, `{"op":"test","path":"","value":null}`, `{"op":"copy","path":"/x"}`, `{"op":"merge","path":"/x","value":1}`, `{"path":"/x","value":1}`, `{"op":"remove"}`, `null`, `7`,
	} {
		if _, err := applyPatch([]byte(`{"x":1}`), []byte("["+op+"]")); err == nil {
			t.Errorf("%s was applied", op)
		}
	}
}

// What only the endpoint decides is not what the writer says; null makes a field
// what it is when nothing is said.
func TestFieldsThatTheEndpointDecides(t *testing.T) {
	r := start(t)
	const claims = `"Validated":false,"Available":false,"Errors":["e"],"ReadOnly":true,"Bundle":"base","Partial":true`
	for prefix, name := range map[string]string{"stages": "one", "profiles": "one", "params": "one", "machines": "one", "tasks": "one", "plugins": "one"} {
		var made, got map[string]any
		r.want(201, "POST", "/"+prefix, `{"Name":"`+name+`","Provider":"none","Description":"d",`+claims+`}`, &made)
		path := "/" + prefix + "/Name:" + name
		r.want(200, "PATCH", path, `[{"op":"replace","path":"/Bundle","value":"base"},{"op":"replace","path":"/ReadOnly","value":true},{"op":"replace","path":"/Description","value":null}]`, nil)
		r.want(200, "GET", path, "", &got)
		for _, o := range []map[string]any{made, got} {
			if o["Validated"] != true || o["ReadOnly"] != false || o["Bundle"] != "" || fmt.Sprint(o["Errors"]) != "[]" || o["Partial"] == true {
				t.Errorf("%s: %v", prefix, o)
			}
		}
		if made["Description"] != "d" || got["Description"] != "" {
			t.Errorf("%s: description %v, then %v", prefix, made["Description"], got["Description"])
		}
	}
}

// The tag of what is put together of several objects changes with each of them.
func TestTagsOfAggregates(t *testing.T) {
	r := start(t)
	r.fleet(1)
	tag := func() string {
		resp, _ := r.askLocal("GET", "/machines/Name:m0?aggregate=true", "")
		return resp.Header.Get("ETag")
	}
	before := tag()
	r.want(200, "POST", "/profiles/global/params/site", `"x"`, nil)
	if after := tag(); after == before || before == "" {
		t.Errorf("tag %s, then %s", before, after)
	}
}

// What is no regular file is not opened: a pipe would wait for its writer.
func TestPipesAreNotServed(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plain", ".hidden", "in/plain", "in/.hidden", ".in/plain"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"plain": true, "in/plain": true, "pipe": false, "in": false, ".": false, "": false, ".hidden": false, "in/.hidden": false, ".in/plain": false, "link": false,
		"../" + filepath.Base(dir) + "/plain": false, outside: false, "none": false,
	} {
		f, _, err := openFile(dir, name)
		if (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
		if f != nil {
			_ = f.Close() // it was only read
		}
	}
}

// What a client of the reference could not decode is not stored: one such object
// would hide all others of a list from it.
func TestWhatClientsCannotDecode(t *testing.T) {
	r := start(t)
	for prefix, bodies := range map[string][]string{
		"machines": {
			`"Address":"somewhere"`, `"Address":"192.0.2.1/24"`, `"CurrentJob":"7"`, `"Fingerprint":{"SSNHash":"-"}`, `"Fingerprint":{"CSNHash":"-"}`, `"Fingerprint":{"MemoryIds":["QQ==","-"]}`,
			`"Profiles":[7]`, `"Tasks":[{}]`, `"Meta":{"a":7}`,
		},
		"stages":    {`"Tasks":[7]`, `"Templates":["x"]`, `"Meta":{"a":7}`, `"Profiles":[null]`},
		"tasks":     {`"Templates":[[]]`, `"Prerequisites":[true]`, `"ExtraClaims":["x"]`, `"ExtraRoles":[{}]`},
		"workflows": {`"Stages":[7]`, `"Stages":[{}]`},
		"bootenvs":  {`"Initrds":[7]`, `"Templates":[7]`, `"Loaders":{"amd64":7}`},
		"roles":     {`"Claims":["x"]`},
	} {
		for _, body := range bodies {
			resp, raw := r.askLocal("POST", "/"+prefix, `{"Name":"odd",`+body+`}`)
			if resp.StatusCode != 400 && resp.StatusCode != 422 {
				t.Errorf("%s %s: %d: %s", prefix, body, resp.StatusCode, raw)
			}
		}
	}
	r.want(201, "POST", "/machines", `{"Name":"even","Address":"2001:db8::1","CurrentJob":"15fe6221-92e7-43b7-b98e-4e62de7920b4","Fingerprint":{"SSNHash":"QQ==","MemoryIds":["QUI="]}}`, nil)
	r.want(201, "POST", "/stages", `{"Name":"even","Tasks":["a"],"Templates":[{"Name":"t"}],"Meta":{"a":"7"}}`, nil)
	r.want(201, "POST", "/bootenvs", `{"Name":"even","Loaders":{"amd64":"x"},"OS":{"Name":"y"}}`, nil)
	r.want(422, "PATCH", "/machines/Name:even", `[{"op":"replace","path":"/Address","value":"x"}]`, nil)
	r.want(400, "PATCH", "/stages/even", `[{"op":"add","path":"/Tasks/-","value":7}]`, nil)
}

// From the moment that a param is secret no list shows its value, nor is found
// by it, although the stored values are not sealed yet.
func TestListsKeepNewSecrets(t *testing.T) {
	r := start(t)
	r.machine("m1", model.Params{"site/word": "open"})
	count := func() string {
		resp, raw := r.askLocal("GET", "/machines?site%2Fword=Eq(open)", "")
		return resp.Header.Get("X-Drp-List-Filter-Count") + fmt.Sprint(strings.Contains(string(raw), "open"))
	}
	whole := func() bool {
		_, raw := r.askLocal("GET", "/machines", "")
		return strings.Contains(string(raw), "open")
	}
	if got := count(); got != "1true" || !whole() {
		t.Fatalf("before: %s", got)
	}
	r.e.cat.stored(store.Change{New: &store.Object{Prefix: "params", ID: "site/word", Value: []byte(`{"Name":"site/word","Secure":true}`)}})
	if got := count(); got != "0false" || whole() {
		t.Errorf("afterwards: %s, %t", got, whole())
	}
}
