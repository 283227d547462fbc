package endpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// Content that needs a plugin's is taken into use when the plugin has been asked
// what it brings, after a restart too.
func TestContentThatNeedsAPluginsComesUpAfterIt(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("site", "v1.0.0", `,"Prerequisites":"toy"`, `"profiles":{"pa":{"Name":"pa"}}`))
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("on-top", "v1.0.0", `,"Prerequisites":"site: 1.x"`, `"profiles":{"pb":{"Name":"pb"}}`))
	r.again()
	r.ready("toy")
	r.wantStatus(200, "GET", "/profiles/pa", r.e.token, "")
	r.wantStatus(200, "GET", "/profiles/pb", r.e.token, "")
}

// An upload that is refused leaves the objects as they were that it was to be in
// place of.
func TestARefusedUploadLosesNothing(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("first", "v1.0.0", "", `"profiles":{"taken":{"Name":"taken"}}`))
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"mine","Description":"kept"}`)
	r.wantStatus(201, "POST", "/params", r.e.token, `{"Name":"site/colour","Schema":{"type":"string"}}`)
	bad := pack("second", "v1.0.0", "", colourParam(`{"type":"integer"}`, false)+`,"profiles":{"mine":{"Name":"mine"},"taken":{"Name":"taken"}}`)
	if raw := string(r.wantStatus(409, "POST", "/contents?replaceWritable=true", r.e.token, bad)); !strings.Contains(raw, "profiles/taken is in first too") {
		t.Error(raw)
	}
	if raw := string(r.wantStatus(200, "GET", "/profiles/mine", r.e.token, "")); !strings.Contains(raw, "kept") {
		t.Error(raw)
	}
	r.wantStatus(400, "POST", "/profiles", r.e.token, `{"Name":"px","Params":{"site/colour":5}}`)
	r.wantStatus(200, "PATCH", "/params/site/colour", r.e.token, `[{"op":"replace","path":"/Description","value":"x"}]`)
	// A good one takes their place, the params too.
	good := pack("second", "v1.0.0", "", colourParam(`{"type":"integer"}`, false)+`,"profiles":{"mine":{"Name":"mine"}}`)
	r.wantStatus(201, "POST", "/contents?replaceWritable=true", r.e.token, good)
	for range 2 {
		r.wantStatus(409, "PATCH", "/params/site/colour", r.e.token, `[]`)
		if raw := string(r.wantStatus(200, "GET", "/profiles/mine", r.e.token, "")); strings.Contains(raw, "kept") {
			t.Error(raw)
		}
		for _, at := range []string{"profiles/mine", "params/site/colour"} {
			prefix, id, _ := strings.Cut(at, "/")
			if _, err := r.e.store.Get(prefix, id); model.KindOf(err) != model.NotFound {
				t.Errorf("%s is still in the store: %v", at, err)
			}
		}
		r.again()
	}
	r.wantStatus(400, "POST", "/profiles", r.e.token, `{"Name":"px","Params":{"site/colour":"red"}}`)
}

// What could not be stored is not in use, and the params of the store are as
// they were.
func TestAnUploadThatIsNotStored(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/params", r.e.token, `{"Name":"site/colour","Schema":{"type":"string"}}`)
	bundle := &model.Content{Meta: model.ContentMeta{Name: "site"}, Sections: map[string]map[string]map[string]any{
		"params": {"site/colour": {"Name": "site/colour", "Schema": map[string]any{"type": "integer"}}},
	}}
	c := r.e.contents
	if err := c.cat.putOver(sourceUpload, "site", bundle); err != nil {
		t.Fatal(err)
	}
	if err := c.restore(bundle, nil); err != nil {
		t.Fatal(err)
	}
	r.wantStatus(404, "GET", "/contents/site", r.e.token, "")
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"px","Params":{"site/colour":"red"}}`)
	r.wantStatus(400, "POST", "/profiles", r.e.token, `{"Name":"py","Params":{"site/colour":5}}`)
	r.wantStatus(200, "PATCH", "/params/site/colour", r.e.token, `[{"op":"replace","path":"/Description","value":"x"}]`)
}

