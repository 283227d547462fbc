package packet

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What the service says when it refuses, in its own words and in one of its two forms:
// "error" with a text, or "errors" with a list of texts.
func TestEachRefusal(t *testing.T) {
	r := newRig(t, Options{
		Accounts: []Account{{Key: "key"}, {Key: "other", Projects: []string{"theirs"}}}, Projects: []string{"default", "theirs"}, Timing: Every(time.Hour),
	})
	on := r.Add("default", 1, Device{})[0]
	off := r.Add("default", 1, Device{State: Inactive})[0]
	going := r.create(t, "")
	locked := r.Add("default", 1, Device{Locked: true})[0]
	leaving := r.Add("default", 1, Device{State: Deprovisioning})[0]
	const nobody = "00000000-0000-4000-8000-000000000000"
	act := func(id string) string { return "/devices/" + id + "/actions" }
	for _, row := range []struct {
		key, method, path, body string
		status                  int
		says                    string // the whole answer
	}{
		{"", "GET", "/devices/" + on, "", 401, `{"error":"Invalid authentication token"}`},
		{"wrong", "GET", "/projects", "", 401, `{"error":"Invalid authentication token"}`},
		{"wrong", "POST", act(on), `{"type":"reboot"}`, 401, `{"error":"Invalid authentication token"}`},
		{"key", "GET", "/devices/" + nobody, "", 404, `{"errors":["Not found"]}`},
		{"key", "PUT", "/devices/" + nobody, "{}", 404, `{"errors":["Not found"]}`},
		{"key", "DELETE", "/devices/" + nobody, "", 404, `{"errors":["Not found"]}`},
		{"key", "POST", act(nobody), `{"type":"reboot"}`, 404, `{"errors":["Not found"]}`},
		{"key", "GET", "/projects/" + nobody + "/devices", "", 404, `{"errors":["Not found"]}`},
		{"other", "GET", "/devices/" + on, "", 403, `{"errors":["You are not authorized to view this device"]}`},
		{"other", "PUT", "/devices/" + on, `{"hostname":"mine"}`, 403, `{"errors":["You are not authorized to view this device"]}`},
		{"other", "DELETE", "/devices/" + on, "", 403, `{"errors":["You are not authorized to view this device"]}`},
		{"other", "POST", act(on), `{"type":"power_off"}`, 403, `{"errors":["You are not authorized to view this device"]}`},
		{"other", "GET", "/devices/" + on + "/events", "", 403, `{"errors":["You are not authorized to view this device"]}`},
		{"key", "POST", act(off), `{"type":"power_off"}`, 422, `{"errors":["Device must be powered on"]}`},
		{"key", "POST", act(off), `{"type":"reboot"}`, 422, `{"errors":["Device must be powered on"]}`},
		{"key", "POST", act(off), `{"type":"rescue"}`, 422, `{"errors":["Device must be powered on"]}`},
		{"key", "POST", act(on), `{"type":"power_on"}`, 422, `{"errors":["Device must be powered off"]}`},
		{"key", "POST", act(on), `{}`, 422, `{"errors":["Type is not included in the list"]}`},
		{"key", "POST", act(on), `[]`, 400, `{"error":"Invalid JSON in the request body"}`},
		{"key", "POST", act(going), `{"type":"reboot"}`, 422, `{"errors":["Cannot reboot a device while it is queued"]}`},
		{"key", "DELETE", "/devices/" + going, `{"force_delete":true}`, 422, `{"errors":["Cannot delete a device while it is provisioning"]}`},
		{"key", "DELETE", "/devices/" + leaving, "", 422, `{"errors":["Cannot delete a device while it is deprovisioning"]}`},
		{"key", "DELETE", "/devices/" + locked, "", 422, `{"errors":["Cannot delete a locked item"]}`},
		{"key", "POST", act(locked), `{"type":"reinstall"}`, 422, `{"errors":["Cannot perform this action on a locked device"]}`},
		{"key", "PUT", "/devices/" + on, `{"hostname":7}`, 400, `{"error":"Invalid JSON in the request body"}`},
	} {
		r.key = row.key
		before := r.AllExecuted("")
		status, raw, h := r.raw(t, row.method, row.path, row.body)
		if status != row.status || strings.TrimSpace(string(raw)) != row.says || !strings.HasPrefix(h.Get("Content-Type"), "application/json") {
			t.Errorf("%s %s %s: %d %s; want %d %s", row.method, row.path, row.body, status, raw, row.status, row.says)
		}
		if after := r.AllExecuted(""); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%s %s %s was refused, and executed: %v", row.method, row.path, row.body, after)
		}
	}
}

