package endpoint

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"provision-plugins/endpoint/auth"
)

func TestNeedsOfRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path, query string
		want                 []string
	}{
		{"GET /api/v3/machines", "/api/v3/machines", "", []string{"machines list"}},
		{"GET /api/v3/machines", "/api/v3/machines", "decode=true", []string{"machines list", "machines getSecure"}},
		{"POST /api/v3/machines", "/api/v3/machines", "", []string{"machines create"}},
		{"GET /api/v3/machines/{key}", "/api/v3/machines/u1", "decode=false", []string{"machines get u1"}},
		{"DELETE /api/v3/machines/{key}", "/api/v3/machines/Name:m%201", "", []string{"machines delete Name:m 1"}},
		{"PATCH /api/v3/params/{key...}", "/api/v3/params/ipmi/mode", "", []string{"params update ipmi/mode"}},
		{"GET /api/v3/params/{key...}", "/api/v3/params/ipmi%2Fmode", "", []string{"params get ipmi/mode"}},
		{"DELETE /api/v3/machines/{key}/params/{name...}", "/api/v3/machines/u1/params/a/b", "", []string{"machines update u1"}},
		{"GET /api/v3/machines/{key}/params", "/api/v3/machines/u1/params", "decode=true", []string{"machines get u1", "machines getSecure u1"}},
		{"GET /api/v3/machines/{key}/actions", "/api/v3/machines/u1/actions", "", []string{"machines actions u1"}},
		{"POST /api/v3/machines/{key}/actions/{command}", "/api/v3/machines/u1/actions/poweron", "override-protected=true", []string{"machines action:poweron u1", "machines override u1"}},
		{"POST /api/v3/system/actions/{command}", "/api/v3/system/actions/scan", "", []string{"system action:scan"}},
		{"PATCH /api/v3/meta/{prefix}/{key...}", "/api/v3/meta/users/ann", "", []string{"users update ann"}},
		{"GET /api/v3/users/{key}/token", "/api/v3/users/ann/token", "", []string{"users token ann"}},
		{"DELETE /api/v3/users/{key}/tokens/{id}", "/api/v3/users/ann/tokens/5", "", []string{"users token ann"}},
		{"PUT /api/v3/users/{key}/password", "/api/v3/users/ann/password", "", []string{"users password ann"}},
		{"GET /api/v3/freds/{key}", "/api/v3/freds/f", "", []string{"freds get f"}}, // what a plugin brings along
		{"GET /files/{path...}", "/files/a/b", "", []string{"files get"}},
		{"GET /plugin-apis/{plugin}/{rest...}", "/plugin-apis/slack/x/y", "", []string{"plugins console slack"}},
		{"/plugin-apis/{plugin}/{rest...}", "/plugin-apis/slack/", "", []string{"plugins console slack"}},
		{"GET /api/v3/info", "/api/v3/info", "decode=true", nil},
		{"/", "/anything", "", nil},
		{"", "", "", nil},
		{"GET /api/v3/machines/{key}/{what}", "/api/v3/machines/u1/x", "", []string{"* *"}},
		{"GET /api/v3/machines/{key}/params/{name...}/x", "/api/v3/machines/u1/params/a/x", "", []string{"* *"}},
		{"PUT /api/v3/machines", "/api/v3/machines", "", []string{"* *"}},
		{"/api/v3/machines", "/api/v3/machines", "", []string{"* *"}},
		{"GET /nowhere", "/nowhere", "", []string{"* *"}},
		{"GET /metrics", "/metrics", "", []string{"metrics get"}},
		{"POST /metrics", "/metrics", "", []string{"* *"}},
		{"GET /debug/pprof/{name...}", "/debug/pprof/heap", "", []string{"* *"}},
	} {
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range needsOf(c.pattern, pathValues(c.pattern, c.path), query) {
			got = append(got, n.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s for %s?%s needs %q, want %q", c.pattern, c.path, c.query, got, c.want)
		}
	}
}

