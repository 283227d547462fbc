package delegate

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"provision-plugins/endpoint/auth"
	"provision-plugins/shared/model"
)

// with is a delegation to a plugin of slack.
func with(claims ...model.Claim) *Delegation {
	return &Delegation{Plugin: "slack", Provider: "slack", Claims: claims}
}

func TestWhatCanBeDelegated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		claim model.Claim
		wrong string // empty: it can
	}{
		{model.Claim{Scope: "machines", Action: "action", Specific: "*"}, ""},
		{model.Claim{Scope: "machines", Action: "action:poweron,action:poweroff", Specific: "u1,u2"}, ""},
		{model.Claim{Scope: "machines", Action: "action, override", Specific: "*"}, ""},
		{model.Claim{Scope: "runs", Action: "cancel", Specific: "*"}, ""},
		{model.Claim{Scope: "*", Action: "action", Specific: "*"}, `scope "*"`},
		{model.Claim{Scope: "machines,users", Action: "action", Specific: "*"}, `scope "users"`},
		{model.Claim{Scope: "", Action: "action", Specific: "*"}, `scope ""`},
		{model.Claim{Scope: "machines", Action: "*", Specific: "*"}, `action "*"`},
		{model.Claim{Scope: "machines", Action: "action,delete", Specific: "*"}, `action "delete"`},
		{model.Claim{Scope: "machines", Action: "getSecure", Specific: "*"}, `action "getSecure"`},
		{model.Claim{Scope: "machines", Action: "update", Specific: "*"}, `action "update"`},
		{model.Claim{Scope: "machines", Action: "updateSecure", Specific: "*"}, `action "updateSecure"`},
		{model.Claim{Scope: "machines", Action: "create", Specific: "*"}, `action "create"`},
		{model.Claim{Scope: "machines", Action: "get", Specific: "*"}, `action "get"`},
		{model.Claim{Scope: "runs", Action: "get", Specific: "*"}, `action "get"`},
		{model.Claim{Scope: "plugins", Action: "action", Specific: "*"}, `scope "plugins"`},
		{model.Claim{Scope: "plugins", Action: "console", Specific: "*"}, `scope "plugins"`},
		{model.Claim{Scope: "system", Action: "action", Specific: "*"}, `scope "system"`},
		{model.Claim{Scope: "events", Action: "create", Specific: "*"}, `scope "events"`},
		{model.Claim{Scope: "profiles", Action: "action", Specific: "*"}, `scope "profiles"`},
		{model.Claim{Scope: "machines", Action: "action", Specific: ""}, "no specific"},
		{model.Claim{Scope: "machines", Action: "action:", Specific: "*"}, "names no action"},
		{model.Claim{Scope: "machines", Action: "action:poweron,action: ", Specific: "*"}, "names no action"},
		{model.Claim{Scope: "machines", Action: "action:*", Specific: "*"}, "names no action"},
		{model.Claim{Scope: "machines", Action: "action:power on", Specific: "*"}, "names no action"},
		{model.Claim{Scope: "machines", Action: "", Specific: "*"}, `action ""`},
		{model.Claim{Scope: "machines,runs", Action: "cancel", Specific: "*"}, `action "cancel" on machines`},
		{model.Claim{Scope: "machines", Action: "action", Specific: " "}, "no specific"},
	} {
		err := with(c.claim).Check()
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%+v: %v", c.claim, err)
		}
	}
}

func TestDelegationsThatAreRefused(t *testing.T) {
	t.Parallel()
	claim := model.Claim{Scope: "machines", Action: "action", Specific: "*"}
	for name, d := range map[string]*Delegation{
		"none":     with(),
		"too many": with(slices.Repeat([]model.Claim{claim}, maxClaims+1)...),
		"user":     {Plugin: "p", Provider: "user", Claims: []model.Claim{claim}},
		"uid":      {Plugin: "p", Provider: "uid", Claims: []model.Claim{claim}},
		"plugin":   {Plugin: "p", Provider: "plugin", Claims: []model.Claim{claim}},
		"system":   {Plugin: "p", Provider: "system", Claims: []model.Claim{claim}},
		"local":    {Plugin: "p", Provider: "local", Claims: []model.Claim{claim}},
		"nobody's": {Plugin: "p", Claims: []model.Claim{claim}},
	} {
		if err := d.Check(); model.KindOf(err) != model.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := with(slices.Repeat([]model.Claim{claim}, maxClaims)...).Check(); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
}

func TestGrant(t *testing.T) {
	t.Parallel()
	g := with(model.Claim{Scope: "machines", Action: "action:poweron", Specific: "u1"}).Grant()
	for need, want := range map[auth.Need]bool{
		{Scope: "machines", Action: "action:poweron", Specific: "u1"}:  true,
		{Scope: "machines", Action: "action:poweron", Specific: "u2"}:  false,
		{Scope: "machines", Action: "action:poweroff", Specific: "u1"}: false,
		{Scope: "machines", Action: "override", Specific: "u1"}:        false,
		{Scope: "machines", Action: "get", Specific: "u1"}:             false,
		{Scope: "events", Action: "create"}:                            true,
		{Scope: "events", Action: "get"}:                               false,
		{Scope: "events", Action: "list"}:                              false,
		{Scope: "plugins", Action: "console", Specific: "slack"}:       false,
		auth.Everything(): false,
	} {
		if g.Allow(need) != want {
			t.Errorf("%s: %v", need, !want)
		}
	}
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	d := with()
	if got, err := d.Principal("U0123.a-b_c"); err != nil || got != "slack:U0123.a-b_c" {
		t.Errorf("%q, %v", got, err)
	}
	for _, person := range []string{"", "U 1", "U1\n", "ü", "user:root", "a/b", strings.Repeat("U", maxPerson+1)} {
		if got, err := d.Principal(person); err == nil {
			t.Errorf("%q is %q", person, got)
		}
	}
}

func TestPerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values []string
		person string
		named  bool
		wrong  bool
	}{
		"none":  {},
		"one":   {values: []string{"U1"}, person: "U1", named: true},
		"empty": {values: []string{""}, named: true},
		"two":   {values: []string{"U1", "U2"}, named: true, wrong: true},
	} {
		person, named, err := Person(http.Header{Header: c.values})
		if person != c.person || named != c.named || (err != nil) != c.wrong {
			t.Errorf("%s: %q, %v, %v", name, person, named, err)
		}
	}
}

func FuzzPrincipal(f *testing.F) {
	f.Add("U1")
	f.Add("a:b")
	f.Fuzz(func(t *testing.T, person string) {
		if got, err := with().Principal(person); err == nil && strings.Count(got, ":") != 1 {
			t.Errorf("%q could be read as another's", got)
		}
	})
}
