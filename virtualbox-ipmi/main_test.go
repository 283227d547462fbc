package main

import (
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// The definition lists every action, and each of them says plainly that it
// cannot be done yet.
func TestActionsAreDefinedAndUnsupported(t *testing.T) {
	def := definition()
	if def.Name != name || def.PluginVersion != 4 || def.AutoStart {
		t.Errorf("defined %+v", def)
	}
	if want := len(machineActions) + len(vmActions); len(def.AvailableActions) != want {
		t.Fatalf("%d actions, want %d", len(def.AvailableActions), want)
	}
	for _, a := range def.AvailableActions {
		_, err := provider{}.Action(t.Context(), &model.Action{Command: a.Command})
		if model.KindOf(err) != model.Unsupported || !strings.Contains(err.Error(), "cannot "+a.Command) {
			t.Errorf("%s: %v", a.Command, err)
		}
		if err := (provider{}).Config(t.Context(), nil, nil); err != nil {
			t.Error(err)
		}
	}
}

// What the definition promises in params its content declares.
func TestParamsAreDeclared(t *testing.T) {
	def := definition()
	for _, param := range append(def.RequiredParams, def.OptionalParams...) {
		if !strings.Contains(def.Content, "Name: "+param+"\n") {
			t.Errorf("content does not declare %s", param)
		}
	}
}