// Each action in each state: it is taken, or refused, and what a device lists as its
// actions are those that it takes.
func TestActionsByState(t *testing.T) {
	takes := map[string][]string{
		Active: {"power_off", "reboot", "rescue", "reinstall"}, Inactive: {"power_on", "reinstall"}, Failed: {"reinstall"},
		Queued: nil, Provisioning: nil, Reinstalling: nil, PoweringOn: nil, PoweringOff: nil, Deprovisioning: nil,
	}
	r := newRig(t, Options{Timing: Every(time.Hour)})
	for state, want := range takes {
		id := r.Add("default", 1, Device{State: state})[0]
		_, told := r.ask(t, "GET", "/devices/"+id, "")
		var listed []string
		for _, a := range told["actions"].([]any) {
			listed = append(listed, fmt.Sprint(a.(map[string]any)["type"]))
		}
		if !slices.Equal(listed, want) {
			t.Errorf("%s lists %v, want %v", state, listed, want)
		}
		for _, action := range []string{"power_on", "power_off", "reboot", "rescue", "reinstall"} {
			r.Change(id, func(d *Device) { d.State, d.Steps = state, nil })
			status, _, _ := r.raw(t, "POST", "/devices/"+id+"/actions", `{"type":"`+action+`"}`)
			wanted := http.StatusUnprocessableEntity
			if slices.Contains(want, action) {
				wanted = http.StatusAccepted
			}
			if status != wanted {
				t.Errorf("%s of a device that is %s: %d, want %d", action, state, status, wanted)
			}
		}
	}
}

// An installation goes through its events one after the other, a second one anew: what
// it has not reached has no id and no time.
func TestInstallationsTellHowFarTheyAre(t *testing.T) {
	r := newRig(t, Options{Timing: Every(6 * time.Second)})
	id := r.create(t, "")
	reached := func() (n int) {
		_, told := r.ask(t, "GET", "/devices/"+id, "")
		for i, e := range told["provisioning_events"].([]any) {
			event := e.(map[string]any)
			if event["type"] != installation[i].kind || (event["id"] == nil) != (event["created_at"] == nil) {
				t.Errorf("event %v", event)
			}
			if event["id"] != nil {
				n++
			}
		}
		if percent := told["provisioning_percentage"].(float64); int(percent) != 100*n/len(installation) {
			t.Errorf("%d events, and %v %%", n, percent)
		}
		return n
	}
	walk := func() {
		t.Helper()
		for want := range len(installation) + 1 {
			if n := reached(); n != want {
				t.Errorf("%d events reached, want %d", n, want)
			}
			r.clock.Advance(time.Second)
		}
	}
	r.clock.Advance(6 * time.Second)
	walk()
	r.want(t, 200, `"state":"active"`, "GET", "/devices/"+id, "")
	if status, _, _ := r.raw(t, "POST", "/devices/"+id+"/actions", `{"type":"reinstall"}`); status != 202 {
		t.Errorf("reinstall: %d", status)
	}
	walk()
	r.want(t, 200, `"state":"active"`, "GET", "/devices/"+id, "")
	if d, _ := r.Device(id); len(d.Boots) != 2 || !d.Boots[1].First {
		t.Errorf("booted %+v", d.Boots)
	}
}

