package packet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a service and who asks it.
type rig struct {
	*Server
	clock   *Clock
	http    *http.Client
	key     string
	project string
}

// newRig starts a service whose clock stands still.
func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	clock := NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if o.Now == nil {
		o.Now = clock.Now
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{Server: s, clock: clock, http: &http.Client{Transport: tr, Timeout: 30 * time.Second}, key: "key", project: s.ProjectID("default")}
}

// ask sends a request and decodes the answer.
func (r *rig) ask(t testing.TB, method, path, body string) (int, map[string]any) {
	t.Helper()
	status, raw, _ := r.raw(t, method, path, body)
	var out map[string]any
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out); err != nil {
			t.Fatalf("%s %s: %q: %v", method, path, raw, err)
		}
	}
	return status, out
}

// raw sends a request and returns the answer as it is.
func (r *rig) raw(t testing.TB, method, path, body string) (int, []byte, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, strings.TrimSuffix(r.URL(), "/")+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", r.key)
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, raw, resp.Header
}

// want checks an answer's status, and text in it.
func (r *rig) want(t testing.TB, status int, text, method, path, body string) map[string]any {
	t.Helper()
	got, out := r.ask(t, method, path, body)
	raw, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	if got != status || !strings.Contains(string(raw), text) {
		t.Errorf("%s %s %s: %d %s; want %d %s", method, path, body, got, raw, status, text)
	}
	return out
}

// create makes a device and returns its id.
func (r *rig) create(t testing.TB, extra string) string {
	t.Helper()
	out := r.want(t, 201, `"state":"queued"`, "POST", "/projects/"+r.project+"/devices",
		`{"hostname":"h1","plan":"baremetal_0","facility":["ewr1"],"operating_system":"custom_ipxe"`+extra+`}`)
	return fmt.Sprint(out["id"])
}

func TestStatesOnAClock(t *testing.T) {
	r := newRig(t, Options{Timing: Every(6 * time.Second)})
	id := r.create(t, `,"tags":["a"],"always_pxe":false`)
	at := func(state string) { t.Helper(); r.want(t, 200, `"state":"`+state+`"`, "GET", "/devices/"+id, "") }
	act := func(kind string) {
		t.Helper()
		status, raw, _ := r.raw(t, "POST", "/devices/"+id+"/actions", `{"type":"`+kind+`"}`)
		if status != 202 || len(raw) != 0 {
			t.Errorf("%s: %d %s", kind, status, raw)
		}
	}
	at("queued")
	r.want(t, 422, "Cannot delete a device while it is provisioning", "DELETE", "/devices/"+id, "")
	r.want(t, 422, "Cannot power_off a device while it is queued", "POST", "/devices/"+id+"/actions", `{"type":"power_off"}`)
	r.clock.Advance(6 * time.Second)
	at("provisioning")
	r.clock.Advance(3 * time.Second)
	dev := r.want(t, 200, `"provisioning_percentage":50`, "GET", "/devices/"+id, "")
	reached := 0
	for _, e := range dev["provisioning_events"].([]any) {
		if e.(map[string]any)["id"] != nil {
			reached++
		}
	}
	if reached != 3 {
		t.Errorf("%d events reached: %v", reached, dev["provisioning_events"])
	}
	r.clock.Advance(3 * time.Second)
	at("active")
	r.want(t, 422, "Device must be powered off", "POST", "/devices/"+id+"/actions", `{"type":"power_on"}`)
	act("power_off")
	at("powering_off")
	r.clock.Advance(6 * time.Second)
	at("inactive")
	r.want(t, 422, "Device must be powered on", "POST", "/devices/"+id+"/actions", `{"type":"power_off"}`)
	r.want(t, 422, "Device must be powered on", "POST", "/devices/"+id+"/actions", `{"type":"reboot"}`)
	act("power_on")
	at("powering_on")
	r.want(t, 200, `"always_pxe":true`, "PUT", "/devices/"+id, `{"always_pxe":true}`)
	r.clock.Advance(6 * time.Second)
	at("active")
	act("reboot")
	r.clock.Advance(6 * time.Second)
	r.want(t, 422, "Operating system is not valid", "POST", "/devices/"+id+"/actions", `{"type":"reinstall","operating_system":"plan9"}`)
	status, _ := r.ask(t, "POST", "/devices/"+id+"/actions", `{"type":"reinstall","operating_system":"debian_12"}`)
	if status != 202 {
		t.Errorf("reinstall: %d", status)
	}
	at("reinstalling")
	r.clock.Advance(6 * time.Second)
	at("active")
	act("rescue")
	r.want(t, 422, "list", "POST", "/devices/"+id+"/actions", `{"type":"dance"}`)
	status, _ = r.ask(t, "DELETE", "/devices/"+id, `{"force_delete":false}`)
	if status != 204 {
		t.Errorf("delete: %d", status)
	}
	at("deprovisioning")
	d, _ := r.Device(id)
	r.clock.Advance(6 * time.Second)
	r.want(t, 404, "Not found", "GET", "/devices/"+id, "")
	var boots []string
	for _, b := range d.Boots {
		boots = append(boots, map[bool]string{true: "pxe", false: "disk"}[b.PXE])
	}
	if got := strings.Join(boots, " "); got != "pxe pxe pxe disk" {
		t.Errorf("booted %s", got)
	}
	for op, n := range map[string]int{"create": 1, "power_off": 1, "power_on": 1, "reboot": 1, "reinstall": 1, "rescue": 1, "delete": 1, "update": 1} {
		if got := r.Executed(id, op); got != n || r.Executed("", op) != n {
			t.Errorf("%s was executed %d times", op, got)
		}
	}
}

