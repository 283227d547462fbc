package endpoint

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/model"
)

// testClock is a wall clock that only the test moves.
type testClock struct {
	mu sync.Mutex // guards at
	at time.Time
}

// now is the clock's time.
func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// move moves the clock.
func (c *testClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// startAt starts an endpoint whose wall clock the test moves.
func startAt(t *testing.T, roles ...string) (*rig, *testClock) {
	t.Helper()
	r, clock := newRig(t, roles...), &testClock{at: time.Now()}
	r.build()
	r.e.now = clock.now
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.connect()
	t.Cleanup(r.stop)
	return r, clock
}

// again stops the endpoint and starts another one on the same data.
func (r *rig) again() {
	r.t.Helper()
	r.stop()
	r.build()
	if err := r.e.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.connect()
}

const testPassword = "a good password"

// user adds a user of some roles.
func (r *rig) user(name string, roles ...string) {
	r.t.Helper()
	if err := r.c.Post(r.t.Context(), "users", map[string]any{"Name": name, "Roles": roles}, nil); err != nil {
		r.t.Fatal(err)
	}
	if err := r.c.Put(r.t.Context(), "users/"+name+"/password", model.UserPassword{Password: testPassword}, nil); err != nil {
		r.t.Fatal(err)
	}
}

// basic sends a request over https with a name and a password.
func (r *rig) basic(method, path, user, password string) (*http.Response, []byte) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, "https://"+r.e.Addr()+apiRoot+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	return r.do(req, "")
}

// tokenOf reads the token of an answer.
func (r *rig) tokenOf(resp *http.Response, raw []byte) string {
	r.t.Helper()
	var got model.UserToken
	if err := model.Unmarshal(raw, &got); err != nil || resp.StatusCode != 200 || got.Token == "" || got.Info.Version == "" {
		r.t.Fatalf("no token: status %d, %v: %s", resp.StatusCode, err, raw)
	}
	return got.Token
}

// login logs a user in and returns its token.
func (r *rig) login(user, query string) string {
	r.t.Helper()
	return r.tokenOf(r.basic("GET", "/users/"+user+"/token"+query, user, testPassword))
}

// wantStatus sends a request with a token and checks the status of the answer.
func (r *rig) wantStatus(want int, method, path, token, body string) []byte {
	r.t.Helper()
	resp, raw := r.ask(method, apiRoot+path, token, body)
	if resp.StatusCode != want {
		r.t.Errorf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, want, raw)
	}
	return raw
}

