package redfish_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"provision-plugins/sim/redfish"
)

const tasks = "/redfish/v1/TaskService/Tasks"

// startTask resets a system by a task, and returns where to follow it and the task.
func startTask(t *testing.T, b *redfish.BMC, p *peer, f redfish.Faults) (string, object) {
	t.Helper()
	f.Requests = []redfish.Fault{{On: "reset", Task: true, Count: redfish.Always}}
	b.SetFaults(f)
	r := p.reset("On")
	if r.status != http.StatusAccepted || r.header.Get("Location") == "" || r.header.Get("Retry-After") == "" {
		t.Fatalf("status %d, %v: %s", r.status, r.header, r.raw)
	}
	return r.header.Get("Location"), r.body
}

// TestTask: a task runs, shows how far it is, and does what was asked for in the end.
func TestTask(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{TaskTime: 10 * time.Second})
	monitor, task := startTask(t, b, p, redfish.Faults{})
	if task["TaskState"] != "Running" || task["TaskMonitor"] != monitor || task["EndTime"] != nil {
		t.Errorf("%v", task)
	}
	clk.pass(4 * time.Second)
	if b.Power() {
		t.Error("on before the task has ended")
	}
	own, _ := task["@odata.id"].(string)
	if now := p.get(own); now["PercentComplete"] != 40.0 {
		t.Errorf("%v", now)
	}
	if r := p.want(http.StatusAccepted, http.MethodGet, monitor, nil); r.body["TaskState"] != "Running" {
		t.Errorf("%s", r.raw)
	}
	executed(t, b, "reset On", 0)
	clk.pass(6 * time.Second)
	p.want(http.StatusNoContent, http.MethodGet, monitor, nil)
	now := p.get(own)
	if now["TaskState"] != "Completed" || now["TaskStatus"] != "OK" || now["PercentComplete"] != 100.0 || now["EndTime"] != "2030-03-01T12:00:10Z" {
		t.Errorf("%v", now)
	}
	executed(t, b, "reset On", 1)
	if !b.Power() {
		t.Error("off after the task has ended")
	}
	p.want(http.StatusNoContent, http.MethodDelete, own, nil)
	p.want(http.StatusNotFound, http.MethodGet, own, nil)
	p.want(http.StatusNotFound, http.MethodGet, monitor, nil)
}

// TestTaskFails: a task ends as an exception, with nothing done.
func TestTaskFails(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{})
	monitor, task := startTask(t, b, p, redfish.Faults{TasksFail: true})
	clk.pass(time.Minute)
	p.want(http.StatusInternalServerError, http.MethodGet, monitor, nil)
	now := p.get(task["@odata.id"].(string))
	if now["TaskState"] != "Exception" || now["TaskStatus"] != "Critical" || len(now["Messages"].([]any)) != 1 {
		t.Errorf("%v", now)
	}
	executed(t, b, "reset On", 0)
}

// TestTaskHangs: a task never ends, until it is deleted.
func TestTaskHangs(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{})
	monitor, task := startTask(t, b, p, redfish.Faults{TasksHang: true})
	clk.pass(24 * time.Hour)
	if r := p.want(http.StatusAccepted, http.MethodGet, monitor, nil); r.body["PercentComplete"] != 99.0 {
		t.Errorf("%s", r.raw)
	}
	p.want(http.StatusNoContent, http.MethodDelete, task["@odata.id"].(string), nil)
	b.SetFaults(redfish.Faults{})
	clk.pass(time.Hour)
	if b.Power() {
		t.Error("a task that was deleted has happened")
	}
}

// TestTaskAtOnce: a task that takes no time has ended when it is answered.
func TestTaskAtOnce(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{TaskTime: -1})
	if _, task := startTask(t, b, p, redfish.Faults{}); task["TaskState"] != "Completed" || !b.Power() {
		t.Errorf("%v, on: %v", task, b.Power())
	}
}

// TestOldTasksAreForgotten: there is a bound to what a BMC remembers.
func TestOldTasksAreForgotten(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{TaskTime: -1})
	for range 40 {
		startTask(t, b, p, redfish.Faults{})
	}
	got := members(t, p.get(tasks))
	if len(got) != 32 || got[0] != tasks+"/9" || got[31] != tasks+"/40" {
		t.Errorf("%d tasks: %v", len(got), got)
	}
}

