package main

import (
	"context"
	"math"
	"runtime/debug"
	"testing"
)

// TestLasts: what may go on for days tidies its memory, once; nothing else does.
func TestLasts(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"power", "status", "m1"}, 0},
		{[]string{"power", "status", "--all"}, 0},
		{[]string{"machine", "list"}, 0},
		{[]string{"version"}, 0},
		{nil, 0},
		{[]string{"events"}, 1},
		{[]string{"runs", "list"}, 1},
		{[]string{"serve", "--plugin-dir", "relative", "--tls-cert", "x"}, 1},
		{[]string{"sim", "bmc", "--count", "-1"}, 1},
	} {
		a, _, _ := testApp("")
		lasted := 0
		a.lasts = func() { lasted++ }
		a.flags.socket = t.TempDir() + "/nobody.sock"
		run(context.Background(), a, append([]string{"--socket", a.flags.socket}, c.args...))
		if lasted != c.want {
			t.Errorf("%v: lasts %d times, want %d", c.args, lasted, c.want)
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
		if got := debug.SetGCPercent(c.want); got != c.want {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: percent %d, want %d", c.percent, c.limit, got, c.want)
		}
		if tidyMemory(); debug.SetMemoryLimit(-1) != math.MaxInt64 || debug.SetGCPercent(100) != 100 {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: not undone", c.percent, c.limit)
		}
	}
}