// A key that looks like a name of the table's own is a key all the same.
func TestKeysAreNotTemplates(t *testing.T) {
	t.Parallel()
	const pattern = "POST /api/v3/machines/{key}/actions/{command}"
	got := needsOf(pattern, pathValues(pattern, "/api/v3/machines/x/actions/%7Bkey%7D"), nil)
	if len(got) != 1 || got[0].Scope != "machines" || !strings.HasPrefix(got[0].Action, "action:") || got[0].Specific != "x" {
		t.Errorf("%+v", got)
	}
}

func TestPathValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		want          map[string]string
	}{
		{"GET /a/{key}", "/a/b%2Fc", map[string]string{"key": "b/c"}},
		{"GET /a/{key...}", "/a/b/c", map[string]string{"key": "b/c"}},
		{"GET /a/{key}/x/{name...}", "/a/k/x/n/m", map[string]string{"key": "k", "name": "n/m"}},
		{"GET /a/{key}", "/a", map[string]string{}},
		{"GET /a", "/a", map[string]string{}},
		{"GET /a/{key}", "/a/%zz", map[string]string{"key": "%zz"}},
		{"GET /a/{key}", "/a/", map[string]string{"key": ""}},
	} {
		if got := pathValues(c.pattern, c.path); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s of %s: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

// A limited token is not its user's own session.
func TestOwnThings(t *testing.T) {
	t.Parallel()
	viewer := auth.Grant{auth.Viewer()}
	limited := append(auth.Grant{auth.All()}, auth.Viewer())
	for _, c := range []struct {
		who  caller
		need auth.Need
		want bool
	}{
		{caller{user: "ann", grant: viewer}, auth.Need{Scope: usersPrefix, Action: actToken, Specific: "ann"}, true},
		{caller{user: "ann", grant: viewer}, auth.Need{Scope: usersPrefix, Action: actPassword, Specific: "ann"}, true},
		{caller{user: "ann", grant: viewer}, auth.Need{Scope: usersPrefix, Action: "update", Specific: "ann"}, false},
		{caller{user: "ann", grant: viewer}, auth.Need{Scope: usersPrefix, Action: actToken, Specific: "bob"}, false},
		{caller{user: "ann", grant: viewer}, auth.Need{Scope: "machines", Action: actToken, Specific: "ann"}, false},
		{caller{user: "ann", grant: limited}, auth.Need{Scope: usersPrefix, Action: actToken, Specific: "ann"}, false},
		{caller{grant: viewer}, auth.Need{Scope: usersPrefix, Action: actToken}, false},
		{caller{user: "ann"}, auth.Need{Scope: usersPrefix, Action: actToken, Specific: "ann"}, false},
	} {
		if got := c.who.may(c.need); got != c.want {
			t.Errorf("%+v may %s: %v", c.who, c.need, got)
		}
	}
}

func TestFieldsOfBodies(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{"b":1,"a":{"c":2}}`: {"a", "b"},
		`[{"op":"test","path":"/a"},{"op":"add","path":"/Params/x~1y","value":"secret"},{"op":"remove","path":"/b"}]`: {"/Params/x~1y", "/b"},
		`"a value"`: {}, `5`: {}, `nonsense`: {}, ``: {}, `[1,2]`: {}, `null`: {},
		`{"a\nb":1}`:                                   {"a b"},
		`{"` + strings.Repeat("x", 200) + `":1}`:       {strings.Repeat("x", maxFieldName)},
		`{` + strings.Repeat(`"a":1,`, 80) + `"b":2}`:  {"a", "b"},
		`{"\u00e4` + strings.Repeat("ä", 200) + `":1}`: {strings.Repeat("ä", maxFieldName/2)},
	} {
		if got := fieldsOf([]byte(body)); !slices.Equal(got, want) {
			t.Errorf("%.40s: %q, want %q", body, got, want)
		}
	}
}

func TestPrerequisites(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]prerequisite{
		"": nil, " , ": nil, "base": {{"base", ""}}, "base, site : >=1.0.0 <2": {{"base", ""}, {"site", ">=1.0.0 <2"}},
	} {
		if got := prerequisites(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v", text, got)
		}
	}
}
