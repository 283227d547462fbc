package main

import (
	"encoding/json"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestCheckupOf(t *testing.T) {
	for raw, want := range map[string]bool{
		`{"verdict":"ok","checks":[{"name":"login","verdict":"ok"}]}`: true,
		`{"checks":[]}`: false, `{"power":"on"}`: false, `[]`: false, ``: false, `null`: false, `{"checks":7}`: false,
	} {
		if got := checkupOf(json.RawMessage(raw)) != nil; got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

// Machines in the same state are one fold, whatever their times and addresses.
func TestSharedLadder(t *testing.T) {
	make := func(name, address, took, cause string) (answer, *model.Checkup) {
		var c model.Checkup
		c.Add(model.Check{Name: "udp port", Verdict: model.VerdictOK, Found: address + " answers in " + took})
		c.Add(model.Check{Name: "login", Verdict: model.VerdictFailed, Kind: model.DeviceAuth, Cause: name + ": " + cause})
		return answer{machine: machine{name: name, address: address}}, &c
	}
	shared := func(name, address, took, cause string) string {
		ans, c := make(name, address, took, cause)
		raw, err := model.Marshal(ans.sharedLadder(c))
		if err != nil || c.Checks[0].Found == "" {
			t.Fatalf("%v, or the ladder itself was changed: %+v", err, c)
		}
		return string(raw)
	}
	one := shared("m1", "10.0.0.1", "3ms", "10.0.0.1 refused it")
	if two := shared("m2", "10.0.0.2", "1.4s", "10.0.0.2 refused it"); one != two {
		t.Errorf("%s\nis not\n%s", one, two)
	}
	if other := shared("m2", "10.0.0.2", "3ms", "10.0.0.2 has no slot"); one == other {
		t.Error("another cause is the same")
	}
}

func TestTold(t *testing.T) {
	for want, check := range map[string]model.Check{
		"":                    {},
		"a":                   {Found: "a"},
		"b":                   {Cause: "b"},
		"2h ahead; off by it": {Found: "2h ahead", Cause: "off by it"},
	} {
		if got := told(check); got != want {
			t.Errorf("%+v: %q", check, got)
		}
	}
}

func TestLaddersOf(t *testing.T) {
	for _, info := range model.Actions() {
		if got := laddersOf(info.Command) != nil; got != (info.Command == model.Doctor) {
			t.Errorf("%s: %v", info.Command, got)
		}
	}
	r := &report{}
	if r.addLadder(answer{raw: json.RawMessage(`{"checks":[{"name":"x"}]}`)}) {
		t.Error("another action's answer is taken for a ladder")
	}
	if !strings.Contains(newDoctorCommand(&app{}).Long, "exit code") {
		t.Error("the help does not tell the exit code")
	}
}
