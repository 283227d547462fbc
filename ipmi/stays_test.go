package main

import "testing"

// TestStays: only the process that serves an endpoint is one that stays.
func TestStays(t *testing.T) {
	for name, row := range map[string]struct {
		args []string
		want bool
	}{
		"nothing":     {[]string{"ipmi"}, false},
		"a run":       {[]string{"ipmi", "run", "powerstatus", "--targets", "x.csv"}, false},
		"define":      {[]string{"ipmi", "define"}, false},
		"listen":      {[]string{"ipmi", "listen", "in", "out"}, true},
		"with a flag": {[]string{"ipmi", "--log", "info", "listen", "in", "out"}, true},
	} {
		if got := stays(row.args); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