func TestErrors(t *testing.T) {
	r := newRig(t, Options{Accounts: []Account{{Key: "key"}, {Key: "other", Projects: []string{"theirs"}}}, Projects: []string{"default", "theirs"}})
	id := r.Add("default", 1, Device{})[0]
	create := "/projects/" + r.project + "/devices"
	r.want(t, 422, `["Plan can't be blank","Operating system can't be blank","Metro or facility can't be blank"]`, "POST", create, `{}`)
	r.want(t, 422, `["Plan is not valid","Operating system is not valid","Metro is not valid"]`, "POST", create, `{"plan":"x","operating_system":"x","metro":"x"}`)
	r.want(t, 422, `["Metro and facility cannot both be given"]`, "POST", create, `{"plan":"baremetal_0","operating_system":"debian_12","metro":"ny","facility":"ewr1"}`)
	r.want(t, 422, `["Facility is not valid"]`, "POST", create, `{"plan":"baremetal_0","operating_system":"debian_12","facility":["x"]}`)
	r.want(t, 400, `Invalid JSON`, "POST", create, `{"plan"`)
	r.want(t, 404, textNotFound, "GET", "/devices/"+strings.Repeat("0", 36), "")
	r.want(t, 404, textNotFound, "GET", "/nothing/of/the/kind", "")
	r.want(t, 404, textNotFound, "POST", "/projects/none/devices", "{}")
	r.Change(id, func(d *Device) { d.Locked = true })
	r.want(t, 422, "locked", "DELETE", "/devices/"+id, "")
	r.want(t, 422, "locked", "POST", "/devices/"+id+"/actions", `{"type":"reboot"}`)
	r.want(t, 413, "too large", "PUT", "/devices/"+id, strings.Repeat("x", maxBody+1))
	r.key = "other"
	r.want(t, 403, textForbidden, "GET", "/devices/"+id, "")
	r.want(t, 403, "this project", "GET", "/projects/"+r.project, "")
	r.want(t, 403, "this project", "GET", create, "")
	r.key = ""
	r.want(t, 401, "Invalid", "GET", "/devices/"+id, "")
	if r.Refused() != 1 || r.Executed("", "create") != 0 || r.Executed(id, "delete") != 0 {
		t.Errorf("%d refused, executed %v", r.Refused(), r.AllExecuted(""))
	}
}

