package endpoint

import (
	"fmt"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// pack is a content bundle as a client sends it.
func pack(name, version, more, sections string) string {
	return fmt.Sprintf(`{"meta":{"Name":%q,"Version":%q%s},"sections":{%s}}`, name, version, more, sections)
}

// colourParam declares a param with an enum.
func colourParam(schema string, secure bool) string {
	return fmt.Sprintf(`"params":{"site/colour":{"Name":"site/colour","Secure":%v,"Schema":%s}}`, secure, schema)
}

func TestContentLife(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	site := pack("site", "v1.0.0", `,"Description":"of this site"`, colourParam(`{"type":"string","default":"red"}`, false)+
		`,"profiles":{"site-all":{"Name":"site-all","Params":{"site/colour":"blue"}}},"stages":{"site-stage":{"Name":"site-stage","Profiles":["site-all"]}}`)
	made := string(r.wantStatus(201, "POST", "/contents", r.e.token, site))
	for _, text := range []string{`"Name":"site"`, `"Counts":{"params":1,"profiles":1,"stages":1}`, `"Warnings":[]`, `"Type":"dynamic"`} {
		if !strings.Contains(made, text) {
			t.Errorf("no %s in %s", text, made)
		}
	}
	if raw := string(r.wantStatus(409, "POST", "/contents", r.e.token, site)); !strings.Contains(raw, "Content site already exists") {
		t.Errorf("twice: %s", raw)
	}
	for path, texts := range map[string][]string{
		"/contents":             {`"Name":"base"`, `"Name":"oob"`, `"Name":"toy"`, `"Type":"plugin"`, `"Type":"basic"`, `"Name":"site"`},
		"/contents/site":        {`"sections":{`, `"site/colour":{`, `"Description":"of this site"`},
		"/params/site/colour":   {`"ReadOnly":true`, `"Bundle":"site"`},
		"/profiles/site-all":    {`"site/colour":"blue"`, `"ReadOnly":true`},
		"/stages/site-stage":    {`"Profiles":["site-all"]`},
		"/contents?Name=nobody": {"[]"},
	} {
		raw := string(r.wantStatus(200, "GET", path, r.e.token, ""))
		for _, text := range texts {
			if !strings.Contains(raw, text) {
				t.Errorf("%s: no %s in %s", path, text, raw)
			}
		}
	}
	// What a layer has is neither changed nor removed by itself.
	for _, path := range []string{"/params/site/colour", "/profiles/site-all", "/stages/site-stage"} {
		for _, method := range []string{"DELETE", "PATCH"} {
			if raw := string(r.wantStatus(409, method, path, r.e.token, "[]")); !strings.Contains(raw, "readonly: it belongs to content site") {
				t.Errorf("%s %s: %s", method, path, raw)
			}
		}
	}
	r.wantStatus(409, "POST", "/profiles", r.e.token, `{"Name":"site-all"}`)
	r.again()
	r.wantStatus(200, "GET", "/profiles/site-all", r.e.token, "")
	// Replaced: what is gone is gone, what is new is there.
	r.wantStatus(200, "PUT", "/contents/site", r.e.token, pack("site", "v1.1.0", "", `"profiles":{"site-new":{"Name":"site-new"}}`))
	r.wantStatus(404, "GET", "/profiles/site-all", r.e.token, "")
	r.wantStatus(200, "GET", "/profiles/site-new", r.e.token, "")
	r.wantStatus(200, "DELETE", "/contents/site", r.e.token, "")
	r.wantStatus(404, "GET", "/profiles/site-new", r.e.token, "")
	if raw := string(r.wantStatus(404, "DELETE", "/contents/site", r.e.token, "")); !strings.Contains(raw, "No such content store") {
		t.Errorf("removed twice: %s", raw)
	}
	r.again()
	r.wantStatus(404, "GET", "/contents/site", r.e.token, "")
}

func TestContentThatIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("site", "v1.2.0", "", `"profiles":{"shared":{"Name":"shared"}}`))
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"mine"}`)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		texts                    []string
	}{
		{"a key of another layer", "POST", "/contents", pack("other", "v1.0.0", "", `"profiles":{"shared":{"Name":"shared"}}`), 409, []string{"other", "profiles/shared is in site too"}},
		{"a key of a plugin", "POST", "/contents", pack("other", "v1.0.0", "", `"params":{"toy/port":{"Name":"toy/port","Schema":{}}}`), 409, []string{"params/toy/port is in toy too"}},
		{"a key of the store", "POST", "/contents", pack("other", "v1.0.0", "", `"profiles":{"mine":{"Name":"mine"}}`), 409, []string{"profiles/mine is in the endpoint's own objects too"}},
		{"the name of a plugin", "POST", "/contents", pack("toy", "v1.0.0", "", ""), 409, []string{"Content toy already exists"}},
		{"in place of a plugin's", "PUT", "/contents/toy", pack("toy", "v1.0.0", "", ""), 409, []string{"readonly", "plugin provider"}},
		{"in place of the endpoint's", "PUT", "/contents/base", pack("base", "v1.0.0", "", ""), 409, []string{"readonly", "endpoint itself"}},
		{"removed from a plugin", "DELETE", "/contents/toy", "", 409, []string{"readonly", "plugin provider"}},
		{"removed from the endpoint", "DELETE", "/contents/oob", "", 409, []string{"readonly"}},
		{"in place of nothing", "PUT", "/contents/none", pack("none", "v1.0.0", "", ""), 404, []string{"No such content store"}},
		{"under another name", "PUT", "/contents/site", pack("other", "v1.0.0", "", ""), 400, []string{"cannot replace content site by content other"}},
		{"a version that is none", "PUT", "/contents/site", pack("site", "1.2.foo", "", ""), 400, []string{"Layer site: invalid version 1.2.foo"}},
		{"needs another", "POST", "/contents", pack("other", "v1.0.0", `,"Prerequisites":"none-such"`, ""), 400, []string{"Layer other: it needs content none-such, which is not there"}},
		{"needs a newer one", "POST", "/contents", pack("other", "v1.0.0", `,"Prerequisites":"site: >=2.0.0"`, ""), 400, []string{"site in version >=2.0.0; v1.2.0 is there"}},
		{"needs a range that is none", "POST", "/contents", pack("other", "v1.0.0", `,"Prerequisites":"site: >=foo"`, ""), 400, []string{"invalid range"}},
		{"needs a feature", "POST", "/contents", pack("other", "v1.0.0", `,"RequiredFeatures":"api-v3 moon-phases"`, ""), 400, []string{"lacks the feature moon-phases"}},
		{"without a name", "POST", "/contents", pack("", "v1.0.0", "", ""), 400, []string{"needs a name"}},
		{"a schema that is none", "POST", "/contents", pack("other", "v1.0.0", "", colourParam(`{"type":"strong"}`, false)), 400, []string{"site/colour"}},
		{"no JSON", "POST", "/contents", `{"meta":`, 400, nil},
		{"a list", "POST", "/contents", `[]`, 400, nil},
		{"nothing", "POST", "/contents", ``, 400, nil},
		{"a section that is no map", "POST", "/contents", `{"meta":{"Name":"other"},"sections":{"params":[]}}`, 400, nil},
		{"sealed elsewhere", "POST", "/contents", pack("other", "v1.0.0", "", `"profiles":{"p2":{"Name":"p2","Params":{"toy/password":{"Key":"ihSy8DLuH25l7pJIOKWeHys+2FwLdiTF84tJAn2b2hw=","Nonce":"3PT2lzSNn91yUzway0OlaZzcdA00TfYB","Payload":"hYyEfaSNuyynuaR+q2ASMGShiQD6LGmAUQ=="}}}}`), 400, []string{"sealed for somebody else"}},
	} {
		raw := string(r.wantStatus(c.status, c.method, c.path, r.e.token, c.body))
		var e model.Error
		if err := model.Unmarshal([]byte(raw), &e); err != nil || strings.Contains(e.Text(), "\n") {
			t.Errorf("%s: %v: %s", c.name, err, raw)
		}
		for _, text := range c.texts {
			if !strings.Contains(strings.ReplaceAll(e.Text(), `\u003e`, ">"), text) {
				t.Errorf("%s: no %q in %s", c.name, text, raw)
			}
		}
	}
	if raw := string(r.wantStatus(200, "GET", "/contents/site", r.e.token, "")); !strings.Contains(raw, "v1.2.0") {
		t.Errorf("what was refused has changed something: %s", raw)
	}
	r.wantStatus(404, "GET", "/contents/other", r.e.token, "")
}

func TestContentInUse(t *testing.T) {
	t.Parallel()
	r := start(t)
	site := pack("site", "v1.0.0", "", `"profiles":{"pa":{"Name":"pa"},"pb":{"Name":"pb"}},"stages":{"sa":{"Name":"sa"}}`)
	r.wantStatus(201, "POST", "/contents", r.e.token, site)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("user", "v1.0.0", `,"Prerequisites":"site: >=1.0.0"`, `"stages":{"sb":{"Name":"sb","Profiles":["pb"]}}`))
	if raw := string(r.wantStatus(409, "DELETE", "/contents/site", r.e.token, "")); !strings.Contains(raw, "content user needs it") {
		t.Errorf("%s", raw)
	}
	r.wantStatus(201, "POST", "/machines", r.e.token, `{"Name":"m1","Uuid":"`+referenceUUID+`","Profiles":["pa"]}`)
	less := func(profiles string) string {
		return pack("site", "v1.0.1", "", `"profiles":{`+profiles+`},"stages":{"sa":{"Name":"sa"}}`)
	}
	if raw := string(r.wantStatus(409, "PUT", "/contents/site", r.e.token, less(`"pb":{"Name":"pb"}`))); !strings.Contains(raw, "cannot remove profiles/pa: machines/"+referenceUUID+" has it") {
		t.Errorf("%s", raw)
	}
	if raw := string(r.wantStatus(409, "PUT", "/contents/site", r.e.token, less(`"pa":{"Name":"pa"}`))); !strings.Contains(raw, "cannot remove profiles/pb: stages/sb of content user has it") {
		t.Errorf("%s", raw)
	}
	r.wantStatus(200, "DELETE", "/contents/user", r.e.token, "")
	r.wantStatus(200, "PUT", "/contents/site", r.e.token, less(`"pa":{"Name":"pa"}`))
	r.wantStatus(409, "DELETE", "/contents/site", r.e.token, "")
	r.wantStatus(200, "DELETE", "/machines/"+referenceUUID, r.e.token, "")
	r.wantStatus(200, "DELETE", "/contents/site", r.e.token, "")
}

// Layers that need each other come up again in whatever order they are stored.
func TestContentIsLoadedInItsOrder(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("zz", "v1.0.0", "", ""))
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("mm", "v1.0.0", `,"Prerequisites":"zz"`, ""))
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("aa", "v1.0.0", `,"Prerequisites":"mm: 1.x, zz"`, `"profiles":{"pa":{"Name":"pa"}}`))
	r.again()
	r.wantStatus(200, "GET", "/profiles/pa", r.e.token, "")
}

// A schema that changes has the stored values looked at: what no longer fits is
// marked and told, and fits again when it is set anew.
func TestChangedSchemaMarksValues(t *testing.T) {
	t.Parallel()
	r := start(t)
	text, enum := colourParam(`{"type":"string"}`, false), colourParam(`{"type":"string","enum":["red","blue"]}`, false)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("site", "v1.0.0", "", text))
	r.wantStatus(201, "POST", "/machines", r.e.token, `{"Name":"m1","Uuid":"`+referenceUUID+`","Params":{"site/colour":"green"}}`)
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"p1","Params":{"site/colour":"red"}}`)
	raw := string(r.wantStatus(200, "PUT", "/contents/site", r.e.token, pack("site", "v1.1.0", "", enum)))
	if !strings.Contains(raw, "machines/"+referenceUUID+": Key 'site/colour': invalid val") || strings.Contains(raw, "profiles/p1") {
		t.Errorf("warnings: %s", raw)
	}
	var m model.Machine
	if err := r.c.Get(t.Context(), "machines/"+referenceUUID, &m); err != nil || m.Available || len(m.Errors) != 1 || !strings.Contains(m.Errors[0], "site/colour") {
		t.Errorf("machine %+v, %v", m.Validation, err)
	}
	r.again()
	r.wantStatus(200, "POST", "/machines/"+referenceUUID+"/params/site/colour", r.e.token, `"blue"`)
	if err := r.c.Get(t.Context(), "machines/"+referenceUUID, &m); err != nil || !m.Available || len(m.Errors) != 0 {
		t.Errorf("machine %+v, %v", m.Validation, err)
	}
	r.wantStatus(200, "POST", "/machines/"+referenceUUID+"/params/site/colour", r.e.token, `"red"`)
	r.wantStatus(200, "PUT", "/contents/site", r.e.token, pack("site", "v1.2.0", "", text))
}

