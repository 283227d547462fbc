package endpoint

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// pluginErrors returns a plugin object's errors.
func (r *rig) pluginErrors(name string) string {
	r.t.Helper()
	var p model.Plugin
	if err := r.c.Get(r.t.Context(), "plugins/"+name, &p); err != nil {
		return ""
	}
	if p.Available != (len(p.PluginErrors) == 0) {
		r.t.Errorf("plugin %s: Available %v beside %v", name, p.Available, p.PluginErrors)
	}
	return strings.Join(p.PluginErrors, "; ")
}

func TestCircuitOpensAfterCrashesAndAnUpdateClosesIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, "crashy")
	r.start()
	sub, err := r.e.hub.Subscribe("plugins.fault.crashy")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	eventually(t, "circuit open", func() bool { return strings.Contains(r.pluginErrors("crashy"), "5 crashes in 10m0s") })
	if got := len(r.lines("config-crashy")); got != 5 {
		t.Errorf("started %d times, want 5", got)
	}
	var last *model.Event
	for range 5 {
		if last, err = sub.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if raw, err := model.Marshal(last.Object); err != nil || !strings.Contains(string(raw), "5 crashes") {
		t.Errorf("last fault event: %s, %v", raw, err)
	}
	var p model.Plugin
	if err := r.c.Get(t.Context(), "plugins/crashy", &p); err != nil {
		t.Fatal(err)
	}
	p.Description = "mended"
	if err := r.c.Put(t.Context(), "plugins/crashy", p, nil); err != nil {
		t.Fatal(err)
	}
	// What was before the update does not count any more.
	eventually(t, "open again, after as many crashes", func() bool {
		return len(r.lines("config-crashy")) == 10 && strings.Contains(r.pluginErrors("crashy"), "5 crashes in 10m0s")
	})
}

func TestAPluginThatDoesNotComeUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, "mute")
	r.start()
	eventually(t, "circuit open", func() bool { return strings.Contains(r.pluginErrors("mute"), "5 crashes") })
	if fault := r.pluginErrors("mute"); strings.Contains(fault, "\n") || !strings.Contains(fault, "change or update the plugin") {
		t.Errorf("fault %q", fault)
	}
	eventually(t, "its words in the log", func() bool { return strings.Contains(r.log.String(), "cannot find my voice") })
}

func TestACrashedPluginComesBack(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	first := pidOf(t, r, "toy")
	proc, err := os.FindProcess(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	r.replaced("toy", first)
	if fault := r.pluginErrors("toy"); fault != "" {
		t.Errorf("errors after the recovery: %s", fault)
	}
}

func TestARefusedConfigIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, "refusing")
	r.start()
	eventually(t, "refused", func() bool {
		return strings.Contains(r.pluginErrors("refusing"), "it refused its config: cannot log in")
	})
	if err := r.c.Post(t.Context(), "plugins/refusing/params/some%2Fpassword", "hunter22", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the secret masked", func() bool { return strings.Contains(r.pluginErrors("refusing"), "log in with "+model.Masked) })
	r.put("accept", "")
	r.ready("refusing")
}

// Other params are taken at once, however long a plugin that refused its params
// would have been left alone.
func TestOtherParamsAreTakenAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "refusing")
	r.build()
	r.e.timing.backoffMin, r.e.timing.backoffMax = time.Hour, time.Hour
	if err := r.e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.connect()
	t.Cleanup(r.stop)
	eventually(t, "refused", func() bool {
		return strings.Contains(r.pluginErrors("refusing"), "it refused its config: cannot log in")
	})
	r.put("accept", "")
	if err := r.c.Post(t.Context(), "plugins/refusing/params/some%2Fpassword", "hunter22", nil); err != nil {
		t.Fatal(err)
	}
	r.ready("refusing")
}

