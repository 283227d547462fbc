package main

import (
	"context"
	"math"
	"runtime/debug"
	"testing"
)

// TestHurry: actions hurry, once; what may go on for days does not.
func TestHurry(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"power", "status", "m1"}, 1},
		{[]string{"power", "cycle", "m1", "--yes"}, 1},
		{[]string{"status", "--all"}, 1},
		{[]string{"power", "status"}, 0}, // names no machine
		{[]string{"machine", "list"}, 0},
		{[]string{"events", "--follow"}, 0},
		{[]string{"version"}, 0},
	} {
		a, _, _ := testApp("")
		hurried := 0
		a.hurry = func() { hurried++ }
		a.flags.socket = t.TempDir() + "/nobody.sock"
		run(context.Background(), a, append([]string{"--socket", a.flags.socket}, c.args...))
		if hurried != c.want {
			t.Errorf("%v: hurried %d times, want %d", c.args, hurried, c.want)
		}
	}
}

// TestSpendMemory: garbage is left where it is up to a bound, unless the environment
// says how it is collected.
func TestSpendMemory(t *testing.T) {
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}()
	for _, c := range []struct {
		percent, limit string
		want           int
		bound          int64
	}{
		{"", "", -1, shortHeap},
		{"50", "", 100, math.MaxInt64},
		{"", "64MiB", 100, math.MaxInt64},
	} {
		t.Setenv("GOGC", c.percent)
		t.Setenv("GOMEMLIMIT", c.limit)
		debug.SetMemoryLimit(math.MaxInt64)
		debug.SetGCPercent(100)
		spendMemory()
		if bound := debug.SetMemoryLimit(-1); bound != c.bound {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: bound %d, want %d", c.percent, c.limit, bound, c.bound)
		}
		if got := debug.SetGCPercent(100); got != c.want {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: percent %d, want %d", c.percent, c.limit, got, c.want)
		}
	}
}
