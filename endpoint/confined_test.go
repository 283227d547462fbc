package endpoint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin/sandbox"
)

// spy is a plugin that looks around before it goes to work: what it got at is a
// line each of the file "spied". The data directory is beside the toys'.
func spy(dir string) {
	t := &toy{dir: dir}
	data := filepath.Join(filepath.Dir(dir), "data")
	got := func(what string, err error) {
		if err == nil {
			if err := t.note("spied", what); err != nil {
				panic(err)
			}
		}
	}
	for _, name := range []string{"master.key", "admin.token", "admin.password", "tls.key", "jetstream"} {
		f, err := os.Open(filepath.Join(data, name))
		if err == nil {
			err = f.Close()
		}
		got(name, err)
	}
	_, err := os.Stat(os.Getenv("OOB_STATE_DIR"))
	got("state", err)
	got("other state", os.WriteFile(filepath.Join(data, "state", "x"), nil, 0o600))
	got("plugin directory", os.WriteFile(filepath.Join(filepath.Dir(dir), "plugins", "x.txt"), nil, 0o600))
	c, err := client.New(client.Options{Socket: filepath.Join(data, "oob.sock")})
	if err == nil {
		err = c.Get(context.Background(), "users", nil)
	}
	got("users", err)
}

// spied lists what the spy got at.
func (r *rig) spied() string {
	r.ready("spy")
	seen := r.lines("spied")
	slices.Sort(seen)
	return strings.Join(slices.Compact(seen), ",")
}

// A plugin reaches neither the endpoint's files nor its socket, by which it would
// be an admin.
func TestPluginsAreConfined(t *testing.T) {
	t.Parallel()
	r := start(t, "spy")
	want := "state"
	if sandbox.Available() < sandbox.Files {
		t.Logf("nothing is shown: this kernel has no Landlock: %s", sandbox.Available())
		return
	}
	if got := r.spied(); got != want {
		t.Errorf("a plugin gets at %s, want %s", got, want)
	}
	var info model.Info
	if err := r.c.Get(t.Context(), "info", &info); err != nil || info.PluginSandbox != sandbox.Available().String() {
		t.Errorf("info says %q, %v", info.PluginSandbox, err)
	}
	if got := r.provider("spy", stateLoaded).Meta[metaConfined]; got != info.PluginSandbox {
		t.Errorf("the provider is %q", got)
	}
	// One that is trusted has everything anyway.
	r.put("spied", "")
	r.wantStatus(200, "POST", "/plugin_providers/spy/trust", r.e.token, "")
	eventually(t, "the spy outside", func() bool { return strings.Contains(r.spied(), "master.key") })
	if got := r.provider("spy", stateLoaded).Meta[metaConfined]; got != "none: it is trusted" {
		t.Errorf("the provider is %q", got)
	}
}

// The sandbox can be switched off, and a provider can say that it needs none.
func TestPluginsOutsideTheSandbox(t *testing.T) {
	t.Parallel()
	for role, off := range map[string]bool{"spy": true, "spyout": false} {
		r := newRig(t, role)
		r.opts.NoSandbox = off
		r.start()
		want := map[bool]string{true: outsideAll, false: "none: it says that it cannot be"}[off]
		if got := r.spied(); !strings.Contains(got, "users") || !strings.Contains(got, "master.key") {
			t.Errorf("%s gets at %s", role, got)
		}
		if got := r.provider("spy", stateLoaded).Meta[metaConfined]; got != want {
			t.Errorf("the provider is %q, want %q", got, want)
		}
		var info model.Info
		if err := r.c.Get(t.Context(), "info", &info); err != nil || (info.PluginSandbox == outsideAll) != off {
			t.Errorf("info says %q, %v", info.PluginSandbox, err)
		}
	}
}

// What a plugin may reach beside its own is what the options name.
func TestRulesOfPlugins(t *testing.T) {
	t.Parallel()
	s := &supervisor{dirs: pluginDirs{webroot: "/data/webroot"}, paths: []string{"/srv/tools"}}
	rules := s.rules(&model.PluginProvider{Name: "p"}, false)
	if got, want := fmt.Sprint(*rules), "{[/data/webroot] [/srv/tools] [/data/webroot/files/plugin_providers/p /srv/tools]}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if s.rules(&model.PluginProvider{}, true) != nil {
		t.Error("a trusted one is confined")
	}
}