// Content that declares a param Secure has its stored values sealed, and those
// in the content itself too.
func TestSecureParamsInContent(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/machines", r.e.token, `{"Name":"m1","Uuid":"`+referenceUUID+`","Params":{"site/colour":"ultraviolet"}}`)
	made := r.wantStatus(201, "POST", "/contents", r.e.token,
		pack("site", "v1.0.0", "", colourParam(`{"type":"string"}`, true)+`,"profiles":{"pa":{"Name":"pa","Params":{"site/colour":"infrared"}}}`))
	if strings.Contains(string(made), "infrared") {
		t.Errorf("%s", made)
	}
	if !r.isSealed("machines", referenceUUID, "site/colour") {
		t.Error("the machine's value is not sealed")
	}
	for range 2 {
		for _, path := range []string{"/contents/site", "/profiles/pa", "/profiles", "/profiles/pa/params", "/machines/" + referenceUUID} {
			raw := string(r.wantStatus(200, "GET", path, r.e.token, ""))
			if strings.Contains(raw, "infrared") || strings.Contains(raw, "ultraviolet") {
				t.Errorf("%s shows %s", path, raw)
			}
			if raw := string(r.wantStatus(200, "GET", path+"?decode=true", r.e.token, "")); !strings.Contains(raw, "infrared") && !strings.Contains(raw, "ultraviolet") {
				t.Errorf("%s, decoded: %s", path, raw)
			}
		}
		if where := r.onDisk("infrared"); where != nil {
			t.Errorf("it lies in clear in %v", where)
		}
		r.again()
	}
	if raw := string(r.wantStatus(200, "GET", "/contents/site", r.e.token, "")); !strings.Contains(raw, `"Payload":"`) {
		t.Errorf("content: %s", raw)
	}
}

