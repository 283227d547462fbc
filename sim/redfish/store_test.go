package redfish

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// stores builds the resources of every dialect.
func stores(t *testing.T) map[string]*store {
	t.Helper()
	all := map[string]*store{}
	for i := range dialects {
		s, err := newStore(&dialects[i])
		if err != nil {
			t.Fatal(err)
		}
		all[dialects[i].name] = s
	}
	return all
}

// texts lists all strings in a tree.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, e := range v {
			all = append(all, texts(e)...)
		}
		return all
	case map[string]any:
		var all []string
		for k, e := range v {
			all = append(append(all, k), texts(e)...)
		}
		return all
	}
	return nil
}

// TestTemplatesNameWhatThereIs: values, lists, logs and patches that templates name
// are known, and nothing of their language is left.
func TestTemplatesNameWhatThereIs(t *testing.T) {
	for dialect, s := range stores(t) {
		for p, r := range s.resources {
			for _, text := range texts(r.tree) {
				name, isValue := strings.CutPrefix(text, "$")
				if _, known := values[name]; isValue && !known {
					t.Errorf("%s: %s names %s, which is no value", dialect, p, text)
				}
				if strings.ContainsAny(text, "{}~") {
					t.Errorf("%s: %s has %q", dialect, p, text)
				}
			}
			if _, known := lists[r.list]; r.list != "" && !known {
				t.Errorf("%s: %s is the list %q", dialect, p, r.list)
			}
			if _, known := lists[r.item]; (r.item != "") != (path.Base(p) == "*") || r.item != "" && !known {
				t.Errorf("%s: %s is an item of %q", dialect, p, r.item)
			}
			if _, known := patches[r.patch]; r.patch != "" && !known {
				t.Errorf("%s: %s is patched as %q", dialect, p, r.patch)
			}
			if r.list == "entry" && s.resources[path.Dir(p)].log == "" {
				t.Errorf("%s: %s is of no log", dialect, p)
			}
		}
	}
}

// TestActionsAreCarriedOut: each action that a template offers is one that is known,
// and below its resource.
func TestActionsAreCarriedOut(t *testing.T) {
	for dialect, s := range stores(t) {
		names := map[string]bool{}
		for target, a := range s.actions {
			if _, known := actions[a.name]; !known {
				t.Errorf("%s: nobody carries %s out", dialect, a.name)
			}
			if !strings.HasPrefix(target, a.on.path+"/Actions/") {
				t.Errorf("%s: %s is not below %s", dialect, target, a.on.path)
			}
			names[a.name] = true
		}
		for _, want := range []string{"#ComputerSystem.Reset", "#Manager.Reset", "#LogService.ClearLog", "#VirtualMedia.InsertMedia", "#VirtualMedia.EjectMedia"} {
			if !names[want] {
				t.Errorf("%s offers no %s", dialect, want)
			}
		}
	}
}

// TestPatchedPropertiesExist: what can be patched by a table is in some template that
// names the table.
func TestPatchedPropertiesExist(t *testing.T) {
	found := map[string]map[string]bool{}
	for _, s := range stores(t) {
		for _, r := range s.resources {
			if r.patch == "" {
				continue
			}
			if found[r.patch] == nil {
				found[r.patch] = map[string]bool{}
			}
			for name := range patches[r.patch].set {
				if has(r.tree, strings.Split(name, "/")) {
					found[r.patch][name] = true
				}
			}
		}
	}
	for table, p := range patches {
		for name := range p.set {
			if !found[table][name] {
				t.Errorf("no resource that is patched as %s has %s", table, name)
			}
		}
	}
}

// TestDialects: the tables of dialects hold together.
func TestDialects(t *testing.T) {
	for i := range dialects {
		d := &dialects[i]
		for _, r := range d.resets {
			if _, known := resetTypes[r]; !known {
				t.Errorf("%s has the reset type %s", d.name, r)
			}
		}
		for _, must := range []string{"On", "ForceOff", "ForceRestart", "GracefulShutdown"} {
			if !slices.Contains(d.resets, must) {
				t.Errorf("%s has no %s", d.name, must)
			}
		}
		for _, must := range []string{"None", "Pxe", "Hdd", "Cd", "BiosSetup"} {
			if !slices.Contains(d.targets, must) {
				t.Errorf("%s has no %s", d.name, must)
			}
		}
		if !slices.Contains(bootModes, d.mode) || d.registry == "" || d.code == "" {
			t.Errorf("%s: %+v", d.name, d)
		}
		if dialectNamed(d.name) != d {
			t.Errorf("%s is not found", d.name)
		}
	}
	if dialectNamed("other") != nil {
		t.Error("a dialect that there is not is found")
	}
}

