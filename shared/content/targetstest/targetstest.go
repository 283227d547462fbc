// Package targetstest holds a plugin's definition to the rule that a target comes
// with its own credential: what its params are, its tests say, and every param
// that looks as if it said where a credential goes must be accounted for.
package targetstest

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"testing"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// looksLikeTarget are the names of params that might say where a connection goes,
// or how it is protected.
var looksLikeTarget = regexp.MustCompile(`(?i)(^|[/_-])(addr|port|url|uri|host|server|endpoint|gateway|proxy|tls|ssl|insecure|certificate|verify)`)

// Check fails unless each credential of the definition's content has targets, and
// each param that looks like a target is one, for an action of any kind. Others are
// those that are none, each with the reason.
func Check(t testing.TB, def *model.PluginProvider, others map[string]string) {
	t.Helper()
	bundle, err := content.Parse([]byte(def.Content))
	if err != nil {
		t.Fatal(err)
	}
	params, err := content.Params(bundle)
	if err != nil {
		t.Fatal(err)
	}
	var table map[string][]string
	if text := def.Meta[model.MetaTargets]; text != "" {
		if err := json.Unmarshal([]byte(text), &table); err != nil {
			t.Fatal(err)
		}
	}
	known := map[string]bool{}
	for credential, targets := range table {
		known[credential] = true
		if params[credential] == nil || !params[credential].Secure {
			t.Errorf("%s: credential %s is no Secure param of the content", def.Name, credential)
		}
		for _, target := range targets {
			known[target] = true
			if params[target] == nil {
				t.Errorf("%s: target %s is no param of the content", def.Name, target)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(named(def, params))) {
		secret := params[name] != nil && params[name].Secure
		switch {
		case known[name] && others[name] != "":
			t.Errorf("%s: %s is in Meta[%q] and among the others", def.Name, name, model.MetaTargets)
		case !known[name] && others[name] == "" && (secret || looksLikeTarget.MatchString(name)):
			t.Errorf("%s: %s may be a credential or say where one goes: put it into Meta[%q], or say why it is neither", def.Name, name, model.MetaTargets)
		}
	}
}

// named are the params of the content, and those that the actions name.
func named(def *model.PluginProvider, params map[string]*model.Param) map[string]bool {
	out := map[string]bool{}
	for name := range params {
		out[name] = true
	}
	for _, a := range def.AvailableActions {
		for _, name := range slices.Concat(a.RequiredParams, a.OptionalParams) {
			out[name] = true
		}
	}
	return out
}
