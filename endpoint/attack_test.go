package endpoint

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/model"
)

// A name that looks like a part of the table of rules does not become another.
func TestNamesThatLookLikeTemplates(t *testing.T) {
	t.Parallel()
	const pattern = "POST /api/v3/machines/{key}/actions/{command}"
	for range 50 { // maps have no order
		got := needsOf(pattern, pathValues(pattern, "/api/v3/machines/Name:%7Bcommand%7D/actions/web1"), nil)
		if want := (auth.Need{Scope: "machines", Action: "action:web1", Specific: "Name:{command}"}); got[0] != want {
			t.Fatalf("%+v", got)
		}
	}
}

// What a machine has from profiles and stages is seen in clear only by those who
// may see it there: who may change a machine could give it any profile.
func TestSecretsOfProfilesThroughAMachine(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"deep","Params":{"x/token":"of-the-profile"}}`)
	r.wantStatus(201, "POST", "/roles", r.e.token, `{"Name":"keeper","Claims":[{"scope":"machines","action":"*","specific":"*"}]}`)
	r.user("ann", "keeper")
	ann := r.login("ann", "")
	r.wantStatus(200, "PATCH", "/machines/"+uuid, ann, `[{"op":"replace","path":"/Profiles","value":["deep"]}]`)
	for _, path := range []string{"/machines/" + uuid, "/machines/" + uuid + "/params", "/machines/" + uuid + "/params/x/token", "/machines", "/machines/Name:m1"} {
		raw := string(r.wantStatus(403, "GET", path+"?decode=true&aggregate=true", ann, ""))
		if !strings.Contains(raw, "profiles getSecure") {
			t.Errorf("%s: %s", path, raw)
		}
		for _, query := range []string{"?decode=true", "?aggregate=true", "?aggregate=true&decode=True", "?decode=1&aggregate=true", "?aggregate=true&decode=false&decode=true"} {
			if raw := string(r.wantStatus(200, "GET", path+query, ann, "")); strings.Contains(raw, "of-the-profile") {
				t.Errorf("%s%s: %s", path, query, raw)
			}
		}
		if raw := string(r.wantStatus(200, "GET", path+"?decode=true&aggregate=true", r.e.token, "")); !strings.Contains(raw, "of-the-profile") {
			t.Errorf("%s for an admin: %s", path, raw)
		}
	}
}

// Neither filters nor the order of a list tell a secret.
func TestSecretsAreNotFoundByTheirValue(t *testing.T) {
	t.Parallel()
	r := start(t, "pinned")
	r.ready("toy")
	for name, params := range map[string]string{"m1": `"toy/pin":1111111,"toy/password":"aaaa-secret"`, "m2": `"toy/pin":9999999,"toy/password":"zzzz-secret"`} {
		r.wantStatus(201, "POST", "/machines", r.e.token, fmt.Sprintf(`{"Name":%q,"Secret":"%s-machine","Params":{%s,"site/conf":{"password":"%s-nested","a":1}}}`, name, name, params, name))
	}
	r.user("ann", "viewer")
	ann := r.login("ann", "")
	list := func(query string) string {
		raw := r.wantStatus(200, "GET", "/machines?slim=Params,Meta&"+query, ann, "")
		var all []model.Machine
		if err := model.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range all {
			names = append(names, m.Name)
		}
		return strings.Join(names, " ")
	}
	tests := []string{"Gt(5000000)", "Lt(5000000)", "Gte(9999999)", "1111111", "Eq(aaaa-secret)", "Re(^aaaa)", "In(aaaa-secret,x)", "Between(aaaa,bbbb)", "Ne(aaaa-secret)", "Nin(aaaa-secret)", "Except(aaaa,bbbb)", "Lt(m)"}
	for _, field := range []string{"toy/pin", "toy/password", "Params.toy/password", "Params.toy/pin", "Secret", "site/conf.password", "site/conf", "Params.site/conf"} {
		for _, more := range []string{"", "&aggregate=true"} {
			for _, test := range tests {
				if got := list(url.QueryEscape(field) + "=" + url.QueryEscape(test) + more); got != "" && len(strings.Fields(got)) != 2 {
					t.Errorf("%s=%s%s tells them apart: %q", field, test, more, got)
				}
			}
			up, down := list("sort="+url.QueryEscape(field)+more), list("sort="+url.QueryEscape(field)+more+"&reverse=true")
			if len(strings.Fields(up)) != 2 || len(strings.Fields(down)) != 2 {
				t.Errorf("sorted: %q, %q", up, down)
			}
		}
	}
	// Changing the secrets changes no order.
	before := list("sort=toy%2Fpin")
	r.wantStatus(200, "POST", "/machines/Name:m1/params/toy/pin", r.e.token, "9999999")
	r.wantStatus(200, "POST", "/machines/Name:m2/params/toy/pin", r.e.token, "1111111")
	if after := list("sort=toy%2Fpin"); after != before {
		t.Errorf("the order tells: %q, then %q", before, after)
	}
}

// A patch cannot ask what a secret is, nor put it where it is shown.
func TestPatchesAreNoOracle(t *testing.T) {
	t.Parallel()
	r := start(t, "pinned")
	r.ready("toy")
	r.wantStatus(201, "POST", "/machines", r.e.token, `{"Name":"m1","Secret":"of-the-machine","Params":{"toy/pin":1234567,"x/token":"named-secret"}}`)
	r.wantStatus(201, "POST", "/roles", r.e.token, `{"Name":"changer","Claims":[{"scope":"machines,users","action":"get,update","specific":"*"}]}`)
	r.user("ann", "changer")
	ann := r.login("ann", "")
	for _, c := range []struct{ path, from, guess string }{
		{"/machines/Name:m1", "/Params/toy~1pin", "1234567"}, {"/machines/Name:m1", "/Params/x~1token", `"named-secret"`},
		{"/machines/Name:m1", "/Secret", `"of-the-machine"`}, {"/users/ann", "/PasswordHash", `""`}, {"/users/ann", "/Secret", `""`},
	} {
		if raw := string(r.wantStatusIn([]int{400, 409}, "PATCH", c.path, ann, fmt.Sprintf(`[{"op":"test","path":%q,"value":%s}]`, c.from, c.guess))); strings.Contains(raw, strings.Trim(c.guess, `"`)) && c.guess != `""` {
			t.Errorf("%s %s: %s", c.path, c.from, raw)
		}
		for _, op := range []string{"copy", "move"} {
			for _, to := range []string{"/Description", "/Params/note", "/Meta/note", "/Params/toy~1label"} {
				_, raw := r.ask("PATCH", apiRoot+c.path, ann, fmt.Sprintf(`[{"op":%q,"from":%q,"path":%q}]`, op, c.from, to))
				text := string(raw) + string(r.wantStatus(200, "GET", c.path, ann, ""))
				for _, secret := range []string{"1234567", "named-secret", "of-the-machine", "argon2id"} {
					if strings.Contains(text, secret) {
						t.Errorf("%s %s %s to %s: %s", c.path, op, c.from, to, text)
					}
				}
			}
		}
	}
}

