package redfish

import (
	"strings"
	"testing"
	"time"
)

// noon is a time of no meaning.
var noon = time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)

// TestTurn: what a start does to a boot override.
func TestTurn(t *testing.T) {
	for _, c := range []struct {
		what   string
		on     bool
		boot   boot
		change change
		boots  int
		booted string
		after  boot
	}{
		{"a start uses Once up", false, boot{"Once", "Pxe", "UEFI"}, change{on: true}, 1, "Pxe", boot{"Disabled", "None", "UEFI"}},
		{"a restart, too", true, boot{"Once", "Cd", "Legacy"}, change{on: true, start: true}, 1, "Cd", boot{"Disabled", "None", "Legacy"}},
		{"Continuous stays", false, boot{"Continuous", "Hdd", "UEFI"}, change{on: true}, 1, "Hdd", boot{"Continuous", "Hdd", "UEFI"}},
		{"Disabled boots as ever", false, boot{"Disabled", "Pxe", "UEFI"}, change{on: true}, 1, "None", boot{"Disabled", "Pxe", "UEFI"}},
		{"what is on does not start", true, boot{"Once", "Pxe", "UEFI"}, change{on: true}, 0, "", boot{"Once", "Pxe", "UEFI"}},
		{"what goes off does not, either", true, boot{"Once", "Pxe", "UEFI"}, change{on: false, start: true}, 0, "", boot{"Once", "Pxe", "UEFI"}},
	} {
		m := machine{on: c.on, boot: c.boot}
		m.turn(c.change)
		if m.on != c.change.on || m.boots != c.boots || m.booted != c.booted || m.boot != c.after {
			t.Errorf("%s: %+v", c.what, m)
		}
	}
}

// TestSettle: changes happen in their order, each at its time.
func TestSettle(t *testing.T) {
	m := machine{on: true, plan: []change{{at: noon, on: false}, {at: noon.Add(time.Minute), on: true, start: true}}}
	for _, c := range []struct {
		at   time.Duration
		on   bool
		left int
	}{{-time.Second, true, 2}, {0, false, 1}, {59 * time.Second, false, 1}, {time.Minute, true, 0}, {time.Hour, true, 0}} {
		m.settle(noon.Add(c.at))
		if m.on != c.on || len(m.plan) != c.left {
			t.Errorf("at %v: %+v", c.at, m)
		}
	}
	if m.boots != 1 || !m.reset.Equal(noon.Add(time.Minute)) {
		t.Errorf("in the end: %+v", m)
	}
}

