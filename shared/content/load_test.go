package content_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"provision-plugins/shared/content"
	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// tree is a content directory: file to text.
type tree map[string]string

// good is the smallest tree that has everything.
func good() tree {
	return tree{
		"._Name.meta":                "good\n",
		"._Description.meta":         " For tests \n",
		"._Nothing.meta":             "passed over",
		"README.md":                  "passed over",
		".git/config":                "passed over",
		"params/good.mode.yaml":      "Name: good/mode\nSchema:\n  type: string\n  enum: [a, b]\n  default: a\n",
		"params/good.port.json":      "{\n  \"Name\": \"good/port\",\n  \"Schema\": {\"type\": \"integer\", \"default\": 12345678901234567}\n}\n",
		"params/deeper/x.yaml":       "passed over",
		"profiles/gold.yml":          "Name: gold\nParams: {good/mode: b}\nProfiles: [global]\n",
		"stages/st.yaml":             "Name: good-stage\nBootEnv: local\nTasks: [good-task, 'action:good:poweron', 'stage:none', 'chroot:/x']\nOptionalParams: [good/mode]\nParams: {good/port: 1}\n",
		"tasks/tk.yaml":              "Name: good-task\nTemplates:\n- Name: run\n  ID: good.sh\n- Name: own\n  Contents: '{{template \"good.sh\" .}}'\n",
		"templates/good.sh":          "#!/bin/sh\n{{define \"part\"}}x{{end}}{{template \"part\"}}\n",
		"templates/other.yaml":       "ID: other.tmpl\nContents: '{{ template \"good.sh\" . }}'\n",
		"workflows/wf.yaml":          "Name: good-flow\nStages: [good-stage, none]\n",
		"bootenvs/be.yaml":           "Name: good-env\nRequiredParams: [good/mode]\n",
		"freds/one.yaml":             "Id: one\nAnything: [1, {x: y z}]\n",
		"templates/deeper/passed.sh": "over",
	}
}

// with returns the tree with one more file; an empty text takes it away.
func (tr tree) with(file, text string) tree {
	tr[file] = text
	if text == "" {
		delete(tr, file)
	}
	return tr
}

// dir writes the tree to a directory.
func (tr tree) dir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for file, text := range tr {
		p := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadDir(t *testing.T) {
	c, err := content.LoadDir(context.Background(), good().dir(t))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := bundle.EncodeYAML(&text, c); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "good.yaml")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("bundle differs from %s (UPDATE=1 rewrites it):\n%s", golden, text.String())
	}
	if err := content.Validate(c); err != nil {
		t.Errorf("Validate: %v", err)
	}
	if _, err := content.Parse([]byte(text.String())); err != nil {
		t.Errorf("Parse: %v", err)
	}
}

// Metadata given by the caller fills in only what no file sets.
func TestLoadMeta(t *testing.T) {
	dir := good().dir(t)
	c, err := content.Load(context.Background(), content.Source{Dir: dir, Meta: map[string]string{"Name": "other", "Version": "v1.2.3", "Type": "plugin"}})
	if err != nil {
		t.Fatal(err)
	}
	want := model.ContentMeta{Name: "good", Description: "For tests", Version: "v1.2.3", Type: "plugin"}
	if c.Meta != want {
		t.Errorf("meta is %+v", c.Meta)
	}
	_, err = content.Load(context.Background(), content.Source{Dir: dir, Meta: map[string]string{"Nome": "x"}})
	if err == nil || !strings.Contains(err.Error(), `no metadata field "Nome": there are Name, Version,`) {
		t.Errorf("%v", err)
	}
}

