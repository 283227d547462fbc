package endpoint

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

func TestBadBinariesAreListedAndDisturbNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy", "garbage", "failing", "hanging", "future", "badname")
	r.build()
	r.e.timing.define = 3 * time.Second
	r.e.timing.retry = 500 * time.Millisecond
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.connect()
	t.Cleanup(r.stop)
	r.ready("toy")
	r.machine("m1", nil)
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Fatalf("the good plugin was disturbed: %v", err)
	}
	for name, text := range map[string]string{
		"garbage": "JSON",
		"failing": "moon phase",
		"hanging": "did not end",
		"future":  "protocol 5",
		"badname": "name",
	} {
		p := r.provider(name, stateFailed)
		if line := p.Meta[metaError]; !strings.Contains(line, text) || strings.Contains(line, "\n") {
			t.Errorf("%s: error %q, want one line with %q", name, line, text)
		}
		if want := filepath.Join(r.opts.PluginDir, name); p.Meta[metaPath] != want {
			t.Errorf("%s: path %q, want %q", name, p.Meta[metaPath], want)
		}
	}
}

func TestProviderListing(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	p := r.provider("toy", stateLoaded)
	if p.Content != "" || p.Version != "v1.0.0" || p.Meta["Description"] != "a toy" || p.Meta["Type"] != "plugin" {
		t.Errorf("got %+v", p)
	}
	for _, a := range p.AvailableActions {
		if a.Provider != "toy" || a.RequiredParams == nil || a.OptionalParams == nil {
			t.Errorf("action %+v", a)
		}
	}
	var list []model.PluginProvider
	if err := r.c.Get(t.Context(), "plugin_providers?Name=toy", &list); err != nil || len(list) != 1 {
		t.Errorf("list %d, %v", len(list), err)
	}
	wantError(t, r.c.Get(t.Context(), "plugin_providers/none", nil), model.NotFound, "none")
	if _, err := os.Stat(filepath.Join(r.opts.DataDir, "webroot", "files", "plugin_providers", "toy")); err != nil {
		t.Errorf("unpack: %v", err)
	}
}

func TestTwoBinariesOfOneProvider(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	path := r.install("copy", "toy")
	p := r.provider("copy", stateFailed)
	if line := p.Meta[metaError]; !strings.Contains(line, filepath.Join(r.opts.PluginDir, "toy")) || !strings.Contains(line, "copy") {
		t.Errorf("error %q does not name both", line)
	}
	if err := errors.Join(os.Remove(filepath.Join(r.opts.PluginDir, "toy"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the copy takes over", func() bool {
		var p model.PluginProvider
		return r.c.Get(t.Context(), "plugin_providers/toy", &p) == nil && p.Meta[metaPath] == path && p.Meta[metaState] == stateLoaded
	})
}

func TestTwoLayersWithOneKeyAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.install("clash", "clash")
	p := r.provider("clash", stateFailed)
	if line := p.Meta[metaError]; !strings.Contains(line, "clash") || !strings.Contains(line, "toy") {
		t.Errorf("error %q does not name both layers", line)
	}
}

func TestAStoredObjectIsALayerToo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	if err := r.c.Post(t.Context(), "params", model.Param{Name: "toy/port", Schema: map[string]any{"type": "string"}}, nil); err != nil {
		t.Fatal(err)
	}
	r.install("toy", "toy")
	if line := r.provider("toy", stateFailed).Meta[metaError]; !strings.Contains(line, "toy/port") || !strings.Contains(line, writableLayer) {
		t.Errorf("error %q", line)
	}
	if err := r.c.Delete(t.Context(), "params/toy%2Fport", nil); err != nil {
		t.Fatal(err)
	}
	r.ready("toy")
}

func TestAChangedBinaryIsReplaced(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	first := pidOf(t, r, "toy")
	r.install("toy", "v2")
	eventually(t, "version 2", func() bool {
		var p model.PluginProvider
		return r.c.Get(t.Context(), "plugin_providers/toy", &p) == nil && p.Version == "v2.0.0"
	})
	r.replaced("toy", first)
	r.machine("m1", nil)
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Error(err)
	}
}

func TestAChangedBinaryThatFailsLeavesTheOldOne(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.install("toy", "failing")
	p := r.provider("toy", stateFailed)
	if !strings.Contains(p.Meta[metaError], "moon phase") {
		t.Errorf("error %q", p.Meta[metaError])
	}
	r.machine("m1", nil)
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Errorf("the process that still runs is not used: %v", err)
	}
}

func TestARemovedBinaryIsRetired(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	if err := os.Remove(filepath.Join(r.opts.PluginDir, "toy")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "provider gone", func() bool {
		return model.KindOf(r.c.Get(t.Context(), "plugin_providers/toy", nil)) == model.NotFound
	})
	_, err := r.act("m1", "poweron", nil)
	wantError(t, err, model.NotFound, "Action poweron on machines: Not Found")
	wantError(t, r.c.Get(t.Context(), "params/toy%2Fport", nil), model.NotFound)
	var p model.Plugin
	if err := r.c.Get(t.Context(), "plugins/toy", &p); err != nil || p.Available || !strings.Contains(strings.Join(p.PluginErrors, ""), "not loaded") {
		t.Errorf("plugin object %+v, %v", p, err)
	}
	eventually(t, "the process ended", func() bool { return currentPid(r, "toy") == 0 })
	r.install("toy", "toy")
	r.ready("toy")
}

func TestWhatOthersCanChangeIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	path := filepath.Join(r.opts.PluginDir, "toy")
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	r.start()
	if line := r.provider("toy", stateRefused).Meta[metaError]; !strings.Contains(line, path) || !strings.Contains(line, "chmod") {
		t.Errorf("error %q", line)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	r.ready("toy")
	if err := os.Chmod(r.opts.PluginDir, 0o775); err != nil {
		t.Fatal(err)
	}
	if line := r.provider("toy", stateRefused).Meta[metaError]; !strings.Contains(line, r.opts.PluginDir+" is writable") {
		t.Errorf("error %q", line)
	}
	eventually(t, "the process ended", func() bool { return currentPid(r, "toy") == 0 })
}

func TestForeignFilesAreRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	r := newRig(t, "toy")
	path := filepath.Join(r.opts.PluginDir, "toy")
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	r.start()
	if line := r.provider("toy", stateRefused).Meta[metaError]; !strings.Contains(line, "uid 65534") {
		t.Errorf("error %q", line)
	}
}

func TestALinkIsAsSafeAsItsTarget(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	open := filepath.Join(filepath.Dir(r.opts.PluginDir), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	target, link := filepath.Join(open, "toy"), filepath.Join(r.opts.PluginDir, "toy")
	if err := errors.Join(os.Rename(link, target), os.Symlink(target, link), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	r.start()
	if line := r.provider("toy", stateRefused).Meta[metaError]; !strings.Contains(line, open+" is writable") {
		t.Errorf("error %q", line)
	}
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	r.ready("toy")
}

func TestWhatIsNoPluginIsNotListed(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	for name, mode := range map[string]os.FileMode{"README": 0o644, ".hidden": 0o755} {
		if err := os.WriteFile(filepath.Join(r.opts.PluginDir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(
		os.Mkdir(filepath.Join(r.opts.PluginDir, "folder"), 0o755),
		os.Symlink("nowhere", filepath.Join(r.opts.PluginDir, "dangling"))); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.ready("toy")
	var list []model.PluginProvider
	if err := r.c.Get(t.Context(), "plugin_providers", &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Name != "toy" {
		t.Errorf("listed: %+v", list)
	}
}

func TestAFileIsLeftAloneWhileItChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "toy")
	d := newDiscovery(Options{PluginDir: dir, ScanInterval: time.Minute}, &loader{log: slog.New(slog.DiscardHandler)})
	d.holds = func(*binary) (string, bool) { return "", true }
	d.load = func(context.Context, string, *binary) (*binary, error) {
		return &binary{path: path, provider: &model.PluginProvider{Name: "toy"}}, nil
	}
	unread := func(want bool) {
		t.Helper()
		if got := d.unread(); got != want {
			t.Errorf("unread: %v", got)
		}
	}
	unread(false)
	state := func() string {
		t.Helper()
		d.scan(t.Context())
		return d.entries["toy"].state
	}
	held := func() { d.entries["toy"].since = time.Now().Add(-2 * time.Minute) }
	if err := os.WriteFile(path, []byte("half of"), 0o755); err != nil {
		t.Fatal(err)
	}
	unread(true)
	if got := state(); got != stateSettling {
		t.Errorf("a new file is %s", got)
	}
	unread(true)
	held()
	if err := os.WriteFile(path, []byte("half of it, and more"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := state(); got != stateSettling {
		t.Errorf("a file that has grown is %s", got)
	}
	if got := state(); got != stateSettling {
		t.Errorf("a file that has not held still for long is %s", got)
	}
	held()
	if got := state(); got != stateDefining {
		t.Errorf("a file that held still is %s", got)
	}
	unread(true)
	d.finish(<-d.results)
	d.workers.Wait()
	if got := state(); got != stateLoaded {
		t.Errorf("a good file is %s", got)
	}
	unread(false)
	if err := os.WriteFile(path, []byte("another"), 0o755); err != nil {
		t.Fatal(err)
	}
	unread(true)
}

func TestAnOldFileIsNotWatchedFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, "toy")
	r.opts.ScanInterval = time.Hour
	old := time.Now().Add(-3 * time.Hour)
	if err := os.Chtimes(filepath.Join(r.opts.PluginDir, "toy"), old, old); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.ready("toy")
}

// pidOf waits for a plugin and returns its process id.
func pidOf(t *testing.T, r *rig, name string) int {
	t.Helper()
	r.ready(name)
	return currentPid(r, name)
}

// replaced waits until a plugin has another process than the first: one that is
// about to end may still be called ready.
func (r *rig) replaced(name string, first int) {
	r.t.Helper()
	eventually(r.t, "a new process of "+name, func() bool {
		pid := currentPid(r, name)
		return pid != 0 && pid != first
	})
}

// currentPid is the process id of a plugin that is ready, else 0.
func currentPid(r *rig, name string) int {
	u := r.e.sup.unit(name)
	if u == nil {
		return 0
	}
	at, proc, _, _ := u.look()
	if at != ready {
		return 0
	}
	return proc.Pid()
}