// wantStatusIn is wantStatus with several that may be.
func (r *rig) wantStatusIn(want []int, method, path, token, body string) []byte {
	r.t.Helper()
	resp, raw := r.ask(method, apiRoot+path, token, body)
	for _, status := range want {
		if resp.StatusCode == status {
			return raw
		}
	}
	r.t.Errorf("%s %s: status %d, want one of %v: %s", method, path, resp.StatusCode, want, raw)
	return raw
}

// A sealed value is its param's and its object's alone.
func TestSealedValuesStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	r := start(t, "pinned")
	r.ready("toy")
	r.wantStatus(201, "POST", "/machines", r.e.token, `{"Name":"m1","Params":{"toy/pin":1234567,"toy/address":"a"}}`)
	r.wantStatus(201, "POST", "/machines", r.e.token, `{"Name":"m2","Params":{"toy/password":"m2-secret"}}`)
	sealed := string(r.wantStatus(200, "GET", "/machines/Name:m1/params/toy/pin", r.e.token, ""))
	if !strings.Contains(sealed, "Payload") {
		t.Fatal(sealed)
	}
	for _, at := range []string{"/machines/Name:m2/params/toy/pin", "/machines/Name:m2/params/toy/password", "/machines/Name:m1/params/toy/password", "/machines/Name:m1/params/x/token"} {
		r.wantStatus(400, "POST", at, r.e.token, sealed)
	}
	// Under a name that is no secret it is a value like another, and stays shut.
	for _, machine := range []string{"m1", "m2"} {
		r.wantStatus(200, "POST", "/machines/Name:"+machine+"/params/note", r.e.token, sealed)
		for _, query := range []string{"", "?decode=true"} {
			if raw := string(r.wantStatus(200, "GET", "/machines/Name:"+machine+"/params/note"+query, r.e.token, "")); strings.Contains(raw, "1234567") {
				t.Errorf("%s%s: %s", machine, query, raw)
			}
		}
	}
	huge := `{"Key":"ihSy8DLuH25l7pJIOKWeHys+2FwLdiTF84tJAn2b2hw=","Nonce":"3PT2lzSNn91yUzway0OlaZzcdA00TfYB","Payload":"` + strings.Repeat("A", 1<<19) + `"}`
	for _, body := range []string{
		huge, `{"Key":"","Nonce":"","Payload":""}`, `{"Key":5,"Nonce":null,"Payload":[]}`, `{"Key":"ihSy8DLuH25l7pJIOKWeHys+2FwLdiTF84tJAn2b2hw=","Nonce":"3PT2lzSNn91yUzway0OlaZzcdA00TfYB","Payload":"AAAA"}`,
		`{"Key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","Nonce":"3PT2lzSNn91yUzway0OlaZzcdA00TfYB","Payload":"hYyEfaSNuyynuaR+q2ASMGShiQD6LGmAUQ=="}`,
	} {
		if raw := r.wantStatus(400, "POST", "/machines/Name:m1/params/toy/pin", r.e.token, body); len(raw) > 4096 {
			t.Errorf("an answer of %d bytes", len(raw))
		}
	}
	if raw := string(r.wantStatus(200, "GET", "/machines/Name:m1/params/toy/pin?decode=true", r.e.token, "")); strings.TrimSpace(raw) != "1234567" {
		t.Error(raw)
	}
}