// TestPercent: how far a task is.
func TestPercent(t *testing.T) {
	for _, c := range []struct {
		state string
		takes time.Duration
		after time.Duration
		want  int
	}{
		{running, 10 * time.Second, 0, 0},
		{running, 10 * time.Second, 5 * time.Second, 50},
		{running, 10 * time.Second, time.Hour, 99},
		{running, 0, 0, 99},
		{completed, 10 * time.Second, 5 * time.Second, 100},
		{exception, 0, 0, 100},
	} {
		task := task{state: c.state, began: noon, end: noon.Add(c.takes)}
		if got := task.percent(noon.Add(c.after)); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestRateLimitCounts: requests of one second, then anew.
func TestRateLimitCounts(t *testing.T) {
	var l rateLimit
	for i, c := range []struct {
		at   time.Duration
		over bool
	}{{0, false}, {0, false}, {999 * time.Millisecond, true}, {time.Second, false}, {1500 * time.Millisecond, false}, {1600 * time.Millisecond, true}, {2 * time.Second, false}} {
		if got := l.over(noon.Add(c.at), 2); got != c.over {
			t.Errorf("request %d: over is %v", i, got)
		}
	}
	for range 1000 {
		if l.over(noon, 0) {
			t.Fatal("no limit is a limit")
		}
	}
}

// TestErrorBodies: the forms in which dialects say what is wrong, and what is right.
func TestErrorBodies(t *testing.T) {
	for name, want := range map[string]struct{ code, id, text string }{
		"generic":    {"Base.1.18.GeneralError", "Base.1.18.PropertyValueNotInList", "red is not among the values of Color."},
		"idrac":      {"Base.1.12.GeneralError", "Base.1.12.PropertyValueNotInList", "red is not among the values of Color."},
		"ilo":        {"iLO.0.10.ExtendedInfo", "Base.1.4.PropertyValueNotInList", ""},
		"openbmc":    {"Base.1.19.GeneralError", "Base.1.19.PropertyValueNotInList", "red is not among the values of Color."},
		"supermicro": {"Base.v1_4_0.GeneralError", "Base.v1_4_0.PropertyValueNotInList", "red is not among the values of Color."},
	} {
		body, _ := dialectNamed(name).failure(msgNotInList, "red", "Color")["error"].(map[string]any)
		info, _ := body["@Message.ExtendedInfo"].([]any)[0].(map[string]any)
		args, _ := info["MessageArgs"].([]any)
		text, _ := info["Message"].(string)
		if body["code"] != want.code || info["MessageId"] != want.id || text != want.text || len(args) != 2 || args[0] != "red" {
			t.Errorf("%s: %v", name, body)
		}
		if message, _ := body["message"].(string); message == "" {
			t.Errorf("%s says nothing: %v", name, body)
		}
	}
	if info := dialectNamed("ilo").info(msgSuccess); len(info) != 1 || info["MessageId"] != "Base.1.4.Success" {
		t.Errorf("a message without arguments: %v", info)
	}
}

// TestMessages: each message has all that clients are told, and its places fit.
func TestMessages(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range []message{
		msgSuccess, msgMalformed, msgNotFound, msgNotSupported, msgMissing, msgNotInList, msgWrongType, msgReadOnly, msgUnknown, msgNothing,
		msgWrongState, msgNoSession, msgBadLogin, msgForbidden, msgFull, msgTooMany, msgBusy, msgPrecondition, msgNoIfMatch, msgInternal, msgInUse, msgAddress,
	} {
		if m.id == "" || m.text == "" || m.resolution == "" || !strings.HasSuffix(m.text, ".") {
			t.Errorf("%+v", m)
		}
		if m.severity != "OK" && m.severity != "Warning" && m.severity != "Critical" {
			t.Errorf("%s is %q", m.id, m.severity)
		}
		if strings.Contains(m.text, "%3") || strings.Contains(m.text, "%2") && !strings.Contains(m.text, "%1") {
			t.Errorf("%s: %s", m.id, m.text)
		}
		if seen[m.id] {
			t.Errorf("%s is there twice", m.id)
		}
		seen[m.id] = true
	}
	for status, m := range refusals {
		if status < 400 || !seen[m.id] {
			t.Errorf("%d is answered %s", status, m.id)
		}
	}
}

// TestSystemIDs: the Ids of further systems.
func TestSystemIDs(t *testing.T) {
	for name, want := range map[string]string{
		"generic": "1 2 3", "idrac": "System.Embedded.1 System.Embedded.2 System.Embedded.3", "openbmc": "system system2 system3",
	} {
		d := dialectNamed(name)
		if got := strings.Join([]string{d.systemID(0), d.systemID(1), d.systemID(2)}, " "); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestPathsOfSystems: the path of any system stands for one of the first, and back.
func TestPathsOfSystems(t *testing.T) {
	b := &BMC{fleet: &Fleet{dialect: dialectNamed("openbmc")}, machines: make([]machine, 3)}
	for _, c := range []struct {
		path, first string
		system      int
	}{
		{"/redfish/v1/Systems/system", "/redfish/v1/Systems/system", 0},
		{"/redfish/v1/Systems/system2", "/redfish/v1/Systems/system", 1},
		{"/redfish/v1/Systems/system3/Bios/Settings", "/redfish/v1/Systems/system/Bios/Settings", 2},
		{"/redfish/v1/Systems/system4", "/redfish/v1/Systems/system4", 0},
		{"/redfish/v1/Systems", "/redfish/v1/Systems", 0},
		{"/redfish/v1/Managers/bmc", "/redfish/v1/Managers/bmc", 0},
	} {
		first, system := b.canonical(c.path)
		if first != c.first || system != c.system {
			t.Errorf("%s is %s of system %d", c.path, first, system)
		}
		if got := b.actual(first, system); got != c.path {
			t.Errorf("%s comes back as %s", c.path, got)
		}
	}
	if got := b.actual("/redfish/v1/Systems/systemic", 2); got != "/redfish/v1/Systems/systemic" {
		t.Errorf("a longer name: %s", got)
	}
}

// TestAddressesAreUnique: hardware addresses and UUIDs of many BMCs with several
// systems.
func TestAddressesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for i := range 1500 {
		i *= 40 // up to the most there can be
		b := &BMC{index: i, fleet: &Fleet{}}
		for s := range 4 {
			v := &view{b: b, system: s}
			for _, a := range []string{v.mac(0), v.mac(1), v.mac(2), b.uuid(s)} {
				if seen[a] {
					t.Fatalf("BMC %d, system %d: %s is there twice", i, s, a)
				}
				seen[a] = true
			}
		}
	}
	if got := (&view{b: &BMC{index: 1}, system: 1}).mac(2); len(got) != len("02:52:46:00:00:00") || !strings.HasPrefix(got, "02:") {
		t.Errorf("hardware address %s", got)
	}
}

// TestSetWords: what properties take.
func TestSetWords(t *testing.T) {
	word, text, flag := "old", "old", true
	for _, c := range []struct {
		what string
		bad  *message
		want *message
	}{
		{"a word", setWord(&word, "Off", ledStates), nil},
		{"another word", setWord(&word, "Green", ledStates), &msgNotInList},
		{"no word", setWord(&word, 1.0, ledStates), &msgWrongType},
		{"a text", setText(&text, "new"), nil},
		{"no text", setText(&text, ""), &msgWrongType},
		{"a long text", setText(&text, strings.Repeat("x", maxName+1)), &msgWrongType},
		{"a list", setText(&text, []any{}), &msgWrongType},
		{"a flag", setFlag(&flag, false), nil},
		{"no flag", setFlag(&flag, "false"), &msgWrongType},
		{"null", setFlag(&flag, nil), &msgWrongType},
	} {
		if c.bad != c.want {
			t.Errorf("%s: %v", c.what, c.bad)
		}
	}
	if word != "Off" || text != "new" || flag {
		t.Errorf("%q, %q, %v", word, text, flag)
	}
}

// TestTakeLeavesOtherFaults: of several faults the first that fits strikes, and the
// caller's own are not counted down.
func TestTakeLeavesOtherFaults(t *testing.T) {
	given := Faults{Requests: []Fault{{On: "reset", Status: 500}, {On: "*", Status: 503, Count: Always}, {Status: 404}}}
	s := newFaultState(given)
	for i, want := range []int{500, 503, 503} {
		if got := s.take("reset", "/"); got.Status != want {
			t.Errorf("reset %d: %d", i, got.Status)
		}
	}
	if got := s.take("get system", "/x"); got.Status != 503 {
		t.Errorf("another request: %d", got.Status)
	}
	if given.Requests[0].Count != 0 {
		t.Errorf("the caller's: %+v", given.Requests)
	}
}
