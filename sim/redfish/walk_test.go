package redfish_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"provision-plugins/sim/redfish"
)

var update = flag.Bool("update", false, "write the golden files anew")

// links lists all paths a tree links to.
func links(v any) []string {
	var all []string
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok && (k == "@odata.id" || k == "@Redfish.ActionInfo" || k == "DataSourceUri") {
				all = append(all, s)
			}
			all = append(all, links(e)...)
		}
	case []any:
		for _, e := range v {
			all = append(all, links(e)...)
		}
	}
	return all
}

// walk reads all that can be reached from the root.
func walk(p *peer) map[string]map[string]any {
	p.t.Helper()
	seen := map[string]map[string]any{}
	todo := []string{"/redfish/v1"}
	for len(todo) > 0 {
		path, _, _ := strings.Cut(todo[0], "#")
		todo = todo[1:]
		path = strings.TrimSuffix(path, "/")
		if _, done := seen[path]; done || strings.Contains(path, "/Oem/") {
			continue
		}
		tree := p.get(path)
		seen[path] = tree
		todo = append(todo, links(tree)...)
	}
	return seen
}

// TestWalk reads all resources of each dialect: every link leads somewhere, and what
// is served is what the golden file says.
func TestWalk(t *testing.T) {
	t.Parallel()
	for _, dialect := range redfish.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			b, p, _ := one(t, redfish.Options{Dialect: dialect, Seed: 1, On: true})
			b.AddEntry(false, "Critical", "Fan 1 has failed")
			b.AddEntry(true, "OK", "The manager has started")
			all := walk(p)
			for path, tree := range all {
				checkShape(t, path, tree)
			}
			golden(t, filepath.Join("testdata", dialect+".golden"), all)
		})
	}
}

// checkShape checks what DSP0266 wants of every resource.
func checkShape(t *testing.T, path string, tree map[string]any) {
	t.Helper()
	if got, _ := tree["@odata.id"].(string); strings.TrimSuffix(got, "/") != path {
		t.Errorf("%s says it is %q", path, got)
	}
	kind, _ := tree["@odata.type"].(string)
	if !strings.HasPrefix(kind, "#") {
		t.Errorf("%s has the type %q", path, kind)
	}
	if _, ok := tree["Name"].(string); !ok {
		t.Errorf("%s has no name", path)
	}
	if strings.HasSuffix(kind, "Collection") {
		if n, _ := tree["Members@odata.count"].(float64); int(n) != len(members(t, tree)) {
			t.Errorf("%s counts %v members: %v", path, n, tree["Members"])
		}
		return
	}
	if id, _ := tree["Id"].(string); id == "" {
		t.Errorf("%s has no Id", path)
	}
	if strings.Contains(mustJSON(t, tree), `"$`) {
		t.Errorf("%s shows a name of a template: %v", path, tree)
	}
}

// mustJSON is a value as JSON.
func mustJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// golden compares resources with a file.
func golden(t *testing.T, file string, all map[string]map[string]any) {
	t.Helper()
	var out bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(all)) {
		raw, err := json.MarshalIndent(all[path], "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("== " + path + "\n")
		out.Write(raw)
		out.WriteString("\n")
	}
	got := bytes.ReplaceAll(out.Bytes(), []byte(`W/\"`), []byte(`W/\"`))
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("what is served differs from %s; write it anew with -update and look at the difference", file)
	}
}

// TestLinksOfEachSystem walks a BMC with several systems: each has resources of its
// own, and no link leads from one to another.
func TestLinksOfEachSystem(t *testing.T) {
	t.Parallel()
	for _, dialect := range redfish.Dialects() {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			b, p, _ := one(t, redfish.Options{Dialect: dialect, Systems: 3})
			all := walk(p)
			uuids := map[any]bool{}
			for i := range 3 {
				own := "/redfish/v1/Systems/" + b.SystemID(i)
				tree := all[own]
				if tree == nil {
					t.Fatalf("no %s among %v", own, slices.Sorted(maps.Keys(all)))
				}
				uuids[tree["UUID"]] = true
				if tree["Id"] != b.SystemID(i) {
					t.Errorf("%s has the Id %v", own, tree["Id"])
				}
				for _, to := range links(tree) {
					if strings.HasPrefix(to, "/redfish/v1/Systems/") && to != own && !strings.HasPrefix(to, own+"/") {
						t.Errorf("%s links to %s", own, to)
					}
				}
			}
			if len(uuids) != 3 {
				t.Errorf("UUIDs: %v", uuids)
			}
		})
	}
}

// TestSystemsAreTheirOwn switches one of several systems on: the others stay off.
func TestSystemsAreTheirOwn(t *testing.T) {
	t.Parallel()
	b, p, _ := one(t, redfish.Options{Systems: 2})
	second := "/redfish/v1/Systems/" + b.SystemID(1)
	p.want(http.StatusNoContent, http.MethodPost, second+"/Actions/ComputerSystem.Reset", map[string]any{"ResetType": "On"})
	if b.System(0).On || !b.System(1).On {
		t.Errorf("on: %v, %v", b.System(0).On, b.System(1).On)
	}
	if got := p.get(second)["PowerState"]; got != "On" {
		t.Errorf("the second says %v", got)
	}
	p.want(http.StatusOK, http.MethodPatch, second, map[string]any{"Boot": map[string]any{"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Pxe"}})
	if b.System(0).BootTarget != "None" || b.System(1).BootTarget != "Pxe" {
		t.Errorf("boot: %+v, %+v", b.System(0), b.System(1))
	}
	p.want(http.StatusNotFound, http.MethodGet, "/redfish/v1/Systems/9", nil)
}