// Pages: their size has a default and a bound, every device is on one of them, and the
// links of meta lead from the first to the last and back.
func TestPages(t *testing.T) {
	r := newRig(t, Options{})
	const devices = 1205
	r.Add("default", devices, Device{})
	list := "/projects/" + r.project + "/devices"
	for query, want := range map[string][3]int{ // on the page, page, last page
		"": {10, 1, 121}, "?page=121": {5, 121, 121}, "?page=122": {0, 122, 121}, "?page=0": {10, 1, 121}, "?page=-3": {10, 1, 121}, "?page=x": {10, 1, 121},
		"?per_page=100&page=2": {100, 2, 13}, "?per_page=1000": {1000, 1, 2}, "?per_page=5000": {1000, 1, 2}, "?per_page=0": {10, 1, 121}, "?per_page=1000&page=2": {205, 2, 2},
	} {
		_, got := r.ask(t, "GET", list+query, "")
		meta := got["meta"].(map[string]any)
		n := [3]int{len(got["devices"].([]any)), int(meta["current_page"].(float64)), int(meta["last_page"].(float64))}
		if n != want || meta["total"].(float64) != devices {
			t.Errorf("%q: %v, want %v", query, n, want)
		}
	}
	for _, way := range []string{"next", "previous"} {
		path, seen, pages := list+"?per_page=100", map[any]bool{}, 0
		if way == "previous" {
			path += "&page=13"
		}
		for path != "" && pages < 20 {
			got := r.want(t, 200, `"devices"`, "GET", path, "")
			for _, d := range got["devices"].([]any) {
				seen[d.(map[string]any)["id"]] = true
			}
			pages++
			path = ""
			if link, is := got["meta"].(map[string]any)[way].(map[string]any); is {
				path = fmt.Sprint(link["href"])
			}
		}
		if pages != 13 || len(seen) != devices {
			t.Errorf("%s: %d pages with %d devices", way, pages, len(seen))
		}
	}
}

// Sub-resources are links unless they are included, and those that are whole by
// themselves are links where they are excluded.
func TestIncludeAndExclude(t *testing.T) {
	r := newRig(t, Options{})
	id := r.Add("default", 1, Device{})[0]
	whole := func(query string) (out []string) {
		_, told := r.ask(t, "GET", "/devices/"+id+query, "")
		for _, name := range []string{"facility", "metro", "operating_system", "plan", "project"} {
			obj := told[name].(map[string]any)
			if len(obj) > 1 {
				out = append(out, name)
			} else if obj["href"] == "" || obj["href"] == nil {
				t.Errorf("%s: %s is neither whole nor a link: %v", query, name, obj)
			}
		}
		return out
	}
	for query, want := range map[string]string{
		"": "metro operating_system plan", "?include=facility": "facility metro operating_system plan", "?include=facility,project": "facility metro operating_system plan project",
		"?include=project.members": "metro operating_system plan project", "?exclude=plan,metro": "operating_system", "?include=plan&exclude=plan": "metro operating_system",
		"?include=%20facility%20,nothing": "facility metro operating_system plan",
	} {
		if got := strings.Join(whole(query), " "); got != want {
			t.Errorf("%q: whole are %s; want %s", query, got, want)
		}
	}
}

// A key that has made its requests is told when it may make more, in both headers, and
// another key is not concerned; refused requests execute nothing.
func TestRateLimitByKey(t *testing.T) {
	r := newRig(t, Options{RateLimit: 3, RateWindow: time.Minute})
	id := r.Add("default", 1, Device{})[0]
	for left := 2; left >= 0; left-- {
		status, _, h := r.raw(t, "GET", "/devices/"+id, "")
		if status != 200 || h.Get("X-RateLimit-Limit") != "3" || h.Get("X-RateLimit-Remaining") != strconv.Itoa(left) {
			t.Errorf("%d: %d %v", left, status, h)
		}
	}
	r.clock.Advance(20 * time.Second)
	status, raw, h := r.raw(t, "POST", "/devices/"+id+"/actions", `{"type":"power_off"}`)
	reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if status != 429 || string(raw) != `{"error":"Too many requests"}` || h.Get("Retry-After") != "41" || err != nil || reset != r.clock.Now().Add(40*time.Second).Unix() {
		t.Errorf("%d %s %v", status, raw, h)
	}
	if r.Executed(id, "power_off") != 0 {
		t.Error("a request too many was executed")
	}
	r.key = "another"
	r.want(t, 200, id, "GET", "/devices/"+id, "")
	r.key = "key"
	r.clock.Advance(40 * time.Second)
	r.want(t, 200, id, "GET", "/devices/"+id, "")
}

