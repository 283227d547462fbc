package plugin

import "runtime/debug"

// runGarbage is how much garbage a run leaves, in percent of what lives: it ends
// soon, and collecting more often costs a fleet's run a fifth of its time.
const runGarbage = 400

// sparingly lets garbage lie until the returned function is called, unless the
// operator has set GOGC.
func sparingly(getenv func(string) string) (restore func()) {
	if getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(runGarbage)
	return func() { debug.SetGCPercent(before) }
}
