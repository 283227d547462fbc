package main

import (
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// of is a listed provider in a state.
func of(name, state, fault string) model.PluginProvider {
	meta := map[string]string{metaState: state, metaError: fault}
	return model.PluginProvider{Name: name, MetaData: model.MetaData{Meta: meta}}
}

func TestPickProvider(t *testing.T) {
	for name, tc := range map[string]struct {
		defs []model.PluginProvider
		kind model.Kind
		want string
	}{
		"loaded":             {[]model.PluginProvider{of("other", stateLoaded, ""), of("p", stateLoaded, "")}, "", ""},
		"reference endpoint": {[]model.PluginProvider{{Name: "p"}}, "", ""},
		"loaded and failed":  {[]model.PluginProvider{of("p", "failed", "exit 1"), of("p", stateLoaded, "")}, "", ""},
		"settling":           {[]model.PluginProvider{of("p", stateSettling, "")}, model.Busy, "being taken up"},
		"defining":           {[]model.PluginProvider{of("p", stateDefining, "")}, model.Busy, "being taken up"},
		"failed, settling":   {[]model.PluginProvider{of("p", stateSettling, ""), of("p", "failed", "exit 1")}, model.Busy, "being taken up"},
		"failed":             {[]model.PluginProvider{of("p", "failed", "exit 1")}, model.NotFound, "plugin provider p is failed: exit 1"},
		"absent":             {[]model.PluginProvider{of("other", stateLoaded, "")}, model.NotFound, "no plugin provider is called p"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := pickProvider(tc.defs, "p")
			if tc.want == "" {
				if err != nil || found == nil || found.Name != "p" || found.Meta[metaError] != "" {
					t.Errorf("picked %+v, %v", found, err)
				}
				return
			}
			if found != nil || model.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("picked %+v, %v; want %s: %s", found, err, tc.kind, tc.want)
			}
		})
	}
}
