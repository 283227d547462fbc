package endpoint

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"provision-plugins/endpoint/audit"
	"provision-plugins/endpoint/auth"
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

// A person who has all that can be delegated may go nowhere else, whatever the plugin
// itself may: on every route.
func TestAPersonOnEveryRoute(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	plugin := r.e.sup.tokens.issue("toy", auth.AllGrant()) // of a provider that is trusted
	r.delegated(`[{"scope":"machines","action":"action,override","specific":"*"},{"scope":"runs","action":"cancel","specific":"*"}]`)
	open := []string{
		"GET /info", "GET /ipmi", "POST /reads", // the last two need a claim for each machine
		"POST /machines/{key}/actions/{command}", "POST /runs/{key}/cancel", "DELETE /runs/{key}", "POST /events",
	}
	for _, pattern := range r.routePatterns() {
		method, path := requestOf(pattern)
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.e.Addr()+path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(delegate.Header, "U1")
		resp, raw := r.do(req, plugin)
		refused := resp.StatusCode == http.StatusForbidden && strings.Contains(string(raw), "toy:U1 may not")
		if refused == slices.Contains(open, pattern) {
			t.Errorf("%s: %d: %s", pattern, resp.StatusCode, raw)
		}
	}
}

// Nobody but a plugin is believed about persons, on no route and by no way in; and of
// a plugin nothing that could be read as another's name.
func TestPersonsThatAreForged(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.delegated(mayPower)
	r.user("olga", "operator")
	operator, plugin := r.login("olga", ""), r.e.sup.tokens.issue("toy", readerGrant())
	for _, pattern := range r.routePatterns() {
		method, path := requestOf(pattern)
		for name, token := range map[string]string{"an admin": r.e.token, "an operator": operator} {
			req, err := http.NewRequestWithContext(t.Context(), method, "https://"+r.e.Addr()+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(delegate.Header, "U1")
			if resp, raw := r.do(req, token); resp.StatusCode != http.StatusForbidden || !strings.Contains(string(raw), "may not act for others") {
				t.Errorf("%s by %s: %d: %s", pattern, name, resp.StatusCode, raw)
			}
		}
	}
	for name, values := range map[string][]string{
		"two": {"U1", "U2"}, "a list": {"U1,U2"}, "none": {""}, "long": {strings.Repeat("U", 65)}, "a principal": {"user:root"},
		"two words": {"U1 U2"}, "a tab": {"U1\tU2"}, "another alphabet": {"Ü1"}, "one byte of it": {"U\xff"}, "a path": {"../U1"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+r.e.Addr()+apiRoot+"/events", strings.NewReader(`{"Type":"toy"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header[delegate.Header] = values
		if resp, raw := r.do(req, plugin); resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(raw), delegate.Header) || len(raw) > 1000 {
			t.Errorf("%s: %d: %s", name, resp.StatusCode, raw)
		}
	}
	// At the socket, where everybody who gets in is an admin.
	socket := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.e.opts.Socket)
	}}}
	for _, token := range []string{"", r.e.token, plugin} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://socket"+apiRoot+"/machines", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(delegate.Header, "U1")
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := socket.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != http.StatusForbidden {
			t.Errorf("at the socket: %d", resp.StatusCode)
		}
	}
}

// A token that is void names nobody: that of a plugin's earlier process, and that of
// one which is gone.
func TestPersonsOfVoidTokens(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	r.delegated(mayPower)
	r.put("state", "on")
	read := "/machines/" + uuid + "/actions/powerstatus"
	first := r.e.sup.tokens.issue("toy", readerGrant())
	r.forPerson(200, "POST", read, first, "U1", "{}")
	second := r.e.sup.tokens.issue("toy", readerGrant())
	r.forPerson(401, "POST", read, first, "U1", "{}")
	r.forPerson(200, "POST", read, second, "U1", "{}")
	r.wantStatus(200, "DELETE", "/plugins/toy", r.e.token, "")
	eventually(t, "the end of the plugin", func() bool { return r.holders() == "[]" })
	r.forPerson(401, "POST", read, second, "U1", "{}")
}

// What is given to a plugin while it is being removed is not there for the next one
// of its name.
func TestADelegationWaitsForARemoval(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.plain("plugins", "second", `{"Name":"second","Provider":"absent"}`)
	o := r.e.api.objects
	unlock := o.locks.lock("plugins", "second", "the test") // as a removal does
	given := make(chan int, 1)
	go func() {
		resp, _ := r.ask("PUT", apiRoot+"/plugins/second/delegation", r.e.token, `{"Claims":`+mayPower+`}`)
		given <- resp.StatusCode
	}()
	eventually(t, "it waits", func() bool {
		o.locks.mu.Lock()
		defer o.locks.mu.Unlock()
		return o.locks.held["plugins.second"].users == 2 || len(given) > 0
	})
	if _, err := o.store.Delete(t.Context(), "plugins", "second", 0); err != nil {
		t.Error(err)
	}
	unlock()
	if status := <-given; status != http.StatusNotFound {
		t.Errorf("given: %d", status)
	}
	if _, err := o.store.Get(delegationsPrefix, "second"); model.KindOf(err) != model.NotFound {
		t.Errorf("it is there: %v", err)
	}
}
