package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"provision-plugins/tools/mutants"
)

// repository makes a small one: a function, a test of half of it, and patches.
func repository(t *testing.T, patches map[string]string) string {
	t.Helper()
	files := map[string]string{
		"go.mod":       "module toy\n\ngo 1.26\n",
		"a/a.go":       "package a\n\nfunc one() int {\n\treturn 1\n}\n\nfunc two() int {\n\treturn 2\n}\n",
		"a/go_test.go": "package a\n\nimport \"testing\"\n\nfunc TestOne(t *testing.T) {\n\tif one() != 1 {\n\t\tt.Error(two())\n\t}\n}\n",
	}
	for name, change := range patches {
		files[filepath.Join(mutants.Dir, name+".patch")] = "why: says three\nfile: a/a.go\ntest: ./a\n" + change
	}
	dir := t.TempDir()
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

func TestRun(t *testing.T) {
	dir := repository(t, map[string]string{
		"good": "-return 1\n+return 3\n",
		"lost": "-return 2\n+return 3\n",
		"old":  "-return 0\n+return 3\n",
	})
	for name, tc := range map[string]struct {
		names []string
		code  int
		want  []string
	}{
		"one":     {[]string{"good"}, 0, []string{"mutant good caught by TestOne in toy/a", "mutants: 1 of 1 caught"}},
		"lost":    {[]string{"lost", "good"}, 1, []string{"mutant lost SURVIVED: nothing noticed that it says three", "mutants: 1 of 2 caught"}},
		"unknown": {[]string{"none"}, 2, []string{"mutant none ERROR: cannot read patch"}},
		"all":     {nil, 2, []string{"mutant good caught", "mutant lost SURVIVED", "mutant old ERROR: cannot apply patch old", "mutants: 1 of 3 caught"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if code := run(t.Context(), dir, tc.names, &out); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output lacks %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestRunWithoutPatches(t *testing.T) {
	var out strings.Builder
	if code := run(t.Context(), t.TempDir(), nil, &out); code != 2 || !strings.Contains(out.String(), "no patches") {
		t.Errorf("exit code %d:\n%s", code, out.String())
	}
}
