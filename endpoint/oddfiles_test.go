package endpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever lies in the plugin directory is listed with what is wrong with it, or
// not at all, within bounds; a plugin beside it works, and no process is left.
func TestOddThingsBesideAPlugin(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	at := func(name string) string { return filepath.Join(r.opts.PluginDir, name) }
	alive := filepath.Join(r.dir, "alive")
	sleeper := "#!/bin/sh\necho $$ > " + alive + "\nsleep 3600 &\nsleep 3600\n"
	elsewhere := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x02\x00\xf7\x00" + strings.Repeat("\x00", 100)
	err := errors.Join(
		os.WriteFile(at("sleeper"), []byte(sleeper), 0o755),
		os.WriteFile(at("elsewhere"), []byte(elsewhere), 0o755),
		os.WriteFile(at("empty"), nil, 0o755),
		os.WriteFile(at("chatty"), []byte("#!/bin/sh\nexec yes\n"), 0o755),
		os.WriteFile(at("shared"), []byte("#!/bin/sh\n"), 0o755), os.Chmod(at("shared"), 0o775),
		os.Mkdir(at("folder"), 0o755),
		os.Symlink("folder", at("to-folder")),
		os.Symlink(at("loop"), at("loop")),
	)
	if err != nil {
		t.Fatal(err)
	}
	r.build()
	r.e.timing.define, r.e.timing.retry = 2*time.Second, time.Hour
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.connect()
	t.Cleanup(r.stop)
	r.ready("toy")
	r.machine("m1", nil)
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sleeper": "did not end within", "elsewhere": "exec format error", "empty": "", "chatty": "more than 16 MiB",
	} {
		if line := r.provider(name, stateFailed).Meta[metaError]; !strings.Contains(line, text) || strings.Contains(line, "\n") || line == "" {
			t.Errorf("%s: %q, want %q", name, line, text)
		}
	}
	if line := r.provider("shared", stateRefused).Meta[metaError]; !strings.Contains(line, "writable by others (mode 0775)") {
		t.Errorf("shared: %q", line)
	}
	for _, name := range []string{"folder", "to-folder", "loop"} {
		if _, err := r.e.discovery.provider(name); err == nil {
			t.Errorf("%s is listed", name)
		}
	}
	raw, err := os.ReadFile(alive)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sleeper and what it started have ended", func() bool {
		return !groupAlive(strings.TrimSpace(string(raw)))
	})
}

// groupAlive reports whether a process group has a member.
func groupAlive(group string) bool {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return false
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil { // it has ended meanwhile
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 2 && fields[2] == group && fields[0] != "Z" {
			return true
		}
	}
	return false
}
