package bundle

import (
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, tc := range []struct {
		section, name string
		ok            bool
	}{
		{"params", "ipmi/address", true},
		{"params", "ipmi/address-v4", true},
		{"params", "detected-bios-mode", true},
		{"params", "überall/größe", true},
		{"params", "a", false},
		{"params", "", false},
		{"params", "4th", false},
		{"params", "/x", false},
		{"params", "a:b", false},
		{"params", "a\nb", false},
		{"params", "ab ", false},
		{"params", strings.Repeat("a", maxName), true},
		{"params", strings.Repeat("a", maxName+1), false},
		{"profiles", "global", true},
		{"profiles", "a/b", false},
		{"templates", "ipmi-configure.sh", true},
		{"freds", "one", true},
		{"freds", "one/two", false},
	} {
		if got := CheckName(tc.section, tc.name); (got == "") != tc.ok {
			t.Errorf("%s %q: %q", tc.section, tc.name, got)
		}
	}
}

func TestKeyOf(t *testing.T) {
	for _, tc := range []struct{ section, in, key, problem string }{
		{"params", "Name: ipmi/mode", "ipmi/mode", ""},
		{"templates", "ID: x.sh", "x.sh", ""},
		{"templates", "Name: x.sh", "", "ID is missing: an object needs a name"},
		{"params", "Description: x", "", "Name is missing: an object needs a name"},
		{"params", "Name: ''", "", "Name is empty: an object needs a name"},
		{"params", "Name: null", "", "Name is missing: an object needs a name"},
		{"params", "Name: y", "", "Name must be a string, not a boolean (YAML 1.1 reads"},
		{"params", "Name: 0755", "", "Name must be a string, not a number (quote it)"},
		{"params", "Name: 1e3", "", "Name must be a string, not a number (quote it)"},
		{"params", "Name: [x]", "", "Name must be a string, not an array"},
		{"params", "Name: a:b", "a:b", `name "a:b" is not valid`},
		{"freds", "Id: one", "one", ""},
		{"freds", "Name: one", "one", ""},
		{"freds", "Uuid: one", "one", ""},
	} {
		key, problem := KeyOf(tc.section, decode(t, tc.in))
		if key != tc.key || !strings.HasPrefix(problem, tc.problem) || tc.problem == "" && problem != "" {
			t.Errorf("%s %s: %q, %q", tc.section, tc.in, key, problem)
		}
	}
}

func TestCheckSection(t *testing.T) {
	for name, ok := range map[string]bool{
		"params": true, "my freds": true, "a..b": true, "": false, ".": false, "..": false, ".git": false, "../x": false, "a/b": false, `a\b`: false, "a\x00": false, "a\nb": false,
		strings.Repeat("a", maxName): true, strings.Repeat("a", maxName+1): false,
	} {
		if got := CheckSection(name); (got == "") != ok || strings.Contains(got, "\n") {
			t.Errorf("%q: %q", name, got)
		}
	}
}
