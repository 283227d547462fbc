package auth

import (
	"testing"

	"provision-plugins/shared/model"
)

// claim makes one claim.
func claim(scope, action, specific string) Claims {
	return Claims{{Scope: scope, Action: action, Specific: specific}}
}

func TestClaims(t *testing.T) {
	on := Need{"machines", "action:poweron", "u1"}
	for _, c := range []struct {
		name   string
		claims Claims
		need   Need
		want   bool
	}{
		{"nothing", nil, on, false},
		{"all", All(), on, true},
		{"all, of everything", All(), Everything(), true},
		{"exactly", claim("machines", "action:poweron", "u1"), on, true},
		{"the whole of the action", claim("machines", "action", "u1"), on, true},
		{"another action", claim("machines", "action:poweroff", "u1"), on, false},
		{"an action that begins alike", claim("machines", "act", "u1"), on, false},
		{"actions is not action", claim("machines", "actions", "u1"), on, false},
		{"a part is not the whole", claim("machines", "action:poweron", "*"), Need{"machines", "action", "u1"}, false},
		{"another object", claim("machines", "action", "u2"), on, false},
		{"another scope", claim("plugins", "action", "*"), on, false},
		{"lists", claim("plugins, machines", "get,action:poweron", "u2,u1"), on, true},
		{"star in a list", claim("plugins,*", "get,*", "u2,*"), on, true},
		{"empty fields", claim("", "", ""), on, false},
		{"empty specific is no star", claim("machines", "action", ""), on, false},
		{"one object is not all", claim("machines", "list", "u1"), Need{"machines", "list", ""}, false},
		{"empty specific does not list", claim("machines", "list", ""), Need{"machines", "list", ""}, false},
		{"star lists", claim("machines", "list", "*"), Need{"machines", "list", ""}, true},
		{"most is not everything", claim("machines,users", "*", "*"), Everything(), false},
		{"prefix of a scope", claim("plugin", "get", "*"), Need{"plugin_providers", "get", "x"}, false},
		{"the second of two", append(claim("users", "*", "*"), claim("machines", "*", "*")...), on, true},
		{"no mixing of two", append(claim("machines", "get", "*"), claim("users", "action", "*")...), on, false},
	} {
		if got := c.claims.Allow(c.need); got != c.want {
			t.Errorf("%s: %v allows %s: %v", c.name, c.claims, c.need, got)
		}
	}
}

func TestGrantIsWhatAllAllow(t *testing.T) {
	get, list := Need{"machines", "get", "u1"}, Need{"machines", "list", ""}
	both := Grant{All(), claim("machines", "get,list", "*"), claim("*", "get", "u1")}
	if !both.Allow(get) || both.Allow(list) {
		t.Errorf("get %v, list %v", both.Allow(get), both.Allow(list))
	}
	if (Grant{}).Allow(get) || (Grant{nil}).Allow(get) || !AllGrant().Allow(Everything()) {
		t.Error("no limit at all is no grant")
	}
}

// What the built-in roles may, by what people expect of their names.
func TestRoles(t *testing.T) {
	needs := map[string][]Need{
		"viewer": {
			{"machines", "list", ""}, {"machines", "get", "u"}, {"machines", "actions", "u"}, {"events", "get", ""}, {"runs", "list", ""}, {"contents", "get", "x"},
		},
		"operator": {{"machines", "action:powercycle", "u"}, {"plugins", "action:scan", "p"}, {"runs", "cancel", "r"}, {"events", "create", ""}},
		"admin": {
			{"machines", "create", ""}, {"machines", "update", "u"}, {"machines", "getSecure", "u"}, {"machines", "updateSecure", "u"}, {"machines", "override", "u"},
			{"users", "create", ""}, {"users", "list", ""}, {"users", "token", "x"}, {"plugin_providers", "trust", "x"}, {"contents", "create", ""}, Everything(),
		},
	}
	order := []string{"viewer", "operator", "admin"}
	for i, name := range order {
		claims := roleNamed(t, name)
		for j, of := range order {
			for _, n := range needs[of] {
				if got := claims.Allow(n); got != (j <= i) {
					t.Errorf("%s: %s is %v", name, n, got)
				}
			}
		}
	}
	if !roleNamed(t, "superuser").Allow(Everything()) {
		t.Error("the superuser may not do everything")
	}
}

// roleNamed are the claims of a built-in role.
func roleNamed(t *testing.T, name string) Claims {
	t.Helper()
	for _, r := range Roles() {
		if r.Name == name {
			return r.Claims
		}
	}
	t.Fatalf("no role %s", name)
	return nil
}

func TestNeedIsReadable(t *testing.T) {
	if got := (Need{"machines", "list", ""}).String(); got != "machines list" {
		t.Error(got)
	}
	if got := (Need{"machines", "get", "u1"}).String(); got != "machines get u1" {
		t.Error(got)
	}
}

func FuzzClaims(f *testing.F) {
	f.Add("machines,*", "action:poweron", "u1", "machines", "action:poweron", "u1")
	f.Add(",", ":", "", "", "", "")
	f.Fuzz(func(t *testing.T, scope, action, specific, wantScope, wantAction, wantSpecific string) {
		n := Need{wantScope, wantAction, wantSpecific}
		if !All().Allow(n) {
			t.Errorf("the superuser may not %s", n)
		}
		c := model.Claim{Scope: scope, Action: action, Specific: specific}
		if (Grant{Claims{c}, nil}).Allow(n) {
			t.Error("an empty limit allows something")
		}
	})
}
