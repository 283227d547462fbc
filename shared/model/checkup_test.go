package model

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckup(t *testing.T) {
	var c Checkup
	if c.Failed() != nil || c.Err() != nil || c.Check("login") != nil {
		t.Error("an empty checkup has failed")
	}
	c.Add(Check{Name: "name", Verdict: VerdictOK, Kind: Busy})
	c.Add(Check{Name: "later", Verdict: VerdictSkipped})
	if c.Verdict != VerdictOK || c.Checks[0].Kind != "" {
		t.Errorf("skipped counts, or ok has a kind: %+v", c)
	}
	c.Add(Check{Name: "clock", Verdict: VerdictWarning})
	if c.Verdict != VerdictWarning || c.Failed() != nil {
		t.Errorf("after a warning: %+v", c)
	}
	c.Add(Check{Name: "suites", Verdict: VerdictFailed, Kind: Unsupported, Cause: "none fits"})
	c.Add(Check{Name: "login", Verdict: VerdictFailed, Kind: DeviceAuth, Cause: "wrong password", Mend: "set ipmi/password"})
	c.Add(Check{Name: "again", Verdict: VerdictFailed, Kind: DeviceAuth, Cause: "wrong too"})
	c.Add(Check{Name: "power", Verdict: VerdictOK})
	if c.Verdict != VerdictFailed || c.Failed().Name != "login" || c.Check("clock").Verdict != VerdictWarning {
		t.Errorf("after failures: %+v", c)
	}
	err := c.Err()
	if KindOf(err) != DeviceAuth || !strings.HasSuffix(err.Error(), "login: wrong password; set ipmi/password") {
		t.Errorf("error %v", err)
	}
	var e *Error
	if !errors.As(err, &e) || ExitCode(e) != 8 {
		t.Errorf("exit code %d", ExitCode(e))
	}
}

// A failed check always has a kind, or nobody could tell what to do.
func TestCheckupKind(t *testing.T) {
	var c Checkup
	c.Add(Check{Name: "x", Verdict: VerdictFailed})
	if c.Checks[0].Kind != Internal || c.Err() == nil {
		t.Errorf("%+v", c)
	}
}

func TestCheckupJSON(t *testing.T) {
	c := Checkup{TookMs: 3, Driver: "toy"}
	c.Add(Check{Name: "login", Verdict: VerdictFailed, Kind: DeviceAuth, Found: "refused", Cause: "wrong password", Mend: "change it"})
	raw, err := Marshal(c)
	const want = `{"verdict":"failed","checks":[{"name":"login","verdict":"failed","found":"refused","cause":"wrong password","mend":"change it","kind":"device-auth"}],"tookMs":3,"driver":"toy"}`
	if err != nil || string(raw) != want {
		t.Errorf("%s, %v", raw, err)
	}
}

func TestIdentity(t *testing.T) {
	id := Identity{ID: "00112233-4455", Source: "system GUID", Aliases: []string{"33221100-5544", ""}}
	for pin, want := range map[string]bool{
		"00112233-4455": true, " 00112233-4455\n": true, "33221100-5544": true, "": false, " ": false,
		"00112233-4456": false, "00112233": false,
	} {
		if got := id.Is(pin); got != want {
			t.Errorf("%q: %v", pin, got)
		}
	}
	if upper := (Identity{ID: "AB-cd"}); !upper.Is("ab-CD") || upper.String() != "AB-cd" {
		t.Errorf("case counts: %v", upper)
	}
	if id.String() != "00112233-4455 (system GUID)" {
		t.Errorf("%q", id)
	}
}
