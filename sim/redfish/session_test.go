package redfish_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"provision-plugins/sim/redfish"
)

const sessions = "/redfish/v1/SessionService/Sessions"

// TestRootNeedsNoLogin: only the root and the login itself are open to all.
func TestRootNeedsNoLogin(t *testing.T) {
	t.Parallel()
	_, p, _ := one(t, redfish.Options{})
	p.basic = false
	if tree := p.get("/redfish"); tree["v1"] != "/redfish/v1/" {
		t.Errorf("versions: %v", tree)
	}
	for _, path := range []string{"/redfish/v1", "/redfish/v1/"} {
		if tree := p.get(path); link(t, tree, "Systems") != "/redfish/v1/Systems" {
			t.Errorf("%s: %v", path, tree)
		}
	}
	for _, path := range []string{"/redfish/v1/Systems", "/redfish/v1/Systems/1", sessions, "/redfish/v1/Nothing", "/", "/redfish/v1/AccountService/Accounts/1"} {
		r := p.want(http.StatusUnauthorized, http.MethodGet, path, nil)
		if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Basic") || messageID(r) != "NoValidSession" {
			t.Errorf("%s: %v %s", path, r.header, r.raw)
		}
	}
	p.want(http.StatusUnauthorized, http.MethodPatch, "/redfish/v1", object{"Name": "x"})
}

// TestSession: a session is opened, used, seen and closed.
func TestSession(t *testing.T) {
	t.Parallel()
	for _, dialect := range redfish.Dialects() {
		b, p, _ := one(t, redfish.Options{Dialect: dialect})
		r := p.login()
		where, token := r.header.Get("Location"), r.header.Get("X-Auth-Token")
		if whole := dialect == "ilo"; strings.HasPrefix(where, "https://") != whole {
			t.Errorf("%s: Location %q", dialect, where)
		}
		where = strings.TrimPrefix(where, b.URL())
		if token == "" || !strings.HasPrefix(where, sessions+"/") || strings.Contains(string(r.raw), "password") {
			t.Fatalf("%s: %q %q %s", dialect, where, token, r.raw)
		}
		if tree := p.get(where); tree["UserName"] != "admin" || strings.Contains(mustJSON(t, tree), token) {
			t.Errorf("%s: session %v", dialect, tree)
		}
		if got := members(t, p.get(sessions)); len(got) != 1 || got[0] != where {
			t.Errorf("%s: sessions %v, not %s", dialect, got, where)
		}
		if r = p.do(http.MethodDelete, where, nil); r.status != 200 && r.status != 204 {
			t.Errorf("%s: DELETE is answered %d", dialect, r.status)
		}
		p.want(http.StatusUnauthorized, http.MethodGet, sessions, nil)
		executed(t, b, "session open", 1)
		executed(t, b, "session close", 1)
	}
}

// TestLoginIsRefused: what is no login.
func TestLoginIsRefused(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	p.basic = false
	for _, c := range []struct {
		body   any
		status int
	}{
		{object{"UserName": "admin", "Password": "other"}, 401},
		{object{"UserName": "nobody", "Password": "password"}, 401},
		{object{"UserName": "", "Password": ""}, 401},
		{object{"UserName": "admin"}, 400},
		{object{"Password": "password"}, 400},
		{object{"UserName": 1, "Password": true}, 400},
		{nil, 400},
		{"nonsense", 400},
	} {
		if r := p.do(http.MethodPost, sessions, c.body); r.status != c.status || r.header.Get("X-Auth-Token") != "" {
			t.Errorf("%v: status %d, %v", c.body, r.status, r.header)
		}
	}
	executed(t, b, "session open", 0)
	if b.Sessions() != 0 {
		t.Errorf("%d sessions", b.Sessions())
	}
	p.head.Set("X-Auth-Token", "6b147c773f03ef179dc894d4e379aa5f")
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)
}

// TestSessionTable: there are so many slots, and one is free again when its session
// was closed, or not used for too long.
func TestSessionTable(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{Sessions: 2, SessionTimeout: time.Minute})
	first := p.login().header.Get("Location")
	clk.pass(40 * time.Second)
	p.login()
	credentials := object{"UserName": "admin", "Password": "password"}
	if r := p.want(http.StatusServiceUnavailable, http.MethodPost, sessions, credentials); messageID(r) != "SessionLimitExceeded" {
		t.Errorf("%s", r.raw)
	}
	p.want(http.StatusNoContent, http.MethodDelete, first, nil)
	p.want(http.StatusCreated, http.MethodPost, sessions, credentials)
	clk.pass(59 * time.Second)
	p.get("/redfish/v1/Systems") // keeps its session alive
	clk.pass(time.Second)
	if n := b.Sessions(); n != 1 {
		t.Errorf("%d sessions are left", n)
	}
	clk.pass(time.Minute)
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)
}

