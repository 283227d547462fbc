package main

import (
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// TestDoctorOnIPMISim lets the doctor look at a BMC that is nobody of ours.
func TestDoctorOnIPMISim(t *testing.T) {
	t.Parallel()
	sim := startIPMISim(t)
	p := newProvider(t)
	result, err := ask(p, model.Doctor, sim.addr, simLogin(), model.Params{"oob/timeout": 60})
	c, ok := result.(*model.Checkup)
	if err != nil || !ok {
		t.Fatalf("%v, %v", result, err)
	}
	const want = "auth capabilities warning, cipher suites warning, clock warning, power reading skipped"
	if got := verdicts(c); got != want {
		t.Errorf("verdicts %q, want %q", got, want)
	}
	for name, text := range map[string]string{
		"cipher suites": "suite 0 lets anybody", "auth capabilities": "without a name and a password", "clock": "mean nothing",
	} {
		if check := c.Check(name); !strings.Contains(check.Cause, text) {
			t.Errorf("%s: %+v", name, check)
		}
	}
	identity, err := ask(p, model.GetIdentity, sim.addr, simLogin())
	id, ok := identity.(model.Identity)
	// As ipmitool mc guid prints it.
	if err != nil || !ok || id.ID != "efcdab89-6745-23a1-efcd-ab89674523a1" {
		t.Errorf("%+v, %v", identity, err)
	}
	_, err = act(p, model.PowerOff, sim.addr, simLogin(), model.Params{model.ParamIdentity: "23f6e177-1d8c-4b3a-9e12-3a4c0fa8c70c"})
	if model.KindOf(err) != model.Conflict {
		t.Errorf("another machine: %v", err)
	}
	if _, err = act(p, model.PowerOff, sim.addr, simLogin(), model.Params{model.ParamIdentity: "a1234567-89ab-cdef-a123-456789abcdef"}); err != nil {
		t.Errorf("the GUID as its configuration has it: %v", err)
	}
}