// routePatterns are all routes of the API.
func (r *rig) routePatterns() []string {
	a := r.e.api
	out := []string{"GET " + apisPattern, "POST " + apisPattern}
	for pattern := range a.rawRoutes() {
		method, path, _ := strings.Cut(pattern, " ")
		if path != metricsPath { // it has a test of its own
			if short := strings.TrimPrefix(path, apiRoot); !strings.HasPrefix(short, "/files") { // those are served outside the API too
				path = short
			}
			out = append(out, method+" "+path)
		}
	}
	for _, row := range a.routes() {
		out = append(out, row.pattern)
	}
	for _, k := range a.objects.kinds.list() {
		for _, row := range a.kindRoutes(k) {
			out = append(out, row.pattern)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// requestOf is a request that a route answers.
func requestOf(pattern string) (method, path string) {
	filled := strings.NewReplacer("{key}", "x", "{key...}", "x", "{prefix}", "machines", "{command}", "poweron", "{name...}", "x/y",
		"{path...}", "x", "{rest...}", "x", "{plugin}", "x", "{id}", "x", "{index}", "Name").Replace(pattern)
	method, path, _ = strings.Cut(filled, " ")
	if !atRoot(path) {
		path = apiRoot + path
	}
	return method, path
}

// atRoot reports whether a route is not below the API's root.
func atRoot(path string) bool {
	return strings.HasPrefix(path, "/files/") || strings.HasPrefix(path, apiRoot+"/") || strings.HasPrefix(path, apisRoot) || strings.HasPrefix(path, profilesPath) || path == bmcPath
}

// accessTable is the recorded table of role by route. UPDATE_GOLDEN=1 writes it
// anew; what changes in it is who may do what.
const accessTable = "testdata/access.txt"

// Every role on every route: the answer is Access Denied exactly where the table
// in testdata says no, and without a caller it is always 401.
func TestEveryRoleOnEveryRoute(t *testing.T) {
	t.Parallel()
	r := start(t)
	tokens := map[string]string{}
	roles := []string{"nobody", "viewer", "operator", "admin"}
	for _, role := range roles[1:] {
		r.user("a-"+role, role)
		tokens[role] = r.login("a-"+role, "")
	}
	r.user("a-nobody")
	tokens["nobody"] = r.login("a-nobody", "")
	var table strings.Builder
	fmt.Fprintf(&table, "%-9s%-9s%-9s%-9s%s\n", "nobody", "viewer", "operator", "admin", "route")
	for _, pattern := range r.routePatterns() {
		method, path := requestOf(pattern)
		if resp, raw := r.ask(method, path, "", "{}"); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a caller: %d: %s", pattern, resp.StatusCode, raw)
		}
		for _, role := range roles {
			resp, raw := r.ask(method, path, tokens[role], "{}")
			word := "yes"
			if resp.StatusCode == http.StatusForbidden {
				word = "no"
			}
			if resp.StatusCode == http.StatusUnauthorized || word == "no" && !strings.Contains(string(raw), "Access Denied: user:a-"+role+" may not") {
				t.Errorf("%s by %s: %d: %s", pattern, role, resp.StatusCode, raw)
			}
			fmt.Fprintf(&table, "%-9s", word)
		}
		fmt.Fprintln(&table, pattern)
	}
	checkGolden(t, accessTable, table.String())
}

// checkGolden compares a text with a recorded one.
func checkGolden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(raw), "\n")
	for _, line := range strings.Split(got, "\n") {
		if !slices.Contains(want, line) {
			t.Errorf("not in %s: %s", path, line)
		}
	}
	for _, line := range want {
		if !strings.Contains(got, line) {
			t.Errorf("only in %s: %s", path, line)
		}
	}
}

// No route is without a rule of its own: one that is would be for superusers
// only, which nobody meant.
func TestEveryRouteHasARule(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, pattern := range r.routePatterns() {
		method, path, _ := strings.Cut(pattern, " ")
		if !atRoot(path) {
			pattern = method + " " + apiRoot + path
		}
		if _, known := ruleOf(pattern); !known {
			t.Errorf("no rule for %s: add it to rules.go", pattern)
		}
	}
	for _, pattern := range []string{"GET /api/v3/machines/{key}/backdoor", "PATCH /api/v3/machines", "GET /api/v3/{key}", "GET /debug/pprof/", "/debug", "POST /files/x"} {
		if needs := needsOf(pattern, nil, nil); len(needs) != 1 || needs[0] != auth.Everything() {
			t.Errorf("%s needs %v", pattern, needs)
		}
	}
}

// The tests make passwords cheap; nobody else does.
func TestPasswordsAreCostly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e, err := New(r.opts)
	if err != nil || e.hashCost != (auth.Cost{Memory: 19 << 10, Passes: 2}) {
		t.Errorf("%+v, %v", e.hashCost, err)
	}
}

