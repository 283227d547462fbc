package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestReferenceIsCurrent compares the page with what the commands say now.
func TestReferenceIsCurrent(t *testing.T) {
	a, _, _ := testApp("")
	page, err := os.ReadFile(filepath.Join("..", "docs", "reference", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, reference(newRootCommand(a))) {
		t.Error("docs/reference/cli.md is not what the commands say: run `./build.sh generate`")
	}
}

// TestCommandsSayWhatTheyDo looks at the texts of every command.
func TestCommandsSayWhatTheyDo(t *testing.T) {
	a, _, _ := testApp("")
	for _, cmd := range described(newRootCommand(a)) {
		if cmd.Parent().Name() == "completion" {
			continue // those of cobra
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") || strings.Contains(cmd.Short, "\n") {
			t.Errorf("%s: its summary is %q", cmd.CommandPath(), cmd.Short)
		}
		for line := range strings.Lines(cmd.Long) {
			if len(line) > 81 {
				t.Errorf("%s: a line of its text is longer than a terminal: %q", cmd.CommandPath(), line)
			}
		}
		if takesNames(cmd) && cmd.ValidArgsFunction == nil {
			t.Errorf("%s: a shell cannot complete what it takes", cmd.CommandPath())
		}
	}
}

// takesNames reports whether a command takes names that an endpoint knows.
func takesNames(cmd *cobra.Command) bool {
	for _, word := range []string{"TARGETS", " NAME", " ID", " USER"} {
		if strings.Contains(cmd.Use, word) {
			return cmd.Name() != "add"
		}
	}
	return false
}

// TestReferenceCommand writes the page.
func TestReferenceCommand(t *testing.T) {
	a, _, stderr := testApp("")
	path := filepath.Join(t.TempDir(), "cli.md")
	if code := run(t.Context(), a, []string{"reference", path}); code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	page, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(page), "\n## oob power cycle\n") || strings.Contains(string(page), "oob reference") {
		t.Errorf("%v, page of %d bytes", err, len(page))
	}
	if code := run(t.Context(), a, []string{"reference", filepath.Join(path, "x")}); code != 2 {
		t.Errorf("exit code %d", code)
	}
}
