package endpoint

import (
	"net/http"
	"strings"
	"testing"

	"provision-plugins/endpoint/audit"
	"provision-plugins/endpoint/delegate"
	"provision-plugins/shared/model"
)

// forPerson sends a request with a token in the name of a person.
func (r *rig) forPerson(want int, method, path, token, person, body string) []byte {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "https://"+r.e.Addr()+apiRoot+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if person != "" {
		req.Header.Set(delegate.Header, person)
	}
	resp, raw := r.do(req, token)
	if resp.StatusCode != want {
		r.t.Errorf("%s %s for %q: status %d, want %d: %s", method, path, person, resp.StatusCode, want, raw)
	}
	return raw
}

// delegated lets the toy act for people.
func (r *rig) delegated(claims string) {
	r.t.Helper()
	r.wantStatus(200, "PUT", "/plugins/toy/delegation", r.e.token, `{"Claims":`+claims+`}`)
}

const mayPower = `[{"scope":"machines","action":"action:poweron,action:powerstatus","specific":"*"}]`

// A person that a plugin names has what was delegated and nothing else; the
// plugin itself has no more than before, and nobody but a plugin names anybody.
func TestActingForPeople(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	plugin := r.e.sup.tokens.issue("toy", readerGrant())
	stranger := r.e.sup.tokens.issue("other", readerGrant())
	on, off := "/machines/"+uuid+"/actions/poweron", "/machines/"+uuid+"/actions/poweroff"

	before := r.forPerson(403, "POST", on, plugin, "U1", "{}")
	if !strings.Contains(string(before), "oob plugin delegate toy") {
		t.Errorf("it does not say what to do: %s", before)
	}
	r.put("state", "on")
	r.delegated(mayPower)
	for _, c := range []struct {
		name, method, path, token, person string
		want                              int
	}{
		{"a person", "POST", on, plugin, "U1", 200},
		{"a read", "POST", "/machines/" + uuid + "/actions/powerstatus", plugin, "U1", 200},
		{"another action", "POST", off, plugin, "U1", 403},
		{"a protected machine", "POST", on + "?override-protected=true", plugin, "U1", 403},
		{"another object", "POST", "/plugins/toy/actions/getInventory", plugin, "U1", 403},
		{"what the plugin itself may", "GET", "/machines", plugin, "U1", 403},
		{"a change", "DELETE", "/machines/" + uuid, plugin, "U1", 403},
		{"more for itself", "PUT", "/plugins/toy/delegation", plugin, "U1", 403},
		{"nobody", "POST", on, plugin, "", 403},
		{"nobody, looking", "GET", "/machines", plugin, "", 200},
		{"no id", "POST", on, plugin, "user:root", 400},
		{"another plugin", "POST", on, stranger, "U1", 403},
		{"an admin", "POST", on, r.e.token, "U1", 403},
	} {
		if raw := r.forPerson(c.want, c.method, c.path, c.token, c.person, "{}"); t.Failed() {
			t.Fatalf("%s: %s", c.name, raw)
		}
	}
	if got := r.executed(); len(got) != 1 {
		t.Errorf("executed: %q", got)
	}
	r.wantStatus(200, "DELETE", "/plugins/toy/delegation", r.e.token, "")
	r.forPerson(403, "POST", on, plugin, "U1", "{}")
}

