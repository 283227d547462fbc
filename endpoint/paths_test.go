package endpoint

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
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
	for _, name := range []string{"HTTPS_PROXY", "SECRET_OF_THE_HOST", "PATH", "HOME"} {
		t.Setenv(name, "x")
	}
	own := []string{"OOB_LOG", "RS_ENDPOINT", "RS_FILESERVER", "RS_WEBROOT"}
	for _, c := range []struct{ more, want []string }{{nil, own}, {[]string{"HTTPS_PROXY", "NOT_SET"}, append(own, "HTTPS_PROXY")}} {
		var names []string
		for _, row := range pluginEnv("127.0.0.1:1", "/web", c.more, slog.Default()) {
			name, _, _ := strings.Cut(row, "=")
			names = append(names, name)
		}
		slices.Sort(names)
		if want := slices.Sorted(slices.Values(c.want)); !slices.Equal(names, want) {
			t.Errorf("variables %v, want %v", names, want)
		}
	}
}
