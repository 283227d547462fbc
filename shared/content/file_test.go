package content_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"provision-plugins/shared/content"
	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// Every refusal of a bundle's file names the file and the line.
func TestParseFileRefuses(t *testing.T) {
	const head = "meta: {Name: ab}\nsections:\n"
	for _, tc := range []struct{ name, file, text, want string }{
		{"empty", "x.yaml", "", "x.yaml:1: empty: there is no bundle in it"},
		{"only a comment", "x.yml", "# nothing\n", "x.yml:1: empty: there is no bundle in it"},
		{"null", "x.json", "null", "x.json:1: empty: there is no bundle in it"},
		{"a word", "x.yaml", "\nhello\n", "x.yaml:2: not a bundle: an object with meta and sections"},
		{"an array", "x.json", "\n[1]\n", "x.json:2: not a bundle: an object with meta and sections"},
		{"latin1", "x.yaml", "meta:\n  Name: caf\xe9\n", "x.yaml:2: not UTF-8"},
		{"tab", "x.yaml", "meta:\n\tName: ab\n", "x.yaml:2: found character that cannot start any token"},
		{"two documents", "x.yaml", "meta: {Name: ab}\n---\n", "x.yaml:2: a second document begins; only one is read"},
		{"cut off", "x.json", "{\"meta\":\n{\"Name\": \"ab\"", "x.json:2: it ends in the middle of a value"},
		{"json in a row", "x.json", "{}\n\n{}", "x.json:3: something follows the value; one is read"},
		{"yaml as json", "x.json", "meta: {}\n", "x.json:1: invalid character 'm' looking for beginning of value"},
		{"key twice", "x.yaml", "meta:\n  Name: ab\n  Name: cd\n", `x.yaml:3: key "Name" already set in map`},
		{"object twice", "x.json", "{\"meta\": {\"Name\": \"ab\"}, \"sections\": {\"freds\": {\n\"one\": {\"Id\": \"one\"},\n\"one\": {\"Id\": \"one\"}}}}", `x.json:3: key "one" already set in map`},
		{"no meta", "x.yaml", "sections: {}\n", "x.yaml:1: meta: a bundle needs a name"},
		{"no name", "x.yaml", "sections: {}\nmeta:\n  Type: plugin\n", "x.yaml:2: meta: a bundle needs a name"},
		{"bad name", "x.yaml", "meta:\n  Type: plugin\n  Name: a b\n", `x.yaml:3: meta: bundle name "a b" is not valid: letters, digits, - _ .`},
		{"bad type", "x.yaml", "meta:\n  Name: ab\n  Type: odd\n", `x.yaml:3: meta: type "odd" is none of dynamic, default, plugin, basic, local, writable`},
		{"meta is no object", "x.yaml", "sections: {}\nmeta: 5\n", "x.yaml:2: meta must be an object"},
		{"meta is a number", "x.yaml", "meta:\n  Name: ab\n  Order: 5\n", "x.yaml:3: meta: Order must be a string (quote it)"},
		{"meta is a word", "x.yaml", "meta:\n  Name: ab\n  Writable: maybe\n", "x.yaml:1: cannot parse JSON: json: cannot unmarshal string into Go struct field ContentMeta.meta.Writable of type bool"},
		{"sections", "x.yaml", "meta: {Name: ab}\nsections: []\n", "x.yaml:2: sections must be an object"},
		{"section", "x.yaml", head + "  params: [1]\n", "x.yaml:3: params must be an object"},
		{"object", "x.yaml", head + "  params:\n    ab/cd: 5\n", "x.yaml:4: params/ab/cd must be an object"},
		{"null object", "x.yaml", head + "  params:\n    ab/cd:\n", "x.yaml:4: params/ab/cd: empty: there is no object in it"},
		{"nameless", "x.yaml", head + "  params:\n    ab/cd: {}\n", "x.yaml:4: params/ab/cd: Name is missing: an object needs a name"},
		{"other name", "x.yaml", head + "  params:\n    ab/cd:\n      Secure: true\n      Name: ab/ef\n", `x.yaml:6: params/ab/cd: is named "ab/ef" inside`},
		{"name is a boolean", "x.json", "{\"meta\":{\"Name\":\"ab\"},\"sections\":{\"params\":{\n\"true\":{\n\"Name\":true}}}}", "x.json:3: params/true: Name must be a string, not a boolean (YAML 1.1 reads y, yes, on, n, no and off so; quote them)"},
		{"bad object name", "x.yaml", head + "  tasks:\n    a/b:\n      Name: a/b\n", `x.yaml:5: tasks/a/b: name "a/b" is not valid: a letter, then at least one of letters, digits, space, - _ .`},
		{"path as key", "x.yaml", head + "  freds:\n    ../../x:\n      Id: ../../x\n", `x.yaml:5: freds/../../x: name "../../x" is not valid: a letter, then at least one of letters, digits, space, - _ .`},
		{"path as section", "x.yaml", head + "  ../x:\n    one: {Id: one}\n", `x.yaml:3: ../x: section "../x" cannot be a folder: no point in front, no slash, no control character`},
		{"absolute section", "x.json", "{\"meta\":{\"Name\":\"ab\"},\n\"sections\":{\"/etc\":{}}}", `x.json:2: /etc: section "/etc" cannot be a folder: no point in front, no slash, no control character`},
		{"field type", "x.yaml", head + "  params:\n    ab:\n      Name: ab\n      Secure: 1\n", "x.yaml:6: params/ab: Secure: must be a boolean, not a number (quote it)"},
		{"deep field", "x.yaml", head + "  stages:\n    ab:\n      Name: ab\n      Templates:\n      - Name: 1\n", "x.yaml:6: stages/ab: Templates[0].Name: must be a string, not a number (quote it)"},
		{"schema", "x.yaml", head + "  params:\n    ab:\n      Name: ab\n      Schema: {type: text}\n", "x.yaml:6: params/ab: Schema is not valid: type: Must validate at least one schema (anyOf)"},
		{"default", "x.json", "{\"meta\":{\"Name\":\"ab\"},\"sections\":{\"params\":{\"ab\":{\"Name\":\"ab\",\n\"Schema\":{\"type\":\"integer\",\"default\":\"x\"}}}}}", "x.json:2: params/ab: Error in default value: (root): Invalid type. Expected: integer, given: string"},
		{"not Go", "x.go", "package main\n\nfunc main() {}\n", "x.go:3: not a generated bundle: package NAME, then var NAME = \"...\""},
		{"cut off Go", "x.go", "package main\n\nvar x = \"meta:", "x.go:3: the variable does not hold one string, the last thing in the file"},
		{"latin1 Go", "x.go", "package main\n\nvar x = \"\xe9\"\n", "x.go:3: not UTF-8"},
		{"inside Go", "x.go", "package main\n\nvar x = \"meta:\\n  Name: ab\\n  Type: odd\\n\"\n", `x.go:3: line 3 of the YAML: meta: type "odd" is none of dynamic, default, plugin, basic, local, writable`},
		{"syntax inside Go", "x.go", "package main\n\nvar x = \"meta: [\\n\"\n", "x.go:3: line 1 of the YAML: did not find expected node content"},
	} {
		_, err := content.ParseFile(tc.file, []byte(tc.text))
		var e *model.Error
		if !errors.As(err, &e) || e.Kind() != model.Invalid || len(e.Messages) != 1 || e.Messages[0] != tc.want {
			t.Errorf("%s: got  %v\nwant %q", tc.name, err, tc.want)
		}
	}
}