// TestImportConfiguration: the way by which an iDRAC boots a virtual CD once.
func TestImportConfiguration(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{Dialect: "idrac"})
	manager := p.get("/redfish/v1/Managers/iDRAC.Embedded.1")
	target, _ := at(manager, "Actions", "Oem", "#OemManager.ImportSystemConfiguration", "target").(string)
	p.want(http.StatusBadRequest, http.MethodPost, target, object{"ShareParameters": object{"Target": "ALL"}})
	profile := `<SystemConfiguration><Component FQDD="iDRAC.Embedded.1"><Attribute Name="ServerBoot.1#BootOnce">Enabled</Attribute>` +
		`<Attribute Name="ServerBoot.1#FirstBootDevice">VCD-DVD</Attribute></Component></SystemConfiguration>`
	r := p.want(http.StatusAccepted, http.MethodPost, target, object{"ImportBuffer": profile, "ShareParameters": object{"Target": "ALL"}})
	where := r.header.Get("Location")
	if !strings.HasPrefix(where, tasks+"/JID_") {
		t.Errorf("Location %q", where)
	}
	if p.get(where)["TaskState"] != "Running" || b.System(0).BootTarget != "None" {
		t.Errorf("%+v", b.System(0))
	}
	clk.pass(time.Minute)
	if s := b.System(0); p.get(where)["TaskState"] != "Completed" || s.BootTarget != "Cd" || s.BootEnabled != "Once" {
		t.Errorf("%+v", s)
	}
	executed(t, b, "import configuration", 1)
	p.want(http.StatusAccepted, http.MethodPost, target, object{"ImportBuffer": "<Nothing/>"})
}

// TestMedia: virtual media by the actions: what is refused, and what is told.
func TestMedia(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	const cd = "/redfish/v1/Managers/BMC/VirtualMedia/CD"
	insert := cd + "/Actions/VirtualMedia.InsertMedia"
	for _, c := range []struct {
		body any
		id   string
	}{
		{object{}, "ActionParameterMissing"},
		{object{"Image": ""}, "ResourceAtUriInUnknownFormat"},
		{object{"Image": "boot.iso"}, "ResourceAtUriInUnknownFormat"},
		{object{"Image": 3}, "ResourceAtUriInUnknownFormat"},
		{object{"Image": "http://h/" + strings.Repeat("x", 300)}, "ResourceAtUriInUnknownFormat"},
		{object{"Image": "http://h/a.iso", "WriteProtected": "no"}, "PropertyValueTypeError"},
	} {
		if r := p.want(http.StatusBadRequest, http.MethodPost, insert, c.body); messageID(r) != c.id {
			t.Errorf("%v: %s", c.body, r.raw)
		}
	}
	p.want(http.StatusNoContent, http.MethodPost, insert, object{"Image": "http://h/a.iso", "WriteProtected": false})
	p.want(http.StatusConflict, http.MethodPost, insert, object{"Image": "http://h/b.iso"})
	tree := p.get(cd)
	if tree["Image"] != "http://h/a.iso" || tree["WriteProtected"] != false || tree["ConnectedVia"] != "URI" || tree["Inserted"] != true {
		t.Errorf("%v", tree)
	}
	p.want(http.StatusNoContent, http.MethodPost, cd+"/Actions/VirtualMedia.EjectMedia", object{})
	if tree = p.get(cd); tree["Image"] != nil || tree["Inserted"] != false || tree["ConnectedVia"] != "NotConnected" {
		t.Errorf("%v", tree)
	}
	if len(b.Media()) != 0 {
		t.Errorf("%v", b.Media())
	}
}