// Every refusal names the file, and the line where it is known.
func TestLoadDirRefuses(t *testing.T) {
	for _, tc := range []struct{ name, file, text, want string }{
		{"no name", "params/x.yaml", "Description: x\n", "params/x.yaml:1: Name is missing: an object needs a name"},
		{"empty name", "params/x.yaml", "Description: x\nName: ''\n", "params/x.yaml:2: Name is empty: an object needs a name"},
		{"no name in json", "params/x.json", "{}", "params/x.json:1: Name is missing: an object needs a name"},
		{"template without id", "templates/x.yaml", "Contents: x\n", "templates/x.yaml:1: ID is missing: an object needs a name"},
		{"raw without key", "freds/x.yaml", "X: 1\n", "freds/x.yaml:1: Id is missing: an object needs a name"},
		{"name is a boolean", "params/x.yaml", "Description: x\nName: y\n", "params/x.yaml:2: Name: y is read as true by YAML 1.1; quote it"},
		{"name is a number", "profiles/x.yaml", "Name: 0123\n", "profiles/x.yaml:1: Name: 0123 is read as 83 by YAML 1.1; quote it"},
		{"key is a boolean", "profiles/x.yaml", "Name: xx\nMeta:\n  on: x\n", "profiles/x.yaml:3: key on is read as true by YAML 1.1; quote it"},
		{"value is a boolean", "params/x.yaml", "Name: good/x\nDescription: no\n", "params/x.yaml:2: Description: no is read as false by YAML 1.1; quote it"},
		{"flow key", "profiles/x.yaml", "Name: xx\nMeta: {a: b, No: x}\n", "profiles/x.yaml:2: key No is read as false by YAML 1.1; quote it"},
		{"nested key", "freds/x.yaml", "Id: xx\nL:\n- a: b\n- off:\n    x\n", "freds/x.yaml:4: key off is read as false by YAML 1.1; quote it"},
		{"number as key", "profiles/x.yaml", "Name: xx\nMeta:\n  0755: x\n", "profiles/x.yaml:3: key 0755 is read as 493 by YAML 1.1; quote it"},
		{"enum of words", "params/x.yaml", "Name: good/x\nSchema:\n  type: string\n  enum:\n  - auto\n  - on\n", "params/x.yaml:6: Schema.enum[1]: on is read as true by YAML 1.1; quote it, or write true"},
		{"word in an array", "stages/x.yaml", "Name: xx\nTasks: [yes]\n", "stages/x.yaml:2: Tasks[0]: yes is read as true by YAML 1.1; quote it"},
		{"word in a map", "params/x.yaml", "Name: good/x\nMeta:\n  icon: off\n", "params/x.yaml:3: Meta.icon: off is read as false by YAML 1.1; quote it"},
		{"boolean default", "params/x.yaml", "Name: good/x\nSchema:\n  type: boolean\n  default: yes\n", "params/x.yaml:4: Schema.default: yes is read as true by YAML 1.1; quote it, or write true"},
		{"octal", "profiles/x.yaml", "Name: xx\nParams:\n  good/port: 0755\n", "profiles/x.yaml:3: Params.good/port: 0755 is read as 493 by YAML 1.1; quote it, or write 493"},
		{"not octal", "profiles/x.yaml", "Name: xx\nParams:\n  good/port: 089\n", "profiles/x.yaml:3: Params.good/port: 089 is read as 89 by YAML 1.1; quote it, or write 89"},
		{"secret octal", "profiles/x.yaml", "Name: xx\nParams:\n  good/password: 0755\n", "profiles/x.yaml:3: Params.good/password: the value is not read as it looks by YAML 1.1; quote it"},
		{"octal default of a secret", "params/x.yaml", "Name: good/x\nSecure: true\nSchema: {default: 0755}\n", "params/x.yaml:3: Schema.default: the value is not read as it looks by YAML 1.1; quote it"},
		{"underscore", "profiles/x.yaml", "Name: xx\nParams:\n  good/port: 1_000\n", "profiles/x.yaml:3: Params.good/port: 1_000 is read as 1000 by YAML 1.1; quote it, or write 1000"},
		{"sexagesimal", "profiles/x.yaml", "Name: xx\nParams:\n  good/mode: 1:30\n", "profiles/x.yaml:3: Params.good/mode: 1:30 is read as text here and as 90 by other readers of YAML 1.1; quote it"},
		{"address", "params/x.yaml", "Name: good/x\nSchema: {type: string, default: 10:22:33:44:55:11}\n", "params/x.yaml:2: Schema.default: 10:22:33:44:55:11 is read as text here and as 8068409711 by other readers of YAML 1.1; quote it"},
		{"not a number", "freds/x.yaml", "Id: xx\nX:\n- .nan\n", "freds/x.yaml:3: X[0]: .nan is read as a number that JSON does not have by YAML 1.1; quote it"},
		{"infinite", "params/x.yaml", "Name: good/x\nSchema: {maximum: .inf}\n", "params/x.yaml:2: Schema.maximum: .inf is read as a number that JSON does not have by YAML 1.1; quote it"},
		{"key twice in json", "params/x.json", "{\"Name\": \"good/x\",\n\"Meta\": {\"a\": \"b\",\n\"a\": \"c\"}}", `params/x.json:3: key "a" already set in map`},
		{"json after json", "params/x.json", "{}\n{}", "params/x.json:2: something follows the value; one is read"},
		{"utf-16", "params/x.yaml", "\xff\xfeN\x00", "params/x.yaml:1: not UTF-8"},
		{"very deep", "freds/x.json", "{\"Id\":\"x\",\n\"X\":" + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}", "freds/x.json:2: invalid character '[' exceeded max depth"},
		{"alias of nothing", "params/x.yaml", "Name: good/x\nMeta: *m\n", "params/x.yaml:2: unknown anchor 'm' referenced"},
		{"control character", "params/x.yaml", "Name: good/x\nDescription: a\x00b\n", "params/x.yaml:2: control characters are not allowed"},
		{"hidden section object", "freds/x.yaml", "Id: ../../x\n", `freds/x.yaml:1: name "../../x" is not valid: a letter, then at least one of letters, digits, space, - _ .`},
		{"bad name", "params/x.yaml", "Name: 'good:x'\n", `params/x.yaml:1: name "good:x" is not valid: a letter, then at least one of letters, digits, space, - _ . /`},
		{"slash in a profile", "profiles/x.yaml", "Name: good/x\n", `profiles/x.yaml:1: name "good/x" is not valid: a letter, then at least one of letters, digits, space, - _ .`},
		{"bad template file name", "templates/1x.sh", "x", `templates/1x.sh:1: name "1x.sh" is not valid: a letter, then at least one of letters, digits, space, - _ .`},
		{"twice", "params/z.yaml", "Name: good/mode\n", "params/z.yaml:1: params/good/mode is also in DIR/params/good.mode.yaml"},
		{"template twice", "templates/x.yaml", "ID: good.sh\n", "templates/x.yaml:1: templates/good.sh is also in DIR/templates/good.sh"},
		{"syntax", "params/x.yaml", "Name: x\n\tb", "params/x.yaml:2: found a tab character that violates indentation"},
		{"json syntax", "params/x.json", "{\n\"Name\": \"x\"\n", "params/x.json:3: it ends in the middle of a value"},
		{"key twice", "params/x.yaml", "Name: good/x\nSecure: true\nSecure: false\n", `params/x.yaml:3: key "Secure" already set in map`},
		{"two documents", "params/x.yaml", "Name: good/x\n---\nName: good/y\n", "params/x.yaml:2: a second document begins; only one is read"},
		{"empty", "params/x.yaml", "# nothing\n", "params/x.yaml:1: empty: there is no object in it"},
		{"empty json", "params/x.json", "\n", "params/x.json:1: empty: there is no object in it"},
		{"not an object", "params/x.yaml", "- Name: good/x\n", "params/x.yaml:1: not an object: a file holds one object, its fields at the margin"},
		{"extension", "params/readme.txt", "x", "params/readme.txt: unknown extension: objects are .yaml, .yml or .json files"},
		{"hidden file", "params/.x.yaml.swp", "x", "params/.x.yaml.swp: unknown extension: objects are .yaml, .yml or .json files"},
		{"line break in a file's name", "params/x\ny.txt", "x", `params/x\ny.txt: unknown extension: objects are .yaml, .yml or .json files`},
		{"backslash in a folder's name", `a\b/x.yaml`, "Id: x", `a\b: section "a\\b" cannot be a folder: no point in front, no slash, no control character`},
		{"latin1", "params/x.yaml", "Name: good/x\nDescription: caf\xe9\n", "params/x.yaml:2: not UTF-8"},
		{"latin1 template", "templates/x.sh", "one\ntwo \xff\n", "templates/x.sh:2: not UTF-8"},
		{"latin1 meta", "._Author.meta", "\xff", "._Author.meta:1: not UTF-8"},
		{"unknown field", "params/x.yaml", "Name: good/x\nDescr: x\n", "params/x.yaml:2: Descr: unknown field"},
		{"unknown field in json", "params/x.json", "{\"Name\": \"good/x\",\n\"type\": \"x\"}", "params/x.json:2: type: unknown field"},
		{"field type", "params/x.yaml", "Name: good/x\nSecure: 'true'\n", "params/x.yaml:2: Secure: must be a boolean, not a string"},
		{"schema", "params/x.yaml", "Name: good/x\nSchema:\n  type: text\n", "params/x.yaml:2: Schema is not valid: type: Must validate at least one schema (anyOf)"},
		{"schema is a word", "params/x.yaml", "Name: good/x\nSchema: string\n", "params/x.yaml:2: Schema is not valid: (root): Invalid type. Expected: object, given: string"},
		{"schema refers abroad", "params/x.yaml", "Name: good/x\nSchema: {$ref: 'file:///etc/passwd'}\n", `params/x.yaml:2: Schema is not valid: failing loading "file:///etc/passwd": no URLLoader registered for "file:///etc/passwd"`},
		{"schema pattern", "params/x.yaml", "Name: good/x\nSchema: {type: string, pattern: '('}\n", "params/x.yaml:2: Schema is not valid: pattern: Does not match format 'regex'"},
		{"default", "params/x.yaml", "Name: good/x\nSchema: {type: integer, default: x}\n", "params/x.yaml:2: Error in default value: (root): Invalid type. Expected: integer, given: string"},
		{"default not in enum", "params/x.yaml", "Name: good/x\nSchema: {type: string, enum: [a], default: b}\n", `params/x.yaml:2: Error in default value: (root): Must be one of the following: "a"`},
		{"enum of booleans", "params/x.yaml", "Name: good/x\nSchema: {type: string, enum: [true]}\n", "params/x.yaml:2: Schema.enum[0] can never be given: (root): Invalid type. Expected: string, given: boolean (YAML 1.1 reads y, yes, on, n, no and off as booleans; quote them)"},
		{"public secret", "params/x.yaml", "Name: good/x\nSecure: true\nSchema: {type: string, default: hunter2}\n", "params/x.yaml:3: a Secure param must have no default: everybody could read it"},
		{"value", "profiles/x.yaml", "Name: xx\nParams: {good/mode: c}\n", `profiles/x.yaml:2: Params: Key 'good/mode': (root): Must be one of the following: "a", "b"`},
		{"stage value", "stages/x.yaml", "Name: xx\nParams: {good/port: 1.5}\n", "stages/x.yaml:2: Params: Key 'good/port': (root): Invalid type. Expected: integer, given: number"},
		{"bundle name", "._Name.meta", "a b", `._Name.meta:1: bundle name "a b" is not valid: letters, digits, - _ .`},
		{"no bundle name", "._Name.meta", "", "._Name.meta: a bundle needs a name"},
		{"bundle type", "._Type.meta", "static", `._Type.meta:1: type "static" is none of dynamic, default, plugin, basic, local, writable`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := good().with(tc.file, tc.text).dir(t)
			_, err := content.LoadDir(context.Background(), dir)
			var e *model.Error
			if !errors.As(err, &e) || e.Kind() != model.Invalid {
				t.Fatalf("%v", err)
			}
			want := dir + "/" + strings.ReplaceAll(tc.want, "DIR", dir)
			if len(e.Messages) != 1 || e.Messages[0] != want {
				t.Errorf("got  %q\nwant %q", e.Messages, want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the secret is in %v", err)
			}
		})
	}
}

