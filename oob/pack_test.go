package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

// The content of the ipmi plugin is a layer of the endpoint that loads the plugin:
// its stages, tasks, templates, workflow and params are read by the API, and can be
// changed by nobody.
func TestPluginContentIsServed(t *testing.T) {
	t.Parallel()
	plugins := filepath.Join(shortDir(t), "plugins")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	buildPlugin(t, filepath.Join(plugins, "ipmi"))
	k := startKillRig(t, plugins, 1, time.Second)
	for path, want := range map[string]map[string]any{
		"stages/ipmi-configure":             {"Name": "ipmi-configure"},
		"stages/ipmi-install-cert":          {"Name": "ipmi-install-cert"},
		"stages/ipmi-inventory":             {"Name": "ipmi-inventory"},
		"tasks/ipmi-discover":               {"Name": "ipmi-discover"},
		"tasks/ipmi-install-cert-or-key":    {"Name": "ipmi-install-cert-or-key"},
		"templates/ipmi-configure.sh":       {"ID": "ipmi-configure.sh"},
		"workflows/discover-ipmi":           {"Name": "discover-ipmi"},
		"params/ipmi/configure/password":    {"Name": "ipmi/configure/password", "Secure": true},
		"params/ipmi/configure/certificate": {"Name": "ipmi/configure/certificate", "Secure": false},
	} {
		var got map[string]any
		if err := k.api.Get(t.Context(), path, &got); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		want["ReadOnly"], want["Bundle"] = true, "ipmi"
		for field, value := range want {
			if got[field] != value {
				t.Errorf("%s: %s is %v, want %v", path, field, got[field], value)
			}
		}
		if err := k.api.Delete(t.Context(), path, nil); model.KindOf(err) != model.Conflict {
			t.Errorf("DELETE %s: %v", path, err)
		}
	}
	var stage struct{ Tasks []string }
	if err := k.api.Get(t.Context(), "stages/ipmi-configure", &stage); err != nil || strings.Join(stage.Tasks, " ") != "ipmi-configure ipmi-run-commands" {
		t.Errorf("the tasks of ipmi-configure are %v, %v", stage.Tasks, err)
	}
	var template struct{ Contents string }
	if err := k.api.Get(t.Context(), "templates/ipmi-configure.sh", &template); err != nil || !strings.HasPrefix(template.Contents, "#!/usr/bin/env bash\n") {
		t.Errorf("the template begins %.40q, %v", template.Contents, err)
	}
}
