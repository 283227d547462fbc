package redfish_test

import (
	"net/http"
	"testing"
	"time"

	"provision-plugins/sim/redfish"
)

// TestResetTypes: what each reset type does to a machine that is off, and to one
// that is on.
func TestResetTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind      string
		on, after bool
		boots     int
	}{
		{"On", false, true, 1},
		{"On", true, true, 0},
		{"ForceOn", false, true, 1},
		{"ForceOff", true, false, 0},
		{"ForceOff", false, false, 0},
		{"GracefulShutdown", true, false, 0},
		{"GracefulRestart", true, true, 1},
		{"ForceRestart", true, true, 1},
		{"ForceRestart", false, true, 1},
		{"PowerCycle", true, true, 1},
		{"PowerCycle", false, true, 1},
		{"PushPowerButton", true, false, 0},
		{"PushPowerButton", false, true, 1},
		{"Nmi", true, true, 0},
		{"Nmi", false, false, 0},
	} {
		b, p, _ := one(t, redfish.Options{On: c.on, CycleOff: -1})
		if r := p.reset(c.kind); r.status != http.StatusNoContent {
			t.Errorf("%s: status %d: %s", c.kind, r.status, r.raw)
		}
		if s := b.System(0); s.On != c.after || s.Boots != c.boots {
			t.Errorf("%s of a machine that was on=%v: %+v", c.kind, c.on, s)
		}
		executed(t, b, "reset "+c.kind, 1)
	}
}

// TestPowerTakesTime: the state changes after the delay, and what is said meanwhile
// is that of the dialect.
func TestPowerTakesTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ dialect, between string }{{"generic", "PoweringOn"}, {"openbmc", "PoweringOn"}, {"idrac", "Off"}, {"supermicro", "Off"}} {
		b, p, clk := one(t, redfish.Options{Dialect: c.dialect, PowerDelay: 5 * time.Second})
		p.reset("On")
		if got := p.get(p.system())["PowerState"]; got != c.between || b.Power() {
			t.Errorf("%s says %v meanwhile", c.dialect, got)
		}
		clk.pass(4999 * time.Millisecond)
		if b.Power() {
			t.Errorf("%s is on too early", c.dialect)
		}
		clk.pass(time.Millisecond)
		if got := p.get(p.system())["PowerState"]; got != "On" {
			t.Errorf("%s says %v in the end", c.dialect, got)
		}
	}
}

// TestCycle: a power cycle is off for a while, and a reset is not.
func TestCycle(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{On: true, CycleOff: 3 * time.Second})
	p.reset("ForceRestart")
	if !b.Power() {
		t.Error("off by a restart")
	}
	p.reset("PowerCycle")
	if got := p.get(p.system())["PowerState"]; got != "Off" {
		t.Errorf("in the cycle it says %v", got)
	}
	clk.pass(3 * time.Second)
	if s := b.System(0); !s.On || s.Boots != 2 {
		t.Errorf("after the cycle: %+v", s)
	}
}

// TestALaterCommandCounts: a command replaces what one before has still to do.
func TestALaterCommandCounts(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{PowerDelay: 5 * time.Second})
	p.reset("On")
	clk.pass(time.Second)
	p.reset("PushPowerButton")
	p.reset("Nmi")
	clk.pass(time.Minute)
	if s := b.System(0); !s.On || s.Boots != 1 {
		t.Errorf("in the end: %+v", s)
	}
}

// TestSameState: what dialects answer to a command for what is so already; it does
// nothing in any case.
func TestSameState(t *testing.T) {
	t.Parallel()
	for dialect, want := range map[string]int{"generic": 204, "idrac": 409, "ilo": 400, "openbmc": 204, "supermicro": 200} {
		b, p, _ := one(t, redfish.Options{Dialect: dialect, On: true})
		r := p.reset("On")
		if r.status != want {
			t.Errorf("%s: status %d: %s", dialect, r.status, r.raw)
		}
		if want >= 400 && messageID(r) != "InvalidOperationForSystemState" {
			t.Errorf("%s: %s", dialect, r.raw)
		}
		if s := b.System(0); s.Boots != 0 || !s.On {
			t.Errorf("%s: %+v", dialect, s)
		}
	}
}

// TestResetIsRefused: what is no command that the BMC allows.
func TestResetIsRefused(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{Dialect: "ilo"})
	path := p.system() + "/Actions/ComputerSystem.Reset"
	for _, c := range []struct {
		body any
		id   string
	}{
		{map[string]any{}, "ActionParameterMissing"},
		{nil, "ActionParameterMissing"},
		{map[string]any{"ResetType": "PowerCycle"}, "PropertyValueNotInList"}, // not in this dialect
		{map[string]any{"ResetType": 7}, "PropertyValueNotInList"},
		{map[string]any{"ResetType": nil}, "PropertyValueNotInList"},
		{"[]", "MalformedJSON"},
		{"null", "MalformedJSON"},
		{`{"ResetType":`, "MalformedJSON"},
	} {
		r := p.want(http.StatusBadRequest, http.MethodPost, path, c.body)
		if messageID(r) != c.id {
			t.Errorf("%v: %s", c.body, r.raw)
		}
	}
	if n := len(b.Counts()); n != 0 {
		t.Errorf("executed: %v", b.Counts())
	}
	p.want(http.StatusMethodNotAllowed, http.MethodGet, path, nil)
	p.want(http.StatusMethodNotAllowed, http.MethodPatch, path, map[string]any{})
	p.want(http.StatusMethodNotAllowed, http.MethodDelete, path, nil)
}

