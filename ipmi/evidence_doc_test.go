package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"provision-plugins/shared/driver"
)

// The marks between which the table stands in the documentation.
const (
	proofsBegin = "<!-- evidence: what driver.Proofs, and sentFor and seenBy in ipmi/evidence.go, say -->"
	proofsEnd   = "<!-- end of evidence -->"
)

// proofsTable renders what proves an action on a BMC; actions of which the same
// is to be said share a row.
func proofsTable(t *testing.T) string {
	t.Helper()
	var rows []string
	names := map[string][]string{}
	for _, p := range driver.Proofs() {
		seen := make([]string, 0, len(p.Seen))
		for _, s := range p.Seen {
			if seenBy[s] == "" {
				t.Errorf("ipmi/evidence.go does not say how %q is seen on a BMC", s)
			}
			seen = append(seen, seenBy[s])
		}
		if len(seen) == 0 {
			seen = []string{"never: nothing can be read"}
		}
		if sentFor[p.Command] == "" {
			t.Errorf("ipmi/evidence.go does not say what %s sends", p.Command)
		}
		row := fmt.Sprintf("%s | %s | %s", sentFor[p.Command], strings.Join(seen, "; then "), p.Otherwise)
		if names[row] == nil {
			rows = append(rows, row)
		}
		names[row] = append(names[row], p.Command)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n| action | sent (IPMI 2.0) | verified when two readings in a row tell, after that, | otherwise |\n|---|---|---|---|\n", proofsBegin)
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(names[row], ", "), row)
	}
	fmt.Fprintf(&b, "\n%s\n", proofsEnd)
	return b.String()
}

// TestProofsDocument holds the documentation to the tables.
func TestProofsDocument(t *testing.T) {
	t.Parallel()
	const path = "../docs/ipmi.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := proofsTable(t)
	if !strings.Contains(string(raw), want) {
		t.Errorf("%s does not hold the table as it is; it must hold:\n%s", path, want)
	}
	if n := len(driver.Proofs()); len(sentFor) != n {
		t.Errorf("sentFor has %d rows for %d actions", len(sentFor), n)
	}
}