func TestListsFiltersAndPages(t *testing.T) {
	r := newRig(t, Options{})
	r.Add("default", 23, Device{Tags: []string{"many"}})
	one := r.Add("default", 1, Device{Hostname: "odd", Facility: "ams1", Plan: "c3.small.x86", Reservation: "r1", Termination: "2030-01-01T00:00:00Z"})[0]
	list := "/projects/" + r.project + "/devices"
	page := r.want(t, 200, `"total":24`, "GET", list+"?per_page=10&page=3&include=facility", "")
	if n := len(page["devices"].([]any)); n != 4 {
		t.Errorf("%d on the last page", n)
	}
	meta := page["meta"].(map[string]any)
	if meta["next"] != nil || meta["previous"].(map[string]any)["href"] != list+"?include=facility&page=2&per_page=10" {
		t.Errorf("meta %v", meta)
	}
	if got := r.want(t, 200, `"last_page":3`, "GET", list, ""); len(got["devices"].([]any)) != defaultPage {
		t.Errorf("%v", got["meta"])
	}
	d, _ := r.Device(one)
	for query, n := range map[string]int{
		"hostname=odd": 1, "tag=many": 23, "tag=none": 0, "mac_address=" + d.macs()[0]: 1, "metro=am": 1, "facility=ams1": 1, "type=c3.small.x86": 1,
		"reserved=true": 1, "has_termination_time=true": 1, "has_termination_time=false": 23, "search=odd": 1, "search=" + d.publicIPv4(): 1, "tag=many&metro=am": 0,
	} {
		r.want(t, 200, fmt.Sprintf(`"total":%d`, n), "GET", list+"?"+query, "")
	}
	whole := r.want(t, 200, `"code":"ams1"`, "GET", "/devices/"+one+"?include=facility,project&exclude=plan", "")
	if _, is := whole["plan"].(map[string]any)["slug"]; is {
		t.Errorf("plan %v", whole["plan"])
	}
	bare := r.want(t, 200, `"slug":"c3.small.x86"`, "GET", "/devices/"+one, "")
	if len(bare["facility"].(map[string]any)) != 1 {
		t.Errorf("facility %v", bare["facility"])
	}
}

func TestCatalogueProjectsAndKeys(t *testing.T) {
	r := newRig(t, Options{})
	for path, text := range map[string]string{
		"/plans": "baremetal_0", "/facilities": "ewr1", "/locations/metros": `"ny"`, "/operating-systems": "custom_ipxe", "/user": "full_name",
		"/projects/" + r.project + "/plans": "c3.small", "/projects/" + r.project + "/facilities": "ewr1", "/locations/metros/ny": "New York",
	} {
		r.want(t, 200, text, "GET", path, "")
	}
	r.want(t, 404, textNotFound, "GET", "/locations/metros/xx", "")
	r.want(t, 422, "Name", "POST", "/projects", `{}`)
	p := fmt.Sprint(r.want(t, 201, "lab", "POST", "/projects", `{"name":"lab"}`)["id"])
	r.want(t, 200, "lab2", "PATCH", "/projects/"+p, `{"name":"lab2"}`)
	id := r.Add("lab2", 1, Device{})[0]
	r.want(t, 422, "active devices", "DELETE", "/projects/"+p, "")
	r.Remove(id)
	r.want(t, 204, "", "DELETE", "/projects/"+p, "")
	r.want(t, 404, textNotFound, "GET", "/projects/"+p, "")

	r.want(t, 422, `["Label can't be blank","Key is invalid"]`, "POST", "/ssh-keys", `{"key":"ssh-rsa ?"}`)
	key := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"
	k := fmt.Sprint(r.want(t, 201, "fingerprint", "POST", "/projects/"+r.project+"/ssh-keys", `{"label":"me","key":"`+key+`"}`)["id"])
	r.want(t, 200, `"total":1`, "GET", "/projects/"+r.project+"/ssh-keys", "")
	r.want(t, 200, `"total":0`, "GET", "/ssh-keys", "")
	r.want(t, 200, `"label":"you"`, "PATCH", "/ssh-keys/"+k, `{"label":"you"}`)
	r.want(t, 422, "Key", "PATCH", "/ssh-keys/"+k, `{"key":"no"}`)
	r.want(t, 200, `"label":"you"`, "GET", "/ssh-keys/"+k, "")
	r.want(t, 204, "", "DELETE", "/ssh-keys/"+k, "")
	r.want(t, 404, textNotFound, "GET", "/ssh-keys/"+k, "")
	r.want(t, 404, textNotFound, "PATCH", "/ssh-keys/"+k, "{}")
	r.want(t, 404, textNotFound, "DELETE", "/ssh-keys/"+k, "")
}