// TestMediaByPatch: virtual media by PATCH, where that is the way.
func TestMediaByPatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect, path string
		status        int
	}{
		{"generic", "/redfish/v1/Managers/BMC/VirtualMedia/CD", 200},
		{"ilo", "/redfish/v1/Managers/1/VirtualMedia/2", 200},
		{"openbmc", "/redfish/v1/Managers/bmc/VirtualMedia/Slot_0", 405},
		{"supermicro", "/redfish/v1/Managers/1/VirtualMedia/VirtualMedia1", 405},
		{"idrac", "/redfish/v1/Systems/System.Embedded.1/VirtualMedia/1", 405},
	} {
		b, p, _ := one(t, redfish.Options{Dialect: c.dialect})
		if r := p.do(http.MethodPatch, c.path, object{"Image": "http://h/a.iso", "Inserted": true}); r.status != c.status {
			t.Errorf("%s: status %d: %s", c.dialect, r.status, r.raw)
		}
		if n := len(b.Media()); (n == 1) != (c.status == 200) {
			t.Errorf("%s: media %v", c.dialect, b.Media())
		}
		if c.status == 200 {
			p.want(http.StatusOK, http.MethodPatch, c.path, object{"Image": nil})
			executed(t, b, "eject media", 1)
		}
		p.want(map[bool]int{true: 400, false: 405}[c.status == 200], http.MethodPatch, c.path, object{"Image": 1})
	}
}

// TestMediaOfILO: an iLO boots its virtual CD once, and has actions of its own.
func TestMediaOfILO(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{Dialect: "ilo"})
	const cd = "/redfish/v1/Managers/1/VirtualMedia/2"
	p.want(http.StatusOK, http.MethodPatch, cd, object{"Image": "http://h/a.iso", "Oem": object{"Hpe": object{"BootOnNextServerReset": true}}})
	if got := at(p.get(cd), "Oem", "Hpe", "BootOnNextServerReset"); got != true {
		t.Errorf("boots next: %v", got)
	}
	actions, _ := at(p.get(cd), "Oem", "Hpe", "Actions").(object)
	eject, _ := at(actions, "#HpeiLOVirtualMedia.EjectVirtualMedia", "target").(string)
	insert, _ := at(actions, "#HpeiLOVirtualMedia.InsertVirtualMedia", "target").(string)
	p.want(http.StatusOK, http.MethodPost, eject, object{})
	p.want(http.StatusOK, http.MethodPost, insert, object{"Image": "http://h/b.iso"})
	if got := b.Media()["2"]; got != "http://h/b.iso" {
		t.Errorf("image %q", got)
	}
}

// TestBootOfTheVirtualCD: a machine that starts with an iLO's flag set boots the CD.
func TestBootOfTheVirtualCD(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{Dialect: "ilo"})
	const cd = "/redfish/v1/Managers/1/VirtualMedia/2"
	p.want(http.StatusOK, http.MethodPatch, cd, object{"Image": "http://h/a.iso", "Oem": object{"Hpe": object{"BootOnNextServerReset": true}}})
	p.reset("On")
	if s := b.System(0); s.Booted != "Cd" {
		t.Errorf("%+v", s)
	}
	if got := at(p.get(cd), "Oem", "Hpe", "BootOnNextServerReset"); got != false {
		t.Errorf("the flag is still %v", got)
	}
}

// TestEjectedImageIsStillTold: a Supermicro tells the image that was ejected.
func TestEjectedImageIsStillTold(t *testing.T) {
	t.Parallel()
	_, p, _ := one(t, redfish.Options{Dialect: "supermicro"})
	const cd = "/redfish/v1/Managers/1/VirtualMedia/VirtualMedia1"
	p.want(http.StatusOK, http.MethodPost, cd+"/Actions/VirtualMedia.InsertMedia", object{"Image": "http://h/a.iso"})
	p.want(http.StatusOK, http.MethodPost, cd+"/Actions/VirtualMedia.EjectMedia", object{})
	if tree := p.get(cd); tree["Image"] != "http://h/a.iso" || tree["Inserted"] != false || tree["ConnectedVia"] != "NotConnected" {
		t.Errorf("%v", tree)
	}
	p.want(http.StatusOK, http.MethodPost, cd+"/Actions/VirtualMedia.InsertMedia", object{"Image": "http://h/b.iso"})
}

// logsOf is the path of the entries of events of a dialect.
func logsOf(dialect string) string {
	return map[string]string{
		"generic": "/redfish/v1/Systems/1/LogServices/SEL/Entries", "idrac": "/redfish/v1/Managers/iDRAC.Embedded.1/LogServices/Sel/Entries",
		"ilo": "/redfish/v1/Systems/1/LogServices/IML/Entries", "openbmc": "/redfish/v1/Systems/system/LogServices/EventLog/Entries",
		"supermicro": "/redfish/v1/Systems/1/LogServices/Log1/Entries",
	}[dialect]
}