// Who may declare params and not see secrets does not come to see them by
// declaring them no secrets.
func TestDeclaringASecretOpen(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/params", r.e.token, `{"Name":"site/pin","Secure":true,"Schema":{"type":"integer"}}`)
	r.wantStatus(201, "POST", "/profiles", r.e.token, `{"Name":"pa","Params":{"site/pin":1234567}}`)
	r.wantStatus(201, "POST", "/roles", r.e.token, `{"Name":"declarer","Claims":[{"scope":"params,contents","action":"*","specific":"*"},{"scope":"profiles","action":"get,update","specific":"*"}]}`)
	r.user("ann", "declarer")
	ann := r.login("ann", "")
	for body, want := range map[string]int{
		`[{"op":"replace","path":"/Secure","value":false}]`: 403, `[{"op":"remove","path":"/Secure"}]`: 403, `[{"op":"replace","path":"/Description","value":"x"}]`: 200,
	} {
		r.wantStatus(want, "PATCH", "/params/site/pin", ann, body)
	}
	r.wantStatus(403, "PUT", "/params/site/pin", ann, `{"Name":"site/pin","Schema":{"type":"integer"}}`)
	open := pack("evil", "v1.0.0", "", `"params":{"site/pin":{"Name":"site/pin","Schema":{"type":"integer"}}}`)
	r.wantStatus(403, "POST", "/contents?replaceWritable=true", ann, open)
	r.wantStatus(200, "DELETE", "/params/site/pin", ann, "")
	r.wantStatus(403, "POST", "/params", ann, `{"Name":"site/pin","Schema":{"type":"integer"}}`)
	r.wantStatus(403, "POST", "/contents", ann, open)
	for range 2 {
		r.wantStatus(200, "PATCH", "/profiles/pa", ann, `[{"op":"replace","path":"/Description","value":"x"}]`)
		if raw := string(r.wantStatus(200, "GET", "/profiles/pa", ann, "")); strings.Contains(raw, "1234567") {
			t.Errorf("it is shown: %s", raw)
		}
		r.again()
		ann = r.login("ann", "")
	}
	// An admin may.
	r.wantStatus(201, "POST", "/params", r.e.token, `{"Name":"site/pin","Schema":{"type":"integer"}}`)
	if raw := string(r.wantStatus(200, "GET", "/profiles/pa", ann, "")); !strings.Contains(raw, "1234567") {
		t.Errorf("it is not shown: %s", raw)
	}
}

