package scripts

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every script passes ShellCheck as it is rendered for several sets of params, and
// is strict: it ends at the first command that fails and at a name that is unset.
func TestScriptsPassShellCheck(t *testing.T) {
	t.Parallel()
	path := tool(t, "shellcheck")
	dir := t.TempDir()
	seen := map[string]bool{}
	for _, task := range slices.Sorted(maps.Keys(pack(t).Sections["tasks"])) {
		for name, set := range map[string]params{
			"nothing": {},
			"request": {"ipmi/configure/generate-csr": true},
			"users":   {"ipmi/configure/user": true},
			"hostile": everything(t, params{"ipmi/configure/hostname": "'; $(id) `id` \"", "ipmi/configure/domain": "a\nb", "ipmi/configure/dns-servers": []any{"*", "' '"}}),
		} {
			text := render(t, task, set)
			if !strings.HasPrefix(text, "#!/usr/bin/env bash\n") || !strings.Contains(text, "\nset -euo pipefail\n") {
				t.Errorf("%s with %s is not a strict script of bash", task, name)
			}
			if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
				t.Errorf("%s with %s is not wholly rendered", task, name)
			}
			if seen[text] {
				continue
			}
			seen[text] = true
			file := filepath.Join(dir, strings.ReplaceAll(task+"-"+name, " ", "-")+".sh")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.sh"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	// 2317, 2329: not every script uses all that they have in common. 2016: a value is in
	// single quotes so that the shell does not read it.
	args := append([]string{"--shell=bash", "--format=gcc", "--exclude=SC2317,SC2329,SC2016"}, files...)
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// The rule that a script passes is seen to fail.
func TestShellCheckIsAsked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bad.sh")
	if err := os.WriteFile(file, []byte("#!/usr/bin/env bash\nset -euo pipefail\necho $1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), tool(t, "shellcheck"), "--shell=bash", file).Run(); err == nil {
		t.Error("ShellCheck accepts a word that is not quoted")
	}
}
