package content_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// parsed is ParseFile for tests.
func parsed(t *testing.T, text string) *model.Content {
	t.Helper()
	c, err := content.ParseFile("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const mixed = `meta: {Name: mixed, Description: "for tests", Order: "5"}
sections:
  params:
    ab/cd/e: {Name: ab/cd/e, Schema: {type: integer, default: 1}}
  templates:
    run.sh: {ID: run.sh, Contents: "#!/bin/sh\nexit"}
    told.sh: {ID: told.sh, Contents: "x", Description: "says more"}
    conf.yaml: {ID: conf.yaml, Contents: "a: b\n"}
  freds:
    one: {Id: one, X: "y"}
  workflows: {}
`

// The files, their names and their text are the reference's.
func TestUnbundle(t *testing.T) {
	for _, tc := range []struct {
		asYAML bool
		want   tree
	}{
		{false, tree{
			"._Name.meta": "mixed\n", "._Description.meta": "for tests\n", "._Order.meta": "5\n", "templates/run.sh": "#!/bin/sh\nexit",
			"params/ab.cd.e.json": "{\n  \"Available\": false,\n  \"Bundle\": \"mixed\",\n  \"Description\": \"\",\n  \"Documentation\": \"\",\n  \"Endpoint\": \"\",\n  \"Errors\": [],\n  \"Meta\": {},\n  \"Name\": \"ab/cd/e\",\n" +
				"  \"ReadOnly\": false,\n  \"Schema\": {\n    \"default\": 1,\n    \"type\": \"integer\"\n  },\n  \"Secure\": false,\n  \"Validated\": false\n}\n",
			"templates/told.sh.json":   "{\n  \"Available\": false,\n  \"Bundle\": \"mixed\",\n  \"Contents\": \"x\",\n  \"Description\": \"says more\",\n  \"Endpoint\": \"\",\n  \"Errors\": [],\n  \"ID\": \"told.sh\",\n  \"Meta\": {},\n  \"ReadOnly\": false,\n  \"Validated\": false\n}\n",
			"templates/conf.yaml.json": "{\n  \"Available\": false,\n  \"Bundle\": \"mixed\",\n  \"Contents\": \"a: b\\n\",\n  \"Description\": \"\",\n  \"Endpoint\": \"\",\n  \"Errors\": [],\n  \"ID\": \"conf.yaml\",\n  \"Meta\": {},\n  \"ReadOnly\": false,\n  \"Validated\": false\n}\n",
			"freds/one.json":           "{\n  \"Id\": \"one\",\n  \"X\": \"y\"\n}\n",
		}},
		{true, tree{
			"._Name.meta": "mixed\n", "._Description.meta": "for tests\n", "._Order.meta": "5\n", "templates/run.sh": "#!/bin/sh\nexit",
			"params/ab.cd.e.yaml":      "Available: false\nBundle: mixed\nDescription: \"\"\nDocumentation: \"\"\nEndpoint: \"\"\nErrors: []\nMeta: {}\nName: ab/cd/e\nReadOnly: false\nSchema:\n  default: 1\n  type: integer\nSecure: false\nValidated: false\n",
			"templates/told.sh.yaml":   "Available: false\nBundle: mixed\nContents: x\nDescription: says more\nEndpoint: \"\"\nErrors: []\nID: told.sh\nMeta: {}\nReadOnly: false\nValidated: false\n",
			"templates/conf.yaml.yaml": "Available: false\nBundle: mixed\nContents: |\n  a: b\nDescription: \"\"\nEndpoint: \"\"\nErrors: []\nID: conf.yaml\nMeta: {}\nReadOnly: false\nValidated: false\n",
			"freds/one.yaml":           "Id: one\nX: \"y\"\n",
		}},
	} {
		dir := t.TempDir()
		if err := content.Unbundle(context.Background(), parsed(t, mixed), content.Target{Dir: dir, YAML: tc.asYAML}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, files(t, dir)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for name, mode := range map[string]os.FileMode{"params": 0o750, "workflows": 0o750, "._Name.meta": 0o640, "templates/run.sh": 0o640} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v", name, info, err)
			}
		}
	}
}

// What cannot be written is refused before anything is.
func TestUnbundleRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		content string
		before  func(t *testing.T, dir string)
		force   bool
		want    []string
	}{
		{"one file for two", "meta: {Name: ab}\nsections: {params: {a/b: {Name: a/b}, a.b: {Name: a.b}, x/y: {Name: x/y}}}", nil, false,
			[]string{"params/a.b and params/a/b would both be written to params/a.b.json"}},
		{"files in the way", mixed, func(t *testing.T, dir string) {
			put(t, dir, "._Name.meta", "old")
			put(t, dir, "freds/one.json", "old")
		}, false, []string{"DIR/._Name.meta: is there already (--force replaces it)", "DIR/freds/one.json: is there already (--force replaces it)"}},
		{"folder in place of a file", mixed, func(t *testing.T, dir string) { put(t, dir, "freds/one.json/x", "old") }, true,
			[]string{"DIR/freds/one.json: a folder, and in the way of a file"}},
		{"file in place of a folder", mixed, func(t *testing.T, dir string) { put(t, dir, "freds", "old") }, true,
			[]string{"DIR/freds: not a folder, and in the way of one"}},
		{"link to outside", mixed, func(t *testing.T, dir string) { link(t, t.TempDir(), filepath.Join(dir, "params")) }, true,
			[]string{"DIR/params: cannot write there: path escapes from parent"}},
		{"link to the parent", mixed, func(t *testing.T, dir string) { link(t, "..", filepath.Join(dir, "params")) }, true,
			[]string{"DIR/params: cannot write there: path escapes from parent"}},
		{"dangling link", mixed, func(t *testing.T, dir string) { link(t, "/absent/x", filepath.Join(dir, "templates/run.sh")) }, false,
			[]string{"DIR/templates/run.sh: is there already (--force replaces it)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if tc.before != nil {
				tc.before(t, dir)
			}
			before := entries(t, dir)
			err := content.Unbundle(context.Background(), parsed(t, tc.content), content.Target{Dir: dir, Force: tc.force})
			var e *model.Error
			if !errors.As(err, &e) || e.Kind() != model.Invalid {
				t.Fatalf("%v", err)
			}
			for i := range tc.want {
				tc.want[i] = strings.ReplaceAll(tc.want[i], "DIR", dir)
			}
			if diff := cmp.Diff(tc.want, e.Messages); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, entries(t, dir)); diff != "" {
				t.Errorf("something was written:\n%s", diff)
			}
		})
	}
}

// put writes a file below dir.
func put(t *testing.T, dir, file, text string) {
	t.Helper()
	p := filepath.Join(dir, file)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// link makes a symbolic link.
func link(t *testing.T, target, file string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, file); err != nil {
		t.Fatal(err)
	}
}

// entries lists everything below dir.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"*", ".*", "*/*", "*/.*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, found...)
	}
	return out
}

// Force replaces files, a link instead of what it leads to, and leaves files of
// other names.
func TestUnbundleForce(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	put(t, filepath.Dir(outside), "precious", "old")
	put(t, dir, "freds/one.json", "old")
	put(t, dir, "freds/two.json", "old")
	link(t, outside, filepath.Join(dir, "templates/run.sh"))
	if err := content.Unbundle(context.Background(), parsed(t, mixed), content.Target{Dir: dir, Force: true}); err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	if got["freds/one.json"] == "old" || got["freds/two.json"] != "old" || got["templates/run.sh"] != "#!/bin/sh\nexit" {
		t.Errorf("got %v", got)
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "old" {
		t.Errorf("outside is %q, %v", text, err)
	}
}

// A bundle that was made in memory is checked like one from a file.
func TestUnbundleChecks(t *testing.T) {
	dir := t.TempDir()
	for name, sections := range map[string]map[string]map[string]map[string]any{
		"key":     {"freds": {"../../x": {"Id": "../../x"}}},
		"key 2":   {"params": {"../x": {"Name": "../x"}}},
		"section": {"../x": {}},
		"hidden":  {".git": {"hooks": {"Id": "hooks"}}},
	} {
		c := &model.Content{Meta: model.ContentMeta{Name: "ab"}, Sections: sections}
		if err := content.Unbundle(context.Background(), c, content.Target{Dir: dir}); model.KindOf(err) != model.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Points and slashes that a param's name may have lead nowhere.
	c := parsed(t, "meta: {Name: ab}\nsections: {params: {a/../../../x: {Name: a/../../../x}}}")
	if err := content.Unbundle(context.Background(), c, content.Target{Dir: dir}); err != nil {
		t.Error(err)
	}
	if got := files(t, dir); len(got) != 2 || got["params/a..........x.json"] == "" {
		t.Errorf("got %v", got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := content.Unbundle(ctx, c, content.Target{Dir: t.TempDir()}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := content.Unbundle(context.Background(), c, content.Target{Dir: filepath.Join(dir, "._Name.meta")}); model.KindOf(err) != model.Internal {
		t.Errorf("file: %v", err)
	}
}

// No bundle is written outside its directory, whatever its names are.
func FuzzUnbundle(f *testing.F) {
	f.Add("params", "a/b", "x")
	f.Add("templates", "a.yaml", "x\n")
	f.Add("../x", "../../y", "z")
	f.Add("freds", "a\\..\\b", "")
	f.Fuzz(func(t *testing.T, section, key, text string) {
		above := t.TempDir()
		obj := map[string]any{"Name": key, "Description": text}
		if section == "templates" {
			obj = map[string]any{"ID": key, "Contents": text}
		}
		c := &model.Content{Meta: model.ContentMeta{Name: "ab"}, Sections: map[string]map[string]map[string]any{section: {key: obj}}}
		err := content.Unbundle(context.Background(), c, content.Target{Dir: filepath.Join(above, "here")})
		for file := range files(t, above) {
			if err != nil || !strings.HasPrefix(file, "here/") {
				t.Errorf("%s was written, %v", file, err)
			}
		}
		if err == nil && len(files(t, above)) != 2 {
			t.Errorf("wrote %v", files(t, above))
		}
	})
}