// The default of a secret would be no secret.
func TestSecureParamsHaveNoDefault(t *testing.T) {
	t.Parallel()
	r := start(t)
	secure := func(value string) string {
		return `{"Name":"site/pin","Secure":true,"Schema":{"type":"string","default":` + value + `}}`
	}
	if raw := string(r.wantStatus(422, "POST", "/params", r.e.token, secure(`"hunter2hunter2"`))); !strings.Contains(raw, "must have no default") || strings.Contains(raw, "hunter2") {
		t.Error(raw)
	}
	r.wantStatus(201, "POST", "/params", r.e.token, secure(`""`)) // says only that it is a text
	r.wantStatus(422, "PATCH", "/params/site/pin", r.e.token, `[{"op":"replace","path":"/Schema/default","value":"x"}]`)
	r.wantStatus(200, "DELETE", "/params/site/pin", r.e.token, "")
	for value, want := range map[string]bool{`"hunter2hunter2"`: true, `""`: false} {
		raw := string(r.wantStatus(201, "POST", "/contents", r.e.token, pack("site", "v1.0.0", "", `"params":{"site/pin":`+secure(value)+`}`)))
		if strings.Contains(raw, "params/site/pin: it is Secure and has a default") != want {
			t.Errorf("%s: %s", value, raw)
		}
		r.wantStatus(200, "DELETE", "/contents/site", r.e.token, "")
	}
}

// Content shows nothing that its kind of object does not have.
func TestContentShowsNoOddFields(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.wantStatus(201, "POST", "/contents", r.e.token, pack("site", "v1.0.0", "",
		`"tasks":{"ta":{"Name":"ta","Params":{"x/password":"in-a-task"}}},"roles":{"ra":{"Name":"ra","Params":{"x/password":"in-a-role"},"Claims":[]}},"stages":{"sa":{"Name":"sa","Params":{"x/password":"in-a-stage"}}},"oddities":{"oa":{"Name":"oa","Params":{"x/password":"in-an-oddity"}}}`))
	r.user("ann", "viewer")
	ann := r.login("ann", "")
	for _, path := range []string{"/tasks/ta", "/tasks", "/roles/ra", "/roles", "/stages/sa", "/stages", "/stages/sa/params", "/contents/site", "/contents", "/stages?x%2Fpassword=in-a-stage"} {
		if raw := string(r.wantStatus(200, "GET", path, ann, "")); strings.Contains(raw, "in-a") {
			t.Errorf("%s: %s", path, raw)
		}
	}
}

// A user has one count of failed logins, by whatever index it is named.
func TestOneCountOfFailedLogins(t *testing.T) {
	t.Parallel()
	r, _ := startAt(t)
	r.user("alice", "viewer")
	for range 5 {
		if _, err := r.e.access.login(t.Context(), auth.Login{User: "Name:alice", Password: "wrong password"}); err == nil {
			t.Error("a wrong password is good")
		}
	}
	if _, err := r.e.access.login(t.Context(), auth.Login{User: "alice", Password: testPassword}); model.KindOf(err) != model.RateLimited {
		t.Errorf("after five failures under another name: %v", err)
	}
}

