package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// cpuOf is how much CPU time a process has taken, with its children that have ended.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	// The name, in parentheses, may have spaces; utime is the twelfth field after it.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	ticks := 0
	for _, field := range fields[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // a tick of the kernel's interface is that on all systems in use
}

// startsIn is how often the plugin noted a start, somewhere below a directory.
func startsIn(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "starts" { // what goes away meanwhile is none
			var raw []byte
			raw, err = os.ReadFile(path)
			n = strings.Count(string(raw), "\n")
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestACrashLoopCostsLittle: a plugin that ends as soon as it is started is started
// again ever later, and not at all in the end, and takes next to no CPU time.
func TestACrashLoopCostsLittle(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there is no /proc to look at
	}
	window := time.Second
	if os.Getenv("OOB_NIGHTLY") != "" {
		window = 20 * time.Second
	}
	dir, err := os.MkdirTemp("", "loop") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	c := &crashes{plugins: t.TempDir(), dir: dir}
	def, err := json.Marshal(&model.PluginProvider{Name: "loop", Version: "v1.0.0", PluginVersion: model.PluginVersion, AutoStart: true})
	if err != nil {
		t.Fatal(err)
	}
	// It may write into its own directory only.
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in\ndefine) echo '%s' ;;\nunpack) ;;\n*) echo x >>\"$OOB_STATE_DIR/starts\"; exit 3 ;;\nesac\n", def)
	path := filepath.Join(c.plugins, "loop")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000, 0) // a file that was changed a moment ago is watched for a second first
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	c.start(t)
	defer c.end(t)
	c.until(t, "the plugin crashes", func() bool { return startsIn(t, dir) > 0 })
	before, began := cpuOf(t, c.cmd.Process.Pid), time.Now()
	<-time.After(window)
	share := float64(cpuOf(t, c.cmd.Process.Pid)-before) / float64(time.Since(began))
	n := startsIn(t, dir)
	t.Logf("a plugin that crashes at once: %d starts in %s, %.1f %% of a CPU for them and the endpoint", n, window, 100*share)
	if n > 6 {
		t.Errorf("%d starts", n)
	}
	if window > time.Second && share > 0.05 {
		t.Errorf("%.1f %% of a CPU", 100*share)
	}
}