// An endpoint that was killed between the two steps of an upload ends it at the
// next start.
func TestAnUploadThatWasCutOff(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("site", "v1.0.0", "", colourParam(`{"type":"string"}`, false)+`,"profiles":{"pa":{"Name":"pa","Description":"of the site"}}`))
	r.plain("profiles", "pa", `{"Name":"pa","Description":"mine"}`)
	r.plain("params", "site/colour", `{"Name":"site/colour","Schema":{"type":"integer"}}`)
	r.again()
	if raw := string(r.wantStatus(200, "GET", "/profiles?Name=pa", r.e.token, "")); strings.Contains(raw, "mine") || !strings.Contains(raw, "of the site") {
		t.Error(raw)
	}
	if raw := string(r.wantStatus(200, "GET", "/params/site/colour", r.e.token, "")); !strings.Contains(raw, `"Bundle":"site"`) {
		t.Error(raw)
	}
	r.wantStatus(200, "DELETE", "/contents/site", r.e.token, "")
	r.wantStatus(404, "GET", "/profiles/pa", r.e.token, "")
	r.wantStatus(404, "GET", "/params/site/colour", r.e.token, "")
}

// A layer is not replaced by a version that others cannot work with: at the next
// start they would not come up.
func TestPrerequisitesHoldWhenALayerIsReplaced(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("low", "v2.1.0", "", ""))
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("mid", "v1.0.0", `,"Prerequisites":"low: >=2.0.0 <3.0.0"`, ""))
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("top", "v1.0.0", `,"Prerequisites":"mid"`, `"profiles":{"pa":{"Name":"pa"}}`))
	for _, version := range []string{"v1.9.9", "v3.0.0", ""} {
		raw := string(r.wantStatus(409, "PUT", "/contents/low", r.e.token, pack("low", version, "", "")))
		if !strings.Contains(raw, "content mid") {
			t.Errorf("%q: %s", version, raw)
		}
	}
	r.wantStatus(200, "PUT", "/contents/low", r.e.token, pack("low", "v2.9.0", "", ""))
	for _, needs := range []string{"top", "mid", "low"} { // none could be loaded first
		raw := string(r.wantStatus(400, "PUT", "/contents/low", r.e.token, pack("low", "v2.9.0", `,"Prerequisites":"`+needs+`"`, "")))
		if !strings.Contains(raw, "in turn") {
			t.Errorf("%s: %s", needs, raw)
		}
	}
	r.again()
	r.wantStatus(200, "GET", "/profiles/pa", r.e.token, "")
}

// A bundle that cannot be read keeps nothing else from starting, is told in the
// log, and can be replaced and removed.
func TestADamagedBundleDisturbsNothing(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("good", "v1.0.0", "", `"profiles":{"pa":{"Name":"pa"}}`))
	for id, raw := range map[string]string{
		"list": `[]`, "text": `"x"`, "odd": `{"meta":{"Name":"odd"},"sections":{"params":{"p":{"Name":5,"Schema":"x"}}}}`,
		"needy": `{"meta":{"Name":"needy","Prerequisites":"none-such"},"sections":{}}`,
		"twice": `{"meta":{"Name":"twice"},"sections":{"profiles":{"pa":{"Name":"pa"}}}}`,
		"alien": `{"meta":{"Name":"alien"},"sections":{"profiles":{"pz":{"Name":"pz","Params":{"x/password":{"Key":"ihSy8DLuH25l7pJIOKWeHys+2FwLdiTF84tJAn2b2hw=","Nonce":"3PT2lzSNn91yUzway0OlaZzcdA00TfYB","Payload":"hYyEfaSNuyynuaR+q2ASMGShiQD6LGmAUQ=="}}}}}}`,
	} {
		r.plain(contentsPrefix, id, raw)
	}
	r.again()
	r.wantStatus(200, "GET", "/profiles/pa", r.e.token, "")
	for _, id := range []string{"list", "text", "odd", "needy", "twice", "alien"} {
		if !strings.Contains(r.log.String(), "content="+id) {
			t.Errorf("%s is not told", id)
		}
		r.wantStatus(404, "GET", "/contents/"+id, r.e.token, "")
	}
	r.wantStatus(200, "PUT", "/contents/list", r.e.token, pack("list", "v1.0.0", "", `"profiles":{"pl":{"Name":"pl"}}`))
	r.wantStatus(200, "GET", "/profiles/pl", r.e.token, "")
	r.wantStatus(200, "DELETE", "/contents/text", r.e.token, "")
	if _, err := r.e.store.Get(contentsPrefix, "text"); model.KindOf(err) != model.NotFound {
		t.Errorf("it is still there: %v", err)
	}
}

