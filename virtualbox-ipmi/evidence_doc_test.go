package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"provision-plugins/shared/driver"
)

// page is what documents the plugin.
const page = "../docs/virtualbox.md"

// The marks between which the table stands in the documentation.
const (
	proofsBegin = "<!-- evidence: what driver.Proofs, and sentFor and seenBy in virtualbox-ipmi/evidence.go, say -->"
	proofsEnd   = "<!-- end of evidence -->"
)

// proofsTable renders what proves an action on a VM; actions of which the same is
// to be said share a row.
func proofsTable(t *testing.T) string {
	t.Helper()
	var rows []string
	names := map[string][]string{}
	for _, p := range driver.Proofs() {
		var seen []string
		for _, s := range p.Seen {
			if seenBy[s] == "" {
				t.Errorf("evidence.go does not say how %q is seen on a VM", s)
			}
			seen = append(seen, seenBy[s])
		}
		otherwise := p.Otherwise
		switch {
		case sentFor[p.Command] == "":
			t.Errorf("evidence.go does not say what %s runs", p.Command)
		case sentFor[p.Command] == sentForNothing:
			seen, otherwise = []string{"-"}, "-"
		case len(seen) == 0:
			seen = []string{"never: nothing can be read"}
		}
		row := fmt.Sprintf("%s | %s | %s", sentFor[p.Command], strings.Join(seen, "; then "), otherwise)
		if names[row] == nil {
			rows = append(rows, row)
		}
		names[row] = append(names[row], p.Command)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| action | run | verified when two readings in a row tell, after that, | otherwise |\n|---|---|---|---|\n", proofsBegin)
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(names[row], ", "), row)
	}
	fmt.Fprintf(&b, "\n%s\n", proofsEnd)
	return b.String()
}

// TestProofsDocument holds the documentation to the tables.
func TestProofsDocument(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if want := proofsTable(t); !strings.Contains(string(raw), want) {
		t.Errorf("%s does not hold the table as it is; it must hold:\n%s", page, want)
	}
	if n := len(driver.Proofs()); len(sentFor) != n {
		t.Errorf("sentFor has %d rows for %d actions", len(sentFor), n)
	}
	for _, r := range ladder {
		if !strings.Contains(string(raw), "| "+r.name+" |") {
			t.Errorf("%s does not tell of the doctor's check %q", page, r.name)
		}
	}
	for _, a := range definition(newImpl().Provider).AvailableActions {
		for _, param := range append(a.RequiredParams, a.OptionalParams...) {
			if strings.HasPrefix(param, "virtualbox/") && !strings.Contains(string(raw), "`"+param+"`") {
				t.Errorf("%s does not tell of param %s", page, param)
			}
		}
		if !strings.Contains(string(raw), a.Command) {
			t.Errorf("%s does not tell of action %s", page, a.Command)
		}
	}
}
