package endpoint

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// prefDefaults are the preferences that clients know, and what they are when
// nobody has set them. What new machines begin with and how much is logged
// depend on them; those of booting, of its agent and of other parts of the
// reference are only kept and shown.
var prefDefaults = map[string]string{
	"debugBootEnv": "warn", "debugDhcp": "warn", "debugFrontend": "warn", "debugPlugins": "warn", "debugRenderer": "warn",
	"defaultBootEnv": "local", "defaultStage": "none", "defaultWorkflow": "", "knownTokenTimeout": "3600", "logLevel": "info",
	"unknownBootEnv": "ignore", "unknownTokenTimeout": "600",
}

// pref is one stored preference.
type pref struct{ Name, Val string }

// The preferences of which something here depends.
const (
	prefStage    = "defaultStage"
	prefBootEnv  = "defaultBootEnv"
	prefWorkflow = "defaultWorkflow"
	prefLog      = "logLevel"
	prefPlugins  = "debugPlugins"
)

// prefReferences are the preferences that name an object.
var prefReferences = map[string]reference{
	prefStage: {prefix: "stages", word: "Stage"}, prefBootEnv: {prefix: "bootenvs", word: "BootEnv"}, prefWorkflow: {prefix: "workflows", word: "Workflow"},
}

// prefLevels are the values of preferences about logs, the least first.
var prefLevels = []string{"trace", "debug", "info", "warn", "error"}

// validatePref refuses a value that a preference cannot have.
func validatePref(p *record) error {
	isLevel := p.key == prefLog || strings.HasPrefix(p.key, "debug")
	if value := p.text("Val"); isLevel && !slices.Contains(prefLevels, value) {
		return refused("prefs", p.key, "Invalid level %.40q: want one of %s", value, strings.Join(prefLevels, ", "))
	}
	return nil
}

// pref returns a preference that somebody has set, else an empty text.
func (o *objects) pref(name string) string {
	found, err := o.store.Get("prefs", name)
	if err != nil {
		return ""
	}
	var p pref
	if err := model.Unmarshal(found.Value, &p); err != nil {
		return ""
	}
	return p.Val
}

// prefer gives a new machine what its maker left open.
func (o *objects) prefer(m *model.Machine) error {
	all, err := o.prefs()
	if err != nil {
		return err
	}
	setDefault(&m.Stage, all[prefStage])
	setDefault(&m.BootEnv, all[prefBootEnv])
	setDefault(&m.Workflow, all[prefWorkflow])
	return nil
}

// prefChanged has the log be kept as its preference says, from now on.
func (e *Endpoint) prefChanged() {
	e.ring.level.Set(logLevel(cmp.Or(e.objects.pref(prefLog), prefDefaults[prefLog])))
}

// prefs returns all preferences.
func (o *objects) prefs() (map[string]string, error) {
	out := maps.Clone(prefDefaults)
	for _, s := range o.store.Snapshot("prefs") {
		var p pref
		if err := model.Unmarshal(s.Value, &p); err != nil {
			return nil, err
		}
		out[p.Name] = p.Val
	}
	return out, nil
}

// getPrefs shows the preferences.
func (a *api) getPrefs(*http.Request) (*reply, error) {
	all, err := a.objects.prefs()
	return ok(all), err
}

// setPrefs sets some preferences and answers all.
func (a *api) setPrefs(r *http.Request) (*reply, error) {
	var given map[string]string
	if err := model.Unmarshal(body(r), &given); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(given))
	for _, name := range names {
		if _, known := prefDefaults[name]; !known {
			return nil, model.Errorf(model.Invalid, "Unknown Preference %s", name).On("prefs", name)
		}
	}
	for _, name := range names {
		if err := a.objects.setPref(r.Context(), pref{name, given[name]}); err != nil {
			return nil, err
		}
	}
	return a.getPrefs(r)
}

// setPref stores one preference.
func (o *objects) setPref(ctx context.Context, p pref) error {
	raw, err := model.Marshal(p)
	if err != nil {
		return err
	}
	k := o.kinds.get("prefs")
	_, err = o.modify(ctx, k, p.Name, func([]byte) ([]byte, error) { return raw, nil })
	if model.KindOf(err) != model.NotFound {
		return err
	}
	_, err = o.create(ctx, k, raw)
	return err
}