// What is sealed stays so while nobody declares it: before a plugin has started,
// and after it was removed.
func TestSecretsOfAPluginThatIsNotThere(t *testing.T) {
	t.Parallel()
	r := start(t, "pinned")
	r.ready("toy")
	r.wantStatus(201, "POST", "/machines", r.e.token, `{"Name":"m1","Uuid":"`+referenceUUID+`","Params":{"toy/pin":1234567}}`)
	if !r.isSealed("machines", referenceUUID, "toy/pin") {
		t.Fatal("it is not sealed")
	}
	if err := os.Remove(filepath.Join(r.opts.PluginDir, "pinned")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "retired", func() bool { return r.e.cat.source("toy") == "" })
	r.user("keeper", "operator")
	r.wantStatus(201, "POST", "/roles", r.e.token, `{"Name":"changer","Claims":[{"scope":"machines","action":"get,update","specific":"*"}]}`)
	r.user("ann", "changer")
	for range 2 {
		ann := r.login("ann", "")
		r.wantStatus(200, "PATCH", "/machines/"+referenceUUID, ann, `[{"op":"replace","path":"/Description","from":"","value":"x"}]`)
		raw := string(r.wantStatus(200, "GET", "/machines/"+referenceUUID, ann, ""))
		if strings.Contains(raw, "1234567") || !r.isSealed("machines", referenceUUID, "toy/pin") {
			t.Errorf("it is in clear: %s", raw)
		}
		r.wantStatus(403, "POST", "/machines/"+referenceUUID+"/params/toy/pin", ann, "7654321")
		r.wantStatus(200, "POST", "/machines/"+referenceUUID+"/params/toy/pin", r.e.token, "7654321")
		if !r.isSealed("machines", referenceUUID, "toy/pin") {
			t.Error("what was set meanwhile is in clear")
		}
		if raw := string(r.wantStatus(200, "GET", "/machines/"+referenceUUID+"?decode=true", r.e.token, "")); !strings.Contains(raw, "7654321") {
			t.Errorf("decoded: %s", raw)
		}
		r.wantStatus(200, "POST", "/machines/"+referenceUUID+"/params/toy/pin", r.e.token, "1234567")
		r.again()
	}
}

