package main

import (
	"os/exec"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// What a hint says can be typed as it is.
func TestWordsOfHints(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"m1": "m1", "rack1/n-01.x": "rack1/n-01.x", "rack 1": "'rack 1'", "": "''", "it's": `'it'\''s'`, "a;b": "'a;b'", "$x": "'$x'", "a[1]": "'a[1]'",
	} {
		got := word(name)
		if got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
		out, err := exec.Command("sh", "-c", "printf %s "+got).Output()
		if err != nil || string(out) != name {
			t.Errorf("a shell takes %s for %q, %v", got, out, err)
		}
	}
}

func TestAHintWithASpacedName(t *testing.T) {
	t.Parallel()
	err := instead(model.Errorf(model.Conflict, "x"), model.Conflict, "already exists; `oob machine set %s` changes its params", word("rack 1"))
	if !strings.Contains(err.Error(), "`oob machine set 'rack 1'`") {
		t.Error(err)
	}
}
