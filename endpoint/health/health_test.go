package health

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestReadiness(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	well := State{Now: now, Written: now.Add(-4 * time.Second), Used: 89, Limit: 100}
	fault := errors.New("open /var/lib/oob/x: input/output error")
	for _, c := range []struct {
		name   string
		change func(*State)
		checks string
	}{
		{"well", func(*State) {}, ""},
		{"no limit known", func(s *State) { s.Limit = 0 }, ""},
		{"a clock that went back", func(s *State) { s.Written = now.Add(time.Hour) }, ""},
		{"no write for long", func(s *State) { s.Written = now.Add(-5 * time.Second) }, "engine"},
		{"a disk that fails", func(s *State) { s.WriteFault = fault }, "engine"},
		{"full", func(s *State) { s.Used = 90 }, "store"},
		{"no audit", func(s *State) { s.AuditFault, s.AuditFailed = fault, now.Add(-time.Second) }, "audit"},
		{"an audit that failed long ago", func(s *State) { s.AuditFault, s.AuditFailed = fault, now.Add(-time.Minute) }, ""},
		{"stopping", func(s *State) { s.Stopping = true }, "lifecycle"},
		{"all at once", func(s *State) {
			*s = State{Now: now, WriteFault: fault, Used: 1, Limit: 1, AuditFault: fault, AuditFailed: now, Stopping: true}
		}, "lifecycle engine store audit"},
	} {
		s := well
		c.change(&s)
		got := Readiness(s)
		var checks []string
		for _, r := range got.Reasons {
			checks = append(checks, r.Check)
			if strings.Contains(r.Why, "/var") || r.Why == "" {
				t.Errorf("%s: anybody reads %q", c.name, r.Why)
			}
		}
		if strings.Join(checks, " ") != c.checks || got.Ready != (c.checks == "") {
			t.Errorf("%s: ready %v, checks %q, want %q", c.name, got.Ready, checks, c.checks)
		}
	}
}
