// Package mutants builds and tests the suite's own code with one line broken, so
// that tests and the demo can be seen to notice. A patch is a file NAME.patch
// beside this one; the shipped code has no hook for it.
package mutants

import (
	"context"
	"encoding/json"
	"errors"
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

	// Packages are those whose tests must notice, as "./ipmi/rmcp", and Pattern
	// what -run limits them to; empty is all.
	Packages []string
	Pattern  string
}

// Names lists the patches below root, sorted.
func Names(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, Dir, "*.patch"))
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot list patches: %w", err)
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(filepath.Base(file), ".patch")
	}
	return names, nil
}

// Load reads the patch NAME.patch below root. Its lines begin with "why: ",
// "file: ", "test: " (packages, and "-run" with a pattern), "-" (the one line
// replaced) and "+" (what replaces it).
func Load(root, name string) (*Patch, error) {
	raw, err := os.ReadFile(filepath.Join(root, Dir, name+".patch"))
	if err != nil {
		return nil, model.Errorf(model.NotFound, "cannot read patch: %w", err)
	}
	p := &Patch{Name: name}
	var added []string
	for i, line := range strings.Split(strings.TrimRight(string(raw), "\n"), "\n") {
		switch {
		case p.header(line):
		case strings.HasPrefix(line, "-") && p.Old == "":
			p.Old = strings.TrimSpace(line[1:])
		case strings.HasPrefix(line, "+"):
			added = append(added, strings.TrimSpace(line[1:]))
		default:
			return nil, model.Errorf(model.Invalid, "cannot read patch %s: line %d is neither why:, file:, test:, one -, nor +", name, i+1)
		}
	}
	p.New = strings.Join(added, "\n")
	if p.Why == "" || p.File == "" || len(p.Packages) == 0 || p.Old == "" {
		return nil, model.Errorf(model.Invalid, "cannot read patch %s: it needs why:, file:, test: and one - line", name)
	}
	return p, nil
}

// header takes a line that says something about the patch, and reports whether
// it is one.
func (p *Patch) header(line string) bool {
	word, rest, _ := strings.Cut(line, ": ")
	switch word {
	case "why":
		p.Why = rest
	case "file":
		p.File = rest
	case "test":
		packages, pattern, _ := strings.Cut(rest, " -run ")
		p.Packages, p.Pattern = strings.Fields(packages), strings.TrimSpace(pattern)
	default:
		return false
	}
	return true
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
	overlay, err := p.overlay(root, scratch)
	if err != nil {
		return err
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
func (p *Patch) overlay(root, scratch string) (string, error) {
	text, err := p.Apply(root)
	if err != nil {
		return "", err
	}
	whole, err := filepath.Abs(filepath.Join(root, p.File))
	if err != nil {
		return "", fmt.Errorf("cannot apply patch %s: %w", p.Name, err)
	}
	broken := filepath.Join(scratch, p.Name+".go")
	raw, err := json.Marshal(map[string]map[string]string{"Replace": {whole: broken}})
	if err != nil {
		return "", fmt.Errorf("cannot apply patch %s: %w", p.Name, err)
	}
	list := filepath.Join(scratch, p.Name+".json")
	err = errors.Join(os.WriteFile(broken, []byte(text), 0o600), os.WriteFile(list, raw, 0o600))
	if err != nil {
		return "", fmt.Errorf("cannot apply patch %s: %w", p.Name, err)
	}
	return list, nil
}