func TestConfigHasTheParamsInClear(t *testing.T) {
	t.Parallel()
	r := newRig(t, "needy")
	r.start()
	eventually(t, "param missed", func() bool { return strings.Contains(r.pluginErrors("needy"), "missing param needy/key") })
	if got := r.lines("config-needy"); got != nil {
		t.Fatalf("configured without its required param: %v", got)
	}
	if err := r.c.Post(t.Context(), "plugins/needy/params/needy%2Fkey", "k3y-value", nil); err != nil {
		t.Fatal(err)
	}
	r.ready("needy")
	if err := r.c.Post(t.Context(), "profiles/global/params/needy%2Fextra", 1.123456789012, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "configured again", func() bool { return len(r.lines("config-needy")) >= 2 })
	var got map[string]any
	if err := json.Unmarshal([]byte(r.lines("config-needy")[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got["Name"] != "needy" || got["needy/key"] != "k3y-value" {
		t.Errorf("config %v", got)
	}
	var shown model.Plugin
	if err := r.c.Get(t.Context(), "plugins/needy", &shown); err != nil || shown.Params["needy/key"] != model.Masked {
		t.Errorf("shown %v, %v", shown.Params, err)
	}
	if strings.Contains(r.log.String(), "k3y-value") {
		t.Error("the secret is in the log")
	}
}

// A plugin object may be made a moment after its provider's binary was copied.
func TestAPluginWaitsForABinaryThatIsNew(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.opts.ScanInterval = time.Hour
	r.start()
	validated := func(name string) bool {
		t.Helper()
		var p model.Plugin
		if err := r.c.Get(t.Context(), "plugins/"+name, &p); err != nil {
			t.Fatal(err)
		}
		if p.Available || !strings.Contains(strings.Join(p.PluginErrors, ""), "not loaded") {
			t.Errorf("plugin %+v", p)
		}
		return p.Validated
	}
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "toy", Provider: "toy"}, nil); err != nil {
		t.Fatal(err)
	}
	if !validated("toy") {
		t.Error("with no binary there is nothing to wait for")
	}
	r.install("toy", "toy")
	if validated("toy") {
		t.Error("the binary has not been looked at yet, and the plugin is called settled")
	}
	r.provider("toy", stateSettling)
}

func TestADeletedPluginObjectStops(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	first := pidOf(t, r, "toy")
	if err := r.c.Delete(t.Context(), "plugins/toy", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "stopped", func() bool { return currentPid(r, "toy") == 0 })
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "toy", Provider: "toy"}, nil); err != nil {
		t.Fatal(err)
	}
	if second := pidOf(t, r, "toy"); second == first {
		t.Error("the old process is still there")
	}
}

// A read may come before the supervisor has looked at a plugin that was made a
// moment ago.
func TestAReadOfANewPluginWaitsForIt(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.e.sup.close() // it looks no more
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "second", Provider: "toy"}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.e.sup.await(t.Context(), "second"); err != nil {
		t.Error(err)
	}
	_, err := r.e.sup.await(t.Context(), "none")
	wantError(t, err, model.Unreachable, "plugin none is not running")
}

func TestTwoPluginsOfOneProvider(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	if err := r.c.Post(t.Context(), "plugins", model.Plugin{Name: "toy-two", Provider: "toy"}, nil); err != nil {
		t.Fatal(err)
	}
	r.ready("toy-two")
	r.machine("m1", nil)
	_, err := r.act("m1", "poweron", nil)
	wantError(t, err, model.Conflict, "toy (has all it needs), toy-two (has all it needs)", "oob/driver")
	if err := r.c.Post(t.Context(), "machines/Name:m1/params/oob%2Fdriver", "toy-two", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Error(err)
	}
}

func TestPluginEnvironmentAndFolders(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	raw, err := os.ReadFile(filepath.Join("/proc", itoa(pidOf(t, r, "toy")), "environ"))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	env := "\x00" + string(raw)
	for _, want := range []string{
		"RS_ENDPOINT=https://" + r.e.Addr() + "\x00", "RS_TOKEN=", "RS_FILESERVER=https://" + r.e.Addr(),
		"RS_WEBROOT=" + filepath.Join(r.opts.DataDir, "webroot") + "\x00",
		"OOB_STATE_DIR=" + filepath.Join(r.opts.DataDir, "state", "toy") + "\x00", "OOB_LIFELINE=",
	} {
		if !strings.Contains(env, "\x00"+want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(env, r.e.token) {
		t.Error("the plugin has the admin's token")
	}
	for _, sub := range []string{"state/toy", "scratch/toy"} {
		info, err := os.Stat(filepath.Join(r.opts.DataDir, sub))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", sub, info, err)
		}
	}
}
