package endpoint

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDefaultDataDir(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/somewhere/state")
	want := "/somewhere/state/oob"
	if os.Geteuid() == 0 {
		want = "/var/lib/oob"
	}
	if got, err := defaultDataDir(); err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
	o, err := Options{}.complete()
	if err != nil || o.DataDir != want || o.PluginDir != want+"/plugins" || o.Socket != want+"/oob.sock" || o.Listen != "127.0.0.1:8092" || o.Site != "local" || o.ScanInterval != time.Second || o.Logger == nil {
		t.Errorf("options %+v, %v", o, err)
	}
}

func TestPrivateWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := errors.Join(writePrivate(path, []byte("one")), writePrivate(path, []byte("two"))); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || string(raw) != "two" {
		t.Errorf("%q, %v", raw, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	if err := writePrivate(filepath.Join(dir, "none", "f"), nil); err == nil {
		t.Error("a file in no directory was written")
	}
}

func TestRuntimeDirs(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	stale := filepath.Join(t.TempDir(), runtimePrefix+"stale")
	if err := errors.Join(os.Mkdir(stale, 0o700), os.WriteFile(filepath.Join(data, runtimeNote), []byte(stale), 0o600)); err != nil {
		t.Fatal(err)
	}
	made, remove, err := makeRuntimeDir("", data)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(made); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a killed process left is still there: %v", err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(made); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	own := filepath.Join(t.TempDir(), "run")
	if _, remove, err = makeRuntimeDir(own, data); err != nil {
		t.Fatal(err)
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(own); err != nil {
		t.Errorf("a given directory was removed: %v", err)
	}
}

func TestOnlyRuntimeDirectoriesAreStale(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	note, precious := filepath.Join(dir, "note"), filepath.Join(dir, "precious")
	if err := os.Mkdir(precious, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{precious, "", "oob-relative", "/"} {
		if err := errors.Join(os.WriteFile(note, []byte(text), 0o600), removeStale(note)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func TestPluginEnvironmentIsItsOwn(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://proxy.example")
	t.Setenv("SECRET_OF_THE_HOST", "x")
	env := strings.Join(pluginEnv("127.0.0.1:1", "/web", slog.Default()), "\n")
	if !strings.Contains(env, "HTTPS_PROXY=http://proxy.example") || strings.Contains(env, "SECRET_OF_THE_HOST") {
		t.Errorf("environment:\n%s", env)
	}
}
