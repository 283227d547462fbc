package main

import (
	"context"
	"io"
	"testing"

	"provision-plugins/shared/model"
)

func TestConfirm(t *testing.T) {
	tests := []struct {
		name, in string
		ask, yes bool
		code     int
		shown    string
	}{
		{"yes on a terminal", "y\n", true, false, 0, "power off 3 machines: n[1-3]. Continue? [y/N] "},
		{"in full", " YES \n", true, false, 0, "power off 3 machines: n[1-3]. Continue? [y/N] "},
		{"no", "n\n", true, false, 2, "power off 3 machines: n[1-3]. Continue? [y/N] "},
		{"return alone", "\n", true, false, 2, "power off 3 machines: n[1-3]. Continue? [y/N] "},
		{"end of input", "y", true, false, 2, "power off 3 machines: n[1-3]. Continue? [y/N] \n"},
		{"--yes", "", true, true, 0, "power off 3 machines: n[1-3]\n"},
		{"--yes without a terminal", "", false, true, 0, ""},
		{"without a terminal", "y\n", false, false, 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, _, stderr := testApp(tt.in)
			a.ask = tt.ask
			err := a.confirm(t.Context(), "power off", []string{"n3", "n1", "n2"}, tt.yes)
			if exitCode(err) != tt.code || stderr.String() != tt.shown {
				t.Errorf("got %v, shown %q", err, stderr)
			}
		})
	}
}

func TestConfirmEndsWithContext(t *testing.T) {
	a, _, _ := testApp("")
	in, out := io.Pipe() // nobody ever answers
	a.stdin, a.stderr, a.ask = in, io.Discard, true
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := a.confirm(ctx, "power off", []string{"m1"}, false)
	if model.KindOf(err) != model.Invalid {
		t.Errorf("got %v", err)
	}
	out.Close() // lets the reader end
}

func TestCount(t *testing.T) {
	if got := count(1, "machine") + ", " + count(2, "BMC"); got != "1 machine, 2 BMCs" {
		t.Errorf("got %s", got)
	}
}