// TestPowerFaults: a BMC that says or does otherwise.
func TestPowerFaults(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{})
	for _, c := range []struct {
		what   string
		faults redfish.Faults
		kind   string
		on     bool // after a while
		says   string
	}{
		{"lies", redfish.Faults{LiesAboutPower: true}, "On", true, "Off"},
		{"odd word", redfish.Faults{PowerWord: "Paused"}, "ForceOff", false, "Paused"},
		{"stuck", redfish.Faults{PowerStuck: true}, "On", false, "Off"},
		{"late", redfish.Faults{AppliesLate: time.Minute}, "On", false, "PoweringOn"},
		{"none", redfish.Faults{}, "On", true, "On"},
		{"soft ignored", redfish.Faults{SoftIgnored: true}, "GracefulShutdown", true, "On"},
		{"soft", redfish.Faults{}, "GracefulShutdown", false, "Off"},
	} {
		b.SetFaults(c.faults)
		p.reset(c.kind)
		clk.pass(10 * time.Second)
		if got := p.get(p.system())["PowerState"]; got != c.says || b.Power() != c.on {
			t.Errorf("%s: it says %v, and is on: %v", c.what, got, b.Power())
		}
	}
}

// TestAllowedTypesAsToldByFaults: only what is told is allowed then.
func TestAllowedTypesAsToldByFaults(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"generic", "openbmc"} {
		b, p, _ := one(t, redfish.Options{Dialect: dialect})
		b.SetFaults(redfish.Faults{ResetTypes: []string{"PushPowerButton"}})
		reset, _ := at(p.get(p.system()), "Actions", "#ComputerSystem.Reset").(map[string]any)
		list, _ := reset["ResetType@Redfish.AllowableValues"].([]any)
		if info, ok := reset["@Redfish.ActionInfo"].(string); ok {
			parameters, _ := p.get(info)["Parameters"].([]any)
			list, _ = parameters[0].(map[string]any)["AllowableValues"].([]any)
		}
		if len(list) != 1 || list[0] != "PushPowerButton" {
			t.Errorf("%s: %v", dialect, reset)
		}
		if r := p.reset("On"); r.status != http.StatusBadRequest {
			t.Errorf("%s: On is answered %d", dialect, r.status)
		}
	}
}

// TestLastReset: a dialect that tells when the last reset was.
func TestLastReset(t *testing.T) {
	t.Parallel()
	_, p, clk := one(t, redfish.Options{On: true})
	if got, has := p.get(p.system())["LastResetTime"]; has {
		t.Errorf("before any reset: %v", got)
	}
	clk.pass(time.Hour)
	p.reset("ForceRestart")
	if got := p.get(p.system())["LastResetTime"]; got != "2030-03-01T13:00:00Z" {
		t.Errorf("after the reset: %v", got)
	}
}

// TestBehindItsBack: what the machine does without the BMC is told, too.
func TestBehindItsBack(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{PowerDelay: time.Second})
	p.reset("On")
	b.SetPower(false)
	if got := p.get(p.system())["PowerState"]; got != "Off" {
		t.Errorf("it says %v", got)
	}
	b.SetPower(true)
	if got := p.get(p.system())["PowerState"]; got != "On" {
		t.Errorf("it says %v", got)
	}
}

// TestManagerReset: the BMC does not answer for a while and forgets its sessions; the
// machine is not touched.
func TestManagerReset(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{On: true, RebootTime: 30 * time.Second})
	p.login()
	before := b.System(0)
	managers := members(t, p.get("/redfish/v1/Managers"))
	target, _ := at(p.get(managers[0]), "Actions", "#Manager.Reset", "target").(string)
	p.want(http.StatusBadRequest, http.MethodPost, target, map[string]any{"ResetType": "ForceOff"})
	p.want(http.StatusNoContent, http.MethodPost, target, map[string]any{"ResetType": "GracefulRestart"})
	executed(t, b, "bmc reset", 1)
	if r, err := p.try(http.MethodGet, "/redfish/v1", nil); err == nil {
		t.Errorf("it answers while it starts: %d", r.status)
	}
	clk.pass(30 * time.Second)
	p.get("/redfish/v1")
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)
	if b.System(0) != before {
		t.Errorf("the machine was %+v and is %+v", before, b.System(0))
	}
}