// TestForgottenSessions: sessions that end for no reason of the client's.
func TestForgottenSessions(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	b.SetFaults(redfish.Faults{ForgetsSessions: 2})
	p.login()
	p.get("/redfish/v1/Systems")
	p.get("/redfish/v1/Systems")
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)
	b.SetFaults(redfish.Faults{})
	p.login()
	b.DropSessions()
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)
}

// TestFaultsOfLogins: passwords that are wrong, locked accounts, no slots, no Basic.
func TestFaultsOfLogins(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	b.SetFaults(redfish.Faults{WrongPassword: true})
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)

	b.SetFaults(redfish.Faults{LockoutAfter: 2})
	p.pass = "other"
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)
	p.pass = "password"
	p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil)
	b.SetFaults(redfish.Faults{})
	p.get("/redfish/v1/Systems")

	b.SetFaults(redfish.Faults{SessionsFull: true})
	p.want(http.StatusServiceUnavailable, http.MethodPost, sessions, object{"UserName": "admin", "Password": "password"})

	b.SetFaults(redfish.Faults{NoBasic: true})
	if r := p.want(http.StatusUnauthorized, http.MethodGet, "/redfish/v1/Systems", nil); r.header.Get("WWW-Authenticate") != "" {
		t.Errorf("it offers %v", r.header)
	}
	p.login()
	p.get("/redfish/v1/Systems")
}

// TestRateLimit: so many requests a second, then 429 until the next.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	b, p, clk := one(t, redfish.Options{RateLimit: 3})
	for range 3 {
		p.get("/redfish/v1/Systems")
	}
	r := p.want(http.StatusTooManyRequests, http.MethodPost, p.system()+"/Actions/ComputerSystem.Reset", object{"ResetType": "On"})
	if r.header.Get("Retry-After") != "1" || b.Power() {
		t.Errorf("%v, on: %v", r.header, b.Power())
	}
	clk.pass(time.Second)
	p.get("/redfish/v1/Systems")
}

const accounts = "/redfish/v1/AccountService/Accounts"

// TestPasswordChange: the new password counts, the old one no longer.
func TestPasswordChange(t *testing.T) {
	t.Parallel()
	for _, dialect := range redfish.Dialects() {
		b, p, _ := one(t, redfish.Options{Dialect: dialect})
		own := members(t, p.get(accounts))[0]
		tree := p.get(own)
		if tree["UserName"] != "admin" || tree["Password"] != nil || tree["RoleId"] != "Administrator" {
			t.Errorf("%s: %v", dialect, tree)
		}
		if r := p.do(http.MethodPatch, own, object{"Password": "n3w-passw0rd"}); r.status != 200 && r.status != 204 {
			t.Errorf("%s: status %d: %s", dialect, r.status, r.raw)
		}
		p.want(http.StatusUnauthorized, http.MethodGet, accounts, nil)
		p.pass = "n3w-passw0rd"
		if r := p.do(http.MethodGet, own, nil); r.status != 200 || strings.Contains(string(r.raw), p.pass) {
			t.Errorf("%s: %d %s", dialect, r.status, r.raw)
		}
		executed(t, b, "set account", 1)
	}
}

