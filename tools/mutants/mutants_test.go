package mutants

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's root seen from this package's tests.
const root = "../.."

// Every committed patch must apply to the code as it is now, and name packages
// that there are.
func TestPatchesApply(t *testing.T) {
	names, err := Names(root)
	if err != nil || len(names) == 0 {
		t.Fatalf("no patches found (%v)", err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			p, err := Load(root, name)
			if err != nil {
				t.Fatal(err)
			}
			text, err := p.Apply(root)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, p.New) {
				t.Errorf("patched text lacks %q", p.New)
			}
			for _, pkg := range p.Packages {
				tests, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
				if err != nil || len(tests) == 0 {
					t.Errorf("no tests in %s (%v)", pkg, err)
				}
			}
			if _, err := regexp.Compile(p.Pattern); err != nil {
				t.Error(err)
			}
		})
	}
}

// sum is what the small repository tests.
const sum = `func sum(a, b int) int {
	return a + b
}
`

// sumTest notices a wrong sum in TestSum/small, and nothing in TestNothing.
// With STRAY set the package fails outside of its tests.
const sumTest = `package main

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if code := m.Run(); code != 0 || sum(1, 0) != 1 {
		os.Exit(1)
	}
}

func TestNothing(*testing.T) {}

func TestSum(t *testing.T) {
	t.Run("small", func(t *testing.T) {
		if sum(1, 2) != 3 {
			t.Error("wrong")
		}
	})
}
`

// tree makes a small repository with one program and one patch.
func tree(t *testing.T, patch string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":               "module toy\n\ngo 1.26\n",
		"toy/main.go":          "package main\n\nfunc main() {\n\tprintln(\"whole\")\n\tprintln(\"same\")\n\tprintln(\"same\")\n}\n\n" + sum,
		"toy/sum_test.go":      sumTest,
		Dir + "/break.patch":   patch,
		Dir + "/notours.patch": "what is this\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBuild(t *testing.T) {
	dir := tree(t, "why: says broken\nfile: toy/main.go\ntest: ./toy\n-println(\"whole\")\n+println(\"broken\")\n")
	p, err := Load(dir, "break")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "broken")
	if err := p.Build(t.Context(), dir, t.TempDir(), "toy", out); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), out).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(said), "broken\n") {
		t.Errorf("patched program said %q, %v", said, err)
	}
}

// broken is a patch of the small repository, from its line of tests on.
func broken(tests, old, line string) string {
	return "why: x\nfile: toy/main.go\ntest: " + tests + "\n-" + old + "\n+" + line + "\n"
}

func TestVerdicts(t *testing.T) {
	for name, tc := range map[string]struct{ patch, test string }{
		"caught":            {broken("./toy", "return a + b", "return a - b"), "TestSum/small"},
		"caught by pattern": {broken("./toy -run ^TestSum$", "return a + b", "return a - b"), "TestSum/small"},
		"caught by leak":    {broken("./toy -run ^TestNothing$", "return a + b", "return a + b + 1"), "TestMain"},
		"panic":             {broken("./toy", "return a + b", "return a / (b - 2)"), "TestSum/small"},
		"survived":          {broken("./toy", `println("whole")`, `println("broken")`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, tc.patch)
			p, err := Load(dir, "break")
			if err != nil {
				t.Fatal(err)
			}
			v, err := p.Test(t.Context(), dir, t.TempDir())
			if err != nil || v.Test != tc.test {
				t.Fatalf("got %+v, %v, want test %q", v, err, tc.test)
			}
			if v.Caught() != (tc.test != "") || v.Caught() && v.Package != "toy/toy" {
				t.Errorf("got %+v", v)
			}
		})
	}
}

// What says nothing about the tests is an error, never a verdict.
func TestNoVerdict(t *testing.T) {
	for name, tc := range map[string]struct{ patch, want string }{
		"not applied":  {broken("./toy", "return b + a", "x"), "no longer stands"},
		"not compiled": {broken("./toy", "return a + b", "return c"), "cannot compile patch break: # toy/toy"},
		"test gone":    {broken("./toy -run ^TestGone$", "return a + b", "return a - b"), `no test in ./toy is called "^TestGone$"`},
		"package gone": {broken("./gone", "return a + b", "return a - b"), "cannot"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, tc.patch)
			p, err := Load(dir, "break")
			if err != nil {
				t.Fatal(err)
			}
			v, err := p.Test(t.Context(), dir, t.TempDir())
			if err == nil || v.Caught() || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %+v, %v, want an error of one line with %q", v, err, tc.want)
			}
		})
	}
}

// A test that never ends is the one that noticed.
func TestHungTest(t *testing.T) {
	const said = `{"Action":"start","Package":"toy/a"}
{"Action":"run","Package":"toy/a","Test":"TestFast"}
{"Action":"pass","Package":"toy/a","Test":"TestFast"}
{"Action":"run","Package":"toy/a","Test":"TestSlow"}
{"Action":"run","Package":"toy/a","Test":"TestSlow/deep"}
{"Action":"output","Package":"toy/a","Output":"panic: test timed out after 2m0s\\n"}
{"Action":"fail","Package":"toy/a"}
`
	got, err := listen(strings.NewReader(said))
	if err != nil || got.verdict.Test != "TestSlow/deep" || got.verdict.Package != "toy/a" || got.tests != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := listen(strings.NewReader(said + "no JSON")); err == nil {
		t.Error("what is no event was read")
	}
}

func TestInterrupted(t *testing.T) {
	dir := tree(t, broken("./toy", "return a + b", "return a - b"))
	p, err := Load(dir, "break")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := p.Test(ctx, dir, t.TempDir()); err == nil || v.Caught() {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct{ patch, want string }{
		"gone":      {"why: x\nfile: toy/main.go\ntest: ./toy\n-println(\"gone\")\n+x\n", "no longer stands"},
		"twice":     {"why: x\nfile: toy/main.go\ntest: ./toy\n-println(\"same\")\n+x\n", "more than once"},
		"no file":   {"why: x\nfile: toy/none.go\ntest: ./toy\n-x\n+x\n", "cannot apply"},
		"no test":   {"why: x\nfile: toy/main.go\n-println(\"whole\")\n+x\n", "it needs why:, file:, test:"},
		"no why":    {"file: toy/main.go\n-x\n+x\n", "it needs why:"},
		"bad build": {"why: x\nfile: toy/main.go\ntest: ./toy\n-println(\"whole\")\n+printn()\n", "cannot build"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, tc.patch)
			p, err := Load(dir, "break")
			if err == nil {
				err = p.Build(t.Context(), dir, t.TempDir(), "toy", filepath.Join(dir, "out"))
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
	dir := tree(t, "")
	for _, name := range []string{"absent", "notours"} {
		if _, err := Load(dir, name); err == nil {
			t.Errorf("patch %s was taken", name)
		}
	}
}