// TestPages: a long collection comes in pages, each with the way to the next.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, dialect := range redfish.Dialects() {
		b, p, _ := one(t, redfish.Options{Dialect: dialect, PageSize: 10})
		for i := range 25 {
			b.AddEntry(false, "OK", "Event "+strconv.Itoa(i))
		}
		next, got := logsOf(dialect), 0
		for pages := 1; next != ""; pages++ {
			tree := p.get(next)
			if tree["Members@odata.count"] != 25.0 {
				t.Errorf("%s: page %d counts %v", dialect, pages, tree["Members@odata.count"])
			}
			got += len(members(t, tree))
			if next, _ = tree["Members@odata.nextLink"].(string); pages > 3 {
				t.Fatalf("%s: page %d", dialect, pages)
			}
		}
		if got != 25 {
			t.Errorf("%s: %d entries", dialect, got)
		}
	}
}

// TestQueries: $skip, $top and $expand.
func TestQueries(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{PageSize: 10})
	for i := range 25 {
		b.AddEntry(false, "OK", "Event "+strconv.Itoa(i))
	}
	base := logsOf("generic")
	for _, c := range []struct {
		query string
		count int
		next  bool
	}{
		{"?$skip=20", 5, false}, {"?$top=3", 3, false}, {"?$skip=100", 0, false}, {"?$skip=-1", 10, true}, {"?$skip=x", 10, true},
		{"?$top=0", 0, false}, {"?$top=100", 10, false}, {"?$skip=24&$top=5", 1, false}, {"?$expand=.", 10, true}, {"?other=1", 10, true},
	} {
		tree := p.get(base + c.query)
		list, _ := tree["Members"].([]any)
		if _, next := tree["Members@odata.nextLink"]; len(list) != c.count || next != c.next {
			t.Errorf("%s: %d members, next %v", c.query, len(list), tree["Members@odata.nextLink"])
		}
	}
	tree := p.get(base + "?$expand=.&$top=1")
	if first, _ := tree["Members"].([]any)[0].(object); first["Message"] != "Event 0" {
		t.Errorf("expanded: %v", tree)
	}
	tree = p.get("/redfish/v1/Systems?$expand=.($levels=1)")
	if first, _ := tree["Members"].([]any)[0].(object); first["PowerState"] != "Off" {
		t.Errorf("expanded: %v", tree)
	}
	_, p, _ = one(t, redfish.Options{Dialect: "ilo"})
	tree = p.get("/redfish/v1/Systems?$expand=.")
	if first, _ := tree["Members"].([]any)[0].(object); len(first) != 1 {
		t.Errorf("expanded by who cannot: %v", tree)
	}
}

// TestLogs: power commands are logged, a full log drops its oldest entry, and one
// that is cleared counts on.
func TestLogs(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{PageSize: 1000})
	p.reset("On")
	base := logsOf("generic")
	if first := p.get(base + "/1"); first["Message"] != "Power command On" || first["Severity"] != "OK" || first["Created"] != "2030-03-01T12:00:00Z" {
		t.Errorf("%v", first)
	}
	p.want(http.StatusNotFound, http.MethodGet, base+"/2", nil)
	p.want(http.StatusMethodNotAllowed, http.MethodDelete, base+"/1", nil)
	for range 200 {
		b.AddEntry(false, "Warning", "again")
	}
	got := members(t, p.get(base))
	if len(got) != 128 || got[127] != base+"/201" {
		t.Errorf("%d entries, the last %s", len(got), got[len(got)-1])
	}
	p.want(http.StatusNoContent, http.MethodPost, strings.TrimSuffix(base, "/Entries")+"/Actions/LogService.ClearLog", nil)
	if got = members(t, p.get(base)); len(got) != 0 {
		t.Errorf("%v", got)
	}
	b.AddEntry(false, "OK", "new")
	if got = members(t, p.get(base)); len(got) != 1 || got[0] != base+"/202" {
		t.Errorf("%v", got)
	}
}
