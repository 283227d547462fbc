package endpoint

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := adminToken(dir)
	if err != nil || len(first) < 40 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := adminToken(dir); err != nil || again != first {
		t.Errorf("second time %q, %v", again, err)
	}
	if err := os.Chmod(filepath.Join(dir, tokenFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := adminToken(dir); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(filepath.Join(dir, tokenFile)); err != nil || info.Mode().Perm() != privateFile {
		t.Errorf("mode %v, %v", info, err)
	}
	table := newTokens(first)
	plugin := table.issue("p", readerGrant())
	for _, c := range []struct {
		token string
		who   caller
		ok    bool
	}{
		{first, caller{name: "user:rocketskates", user: "rocketskates", grant: auth.AllGrant()}, true}, {plugin, caller{name: "plugin:p", plugin: "p", grant: readerGrant()}, true},
		{"", caller{}, false}, {first + "x", caller{}, false}, {first[:len(first)-1], caller{}, false},
	} {
		if who, ok := table.who(c.token); !reflect.DeepEqual(who, c.who) || ok != c.ok {
			t.Errorf("%.5s...: %v, %v", c.token, who, ok)
		}
	}
	second := table.issue("p", readerGrant())
	if _, ok := table.who(plugin); ok || second == plugin {
		t.Error("the plugin's earlier token is still good")
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	a, b := newDigester("token-a"), newDigester("token-b")
	sum := func(d digester, v any) string {
		t.Helper()
		text, err := d.sum(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	params := func(text string) (p model.Params) {
		if err := model.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	if sum(a, params(`{"x":1,"y":2}`)) != sum(a, params(`{"y":2,"x":1}`)) {
		t.Error("the order of keys counts")
	}
	if sum(a, params(`{"x":1}`)) == sum(a, params(`{"x":2}`)) || sum(a, params(`{"x":1}`)) == sum(b, params(`{"x":1}`)) {
		t.Error("different things have one digest")
	}
	if _, err := a.sum(func() {}); model.KindOf(err) != model.Invalid {
		t.Errorf("what cannot be encoded: %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		prefix, name string
		ok           bool
	}{
		{"machines", "m1", true}, {"machines", "1u.rack", true}, {"machines", "x", true}, {"machines", "a b", true}, {"machines", "größe", true},
		{"machines", "", false}, {"machines", "-x", false}, {"machines", "a/b", false}, {"machines", "a:b", false}, {"machines", "a\x00b", false},
		{"profiles", "p1", true}, {"profiles", "1p", false}, {"profiles", "p/q", false},
		{"params", "a/b-c.d", true}, {"params", "/a", false}, {"params", "a*", false},
		{"params", "a//b", false}, {"params", "a/", false}, {"params", "a/../b", false}, {"params", "a/./b", false}, {"params", "a/..b", true}, {"profiles", "a..b", true},
		{"plugins", strings.Repeat("x", maxName), true}, {"plugins", strings.Repeat("x", maxName+1), false},
	} {
		if err := checkName(c.prefix, c.name); (err == nil) != c.ok {
			t.Errorf("%s %.40q: %v", c.prefix, c.name, err)
		}
	}
}

func TestNewUUIDs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		id := newUUID()
		if !uuidText.MatchString(id) || seen[id] || id[14] != '4' {
			t.Errorf("%s", id)
		}
		seen[id] = true
	}
}

func TestChains(t *testing.T) {
	t.Parallel()
	c := chain{{"a": 1, "n": nil}, {"a": 2, "b": 2, "n": 3}}
	if v, ok := c.lookup("a"); v != 1 || !ok {
		t.Errorf("a is %v", v)
	}
	if v, ok := c.lookup("n"); v != 3 || !ok {
		t.Errorf("n is %v: null means not set", v)
	}
	if _, ok := c.lookup("z"); ok {
		t.Error("z is set")
	}
	if got := c.merged(); got["a"] != 1 || got["b"] != 2 {
		t.Errorf("merged %v", got)
	}
}

func TestProfilesThatNameEachOther(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx := t.Context()
	for _, body := range []string{`{"Name":"aa"}`, `{"Name":"bb","Profiles":["aa"],"Params":{"from/b":1}}`} {
		if err := r.c.Post(ctx, "profiles", json.RawMessage(body), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.c.Put(ctx, "profiles/aa", json.RawMessage(`{"Name":"aa","Profiles":["bb"],"Params":{"from/a":1}}`), nil); err != nil {
		t.Fatal(err)
	}
	got := r.e.objects.machineChain(&model.Machine{Profiles: []string{"aa"}, Stage: "none"}).merged()
	if !got.Has("from/a") || !got.Has("from/b") {
		t.Errorf("params %v", got)
	}
}

func TestLayersOfContent(t *testing.T) {
	t.Parallel()
	c := newCatalog(slog.New(slog.DiscardHandler))
	bundle := func(key string) *model.Content {
		return &model.Content{Sections: map[string]map[string]map[string]any{
			"params": {key: {"Name": key, "Secure": true, "Schema": map[string]any{"type": "string", "enum": []any{"red", "blue"}}}},
			"stages": {"stage-" + key: {"Name": "stage-" + key}},
		}}
	}
	if err := errors.Join(c.put("one", bundle("k/a")), c.put("two", bundle("k/b"))); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.put("three", bundle("k/a")), model.Conflict, "three", "k/a", "one")
	if c.owns("params", "k/a") != "one" || len(c.objects("stages")) != 2 {
		t.Error("a refused layer changed something")
	}
	if err := c.put("one", bundle("k/c")); err != nil { // a newer version
		t.Fatal(err)
	}
	if c.param("k/a") != nil || c.param("k/c") == nil || !c.secure("k/c") {
		t.Error("the layer was not replaced")
	}
	c.stored(store.Change{New: &store.Object{Prefix: "params", ID: "mine", Value: json.RawMessage(`{"Name":"mine","Secure":true}`)}})
	if !c.secret("mine") || c.owns("params", "mine") != writableLayer {
		t.Error("a stored param is not known")
	}
	c.stored(store.Change{Old: &store.Object{Prefix: "params", ID: "mine"}})
	c.stored(store.Change{New: &store.Object{Prefix: "params", ID: "torn", Value: json.RawMessage(`{`)}})
	if c.param("mine") != nil || c.param("torn") != nil {
		t.Error("a deleted or unreadable param is known")
	}
	err := c.checkAll(model.Params{"k/c": "very-secret"})
	if err == nil || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("a wrong secret: %v", err)
	}
	wantError(t, c.checkAll(model.Params{" ": 1}), model.Invalid, "needs a name")
	if got := c.shown("x", strings.Repeat("y", 500)); len(got) > 110 {
		t.Errorf("a long value is shown in %d bytes", len(got))
	}
	c.remove("one")
	c.remove("one")
	if len(c.objects("stages")) != 1 {
		t.Error("the layer is still there")
	}
}

func TestSchemaDefaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    *model.Param
		want any
	}{
		{nil, nil}, {&model.Param{}, nil}, {&model.Param{Schema: map[string]any{}}, nil},
		{&model.Param{Schema: map[string]any{"default": nil}}, nil}, {&model.Param{Schema: map[string]any{"default": false}}, false},
	} {
		got, ok := schemaDefault(c.p)
		if got != c.want || ok != (c.want != nil) {
			t.Errorf("%+v: %v, %v", c.p, got, ok)
		}
	}
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	secrets := []string{`tr"icky`, "12345", "pa55"}
	for in, want := range map[string]string{
		`{"n":12345,"s":"code 12345"}`: `{"n":12345,"s":"code ******"}`,
		`"is tr\"icky"`:                `"is ******"`,
		`["\u0070a55",{"k":"x"}]`:      `["******",{"k":"x"}]`,
		`{"b": 1,  "a": "plain"}`:      `{"b": 1,  "a": "plain"}`, // as it came
		`not JSON pa55`:                `not JSON pa55`,
		``:                             ``,
	} {
		if got := redactJSON(json.RawMessage(in), secrets); string(got) != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	e := model.Errorf(model.DeviceAuth, "refused pa55").On("machines", "m")
	var got *model.Error
	if err := redactError(e, secrets); !errors.As(err, &got) || got.Messages[0] != "refused "+model.Masked || got.Key != "m" {
		t.Errorf("got %v", got)
	}
	if e.Messages[0] != "refused pa55" {
		t.Error("the error itself was changed")
	}
	if redactError(nil, secrets) != nil {
		t.Error("an error was made of none")
	}
}

func FuzzRedactJSON(f *testing.F) {
	f.Add([]byte(`{"a":["pa55",1.50,{"b":null}]}`), "pa55")
	f.Add([]byte(`"\u0070a55"`), "pa55")
	f.Fuzz(func(t *testing.T, raw []byte, secret string) {
		got := redactJSON(raw, []string{secret})
		if json.Valid(raw) && !json.Valid(got) {
			t.Errorf("%q with %q became %q", raw, secret, got)
		}
	})
}

func TestMachineSecretIsMasked(t *testing.T) {
	t.Parallel()
	c := newCatalog(slog.New(slog.DiscardHandler))
	m := &model.Machine{Secret: "boot-secret", Params: model.Params{"x/password": "pw"}}
	c.mask(m)
	if m.Secret != model.Masked || m.Params["x/password"] != model.Masked {
		t.Errorf("masked %+v", m)
	}
	if err := unmask(m, &model.Machine{Secret: "boot-secret", Params: model.Params{"x/password": "pw"}}); err != nil || m.Secret != "boot-secret" || m.Params["x/password"] != "pw" {
		t.Errorf("unmasked %+v, %v", m, err)
	}
	if err := unmask(m, nil); err != nil {
		t.Error(err)
	}
	fresh := &model.Machine{Secret: model.Masked}
	if err := unmask(fresh, nil); err != nil || fresh.Secret != "" {
		t.Errorf("a new machine's secret is %q, %v", fresh.Secret, err)
	}
}

func TestPowerBook(t *testing.T) {
	t.Parallel()
	var b powerBook
	if all := b.all(); all == nil || len(all) != 0 {
		t.Errorf("at first %v", all)
	}
	for i, c := range []struct {
		state, was model.PowerState
		changed    bool
	}{
		{model.StateOn, "", false}, {model.StateOn, model.StateOn, false}, {model.StateOff, model.StateOn, true},
		{model.StateUnknown, model.StateOff, true}, {model.StateOff, model.StateUnknown, true},
	} {
		if was, changed := b.observe("u", c.state, "raw"); was != c.was || changed != c.changed {
			t.Errorf("step %d: %s, %v", i, was, changed)
		}
	}
	b.forget("u")
	if len(b.all()) != 0 {
		t.Error("not forgotten")
	}
}

func TestPowerInResults(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]model.PowerState{
		`{"power":"on","raw":"r"}`: model.StateOn, `{"power":"unknown"}`: model.StateUnknown,
		`{"power":"sideways"}`: "", `{"power":7}`: "", `{}`: "", `"Chassis Power is on\n"`: "", ``: "", `null`: "",
	} {
		if state, _, ok := powerIn(json.RawMessage(raw)); state != want || ok != (want != "") {
			t.Errorf("%s: %s, %v", raw, state, ok)
		}
	}
}

func TestKeyLocks(t *testing.T) {
	t.Parallel()
	var k keyLocks
	unlock := k.lock("machines", "a", "user:x")
	if k.holder("machines", "a") != "user:x" || k.holder("machines", "b") != "" {
		t.Error("the holder is not known")
	}
	other := k.lock("machines", "b", "user:y") // another key does not wait
	var wg sync.WaitGroup
	count := 0
	for range 10 {
		wg.Go(func() {
			defer k.lock("machines", "a", "user:z")()
			count++
		})
	}
	unlock()
	other()
	wg.Wait()
	if count != 10 || len(k.held) != 0 || k.holder("machines", "a") != "" {
		t.Errorf("count %d, %d locks left", count, len(k.held))
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	rep := failure(errors.New("torn\npage\x1b[31m"))
	e, ok := rep.body.(*model.Error)
	if !ok || rep.status != 500 || strings.ContainsAny(e.Text(), "\n\x1b") {
		t.Errorf("got %+v", rep)
	}
	if rep := failure(&model.Error{Type: "rpc", Code: 0, Messages: []string{"x"}}); rep.status != 500 {
		t.Errorf("without a code: %d", rep.status)
	}
	if rep := failure(&model.Error{Type: "rpc", Code: 200}); rep.status < 400 {
		t.Errorf("an error with status %d", rep.status)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	setHeaders(h, &reply{status: 429, body: model.Errorf(model.Busy, "x").After(1500 * time.Millisecond), run: "r1"}, 5)
	if h.Get("Retry-After") != "2" || h.Get(RunHeader) != "r1" || h.Get("Content-Length") != "5" {
		t.Errorf("headers %v", h)
	}
	if got := retryAfter(nil); got != "1" {
		t.Errorf("without a time: %s", got)
	}
}

// TestPowerWordsInResults: the device's own word comes along, whatever stands around it.
func TestPowerWordsInResults(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		`{"raw":"\u0043hassis \"on\"","x":{"power":"off","raw":"no"},"power":"on"}`: `Chassis "on"`,
		`{"power":"on"}`: "", `{"power":"on","raw":null}`: "",
	} {
		if state, word, ok := powerIn(json.RawMessage(raw)); state != model.StateOn || word != want || !ok {
			t.Errorf("%s: %s, %q, %v", raw, state, word, ok)
		}
	}
	for _, raw := range []string{`{"power":"on","raw":7}`, `{"x":{"power":"on"}}`, `{"power":"`, `{"power":`, `{"power":1}`, `["power","on"]`} {
		if state, _, ok := powerIn(json.RawMessage(raw)); ok {
			t.Errorf("%s: %s", raw, state)
		}
	}
}