// TestMerge: one tree over another (RFC 7396, appendix A).
func TestMerge(t *testing.T) {
	for _, c := range []struct{ under, over, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		var under, over any
		if json.Unmarshal([]byte(c.under), &under) != nil || json.Unmarshal([]byte(c.over), &over) != nil {
			t.Fatal(c)
		}
		if got := shown(merge(under, over)); got != c.want {
			t.Errorf("%s over %s is %s, not %s", c.over, c.under, got, c.want)
		}
	}
}

// TestMergeLeavesBoth: neither tree is changed.
func TestMergeLeavesBoth(t *testing.T) {
	under := map[string]any{"a": map[string]any{"b": 1.0}}
	over := map[string]any{"a": map[string]any{"c": 2.0}}
	one, two := shown(under), shown(over)
	merged, _ := merge(under, over).(map[string]any)
	maps.DeleteFunc(merged, func(string, any) bool { return true })
	if shown(under) != one || shown(over) != two {
		t.Errorf("%v, %v", under, over)
	}
}

// TestHref: links as a dialect writes them.
func TestHref(t *testing.T) {
	for _, c := range []struct {
		slash      bool
		path, want string
	}{
		{false, "/redfish/v1/Systems", "/redfish/v1/Systems"},
		{true, "/redfish/v1/Systems", "/redfish/v1/Systems/"},
		{false, "/redfish/v1/Chassis/1/Power/#/PowerSupplies/0", "/redfish/v1/Chassis/1/Power#/PowerSupplies/0"},
		{true, "/redfish/v1/Chassis/1/Power#/PowerSupplies/0", "/redfish/v1/Chassis/1/Power/#/PowerSupplies/0"},
	} {
		s := &store{d: &dialect{slash: c.slash}}
		if got := s.href(c.path); got != c.want {
			t.Errorf("%s: %s, not %s", c.path, got, c.want)
		}
	}
}

// TestUnknownDialect: a dialect without templates is an error.
func TestUnknownDialect(t *testing.T) {
	if _, err := newStore(&dialect{name: "none"}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("%v", err)
	}
}

// TestLeaves: the properties of a PATCH in their order, down to what has a setter.
func TestLeaves(t *testing.T) {
	body := map[string]any{"b": map[string]any{"y": 1.0, "x": map[string]any{"deep": true}}, "a": 2.0, "c": map[string]any{}, "d": nil}
	var got []string
	for _, l := range leaves(nil, body, map[string]setter{"b/x": nil}) {
		got = append(got, l.name())
	}
	if text := strings.Join(got, " "); text != "a b/x b/y c d" {
		t.Errorf("leaves: %s", text)
	}
	deep := map[string]any{"end": 1.0}
	for range 100 {
		deep = map[string]any{"a": deep}
	}
	if all := leaves(nil, deep, nil); len(all) != 1 || len(all[0].path) != maxDepth {
		t.Errorf("%d leaves, the first %v", len(all), all[0].path)
	}
}

// TestHold: properties that are kept, at their places.
func TestHold(t *testing.T) {
	e := &edit{free: map[string]any{}}
	e.hold(leaf{[]string{"A"}, 1.0})
	e.hold(leaf{[]string{"B", "C"}, 2.0})
	e.hold(leaf{[]string{"B", "D", "E"}, nil})
	if got := shown(e.free); got != `{"A":1,"B":{"C":2,"D":{"E":null}}}` {
		t.Errorf("%s", got)
	}
}

// TestKeepIsBounded: what is patched again and again does not grow for ever.
func TestKeepIsBounded(t *testing.T) {
	b := &BMC{}
	for i := range 100 {
		b.keep("bios", map[string]any{strings.Repeat("k", i+1): strings.Repeat("v", 4<<10)})
		if n := len(shown(b.settings["bios"])); n > maxBody {
			t.Fatalf("%d bytes after %d times", n, i+1)
		}
	}
	b.keep("system", nil)
	if _, has := b.settings["system"]; has {
		t.Error("nothing is kept as something")
	}
}

// TestMatches: patterns of faults.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything", true}, {"*", "get system", true}, {"get *", "get system", true}, {"get *", "patch system", false},
		{"reset", "bmc reset", false}, {"* reset", "bmc reset", true}, {"[", "[", false}, {"/a/*", "/a/b/c", false},
	} {
		if got := matches(c.pattern, c.text); got != c.want {
			t.Errorf("%q fits %q: %v", c.pattern, c.text, got)
		}
	}
}