func TestDiagnosticsAndEvents(t *testing.T) {
	r := newRig(t, Options{})
	id := r.create(t, "")
	r.want(t, 200, `"total":6`, "GET", "/devices/"+id+"/events", "")
	r.want(t, 200, `"total":6`, "GET", "/projects/"+r.project+"/events", "")
	r.want(t, 200, `"health_rollup":"ok"`, "GET", "/devices/"+id+"/diagnostics/health/rollup", "")
	r.want(t, 200, `"interfaces"`, "GET", "/devices/"+id+"/metadata", "")
	r.want(t, 200, `"198.18.`, "GET", "/devices/"+id+"/ips", "")
	status, raw, h := r.raw(t, "GET", "/devices/"+id+"/diagnostics/screenshot", "")
	if status != 200 || !bytes.HasPrefix(raw, []byte("\x89PNG")) || h.Get("Content-Type") != "image/png" {
		t.Errorf("screenshot: %d %q %v", status, raw, h)
	}
	r.SetIll(id, Ill{NoDiagnostics: true, Tells: "wobbling"})
	r.want(t, 501, "not supported", "GET", "/devices/"+id+"/diagnostics/screenshot", "")
	r.want(t, 404, textNotFound, "GET", "/devices/"+id+"/diagnostics/health/rollup", "")
	r.want(t, 200, `"state":"wobbling"`, "GET", "/devices/"+id, "")
}

func TestPasswordIsToldForADay(t *testing.T) {
	r := newRig(t, Options{})
	id := r.create(t, "")
	d, _ := r.Device(id)
	r.want(t, 200, d.Password(), "GET", "/devices/"+id, "")
	r.clock.Advance(25 * time.Hour)
	if _, raw, _ := r.raw(t, "GET", "/devices/"+id, ""); bytes.Contains(raw, []byte(d.Password())) {
		t.Error("the password is told after a day")
	}
}