// With replaceWritable the objects of the store that the content has too give
// way to it.
func TestContentReplacesWritable(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"pa","Description":"mine"}`)
	site := pack("site", "v1.0.0", "", `"profiles":{"pa":{"Name":"pa","Description":"of the site"}}`)
	r.wantStatus(409, "POST", "/contents", r.e.token, site)
	r.wantStatus(201, "POST", "/contents?replaceWritable=true", r.e.token, site)
	if raw := string(r.wantStatus(200, "GET", "/profiles", r.e.token, "")); strings.Contains(raw, "mine") || !strings.Contains(raw, "of the site") {
		t.Errorf("profiles: %s", raw)
	}
	r.wantStatus(200, "DELETE", "/contents/site", r.e.token, "")
	r.wantStatus(404, "GET", "/profiles/pa", r.e.token, "")
}

// A plugin whose content meets uploaded content is listed with both names.
func TestPluginMeetsUploadedContent(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("site", "v1.0.0", "", `"params":{"toy/port":{"Name":"toy/port","Schema":{}}}`))
	r.install("toy", "toy")
	p := r.provider("toy", stateFailed)
	if text := p.Meta[metaError]; !strings.Contains(text, "params/toy/port is in site too") {
		t.Errorf("listed with %q", text)
	}
}