// Every form is read, and what is not a bundle's file is refused.
func TestRead(t *testing.T) {
	dir := good().dir(t)
	want, err := content.Read(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	forms := t.TempDir()
	writeForms(t, forms, want)
	for _, file := range []string{"x.yaml", "x.json", "x.go"} {
		got, err := content.Read(context.Background(), filepath.Join(forms, file))
		if err != nil || yamlOf(t, got) != yamlOf(t, want) {
			t.Errorf("%s: %v, %+v", file, err, got)
		}
	}
	t.Chdir(forms)
	if _, err := content.Read(context.Background(), "x.yaml"); err != nil {
		t.Error(err)
	}
	if err := os.Truncate("x.json", bundle.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("loop", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("self.yaml", "self.yaml"); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"absent.yaml": "cannot read bundle absent.yaml: no such file or directory",
		"x.json":      "cannot read bundle x.json: larger than " + strconv.Itoa(bundle.MaxSize) + " bytes",
		"self.yaml":   "cannot read bundle self.yaml: too many levels of symbolic links",
		"/dev/null":   `cannot read bundle /dev/null: unknown extension "" (use .yaml, .yml, .json or .go)`,
		"loop":        "loop/._Name.meta: a bundle needs a name",
	} {
		if _, err := content.Read(context.Background(), file); model.KindOf(err) != model.Invalid || model.AsError(err).Text() != want {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// writeForms writes a bundle in each form.
func writeForms(t *testing.T, dir string, c *model.Content) {
	t.Helper()
	for _, file := range []string{"x.yaml", "x.json", "x.go"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(form(t, file, c)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// form writes a bundle in the form of a file's name.
func form(t *testing.T, file string, c *model.Content) string {
	t.Helper()
	var b strings.Builder
	var err error
	switch filepath.Ext(file) {
	case ".yaml":
		err = bundle.EncodeYAML(&b, c)
	case ".json":
		err = bundle.EncodeJSON(&b, c)
	default:
		err = bundle.EncodeGo(&b, c, bundle.GoNames{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// yamlOf is a bundle as YAML.
func yamlOf(t *testing.T, c *model.Content) string {
	t.Helper()
	return form(t, "x.yaml", c)
}

// Whatever a file holds, it is read or refused in one line for each problem,
// and what is read can be written and read again.
func FuzzParseFile(f *testing.F) {
	f.Add(0, []byte("meta: {Name: ab}\nsections: {params: {ab/cd: {Name: ab/cd, Schema: {type: integer, default: 1}}}}"))
	f.Add(1, []byte(`{"meta":{"Name":"ab"},"sections":{"templates":{"a.sh":{"ID":"a.sh","Contents":"x"}}}}`))
	f.Add(2, []byte("package main\n\nvar x = \"meta: {Name: ab}\\nsections: {freds: {one: {Id: one}}}\\n\"\n"))
	f.Add(0, []byte("a: &a [*a, 0755, 1:30, yes]\n? {b: c}\n: d\n<<: {e: f}\n"))
	f.Fuzz(func(t *testing.T, kind int, text []byte) {
		if len(text) > 1<<14 {
			return
		}
		name := []string{"x.yaml", "x.json", "x.go"}[uint(kind)%3]
		c, err := content.ParseFile(name, text)
		if err != nil {
			checkRefusal(t, err, name)
			return
		}
		if _, err := content.ParseFile("y.yaml", []byte(yamlOf(t, c))); err != nil {
			t.Fatalf("%v in own output", err)
		}
	})
}

// checkRefusal wants one line for each problem, each with the file's name.
func checkRefusal(t *testing.T, err error, file string) {
	t.Helper()
	var e *model.Error
	if !errors.As(err, &e) || e.Kind() != model.Invalid || len(e.Messages) == 0 {
		t.Fatalf("%v", err)
	}
	for _, m := range e.Messages {
		if strings.ContainsAny(m, "\n") || !strings.HasPrefix(m, file) && !strings.HasPrefix(m, "and ") {
			t.Errorf("%q", m)
		}
	}
}
