// Package mutants builds the suite's own binaries with one line broken, so that
// tests and the demo can be seen to notice. A patch is a file NAME.patch beside
// this one; the shipped code has no hook for it.
package mutants

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"provision-plugins/shared/model"
)

// Dir is where the patches are, from the repository's root.
const Dir = "tools/mutants"

// Patch replaces one line of one file.
type Patch struct {
	Name string
	Why  string // what the broken program does
	File string // from the repository's root
	Old  string // the line, without its indent
	New  string // what stands in its place
}

// Load reads the patch NAME.patch below root. Its lines begin with "why: ",
// "file: ", "-" (the one line replaced) and "+" (what replaces it).
func Load(root, name string) (*Patch, error) {
	raw, err := os.ReadFile(filepath.Join(root, Dir, name+".patch"))
	if err != nil {
		return nil, model.Errorf(model.NotFound, "cannot read patch: %w", err)
	}
	p := &Patch{Name: name}
	var added []string
	for i, line := range strings.Split(strings.TrimRight(string(raw), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "why: "):
			p.Why = line[len("why: "):]
		case strings.HasPrefix(line, "file: "):
			p.File = line[len("file: "):]
		case strings.HasPrefix(line, "-") && p.Old == "":
			p.Old = strings.TrimSpace(line[1:])
		case strings.HasPrefix(line, "+"):
			added = append(added, strings.TrimSpace(line[1:]))
		default:
			return nil, model.Errorf(model.Invalid, "cannot read patch %s: line %d is neither why:, file:, -, nor +", name, i+1)
		}
	}
	p.New = strings.Join(added, "\n")
	if p.Why == "" || p.File == "" || p.Old == "" {
		return nil, model.Errorf(model.Invalid, "cannot read patch %s: it needs why:, file: and one - line", name)
	}
	return p, nil
}

// Apply returns the file's text with the patch in. A line that is not there
// exactly once is an error: a patch that no longer applies proves nothing.
func (p *Patch) Apply(root string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(root, p.File))
	if err != nil {
		return "", model.Errorf(model.Invalid, "cannot apply patch %s: %w", p.Name, err)
	}
	lines := strings.Split(string(raw), "\n")
	at := -1
	for i, line := range lines {
		if strings.TrimSpace(line) != p.Old {
			continue
		}
		if at >= 0 {
			return "", model.Errorf(model.Invalid, "cannot apply patch %s: %q stands in %s more than once", p.Name, p.Old, p.File)
		}
		at = i
	}
	if at < 0 {
		return "", model.Errorf(model.Invalid, "cannot apply patch %s: %q no longer stands in %s", p.Name, p.Old, p.File)
	}
	lines[at] = p.New
	return strings.Join(lines, "\n"), nil
}

// Build builds the package pkg (from root) with the patch in, to the file out.
// scratch is a folder for the patched copy.
func (p *Patch) Build(ctx context.Context, root, scratch, pkg, out string) error {
	text, err := p.Apply(root)
	if err != nil {
		return err
	}
	overlay, err := p.overlay(root, scratch, text)
	if err != nil {
		return fmt.Errorf("cannot apply patch %s: %w", p.Name, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-trimpath", "-o", out, "./"+pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return model.Errorf(model.Invalid, "cannot build %s with patch %s: %w: %s", pkg, p.Name, err, strings.TrimSpace(string(text)))
	}
	return nil
}

// overlay writes the patched copy and the file that go build -overlay wants.
func (p *Patch) overlay(root, scratch, text string) (string, error) {
	real, err := filepath.Abs(filepath.Join(root, p.File))
	if err != nil {
		return "", err
	}
	copied := filepath.Join(scratch, p.Name+".go")
	if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
		return "", err
	}
	raw, err := json.Marshal(map[string]map[string]string{"Replace": {real: copied}})
	if err != nil {
		return "", err
	}
	path := filepath.Join(scratch, p.Name+".json")
	return path, os.WriteFile(path, raw, 0o600)
}
