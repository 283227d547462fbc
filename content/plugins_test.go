package content_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"provision-plugins/content"
	shared "provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// allBundles loads every content folder of the repository.
func allBundles(t *testing.T) []*model.Content {
	t.Helper()
	dirs, err := filepath.Glob("../*/content")
	if err != nil {
		t.Fatal(err)
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return dir == "../shared/content" })
	if len(dirs) < 4 {
		t.Fatalf("only %v have content", dirs)
	}
	var out []*model.Content
	for _, dir := range append(dirs, "base", "oob") {
		c, err := shared.LoadDir(context.Background(), dir)
		if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		out = append(out, c)
	}
	return out
}

// allParams gathers the params of all bundles.
func allParams(t *testing.T) map[string]*model.Param {
	t.Helper()
	out := map[string]*model.Param{}
	for _, c := range allBundles(t) {
		params, err := shared.Params(c)
		if err != nil {
			t.Fatal(err)
		}
		for name, p := range params {
			out[name] = p
		}
	}
	return out
}

// secured are params that hold a secret and are Secure here, though they are
// not in the reference.
var secured = []string{"packet/api-key", "slack/bot-key", "ipmi/configure/key"}

// changed are params whose schema differs from the reference's, with ours.
var changed = map[string]string{
	"ipmi/mode":               `string ; default "ipmitool" ; enum ipmitool,redfish,auto,racadm,racadmn,lpar`,
	"ipmi/configure/password": `string`,
}

// Every param of the reference plugins is here under its name, with its type,
// default, bounds and secrecy, but for the differences above.
func TestReferenceParams(t *testing.T) {
	text, err := os.ReadFile("testdata/reference-params.txt")
	if err != nil {
		t.Fatal(err)
	}
	params := allParams(t)
	count := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		count++
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name, schema, secure, meta := cells[0], cells[1], cells[2] == "yes", cells[3]
		p := params[name]
		if p == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if ours, ok := changed[name]; ok {
			schema = ours
		}
		if got := describe(t, p); got != schema {
			t.Errorf("%s is %q, in the reference %q", name, got, schema)
		}
		if want := secure || slices.Contains(secured, name); p.Secure != want {
			t.Errorf("%s: Secure is %v", name, p.Secure)
		}
		if key, value, ok := strings.Cut(meta, "="); ok && p.Meta[key] != value {
			t.Errorf("%s: Meta[%q] is %q, in the reference %q", name, key, p.Meta[key], value)
		}
	}
	if count != 80 {
		t.Errorf("the table has %d params", count)
	}
}

// describe writes a schema as the table does.
func describe(t *testing.T, p *model.Param) string {
	t.Helper()
	raw, err := json.Marshal(p.Schema)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Type             string
		Default          json.RawMessage
		Enum             []string
		Items            *struct{ Type string }
		Minimum, Maximum *int
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	out := s.Type
	if s.Items != nil {
		out += " of " + s.Items.Type
	}
	if s.Default != nil {
		out += " ; default " + string(s.Default)
	}
	if s.Enum != nil {
		out += " ; enum " + strings.Join(s.Enum, ",")
	}
	if s.Minimum != nil && s.Maximum != nil {
		out += fmt.Sprintf(" ; %d..%d", *s.Minimum, *s.Maximum)
	}
	return out
}

// Every param tells people what it is, and no secret is left open.
func TestParamsAreDescribed(t *testing.T) {
	seen := map[string]string{}
	for name, p := range allParams(t) {
		for _, key := range []string{"icon", "color", "title"} {
			if p.Meta[key] == "" {
				t.Errorf("%s: Meta has no %s", name, key)
			}
		}
		if p.Description == "" || strings.HasSuffix(p.Description, ".") || strings.Contains(p.Description, "\n") {
			t.Errorf("%s: description %q is not one line without a full stop", name, p.Description)
		}
		if other, ok := seen[p.Description]; ok {
			t.Errorf("%s and %s are described alike", name, other)
		}
		seen[p.Description] = name
		if model.SecretName(name) && !p.Secure {
			t.Errorf("%s looks like a secret and is not Secure", name)
		}
	}
}

// Each bundle says what it is, and leaves its version to the build.
func TestMetadata(t *testing.T) {
	for _, c := range allBundles(t) {
		m := c.Meta
		if m.Version != "" {
			t.Errorf("%s: version %s would make the generated file differ with each build", m.Name, m.Version)
		}
		for field, value := range map[string]string{
			"DisplayName": m.DisplayName, "Description": m.Description, "Documentation": m.Documentation, "Author": m.Author, "License": m.License,
			"Copyright": m.Copyright, "Source": m.Source, "Icon": m.Icon, "Color": m.Color, "Order": m.Order, "Tags": m.Tags,
		} {
			if value == "" {
				t.Errorf("%s: no %s", m.Name, field)
			}
		}
	}
}

// An object's file is named after its key, so that it is found.
func TestFileNames(t *testing.T) {
	files, err := filepath.Glob("../*/content/*/*")
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Glob("*/*/*")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range append(files, own...) {
		if filepath.Ext(file) != ".yaml" || strings.Contains(file, "testdata") {
			continue
		}
		checked++
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		key := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".yaml"), ".", "/")
		if !strings.HasPrefix(string(text), "Name: "+key+"\n") {
			t.Errorf("%s does not begin with Name: %s", file, key)
		}
	}
	if checked < 90 {
		t.Errorf("only %d files were found", checked)
	}
}

// The generated files hold what the folders do.
func TestGenerated(t *testing.T) {
	for dir, load := range map[string]func() (*model.Content, error){"base": content.Base, "oob": content.OOB} {
		fromFolder, err := shared.LoadDir(context.Background(), dir)
		if err != nil {
			t.Fatal(err)
		}
		generated, err := load()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(keys(fromFolder), keys(generated)) || fromFolder.Meta != generated.Meta {
			t.Errorf("%s.go is not what %s holds: run go generate ./content", dir, dir)
		}
	}
}

// The reference pages are what the folders give now, and the list of pages
// names each.
func TestReferencePages(t *testing.T) {
	list, err := os.ReadFile("../docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, c := range allBundles(t) {
		file := c.Meta.Name + ".rst"
		want[file] = true
		var page strings.Builder
		if err := shared.Document(&page, c); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../docs/reference/" + file)
		if err != nil || string(got) != page.String() {
			t.Errorf("docs/reference/%s is not what the content of %s gives: run go generate ./... (%v)", file, c.Meta.Name, err)
		}
		if !strings.Contains(string(list), "(reference/"+file+")") {
			t.Errorf("docs/README.md does not list reference/%s", file)
		}
	}
	entries, err := os.ReadDir("../docs/reference")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		// The other kind of page there is the command line's, which oob's tests hold.
		if filepath.Ext(e.Name()) == ".rst" && !want[e.Name()] {
			t.Errorf("docs/reference/%s is the page of no content", e.Name())
		}
	}
}