func TestFaults(t *testing.T) {
	r := newRig(t, Options{})
	id := r.Add("default", 1, Device{})[0]
	other := r.Add("default", 1, Device{})[0]
	off := func() int {
		status, _, _ := r.raw(t, "POST", "/devices/"+id+"/actions", `{"type":"power_off"}`)
		return status
	}
	r.SetFaults(Oops("power_off", 1), TooMany("power_off", 1, "7"), BadGateway("power_off", 1))
	r.want(t, 500, "Oh snap", "POST", "/devices/"+id+"/actions", `{"type":"power_off"}`)
	if status, _, h := r.raw(t, "POST", "/devices/"+id+"/actions", `{"type":"power_off"}`); status != 429 || h.Get("Retry-After") != "7" {
		t.Errorf("%d %v", status, h)
	}
	if status, raw, h := r.raw(t, "POST", "/devices/"+id+"/actions", `{"type":"power_off"}`); status != 502 || string(raw) != html || h.Get("Content-Type") != "text/html" {
		t.Errorf("%d %s %v", status, raw, h)
	}
	if r.Executed(id, "power_off") != 0 || off() != 202 || r.Executed(id, "power_off") != 1 {
		t.Errorf("executed %v", r.AllExecuted(id))
	}
	r.SetFaults(Fault{On: "read", Device: other, Times: Always, Status: 403})
	r.want(t, 403, textForbidden, "GET", "/devices/"+other, "")
	r.want(t, 200, id, "GET", "/devices/"+id, "")
	for _, f := range []Fault{{LoseReply: true}, {LoseRequest: true}, {Truncate: true}} {
		r.Change(id, func(d *Device) { d.State = Active })
		before := r.Executed(id, "update")
		f.On, f.Times = "update", 1
		r.SetFaults(f)
		req, err := http.NewRequestWithContext(t.Context(), "PUT", r.URL()+"devices/"+id, strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Auth-Token", "k")
		resp, err := r.http.Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil || (r.Executed(id, "update") == before) != f.LoseRequest {
			t.Errorf("%+v: %v, executed %d", f, err, r.Executed(id, "update")-before)
		}
	}
	r.SetFaults(Fault{On: "get", Times: 1, Slow: time.Millisecond})
	r.want(t, 200, id, "GET", "/devices/"+id, "")
	r.SetIll(id, Ill{Stuck: true})
	r.Change(id, func(d *Device) { d.State = Active })
	if n := r.Executed(id, "power_off"); off() != 202 || r.Executed(id, "power_off") != n+1 {
		t.Error("a stuck device counts what it takes")
	}
	if d, _ := r.Device(id); d.State != Active {
		t.Errorf("a stuck device is %s", d.State)
	}
	r.SetFaults(Fault{On: "create", Times: 1, Status: 500, Executed: true})
	r.want(t, 500, "Oh snap", "POST", "/projects/"+r.project+"/devices", `{"plan":"baremetal_0","facility":"any","operating_system":"debian_12"}`)
	if r.Executed("", "create") != 1 {
		t.Error("it was not executed")
	}
}

func TestProvisioningFails(t *testing.T) {
	r := newRig(t, Options{Timing: Every(time.Second)})
	id := r.create(t, "")
	r.SetIll(id, Ill{Fails: true})
	r.clock.Advance(time.Minute)
	r.want(t, 200, `"state":"failed"`, "GET", "/devices/"+id, "")
}

func TestRateLimit(t *testing.T) {
	r := newRig(t, Options{RateLimit: 2, RateWindow: time.Minute})
	for i, want := range []int{200, 200, 429, 200} {
		if i == 3 {
			r.clock.Advance(time.Minute)
		}
		status, _, h := r.raw(t, "GET", "/user", "")
		if status != want || h.Get("X-RateLimit-Limit") != "2" || h.Get("X-RateLimit-Reset") == "" {
			t.Errorf("request %d: %d %v", i, status, h)
		}
		if (h.Get("Retry-After") == "61") != (want == 429) {
			t.Errorf("request %d: Retry-After %q", i, h.Get("Retry-After"))
		}
	}
}

func TestStateIsKept(t *testing.T) {
	o := Options{StateFile: filepath.Join(t.TempDir(), "state.json"), Timing: Every(time.Minute)}
	r := newRig(t, o)
	id := r.create(t, `,"tags":["kept"]`)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	o.Now = r.clock.Now
	again := newRig(t, o)
	again.want(t, 200, `"kept"`, "GET", "/devices/"+id, "")
	r.clock.Advance(2 * time.Minute)
	again.want(t, 200, `"state":"active"`, "GET", "/devices/"+id, "")
	if again.project != r.project || again.create(t, "") == id {
		t.Error("ids are given twice")
	}
	o.StateFile = filepath.Join(t.TempDir(), "no", "such", "folder")
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.saved = s.save()
	s.mu.Unlock()
	if err := s.Close(); err == nil {
		t.Error("that nothing was kept is not told")
	}
}

func TestWithAndWithoutPrefix(t *testing.T) {
	r := newRig(t, Options{})
	if !strings.HasSuffix(r.URL(), Prefix+"/") {
		t.Errorf("URL %s", r.URL())
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", strings.TrimSuffix(r.URL(), Prefix[1:]+"/")+"projects", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", "k")
	resp, err := r.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || r.Connections() < 1 || r.Requests() != 1 {
		t.Errorf("%s, %d connections, %d requests", resp.Status, r.Connections(), r.Requests())
	}
}

// FuzzRequest gives the service whatever comes: it answers, and its answers are
// JSON.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/projects/p/devices", `{"plan":"baremetal_0","facility":{"a":1}}`)
	f.Add("PUT", "/devices/d", `{"tags":["a"],"customdata":"x"}`)
	f.Add("POST", "/devices/d/actions", `{"type":"reinstall","operating_system":null}`)
	f.Add("GET", "/projects/p/devices?page=-1&per_page=99999999999&include=,,a.b.c", "")
	s, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	id := s.Add("default", 1, Device{})[0]
	f.Fuzz(func(t *testing.T, method, path, body string) {
		path = strings.ReplaceAll(strings.ReplaceAll(path, "/devices/d", "/devices/"+id), "/projects/p", "/projects/"+s.ProjectID("default"))
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("X-Auth-Token", "k")
		w := &recorder{header: http.Header{}}
		s.serve(w, req)
		if w.status == 0 || len(w.body) > 0 && strings.HasPrefix(w.header.Get("Content-Type"), "application/json") && !json.Valid(w.body) {
			t.Errorf("%s %s: %d %q", method, path, w.status, w.body)
		}
	})
}

// recorder takes an answer.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header { return r.header }
func (r *recorder) WriteHeader(n int)   { r.status = n }
func (r *recorder) Write(p []byte) (int, error) {
	r.body = append(r.body, p...)
	return len(p), nil
}