// What a device is created with is what it tells, and what is changed is changed alone.
func TestEachFieldIsKept(t *testing.T) {
	r := newRig(t, Options{})
	id := r.create(t, `,"userdata":"#cloud","tags":["a","b"],"description":"d","ipxe_script_url":"http://x/y","always_pxe":true,"customdata":{"k":1},"locked":true,`+
		`"hardware_reservation_id":"r1","termination_time":"2030-01-01T00:00:00Z","billing_cycle":"monthly"`)
	for _, text := range []string{
		`"userdata":"#cloud"`, `"tags":["a","b"]`, `"description":"d"`, `"ipxe_script_url":"http://x/y"`, `"always_pxe":true`, `"customdata":{"k":1}`, `"locked":true`,
		`"hardware_reservation":{"href":"/hardware-reservations/r1"}`, `"termination_time":"2030-01-01T00:00:00Z"`, `"billing_cycle":"monthly"`,
	} {
		r.want(t, 200, text, "GET", "/devices/"+id, "")
	}
	before, _ := r.Device(id)
	for body, text := range map[string]string{
		`{"hostname":"h2"}`: `"hostname":"h2"`, `{"description":"e"}`: `"description":"e"`, `{"userdata":""}`: `"userdata":""`, `{"locked":false}`: `"locked":false`,
		`{"tags":[]}`: `"tags":[]`, `{"always_pxe":false}`: `"always_pxe":false`, `{"ipxe_script_url":"z"}`: `"ipxe_script_url":"z"`, `{"billing_cycle":"hourly"}`: `"billing_cycle":"hourly"`,
		`{"customdata":{"j":2}}`: `"customdata":{"j":2}`, `{}`: `"hostname"`, ``: `"hostname"`, `{"hostname":null}`: `"hostname"`,
	} {
		r.Change(id, func(d *Device) { *d = before.clone() })
		r.want(t, 200, text, "PUT", "/devices/"+id, body)
		r.Change(id, func(d *Device) { *d = before.clone() })
		r.want(t, 200, text, "PATCH", "/devices/"+id, body)
	}
}

// Ids have the form that clients check for, whatever they are of, and no list is null:
// clients in strict languages take neither.
func TestIDsAndLists(t *testing.T) {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$`)
	lists := []string{"tags", "devices", "ip_addresses", "network_ports", "provisioning_events", "events", "ssh_keys", "projects", "actions"}
	r := newRig(t, Options{})
	id := r.create(t, "")
	r.want(t, 201, "", "POST", "/ssh-keys", `{"label":"me","key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"}`)
	ids := 0
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(path, e)
			}
		case map[string]any:
			for name, e := range v {
				if name == "id" && e != nil {
					ids++
					if !uuid.MatchString(fmt.Sprint(e)) {
						t.Errorf("%s: id %v", path, e)
					}
				}
				if e == nil && slices.Contains(lists, name) {
					t.Errorf("%s: %s is null", path, name)
				}
				walk(path+"."+name, e)
			}
		}
	}
	for _, path := range []string{
		"/devices/" + id, "/devices/" + id + "?include=facility,project", "/devices/" + id + "/events", "/devices/" + id + "/metadata", "/devices/" + id + "/ips",
		"/projects", "/projects/" + r.project, "/projects/" + r.project + "/devices", "/projects/" + r.project + "/devices?page=9", "/projects/" + r.project + "/ssh-keys",
		"/ssh-keys", "/plans", "/facilities", "/locations/metros", "/operating-systems", "/user",
	} {
		status, got := r.ask(t, "GET", path, "")
		if status != 200 {
			t.Errorf("%s: %d", path, status)
		}
		walk(path, got)
	}
	if ids < 50 {
		t.Errorf("%d ids were looked at", ids)
	}
}
