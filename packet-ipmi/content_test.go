package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTemplatesPassShellcheck holds the scripts that run on servers against
// shellcheck, and each of them is a task's.
func TestTemplatesPassShellcheck(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("content/templates/*.sh")
	if err != nil || len(scripts) != 3 {
		t.Fatalf("%v, %v", scripts, err)
	}
	for _, script := range scripts {
		if !strings.Contains(contentYamlString, "ID: "+filepath.Base(script)+"\n") {
			t.Errorf("%s is not in the content", script)
		}
	}
	path, err := exec.LookPath("shellcheck")
	if err != nil {
		if os.Getenv("TEST_STRICT") == "1" {
			t.Fatal(err)
		}
		t.Skip("shellcheck is not here")
	}
	if out, err := exec.CommandContext(t.Context(), path, scripts...).CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

// The content has what the reference's has.
func TestContentIsWhole(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"discover-packet", "packet-discover", "packet-ssh-keys", "packet-console"} {
		if !strings.Contains(contentYamlString, "Name: "+name+"\n") {
			t.Errorf("content lacks %s", name)
		}
	}
	if !strings.Contains(contentYamlString, "kernel-console: console=ttyS1,115200\n") {
		t.Error("the profile has no console")
	}
}