func TestFirstUser(t *testing.T) {
	t.Parallel()
	r := start(t)
	path := filepath.Join(r.opts.DataDir, passwordFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != privateFile {
		t.Fatalf("%v, %v", info, err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	password := strings.TrimSpace(string(raw))
	if strings.Contains(r.log.String(), password) {
		t.Error("the password is in the log")
	}
	// As drpcli does it: a token for the password, another for that, then work.
	first := r.tokenOf(r.basic("GET", "/users/rocketskates/token", "rocketskates", password))
	resp, raw := r.ask("GET", apiRoot+"/users/rocketskates/token?ttl=7200", first, "")
	second := r.tokenOf(resp, raw)
	r.wantStatus(201, "POST", "/machines", second, `{"Name":"m1"}`)
	shown := r.wantStatus(200, "GET", "/users/rocketskates", second, "")
	if text := string(shown); !strings.Contains(text, `"Roles":["superuser"]`) || strings.Contains(text, "argon2") {
		t.Errorf("shown as %s", text)
	}
	r.again()
	r.wantStatus(200, "GET", "/users", second, "")
	if again, err := os.ReadFile(path); err != nil || string(again) != password+"\n" {
		t.Errorf("after a restart: %q, %v", again, err)
	}
	// A new password ends the other sessions, and the file with the first one.
	r.wantStatus(400, "PUT", "/users/rocketskates/password", second, `{"Password":"short"}`)
	r.wantStatus(200, "PUT", "/users/rocketskates/password", second, `{"Password":"a longer one"}`)
	r.wantStatus(200, "GET", "/users", second, "")
	r.wantStatus(401, "GET", "/users", first, "")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the first password's file is still there: %v", err)
	}
	if resp, _ := r.basic("GET", "/info", "rocketskates", password); resp.StatusCode != 401 {
		t.Errorf("the first password: status %d", resp.StatusCode)
	}
	if resp, raw := r.basic("GET", "/info", "rocketskates", "a longer one"); resp.StatusCode != 200 {
		t.Errorf("the new password: status %d: %s", resp.StatusCode, raw)
	}
}

func TestTokensExpireAndAreRevoked(t *testing.T) {
	t.Parallel()
	r, clock := startAt(t)
	r.user("alice", "viewer")
	short, long := r.login("alice", "?ttl=60"), r.login("alice", "?ttl=7200")
	for _, token := range []string{short, long} {
		r.wantStatus(200, "GET", "/machines", token, "")
	}
	clock.move(time.Minute)
	if raw := r.wantStatus(401, "GET", "/machines", short, ""); !strings.Contains(string(raw), "expired") {
		t.Errorf("an expired token is told %s", raw)
	}
	r.wantStatus(200, "GET", "/machines", long, "")
	var list []model.TokenInfo
	if err := model.Unmarshal(r.wantStatus(200, "GET", "/users/alice/tokens", long, ""), &list); err != nil || len(list) != 1 || list[0].User != "alice" || list[0].By != "user:alice" {
		t.Fatalf("listed %+v, %v", list, err)
	}
	r.wantStatus(404, "DELETE", "/users/alice/tokens/nonesuch", long, "")
	r.wantStatus(200, "DELETE", "/users/alice/tokens/"+list[0].ID, long, "")
	if raw := r.wantStatus(401, "GET", "/machines", long, ""); !strings.Contains(string(raw), "revoked") {
		t.Errorf("a revoked token is told %s", raw)
	}
	r.again()
	r.wantStatus(401, "GET", "/machines", long, "")
	for _, ttl := range []string{"0", "-1", "x", "1e3", "99999999999999999999", "31622401"} {
		if resp, raw := r.basic("GET", "/users/alice/token?ttl="+ttl, "alice", testPassword); resp.StatusCode != 400 {
			t.Errorf("ttl %s: %d: %s", ttl, resp.StatusCode, raw)
		}
	}
}

// What a clock does that is set back or forward: a token's time is the wall
// clock's, so it ends early or late with it, and never lives on once revoked.
func TestTokensWhenTheClockJumps(t *testing.T) {
	t.Parallel()
	r, clock := startAt(t)
	r.user("alice", "viewer")
	token := r.login("alice", "?ttl=7200")
	for _, step := range []struct {
		jump time.Duration
		want int
	}{{time.Hour, 200}, {time.Hour, 401}, {-time.Hour, 200}, {-24 * time.Hour, 200}} {
		clock.move(step.jump)
		r.wantStatus(step.want, "GET", "/machines", token, "")
	}
	r.wantStatus(200, "DELETE", "/users/alice/tokens", token, "")
	r.wantStatus(401, "GET", "/machines", token, "")
}

func TestWhatVoidsTokens(t *testing.T) {
	t.Parallel()
	r := start(t)
	ctx := t.Context()
	r.user("alice", "viewer")
	token := r.login("alice", "")
	forged := token[:len(token)-4] + "AAAA"
	if raw := r.wantStatus(401, "GET", "/machines", forged, ""); !strings.Contains(string(raw), "not one of this endpoint's") {
		t.Errorf("a forged token is told %s", raw)
	}
	// A role that is taken away counts at once.
	if err := r.c.Patch(ctx, "users/alice", json.RawMessage(`[{"op":"replace","path":"/Roles","from":"","value":[]}]`), nil); err != nil {
		t.Fatal(err)
	}
	r.wantStatus(403, "GET", "/machines", token, "")
	// So does a new Secret, and the end of the user, even if another of the
	// name comes.
	if err := r.c.Patch(ctx, "users/alice", json.RawMessage(`[{"op":"add","path":"/Secret","from":"","value":"another"}]`), nil); err != nil {
		t.Fatal(err)
	}
	r.wantStatus(401, "GET", "/machines", token, "")
	token = r.login("alice", "")
	r.wantStatus(200, "GET", "/info", token, "")
	if err := r.c.Delete(ctx, "users/alice", nil); err != nil {
		t.Fatal(err)
	}
	r.wantStatus(401, "GET", "/info", token, "")
	r.user("alice", "admin")
	r.wantStatus(401, "GET", "/info", token, "")
}

// What voids tokens takes them from the list too: those of a user that is gone, or
// has a new Secret or another password.
func TestVoidTokensAreNotListed(t *testing.T) {
	t.Parallel()
	r := start(t)
	for what, void := range map[string]func(){
		"the user's end": func() { r.wantStatus(200, "DELETE", "/users/alice", r.e.token, "") },
		"a new Secret": func() {
			r.wantStatus(200, "PATCH", "/users/alice", r.e.token, `[{"op":"add","path":"/Secret","value":"another"}]`)
		},
		"a new password": func() {
			r.wantStatus(200, "PUT", "/users/alice/password", r.e.token, `{"Password":"another password"}`)
		},
	} {
		r.user("alice", "viewer")
		r.user("bob", "viewer")
		r.login("alice", "")
		r.login("alice", "?ttl=7200")
		r.login("bob", "")
		if got := len(r.e.access.book.list("alice")); got != 2 {
			t.Fatalf("before %s: %d tokens", what, got)
		}
		r.wantStatus(200, "PATCH", "/users/alice", r.e.token, `[{"op":"add","path":"/Description","value":"x"}]`)
		if got := len(r.e.access.book.list("alice")); got != 2 {
			t.Errorf("a description ends tokens: %d left", got)
		}
		void()
		if got, other := len(r.e.access.book.list("alice")), len(r.e.access.book.list("bob")); got != 0 || other != 1 {
			t.Errorf("after %s: %d tokens, %d of another", what, got, other)
		}
		r.askLocal("DELETE", "/users/alice", "")
		r.askLocal("DELETE", "/users/bob", "")
	}
	// Those of a user who went while nobody looked are forgotten with the expired.
	r.user("carol", "viewer")
	r.login("carol", "")
	if _, err := r.e.store.Delete(t.Context(), usersPrefix, "carol", 0); err != nil {
		t.Fatal(err)
	}
	r.e.access.book.swept = time.Time{}
	r.e.access.book.sweep(t.Context())
	if got := len(r.e.access.book.all()); got != 0 {
		t.Errorf("%d tokens of nobody", got)
	}
}

func TestScopedTokens(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	one, two := r.machine("m1", nil), r.machine("m2", nil)
	r.user("alice", "admin")
	read := r.login("alice", "?scope=machines&action=get&specific="+one)
	for path, want := range map[string]int{
		"/machines/" + one: 200, "/machines/Name:m1": 200, "/machines/" + two: 403, "/machines/Name:m2": 403, "/machines/Name:none": 403,
		"/machines": 403, "/users": 403, "/info": 200, "/machines/" + one + "/params": 200, "/machines/" + one + "/actions": 403,
		"/machines/" + one + "?decode=true": 403, "/meta/machines/" + one: 200, "/meta/machines/" + two: 403,
	} {
		r.wantStatus(want, "GET", path, read, "")
	}
	// Neither more rights nor another's password come out of it.
	r.wantStatus(403, "PUT", "/users/alice/password", read, `{"Password":"a new password"}`)
	r.wantStatus(403, "GET", "/users/alice/tokens", read, "")
	r.wantStatus(403, "GET", "/users/rocketskates/token", read, "")
	power := r.login("alice", "?scope=machines&action=action:getParams,action:poweron")
	r.wantStatus(200, "POST", "/machines/"+one+"/actions/getParams", power, "{}")
	r.wantStatus(200, "POST", "/machines/Name:m2/actions/poweron", power, "{}")
	r.wantStatus(403, "POST", "/machines/"+one+"/actions/poweroff", power, "{}")
	r.wantStatus(403, "GET", "/machines/"+one, power, "")
	// A token that may have tokens of others gives these no more than it has.
	issuer := r.login("alice", "?scope=users,machines&action=token,list")
	got := r.tokenOf(r.ask("GET", apiRoot+"/users/rocketskates/token", issuer, ""))
	r.wantStatus(200, "GET", "/machines", got, "")
	r.wantStatus(403, "GET", "/machines/"+one, got, "")
	r.wantStatus(403, "DELETE", "/users/alice", got, "")
	var list []model.TokenInfo
	if err := model.Unmarshal(r.wantStatus(200, "GET", "/users/rocketskates/tokens", got, ""), &list); err != nil || len(list) != 1 || list[0].By != "user:alice" || len(list[0].Claims) != 1 {
		t.Errorf("listed %+v, %v", list, err)
	}
}

// A token that is renewed again and again ends all the same, a while after its
// login.
func TestTokensAreNotRenewedForEver(t *testing.T) {
	t.Parallel()
	r, clock := startAt(t)
	r.user("alice", "viewer")
	token := r.login("alice", "?ttl=864000")
	for range 3 {
		clock.move(9 * 24 * time.Hour)
		token = r.tokenOf(r.ask("GET", apiRoot+"/users/alice/token?ttl=864000", token, ""))
	}
	r.wantStatus(200, "GET", "/machines", token, "")
	clock.move(3*24*time.Hour + time.Second)
	r.wantStatus(401, "GET", "/machines", token, "")
}

func TestUsersOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.user("alice", "viewer")
	r.user("bob", "viewer")
	token := r.login("alice", "")
	r.wantStatus(200, "GET", "/users/alice/tokens", token, "")
	r.wantStatus(200, "PUT", "/users/alice/password", token, `{"Password":"another password"}`)
	for method, path := range map[string]string{"GET": "/users/bob/token", "DELETE": "/users/bob/tokens", "PUT": "/users/bob/password", "PATCH": "/users/alice", "POST": "/users"} {
		r.wantStatus(403, method, path, token, `{"Password":"another password"}`)
	}
	r.wantStatus(403, "GET", "/users", token, "")
	r.wantStatus(404, "GET", "/users/nobody/token", r.e.token, "")
	r.wantStatus(404, "PUT", "/users/nobody/password", r.e.token, `{"Password":"another password"}`)
	r.wantStatus(400, "PUT", "/users/bob/password", r.e.token, `{`)
}

// Hashes and Secrets are neither shown nor taken from a writer.
func TestPasswordsAreNotObjects(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.user("alice", "viewer")
	for _, body := range []string{`[{"op":"add","path":"/PasswordHash","from":"","value":"x"}]`, `[{"op":"add","path":"/Description","from":"","value":"x"}]`} {
		raw := string(r.wantStatus(200, "PATCH", "/users/alice", r.e.token, body))
		if strings.Contains(raw, "argon2") || strings.Contains(raw, `"PasswordHash":"x"`) {
			t.Errorf("shown: %s", raw)
		}
		r.login("alice", "")
	}
	r.wantStatus(201, "POST", "/users", r.e.token, `{"Name":"eve","PasswordHash":"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"}`)
	user, err := r.e.access.user("eve")
	if err != nil || user.text("PasswordHash") != "" || user.text("Secret") == "" {
		t.Errorf("stored %+v, %v", user, err)
	}
	if resp, _ := r.basic("GET", "/info", "eve", ""); resp.StatusCode != 401 {
		t.Errorf("a user without a password logs in: %d", resp.StatusCode)
	}
	var recent []model.Event
	if err := r.c.Get(t.Context(), "events/recent", &recent); err != nil {
		t.Fatal(err)
	}
	if raw, err := model.Marshal(recent); err != nil || strings.Contains(string(raw), "argon2") || strings.Contains(r.log.String(), "argon2") {
		t.Errorf("an event or the log shows a hash: %v", err)
	}
}

func TestRolesOfOnesOwn(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	one, two := r.machine("m1", nil), r.machine("m2", nil)
	role := fmt.Sprintf(`{"Name":"keeper","Claims":[{"scope":"machines","action":"get,update,action","specific":%q},{"scope":"machines","action":"list","specific":"*"}]}`, one)
	r.wantStatus(201, "POST", "/roles", r.e.token, role)
	r.user("alice", "keeper")
	token := r.login("alice", "")
	r.wantStatus(200, "GET", "/machines", token, "")
	r.wantStatus(200, "POST", "/machines/Name:m1/actions/poweron", token, "{}")
	r.wantStatus(200, "PATCH", "/machines/"+one, token, `[{"op":"replace","path":"/Description","from":"","value":"x"}]`)
	r.wantStatus(403, "PATCH", "/machines/"+two, token, `[]`)
	r.wantStatus(403, "POST", "/machines/Name:m2/actions/poweron", token, "{}")
	r.wantStatus(403, "DELETE", "/machines/"+one, token, "")
	for _, body := range []string{
		`{"Name":"bad","Claims":[{"scope":"machines"}]}`, `{"Name":"bad","Claims":["x"]}`, `{"Name":"bad","Claims":{}}`, `{"Name":"bad","Claims":[{"scope":5}]}`, `{"Name":""}`,
	} {
		r.wantStatus(400, "POST", "/roles", r.e.token, body)
	}
	r.wantStatus(409, "DELETE", "/roles/keeper", r.e.token, "")
	r.wantStatus(409, "DELETE", "/roles/viewer", r.e.token, "")
	r.wantStatus(409, "POST", "/roles", r.e.token, `{"Name":"superuser","Claims":[]}`)
	r.wantStatus(400, "POST", "/users", r.e.token, `{"Name":"bob","Roles":["nonesuch"]}`)
	r.wantStatus(200, "DELETE", "/users/alice", r.e.token, "")
	r.wantStatus(200, "DELETE", "/roles/keeper", r.e.token, "")
	if raw := string(r.wantStatus(200, "GET", "/roles", r.e.token, "")); !strings.Contains(raw, `"operator"`) || !strings.Contains(raw, `"scope":"*"`) {
		t.Errorf("roles: %s", raw)
	}
}

// A protected machine takes a claim of its own to act on, which operators lack.
func TestOverrideNeedsAClaim(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	uuid := r.machine("m1", model.Params{paramProtected: true})
	r.user("op", "operator")
	token, path := r.login("op", ""), "/machines/"+uuid+"/actions/poweroff"
	r.wantStatus(403, "POST", path, token, "{}")
	r.wantStatus(403, "POST", path+"?override-protected=true", token, "{}")
	if got := r.executed(); got != nil {
		t.Fatalf("executed %v", got)
	}
	r.wantStatus(200, "POST", path+"?override-protected=true", r.e.token, "{}")
}

// Whatever fails over the network, the socket and the admin's token go on.
func TestBruteForceLocksOutNobodyLocal(t *testing.T) {
	t.Parallel()
	r, clock := startAt(t)
	r.user("alice", "viewer")
	var last *http.Response
	for i := range 6 {
		var raw []byte
		last, raw = r.basic("GET", "/users/alice/token", "alice", fmt.Sprint("guess number ", i))
		if i < 5 && (last.StatusCode != 401 || !strings.Contains(string(raw), "wrong user or password")) {
			t.Fatalf("guess %d: %d: %s", i, last.StatusCode, raw)
		}
	}
	if last.StatusCode != 429 || last.Header.Get("Retry-After") == "" {
		t.Errorf("guess 6: %d, %v", last.StatusCode, last.Header)
	}
	if resp, _ := r.basic("GET", "/info", "alice", testPassword); resp.StatusCode != 429 {
		t.Errorf("the right password after it: %d", resp.StatusCode)
	}
	r.wantStatus(200, "GET", "/users", r.e.token, "")
	if err := r.c.Get(t.Context(), "users", nil); err != nil {
		t.Errorf("on the socket: %v", err)
	}
	unknown, raw := r.basic("GET", "/info", "nobody", "guess")
	if unknown.StatusCode != 401 || !strings.Contains(string(raw), "wrong user or password") {
		t.Errorf("an unknown user: %d: %s", unknown.StatusCode, raw)
	}
	clock.move(time.Hour)
	r.login("alice", "")
}

func TestStrangeCredentials(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, header := range []string{
		"Basic", "Basic ", "Basic !!!", "Basic " + strings.Repeat("QUJD", 2000), "Basic Og==", "Basic cm9ja2V0c2thdGVz", "Bearer", "Bearer ", "bearer x", "Digest x",
		"Bearer oob1.", "Bearer oob1..", "Bearer oob1.e30.e30", "Bearer " + strings.Repeat("x", 20_000), "\x80", "Token " + r.e.token, "Bearer  " + r.e.token,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+r.e.Addr()+apiRoot+"/machines", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", header)
		if resp, raw := r.do(req, ""); resp.StatusCode != 401 {
			t.Errorf("%.40q: %d: %s", header, resp.StatusCode, raw)
		}
	}
	for query, want := range map[string]int{"?token=" + r.e.token: 401, "?token=x": 401} {
		if resp, _ := r.ask("GET", apiRoot+"/machines"+query, "", ""); resp.StatusCode != want {
			t.Errorf("%s on a route that is no stream: %d", query, resp.StatusCode)
		}
	}
	r.user("alice", "viewer")
	for query, want := range map[string]int{"?token=" + r.e.token: 400, "?token=alice:" + strings.ReplaceAll(testPassword, " ", "%20"): 400, "?token=x": 401, "": 401} {
		if resp, raw := r.ask("GET", apiRoot+"/ws"+query, "", ""); resp.StatusCode != want {
			t.Errorf("%s on the stream: %d: %s", query, resp.StatusCode, raw)
		}
	}
}

func TestPluginGrants(t *testing.T) {
	t.Parallel()
	claims := func(text string) *model.PluginProvider {
		return &model.PluginProvider{Name: "p", MetaData: model.MetaData{Meta: map[string]string{model.MetaClaims: text}}}
	}
	list, create := auth.Need{Scope: "machines", Action: "list"}, auth.Need{Scope: "machines", Action: "create"}
	users, all := auth.Need{Scope: "users", Action: "create"}, auth.Everything()
	for _, c := range []struct {
		name    string
		p       *model.PluginProvider
		trusted bool
		may     []auth.Need
		not     []auth.Need
	}{
		{"undeclared", &model.PluginProvider{}, false, []auth.Need{list}, []auth.Need{create, users, all}},
		{"trusted", &model.PluginProvider{}, true, []auth.Need{list, create, users, all}, nil},
		{"declared", claims(`[{"scope":"machines","action":"create","specific":"*"}]`), false, []auth.Need{list, create}, []auth.Need{users, all}},
		{"too much", claims(`[{"scope":"*","action":"*","specific":"*"}]`), false, []auth.Need{list}, []auth.Need{create, users, all}},
		{"users too", claims(`[{"scope":"machines,users","action":"*","specific":"*"}]`), false, []auth.Need{list}, []auth.Need{create, users}},
		{"too much, trusted", claims(`[{"scope":"*","action":"*","specific":"*"}]`), true, []auth.Need{all}, nil},
	} {
		g, err := pluginGrant(c.p, c.trusted)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, n := range c.may {
			if !g.Allow(n) {
				t.Errorf("%s: may not %s", c.name, n)
			}
		}
		for _, n := range c.not {
			if g.Allow(n) {
				t.Errorf("%s: may %s", c.name, n)
			}
		}
	}
	for _, text := range []string{"x", "{}", `[5]`, `["x"]`} {
		if _, err := pluginGrant(claims(text), false); model.KindOf(err) != model.Invalid {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add("GET /api/v3/machines/{key}/params/{name...}", "/api/v3/machines/x/params/a%2Fb/c")
	f.Add("/", "")
	f.Add("POST /plugin-apis/{plugin}/{rest...}", "/plugin-apis/%zz/x")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		for _, n := range needsOf(pattern, pathValues(pattern, path), nil) {
			if (auth.Grant{}).Allow(n) {
				t.Errorf("%s is allowed to nobody", n)
			}
		}
	})
}