// Who has just logged in stays in while others guess.
func TestAFloodOfLoginsKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.user("alice", "viewer")
	if resp, raw := r.basic("GET", "/info", "alice", testPassword); resp.StatusCode != 200 {
		t.Fatalf("%d: %s", resp.StatusCode, raw)
	}
	for i := range 100 {
		resp, raw := r.basic("GET", "/info", fmt.Sprintf("user%d", i), "guess")
		if want := 401; i < 20 && resp.StatusCode != want || i > 25 && resp.StatusCode != 429 {
			t.Errorf("guess %d: %d: %s", i, resp.StatusCode, raw)
		}
	}
	if resp, raw := r.basic("GET", "/info", "alice", testPassword); resp.StatusCode != 200 {
		t.Errorf("who was in before: %d: %s", resp.StatusCode, raw)
	}
	if err := r.c.Get(t.Context(), "users", nil); err != nil {
		t.Errorf("on the socket: %v", err)
	}
	r.wantStatus(200, "GET", "/users", r.e.token, "")
}

// A token is worth no more than who asked for it, and its user, are at the time.
func TestTokensDoNotClimb(t *testing.T) {
	t.Parallel()
	r, clock := startAt(t)
	r.wantStatus(201, "POST", "/roles", r.e.token, `{"Name":"helper","Claims":[{"scope":"users","action":"token","specific":"*"},{"scope":"machines","action":"list","specific":"*"}]}`)
	r.user("helen", "helper")
	helen := r.login("helen", "")
	borrowed := r.tokenOf(r.ask("GET", apiRoot+"/users/rocketskates/token", helen, ""))
	r.wantStatus(200, "GET", "/machines", borrowed, "")
	for path, method := range map[string]string{"/users": "GET", "/roles": "POST", "/users/rocketskates/password": "PUT", "/users/rocketskates": "PATCH", "/contents": "POST"} {
		r.wantStatus(403, method, path, borrowed, `{}`)
	}
	// A token of a token lives no longer than the first may be renewed.
	short := r.tokenOf(r.ask("GET", apiRoot+"/users/helen/token?ttl=60&scope=machines&action=list", helen, ""))
	r.wantStatus(403, "GET", "/users/helen/token", short, "")
	r.wantStatus(403, "PUT", "/users/helen/password", short, `{"Password":"another password"}`)
	clock.move(61 * time.Second)
	r.wantStatus(401, "GET", "/machines", short, "")
	r.wantStatus(200, "GET", "/machines", helen, "")
	// The role that both hang on is changed.
	r.wantStatus(200, "PATCH", "/users/helen", r.e.token, `[{"op":"replace","path":"/Roles","value":[]}]`)
	r.wantStatus(403, "GET", "/machines", helen, "")
	r.wantStatus(403, "GET", "/users/rocketskates/token", helen, "")
}

// The trail names what was changed, and holds no value of it.
func TestTheTrailHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", nil)
	r.user("alice", "viewer")
	r.wantStatus(200, "POST", "/machines/"+uuid+"/params/toy/password", r.e.token, `"trail-secret-1"`)
	r.wantStatus(200, "PATCH", "/machines/"+uuid+"/params", r.e.token, `[{"op":"add","path":"/x~1token","value":"trail-secret-2"}]`)
	r.wantStatus(200, "PUT", "/users/alice/password", r.e.token, `{"Password":"trail-secret-3"}`)
	r.wantStatus(200, "POST", "/machines/"+uuid+"/actions/poweron", r.e.token, `{"toy/password":"trail-secret-4","toy/address":"a"}`)
	r.wantStatus(400, "POST", "/machines/"+uuid+"/params/toy/password", r.e.token, `["trail-secret-5"]`)
	r.wantStatus(400, "POST", "/users", r.e.token, `{"Name":"trail-secret-6`)
	raw := string(r.wantStatus(200, "GET", "/audit?limit=1000", r.e.token, ""))
	if strings.Contains(raw, "trail-secret") || strings.Contains(r.log.String(), "trail-secret") {
		t.Errorf("%s", raw)
	}
	if !strings.Contains(raw, "users/alice/password") || !strings.Contains(raw, "/x~1token") {
		t.Errorf("%s", raw)
	}
}