// Everything that is wrong is told at once, in a fixed order.
func TestLoadDirTellsAll(t *testing.T) {
	dir := good().with("params/x.yaml", "Nome: x\n").with("params/a.txt", "x").with("tasks/z.yaml", "").with("tasks/y.yaml", "Name: [").dir(t)
	_, err := content.LoadDir(context.Background(), dir)
	var e *model.Error
	if !errors.As(err, &e) || len(e.Messages) != 3 || !slices.IsSorted(e.Messages) {
		t.Errorf("%v", err)
	}
}

func TestLoadDirUnreadable(t *testing.T) {
	if _, err := content.LoadDir(context.Background(), filepath.Join(t.TempDir(), "absent")); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("absent: %v", err)
	}
	dir := good().dir(t)
	if _, err := content.LoadDir(context.Background(), filepath.Join(dir, "README.md")); err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("file: %v", err)
	}
	if err := os.Symlink("absent", filepath.Join(dir, "params", "link.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := content.LoadDir(context.Background(), dir); err == nil || !strings.Contains(err.Error(), "params/link.yaml: cannot read it: no such file") {
		t.Errorf("dangling link: %v", err)
	}
	big := good().with("templates/big.sh", strings.Repeat("x", 4<<20+1)).dir(t)
	if _, err := content.LoadDir(context.Background(), big); err == nil || !strings.Contains(err.Error(), "templates/big.sh: larger than") {
		t.Errorf("big: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := content.LoadDir(ctx, good().dir(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Whatever the files of a directory hold, they are read or refused with their
// names.
func FuzzLoadFS(f *testing.F) {
	f.Add("x.yaml", []byte("Name: ab\nSchema: {default: 0755}\n"), []byte("layer: tasks/tk\n"))
	f.Add("x.json", []byte(`{"Name":"ab","Params":{"x":1}}`), []byte("# none"))
	f.Add("x.sh", []byte(`{{template "absent"}}`), []byte(":/"))
	f.Fuzz(func(t *testing.T, name string, text, known []byte) {
		if len(text)+len(known) > 1<<14 || !fs.ValidPath(name) || strings.Contains(name, "/") {
			return
		}
		fsys := fstest.MapFS{"._Name.meta": {Data: []byte("ab")}, "._Known.meta": {Data: known}, "._Author.meta": {Data: text}}
		for _, section := range []string{"params", "stages", "templates", "freds"} {
			fsys[section+"/"+name] = &fstest.MapFile{Data: text}
		}
		c, err := content.LoadFS(context.Background(), fsys, "here")
		if err != nil {
			checkRefusal(t, err, "here/")
			return
		}
		if _, err := content.ParseFile("x.yaml", []byte(yamlOf(t, c))); err != nil {
			t.Errorf("%v in own output", err)
		}
	})
}

// A directory of 86 objects, as large as the reference's largest, is read and
// encoded, or written, without a step that grows with the square of their
// number: in less than 50 ms each.
func BenchmarkBundle86(b *testing.B) {
	dir := b.TempDir()
	files := tree{"._Name.meta": "big"}
	for i := range 86 {
		files[fmt.Sprintf("params/p%d.yaml", i)] = fmt.Sprintf("Name: big/p%d\nDescription: x\nDocumentation: |\n%sSchema: {type: integer, default: %d}\n", i, strings.Repeat("  some words about it\n", 50), i)
	}
	for file, text := range files {
		p := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("bundle", func(b *testing.B) {
		for b.Loop() {
			c, err := content.LoadDir(context.Background(), dir)
			if err != nil {
				b.Fatal(err)
			}
			var text strings.Builder
			if err := bundle.EncodeGo(&text, c, bundle.GoNames{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	c, err := content.LoadDir(context.Background(), dir)
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	if err := bundle.EncodeYAML(&text, c); err != nil {
		b.Fatal(err)
	}
	b.Run("unbundle", func(b *testing.B) {
		above := b.TempDir()
		for n := 0; b.Loop(); n++ {
			out := content.Target{Dir: filepath.Join(above, strconv.Itoa(n))}
			c, err := content.ParseFile("x.yaml", []byte(text.String()))
			if err != nil {
				b.Fatal(err)
			}
			if err := content.Unbundle(context.Background(), c, out); err != nil {
				b.Fatal(err)
			}
		}
	})
}
