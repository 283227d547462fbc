package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/sim/slack"
	"provision-plugins/tools/mutants"
)

const root = "../.."

func TestEverySabotageHasAPatchThatApplies(t *testing.T) {
	for _, s := range sabotages {
		p, err := mutants.Load(root, s.name)
		if err == nil {
			_, err = p.Apply(root)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func TestUsage(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"list":             {[]string{"--list-sabotage"}, exitPassed, "cycle-twice\n"},
		"unknown sabotage": {[]string{"--sabotage", "none"}, exitBad, `no sabotage "none"; there are [drop-slack-post`},
		"argument":         {[]string{"extra"}, exitBad, ""},
		"not built":        {[]string{"--bin", t.TempDir()}, exitFailed, "build first"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if code := run(tc.args, &out); code != tc.code || !strings.Contains(out.String(), tc.want) {
				t.Errorf("exit %d, printed %q; want exit %d and %q", code, &out, tc.code, tc.want)
			}
		})
	}
}

// A patch that no longer applies is exit 2, not a failed check.
func TestSabotageThatDoesNotApply(t *testing.T) {
	bin := t.TempDir()
	if err := os.MkdirAll(filepath.Join(bin, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "plugins", "ipmi"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var out bytes.Buffer
	if code := run([]string{"--bin", bin, "--sabotage", "cycle-twice"}, &out); code != exitBad || !strings.Contains(out.String(), "cannot read patch") {
		t.Errorf("exit %d, printed %q", code, &out)
	}
}

func TestVerdict(t *testing.T) {
	s := sabotages[0]
	for name, tc := range map[string]struct {
		sabotage sabotage
		err      error
		code     int
		want     string
	}{
		"passed":            {sabotage{}, nil, exitPassed, "demo: 7 checks passed\n"},
		"failed":            {sabotage{}, &checkError{"a", "b"}, exitFailed, "demo: FAILED: check \"a\": b\n"},
		"sabotage seen":     {s, &checkError{s.check, "b"}, exitFailed, s.check},
		"sabotage unseen":   {s, nil, exitUnnoticed, "noticed by no check"},
		"sabotage mistaken": {s, &checkError{"other", "b"}, exitUnnoticed, "was not noticed by check"},
		"sabotage error":    {s, errors.New("no endpoint"), exitUnnoticed, "no endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := verdict(&world{out: &out, passed: 7}, tc.sabotage, tc.err)
			if code != tc.code || !strings.Contains(out.String(), tc.want) {
				t.Errorf("exit %d, printed %q; want exit %d and %q", code, &out, tc.code, tc.want)
			}
		})
	}
}

// An interrupt is no check that failed.
func TestInterrupted(t *testing.T) {
	w := &world{out: new(bytes.Buffer), bin: t.TempDir()}
	var err error
	if w.api, err = client.New(client.Options{Socket: filepath.Join(w.bin, "nobody")}); err != nil {
		t.Fatal(err)
	}
	defer w.api.Close()
	if err := w.playWithin(t.Context(), time.Millisecond); err == nil || !strings.HasPrefix(err.Error(), "not done within 1ms: ") {
		t.Errorf("out of time: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	err = w.playWithin(gone, time.Minute)
	var failed *checkError
	if err == nil || err.Error() != "interrupted" || errors.As(err, &failed) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestOneLine(t *testing.T) {
	good := reply{err: "Error: m1: unreachable: no answer\n", code: model.Unreachable.Info().Exit}
	for name, tc := range map[string]struct {
		r    reply
		fine bool
	}{
		"good":      {good, true},
		"two lines": {reply{out: "something\n", err: good.err, code: good.code}, false},
		"exit":      {reply{err: good.err, code: 1}, false},
		"nameless":  {reply{err: "Error: unreachable\n", code: good.code}, false},
		"kindless":  {reply{err: "Error: m1 failed\n", code: good.code}, false},
	} {
		w := &world{out: new(bytes.Buffer)}
		if err := w.oneLine(name, tc.r, model.Unreachable, "m1"); (err == nil) != tc.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseStates(t *testing.T) {
	states, err := parseStates("{\"machine\":\"m1\",\"result\":{\"power\":\"on\"}}\n{\"machine\":\"m2\",\"error\":{}}\n")
	if err != nil || states["m1"] != model.StateOn || states["m2"] != "" {
		t.Errorf("read %v, %v", states, err)
	}
	if _, err := parseStates("rack1: on\n"); err == nil {
		t.Error("took a line that is not JSON")
	}
}

func TestLines(t *testing.T) {
	posted := lines([]slack.Message{{Text: "a m1 poweron\nb m1 poweroff"}, {Text: "c m1 poweron"}})
	if len(posted) != 3 || mentions(posted, "m1 poweron") != 2 {
		t.Errorf("lines %q", posted)
	}
	if machine(0) != "rack1n01" || machine(lostReply) != "rack3n01" || machine(pressed) != "rack4n01" {
		t.Errorf("machines are named %s, %s, %s", machine(0), machine(lostReply), machine(pressed))
	}
}
