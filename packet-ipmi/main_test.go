package main

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
	"provision-plugins/sim/packet"
)

// asPlugin makes the test binary the plugin.
const asPlugin = "PACKET_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// newDefinition is what define prints.
func newDefinition() *model.PluginProvider {
	return definition(driver.NewProvider(newDriver(), driver.Options{}))
}

// The definition has the reference's actions and those of the design, each for its
// objects and with its params.
func TestDefinition(t *testing.T) {
	def := newDefinition()
	if def.Name != name || def.PluginVersion != 4 || def.AutoStart || def.HasPublish {
		t.Errorf("defined %+v", def)
	}
	want := map[string]string{
		"poweron": "machines", "poweroff": "machines", "powercycle": "machines", "powerreset": "machines", "powersoft": "machines", "powerstatus": "machines",
		"status": "machines", "nextbootpxe": "machines", "nextbootdisk": "machines", "forcebootpxe": "machines", "forcebootdisk": "machines",
		"bootstatus": "machines", "updatepxe": "machines", "rescue": "machines", "reinstall": "machines", "events": "machines",
		"screenshot": "machines", "health": "machines", "console": "machines", "doctor": "machines", "getIdentity": "machines",
		"createVm": "plugins", "startVm": "plugins", "stopVm": "plugins", "destroyVm": "plugins",
	}
	for _, a := range def.AvailableActions {
		if want[a.Command] != a.Model || a.Provider != name {
			t.Errorf("defined %+v", a)
		}
		needs := map[string]string{"machines": paramUUID, "plugins": paramKey}[a.Model]
		if len(a.RequiredParams) == 0 || a.RequiredParams[0] != needs {
			t.Errorf("%s requires %v", a.Command, a.RequiredParams)
		}
		delete(want, a.Command)
	}
	if len(want) > 0 {
		t.Errorf("not defined: %v", want)
	}
	if !strings.Contains(def.Meta[model.MetaClasses], `"rescue":"once"`) {
		t.Errorf("meta %v", def.Meta)
	}
	for command, want := range map[string]time.Duration{"reinstall": 30 * time.Minute, "createVm": 5 * time.Minute, "stopVm": 5 * time.Minute, "rescue": time.Minute, "events": 15 * time.Second} {
		if got := model.ActionOf(command, def.Meta).Timeout; got != want {
			t.Errorf("%s takes %v, want %v", command, got, want)
		}
	}
}

// A soft shutdown is not there, and says so, and what there is; nothing is sent.
func TestPowerSoftIsUnsupported(t *testing.T) {
	t.Parallel()
	l := newLab(t, packet.Options{}, packet.Device{})
	i := newImpl(l.driver, l.provider, slog.New(slog.DiscardHandler))
	for _, params := range []model.Params{nil, {"oob/force-after": 1}, {"oob/wait": false}} {
		got, err := i.Action(t.Context(), &model.Action{
			Model: map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{paramUUID: l.id}}, Command: model.PowerSoft, Params: params,
		})
		if model.KindOf(err) != model.Unsupported || !strings.Contains(err.Error(), "no soft shutdown") || !strings.Contains(err.Error(), "poweroff") {
			t.Errorf("%v, %v", got, err)
		}
	}
	if n := l.sim.Requests(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if _, err := i.Action(t.Context(), nil); model.KindOf(err) != model.Invalid {
		t.Errorf("no action: %v", err)
	}
	got, err := i.Action(t.Context(), &model.Action{
		Model: map[string]any{"Name": "m1", "Uuid": "u1", "Params": map[string]any{paramUUID: l.id}}, Command: model.PowerStatus,
	})
	if err != nil || l.sim.Requests() == 0 {
		t.Errorf("another action: %v, %v", got, err)
	}
}

// What the definition names in params its content, or the suite's, declares.
func TestParamsAreDeclared(t *testing.T) {
	def := newDefinition()
	params := append(def.RequiredParams, def.OptionalParams...)
	for _, a := range def.AvailableActions {
		params = append(params, append(a.RequiredParams, a.OptionalParams...)...)
	}
	for _, param := range params {
		if !strings.HasPrefix(param, "oob/") && !strings.Contains(def.Content, "Name: "+param+"\n") {
			t.Errorf("content does not declare %s", param)
		}
	}
}

// Every param of a config is checked, and the error names it.
func TestConfigIsChecked(t *testing.T) {
	for param, wrong := range map[string]any{
		paramKey: 7, paramURL: true, paramProject: "x", paramImport: "yes", paramPrune: 1, paramSettle: "soon", paramPoll: -1, paramSync: 1e9, paramRate: 0, "Name": 7,
	} {
		_, err := parseConfig(model.Params{param: wrong})
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), param) {
			t.Errorf("%s=%v: %v", param, wrong, err)
		}
	}
	_, err := parseConfig(model.Params{paramURL: "http://metal.example/"})
	if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), "must be https") {
		t.Error(err)
	}
	c, err := parseConfig(model.Params{paramURL: " https://metal.example/v1 ", "Name": "rack"})
	if err != nil || c.url != "https://metal.example/v1/" || c.name != "rack" || c.poll != defaultPoll || c.rate != 20 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A plugin with a key and no address sends the key nowhere, and says that its default
// is closed.
func TestDefaultAddressIsClosed(t *testing.T) {
	d := newDriver()
	i := newImpl(d, driver.NewProvider(d, driver.Options{}), nil)
	for err, what := range map[error]string{
		i.Config(t.Context(), nil, model.Params{paramKey: goodKey}): "config",
		func() error {
			_, err := d.Open(t.Context(), &driver.Target{Params: model.Params{paramUUID: "x", paramKey: goodKey, paramURL: "http://127.0.0.1:1/"}})
			return err
		}(): "an action, whatever its params",
	} {
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), "2026-06-30") || !strings.Contains(err.Error(), "set "+paramURL) || strings.Contains(err.Error(), goodKey) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
