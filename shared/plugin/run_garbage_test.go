package plugin

import (
	"runtime/debug"
	"testing"
)

// TestSparingly holds that a run changes how garbage is collected for as long as
// it lasts, and never what the operator asked for.
func TestSparingly(t *testing.T) {
	const own = 70
	defer debug.SetGCPercent(debug.SetGCPercent(own))
	for _, row := range []struct {
		name, gogc string
		during     int
	}{
		{"default", "", runGarbage},
		{"the operator's", "50", own},
	} {
		restore := sparingly(func(name string) string {
			if name != "GOGC" {
				t.Errorf("%s: asks for %s", row.name, name)
			}
			return row.gogc
		})
		if got := percent(); got != row.during {
			t.Errorf("%s: %d %% during the run, want %d", row.name, got, row.during)
		}
		restore()
		if got := percent(); got != own {
			t.Errorf("%s: %d %% after the run, want %d", row.name, got, own)
		}
	}
}

// percent reads the setting, which can only be read by setting it.
func percent() int {
	now := debug.SetGCPercent(100)
	debug.SetGCPercent(now)
	return now
}