// TestAccounts: accounts are added, changed and deleted.
func TestAccounts(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	ann := object{"UserName": "ann", "Password": "s3cret-ann", "RoleId": "Operator"}
	r := p.want(http.StatusCreated, http.MethodPost, accounts, ann)
	where := r.header.Get("Location")
	if where != accounts+"/2" {
		t.Errorf("Location %q", where)
	}
	p.want(http.StatusConflict, http.MethodPost, accounts, ann)
	for _, bad := range []object{
		{"UserName": "bob", "RoleId": "Operator"},
		{"UserName": "bob", "Password": "x", "RoleId": "King"},
		{"UserName": "", "Password": "x", "RoleId": "Operator"},
		{"UserName": strings.Repeat("b", 300), "Password": "x", "RoleId": "Operator"},
	} {
		p.want(http.StatusBadRequest, http.MethodPost, accounts, bad)
	}
	p.want(http.StatusBadRequest, http.MethodPatch, where, object{"Enabled": "no"})
	p.want(http.StatusBadRequest, http.MethodPatch, where, object{"Password": ""})
	p.want(http.StatusOK, http.MethodPatch, where, object{"Enabled": false, "Locked": false, "UserName": "anna"})
	if tree := p.get(where); tree["Enabled"] != false || tree["UserName"] != "anna" {
		t.Errorf("%v", tree)
	}
	p.want(http.StatusNoContent, http.MethodDelete, where, nil)
	p.want(http.StatusNotFound, http.MethodGet, where, nil)
	executed(t, b, "delete account", 1)
	for i := range 20 {
		r := p.do(http.MethodPost, accounts, object{"UserName": "u" + strconv.Itoa(i), "Password": "x", "RoleId": "ReadOnly"})
		if want := map[bool]int{true: 201, false: 400}[i < 15]; r.status != want {
			t.Errorf("account %d: status %d", i, r.status)
		}
	}
}

// TestRoles: what the role of an account allows.
func TestRoles(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]struct{ read, reset, account, manager int }{
		"Administrator": {200, 204, 201, 204},
		"Operator":      {200, 204, 403, 403},
		"ReadOnly":      {200, 403, 403, 403},
	} {
		b, p, _ := one(t, redfish.Options{RebootTime: -1})
		p.want(http.StatusCreated, http.MethodPost, accounts, object{"UserName": "ann", "Password": "x", "RoleId": role})
		p.name, p.pass = "ann", "x"
		own := p.login().header.Get("Location")
		if r := p.do(http.MethodGet, p.system(), nil); r.status != want.read {
			t.Errorf("%s: read %d", role, r.status)
		}
		if r := p.reset("On"); r.status != want.reset || b.Power() != (want.reset == 204) {
			t.Errorf("%s: reset %d", role, r.status)
		}
		if r := p.do(http.MethodPost, accounts, object{"UserName": "bob", "Password": "x", "RoleId": "ReadOnly"}); r.status != want.account {
			t.Errorf("%s: account %d", role, r.status)
		}
		p.want(http.StatusNoContent, http.MethodDelete, own, nil)
		p.basic = true
		p.head.Del("X-Auth-Token")
		if r := p.do(http.MethodPost, "/redfish/v1/Managers/BMC/Actions/Manager.Reset", object{"ResetType": "ForceRestart"}); r.status != want.manager {
			t.Errorf("%s: manager %d", role, r.status)
		}
	}
}

// TestAnothersSession: who is no administrator closes own sessions only.
func TestAnothersSession(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{})
	p.want(http.StatusCreated, http.MethodPost, accounts, object{"UserName": "ann", "Password": "x", "RoleId": "ReadOnly"})
	admins := p.login().header.Get("Location")
	p.name, p.pass = "ann", "x"
	p.login()
	p.want(http.StatusForbidden, http.MethodDelete, admins, nil)
	if b.Sessions() != 2 {
		t.Errorf("%d sessions", b.Sessions())
	}
}

// TestAccountsAreNamedByTheirUsers: an OpenBMC has no numbers for accounts.
func TestAccountsAreNamedByTheirUsers(t *testing.T) {
	t.Parallel()
	_, p, _ := one(t, redfish.Options{Dialect: "openbmc", Username: "root"})
	p.name = "root"
	r := p.want(http.StatusCreated, http.MethodPost, accounts, object{"UserName": "ann", "Password": "x", "RoleId": "ReadOnly"})
	if r.header.Get("Location") != accounts+"/ann" {
		t.Errorf("Location %q", r.header.Get("Location"))
	}
	if got := members(t, p.get(accounts)); len(got) != 2 || got[0] != accounts+"/ann" || got[1] != accounts+"/root" {
		t.Errorf("accounts: %v", got)
	}
	p.want(http.StatusNoContent, http.MethodPatch, accounts+"/ann", object{"RoleId": "Operator"})
	p.want(http.StatusBadRequest, http.MethodPatch, accounts+"/ann", object{"RoleId": "root"})
	role := link(t, p.get(accounts+"/ann"), "Links", "Role")
	if got := p.get(role)["RoleId"]; got != "Operator" {
		t.Errorf("role %s: %v", role, got)
	}
	p.want(http.StatusMethodNotAllowed, http.MethodPost, "/redfish/v1/AccountService/Roles", object{})
	p.want(http.StatusMethodNotAllowed, http.MethodDelete, role, nil)
}
