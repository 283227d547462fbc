package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// must runs a command line that has to work, and returns what it printed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := command(args...)
	if code != 0 || stderr != "" {
		t.Fatalf("%q: exit %d, %s", args, code, stderr)
	}
	return stdout
}

// Directory, YAML, JSON, Go, directory: by the command line, for a made
// directory and all that the repository has.
func TestRoundTrip(t *testing.T) {
	dirs, err := filepath.Glob("../../*/content/._Name.meta")
	if err != nil || len(dirs) < 4 {
		t.Fatalf("%v, %v", dirs, err)
	}
	dirs = append(dirs, "../../content/base/.", "../../content/oob/.", source(t)+"/.")
	for _, meta := range dirs {
		dir, tmp := filepath.Dir(meta), t.TempDir()
		at := func(name string) string { return filepath.Join(tmp, name) }
		must(t, "bundle", at("1.yaml"), "--dir", dir)
		must(t, "unbundle", at("1.yaml"), "--dir", at("d1"))
		carryKnown(t, dir, at("d1"))
		must(t, "bundle", at("2.json"), "--dir", at("d1"))
		must(t, "unbundle", at("2.json"), "--dir", at("d2"), "-F", "yaml")
		carryKnown(t, dir, at("d2"))
		must(t, "bundle", at("3.go"), "--dir", at("d2"))
		must(t, "unbundle", at("3.go"), "--dir", at("d3"))
		carryKnown(t, dir, at("d3"))
		must(t, "bundle", at("4.yaml"), "--dir", at("d3"))
		if read(t, at("1.yaml")) != read(t, at("4.yaml")) {
			t.Errorf("%s: the last bundle is not the first", dir)
		}
		if first, last := list(t, at("d1")), list(t, at("d3")); first != last {
			t.Errorf("%s: the last directory is not the first:\n%s\n%s", dir, first, last)
		}
		page := must(t, "document", dir)
		for _, file := range []string{"1.yaml", "2.json", "3.go"} {
			if must(t, "document", at(file)) != page {
				t.Errorf("%s: %s has another page", dir, file)
			}
		}
	}
}

// carryKnown copies what a directory says of other layers: it is for who bundles
// the directory, and no part of a bundle.
func carryKnown(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(from, "._Known.meta"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "._Known.meta"), raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// list is every file of a directory with its text.
func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(file string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			b.WriteString("== " + file + "\n" + read(t, filepath.Join(dir, file)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Without --dir the current directory is written; a second time needs --force.
func TestUnbundleHere(t *testing.T) {
	out := filepath.Join(t.TempDir(), "b.yaml")
	must(t, "bundle", out, "--dir", source(t))
	t.Chdir(t.TempDir())
	must(t, "unbundle", out)
	first := list(t, ".")
	if !strings.Contains(first, "== params/small.ab.json\n{\n") || !strings.Contains(first, "== ._Name.meta\nsmall\n") {
		t.Errorf("wrote\n%s", first)
	}
	_, stderr, code := command("unbundle", out)
	want := "contents: ._Name.meta: is there already (--force replaces it)\ncontents: ._Type.meta: is there already (--force replaces it)\n" +
		"contents: params/small.ab.json: is there already (--force replaces it)\n"
	if code != 2 || stderr != want {
		t.Errorf("exit %d, %s", code, stderr)
	}
	must(t, "unbundle", out, "--force")
	if list(t, ".") != first {
		t.Error("--force wrote something else")
	}
}

func TestDocument(t *testing.T) {
	dir := source(t)
	out := filepath.Join(t.TempDir(), "small.rst")
	page := must(t, "document", dir)
	if !strings.Contains(page, "\nsmall\n~~~~~\n") {
		t.Errorf("got\n%s", page)
	}
	if must(t, "document", dir, "-o", out) != "" || read(t, out) != page {
		t.Error("the file is not what is printed")
	}
	if info, err := os.Stat(out); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, stderr, code := command("document", dir, "-o", filepath.Join(dir, "absent", "x.rst")); code != 11 || !strings.HasPrefix(stderr, "contents: cannot write ") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// Bad input is one clear line for each thing wrong, and exit 2.
func TestFormsRefuse(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"bad.yaml": "meta:\n  Name: a b\nsections:\n  params:\n    x: {Name: x}\n",
		"out.yaml": "meta: {Name: ab}\nsections:\n  ../../x:\n    one: {Id: one}\n",
		"cut.go":   "package main\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, tc := range []struct{ args, want string }{
		{"unbundle bad.yaml", "contents: bad.yaml:2: meta: bundle name \"a b\" is not valid: letters, digits, - _ .\n" +
			"contents: bad.yaml:5: params/x: name \"x\" is not valid: a letter, then at least one of letters, digits, space, - _ . /\n"},
		{"unbundle out.yaml", "contents: out.yaml:3: ../../x: section \"../../x\" cannot be a folder: no point in front, no slash, no control character\n"},
		{"document cut.go", "contents: cut.go:2: it ends before the variable that holds the bundle\n"},
		{"document absent.yaml", "contents: cannot read bundle absent.yaml: no such file or directory\n"},
		{"unbundle x.txt", "contents: cannot read bundle x.txt: no such file or directory\n"},
		{"unbundle bad.yaml -F xml", "contents: cannot unbundle bad.yaml: unknown format \"xml\" (use json or yaml)\n"},
		{"unbundle", "contents: accepts 1 arg(s), received 0 (see contents --help)\n"},
		{"document a b", "contents: accepts 1 arg(s), received 2 (see contents --help)\n"},
	} {
		stdout, stderr, code := command(strings.Fields(tc.args)...)
		if code != 2 || stdout != "" || stderr != tc.want {
			t.Errorf("%s: exit %d, %s%s", tc.args, code, stdout, stderr)
		}
	}
	if got := list(t, "."); strings.Count(got, "== ") != 3 {
		t.Errorf("something was written:\n%s", got)
	}
}