// Run, event and audit trail name the person and the plugin.
func TestWhoIsOnRecord(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	plugin := r.e.sup.tokens.issue("toy", readerGrant())
	r.delegated(mayPower)
	r.forPerson(200, "POST", "/machines/"+uuid+"/actions/poweron", plugin, "U1", `{"oob/reason":"dark"}`)
	r.forPerson(200, "POST", "/events", plugin, "U1", `{"Type":"toy","Action":"requested","Key":"q1","Object":{"Text":"x"}}`)
	r.forPerson(403, "POST", "/events", plugin, "U1", `{"Type":"machines","Action":"delete","Key":"q1"}`)

	var runs []model.Run
	if err := r.c.Get(t.Context(), "runs", &runs); err != nil || len(runs) != 1 {
		t.Fatalf("%v, %d runs", err, len(runs))
	}
	if got := runs[0]; got.Principal != "toy:U1" || got.Via != "plugin:toy" || got.Reason != "dark" {
		t.Errorf("%q via %q because of %q", got.Principal, got.Via, got.Reason)
	}
	var trail []audit.Record
	if err := r.c.Get(t.Context(), "audit?limit=10", &trail); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, rec := range trail {
		if rec.Who == "toy:U1" && rec.Via == "plugin:toy" {
			told = append(told, rec.Method+" "+rec.Path+" "+rec.Event)
		}
	}
	want := []string{"POST /api/v3/events machines.delete.q1", "POST /api/v3/events toy.requested.q1", "POST /api/v3/machines/" + uuid + "/actions/poweron "}
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told %q", told)
	}
	for _, e := range r.e.hub.Recent(100) {
		if e.Type == "toy" && e.Principal != "toy:U1" {
			t.Errorf("%+v", e)
		}
	}
}

// A delegation is of one plugin object of one provider, and ends with it.
func TestADelegationEndsWithItsPlugin(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.plain("plugins", "second", `{"Name":"second","Provider":"absent"}`)
	r.wantStatus(200, "PUT", "/plugins/second/delegation", r.e.token, `{"Claims":`+mayPower+`}`)
	uuid := r.machine("m1", nil)
	token := r.e.sup.tokens.issue("second", readerGrant())
	r.put("state", "on")
	read := "/machines/" + uuid + "/actions/powerstatus?plugin=toy"
	r.forPerson(200, "POST", read, token, "U1", "{}")

	r.wantStatus(200, "DELETE", "/plugins/second", r.e.token, "")
	r.plain("plugins", "second", `{"Name":"second","Provider":"absent"}`)
	r.forPerson(403, "POST", read, r.e.sup.tokens.issue("second", readerGrant()), "U1", "{}")

	r.wantStatus(200, "PUT", "/plugins/second/delegation", r.e.token, `{"Claims":`+mayPower+`}`)
	r.wantStatus(200, "PATCH", "/plugins/second", r.e.token, `[{"op":"replace","path":"/Provider","value":"gone"}]`)
	r.forPerson(403, "POST", read, r.e.sup.tokens.issue("second", readerGrant()), "U1", "{}")
	r.wantStatus(404, "GET", "/plugins/second/delegation", r.e.token, "")
}

func TestDelegationsOverTheAPI(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	for body, want := range map[string]int{
		`{"Claims":[]}`: 400, `{}`: 400, `x`: 400,
		`{"Claims":[{"scope":"*","action":"*","specific":"*"}]}`:                   400,
		`{"Claims":[{"scope":"machines","action":"getSecure","specific":"*"}]}`:    400,
		`{"Claims":[{"scope":"machines","action":"action:x","specific":"*"}]}`:     200,
		`{"By":"me","Provider":"user","Plugin":"slack","Claims":` + mayPower + `}`: 200,
	} {
		r.wantStatus(want, "PUT", "/plugins/toy/delegation", r.e.token, body)
	}
	r.delegated(mayPower)
	if got := string(r.wantStatus(200, "GET", "/plugins/toy/delegation", r.e.token, "")); !strings.Contains(got, `"Provider":"toy"`) || strings.Contains(got, `"me"`) {
		t.Errorf("%s", got)
	}
	for _, method := range []string{"GET", "DELETE"} {
		r.wantStatus(404, method, "/plugins/nosuch/delegation", r.e.token, "")
	}
	r.wantStatus(404, "PUT", "/plugins/nosuch/delegation", r.e.token, `{"Claims":`+mayPower+`}`)
	r.again() // it is durable
	r.wantStatus(200, "GET", "/plugins/toy/delegation", r.e.token, "")
}
