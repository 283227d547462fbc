package mutants

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository's root seen from this package's tests.
const root = "../.."

// Every committed patch must apply to the code as it is now.
func TestPatchesApply(t *testing.T) {
	files, err := filepath.Glob("*.patch")
	if err != nil || len(files) == 0 {
		t.Fatalf("no patches found (%v)", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".patch")
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
		})
	}
}

// tree makes a small repository with one program and one patch.
func tree(t *testing.T, patch string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":               "module toy\n\ngo 1.26\n",
		"toy/main.go":          "package main\n\nfunc main() {\n\tprintln(\"whole\")\n\tprintln(\"same\")\n\tprintln(\"same\")\n}\n",
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
	dir := tree(t, "why: says broken\nfile: toy/main.go\n-println(\"whole\")\n+println(\"broken\")\n")
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

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct{ patch, want string }{
		"gone":      {"why: x\nfile: toy/main.go\n-println(\"gone\")\n+x\n", "no longer stands"},
		"twice":     {"why: x\nfile: toy/main.go\n-println(\"same\")\n+x\n", "more than once"},
		"no file":   {"why: x\nfile: toy/none.go\n-x\n+x\n", "cannot apply"},
		"no why":    {"file: toy/main.go\n-x\n+x\n", "needs why:"},
		"bad build": {"why: x\nfile: toy/main.go\n-println(\"whole\")\n+printn()\n", "cannot build"},
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