// A plugin whose content has the key of an object of the store is listed with
// both, and what is stored stays.
func TestPluginMeetsStoredObjects(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"toy-pinned","Description":"mine"}`)
	r.install("pinned", "pinned")
	p := r.provider("pinned", stateFailed)
	if text := p.Meta[metaError]; !strings.Contains(text, "profiles/toy-pinned is in the endpoint's own objects too") {
		t.Errorf("listed with %q", text)
	}
	if raw := string(r.wantStatus(200, "GET", "/profiles/toy-pinned", r.e.token, "")); !strings.Contains(raw, "mine") {
		t.Error(raw)
	}
}

// A large bundle is one upload like another.
func TestALargeBundle(t *testing.T) {
	t.Parallel()
	r := start(t)
	var params, profiles []string
	for i := range 2500 {
		params = append(params, fmt.Sprintf(`"big/p%d":{"Name":"big/p%d","Schema":{"type":"integer"}}`, i, i))
		profiles = append(profiles, fmt.Sprintf(`"big-%d":{"Name":"big-%d","Params":{"big/p%d":%d}}`, i, i, i, i))
	}
	body := pack("big", "v1.0.0", "", `"params":{`+strings.Join(params, ",")+`},"profiles":{`+strings.Join(profiles, ",")+`}`)
	if raw := string(r.wantStatus(201, "POST", "/contents", r.e.token, body)); !strings.Contains(raw, `"params":2500,"profiles":2500`) {
		t.Error(raw)
	}
	r.wantStatus(200, "PUT", "/contents/big", r.e.token, body)
	r.again()
	if raw := string(r.wantStatus(200, "GET", "/profiles/big-2499", r.e.token, "")); !strings.Contains(raw, `"big/p2499":2499`) {
		t.Error(raw)
	}
	r.wantStatus(200, "DELETE", "/contents/big", r.e.token, "")
}

// Uploads and writes at once: what is answered with success is there, and no key
// is in the layer and in the store.
func TestUploadsBesideWrites(t *testing.T) {
	t.Parallel()
	r := start(t)
	const names = 12
	bodies := func(i int) (string, string) {
		name := fmt.Sprintf("p%d", i)
		return pack("c-"+name, "v1.0.0", "", fmt.Sprintf(`"profiles":{%q:{"Name":%q}}`, name, name)), fmt.Sprintf(`{"Name":%q,"Description":"mine"}`, name)
	}
	for i := range names {
		upload, write := bodies(i)
		statuses := make(chan int, 2)
		for path, body := range map[string]string{"/contents": upload, "/profiles": write} {
			go func() {
				resp, _ := r.ask("POST", apiRoot+path, r.e.token, body)
				statuses <- resp.StatusCode
			}()
		}
		a, b := <-statuses, <-statuses
		if a+b == 201+201 || a+b != 201+409 && a+b != 409+409 {
			t.Errorf("p%d: %d and %d", i, a, b)
		}
		_, err := r.e.store.Get("profiles", fmt.Sprintf("p%d", i))
		if owned := r.e.cat.owns("profiles", fmt.Sprintf("p%d", i)) != ""; owned && err == nil {
			t.Errorf("p%d is in the layer and in the store", i)
		}
	}
}

// The store's own names are no sections that content could reach.
func TestContentReachesNothingOfTheStore(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.user("ann", "viewer")
	before := r.login("ann", "")
	for _, section := range []string{"users", "tokens", "seen", "unique", "trust", "contents", "machines", "plugins"} {
		for _, o := range r.e.store.List(section) {
			body := pack("evil", "v1.0.0", "", fmt.Sprintf(`%q:{%q:{"Name":%q,"Uuid":%q,"Roles":["superuser"],"PasswordHash":"x","Secret":"s"}}`, section, o.ID, o.ID, o.ID))
			resp, raw := r.ask("POST", apiRoot+"/contents?replaceWritable=true", r.e.token, body)
			if resp.StatusCode != 400 || section == usersPrefix && !strings.Contains(string(raw), "users are no content") {
				t.Errorf("%s/%s: %d: %s", section, o.ID, resp.StatusCode, raw)
			}
			if _, err := r.e.store.Get(section, o.ID); err != nil {
				t.Errorf("%s/%s is gone: %v", section, o.ID, err)
			}
		}
	}
	r.wantStatus(200, "GET", "/machines", before, "")
}

// A layer that somebody removed is forgotten: what it declared counts no more.
func TestARemovedLayerIsForgotten(t *testing.T) {
	t.Parallel()
	r := start(t)
	site := pack("site", "v1.0.0", "", colourParam(`{"type":"string"}`, true))
	r.wantStatus(201, "POST", "/contents", r.e.token, site)
	// A param of the store that comes meanwhile does not push the layer's aside.
	r.plain("params", "site/colour", `{"Name":"site/colour","Schema":{"type":"integer"}}`)
	r.e.cat.stored(store.Change{New: &store.Object{Prefix: "params", ID: "site/colour", Value: []byte(`{"Name":"site/colour"}`)}})
	if by := r.e.cat.owns("params", "site/colour"); by != "site" || !r.e.cat.secure("site/colour") {
		t.Errorf("it is %q's", by)
	}
	r.wantStatus(200, "DELETE", "/contents/site", r.e.token, "")
	if _, err := r.e.store.Get(seenPrefix, seenLayer+"site"); model.KindOf(err) != model.NotFound {
		t.Errorf("it is remembered: %v", err)
	}
}
