package endpoint

import (
	"fmt"
	"slices"
	"testing"

	"provision-plugins/shared/model"
)

func TestPreferences(t *testing.T) {
	t.Parallel()
	r := start(t)
	var prefs map[string]string
	r.want(200, "GET", "/prefs", "", &prefs)
	if fmt.Sprint(prefs) != fmt.Sprint(prefDefaults) {
		t.Errorf("prefs %v", prefs)
	}
	for _, value := range []string{"10", "20"} {
		r.want(200, "POST", "/prefs", `{"unknownTokenTimeout":"`+value+`"}`, &prefs)
		if prefs["unknownTokenTimeout"] != value || prefs["defaultStage"] != "none" {
			t.Errorf("prefs %v", prefs)
		}
	}
	r.want(400, "POST", "/prefs", `{"defaultStage":"z","noSuchPref":"x"}`, nil)
	r.want(400, "POST", "/prefs", `{"defaultStage":7}`, nil)
	for _, body := range []string{
		`{"defaultStage":"z"}`, `{"defaultBootEnv":"z"}`, `{"defaultWorkflow":"z"}`, `{"logLevel":"loud"}`, `{"debugPlugins":""}`,
	} {
		r.want(422, "POST", "/prefs", body, nil)
	}
	r.want(200, "GET", "/prefs", "", &prefs)
	if prefs["defaultStage"] != "none" || prefs["logLevel"] != "info" {
		t.Errorf("a part of a refused request was kept: %v", prefs)
	}
	r.want(200, "DELETE", "/prefs/unknownTokenTimeout", "", nil)
	r.want(200, "GET", "/prefs", "", &prefs)
	if prefs["unknownTokenTimeout"] != "600" {
		t.Errorf("after it was deleted: %v", prefs)
	}
}

// What a new machine's maker leaves open is as the preferences say; what stands
// in the request stays.
func TestPreferencesOfNewMachines(t *testing.T) {
	t.Parallel()
	r := start(t)
	for path, name := range map[string]string{"stages": "ready", "bootenvs": "sledge", "workflows": "discover"} {
		r.want(201, "POST", "/"+path, `{"Name":"`+name+`"}`, nil)
	}
	r.want(201, "POST", "/workflows", `{"Name":"own"}`, nil)
	r.want(200, "POST", "/prefs", `{"defaultStage":"ready","defaultBootEnv":"sledge","defaultWorkflow":"discover"}`, nil)
	for body, want := range map[string]string{
		`{"Name":"m1"}`: "ready sledge discover",
		`{"Name":"m2","Stage":"","BootEnv":"","Workflow":""}`:             "ready sledge discover",
		`{"Name":"m3","Stage":"none","BootEnv":"local","Workflow":"own"}`: "none local own",
	} {
		var m model.Machine
		r.want(201, "POST", "/machines", body, &m)
		if got := m.Stage + " " + m.BootEnv + " " + m.Workflow; got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	var m model.Machine
	r.want(200, "PUT", "/machines/Name:m1", `{"Name":"m1"}`, &m)
	if m.Stage != "none" || m.Workflow != "" {
		t.Errorf("a machine that is not new became %s, %s", m.Stage, m.Workflow)
	}
	r.want(200, "DELETE", "/stages/ready", "", nil)
	r.want(422, "POST", "/machines", `{"Name":"m4"}`, nil)
}

// The kept log has the lines from its preference's level on, at once and after a
// restart.
func TestThePreferenceOfTheLog(t *testing.T) {
	t.Parallel()
	r := start(t)
	heard := func(text string) bool {
		return slices.ContainsFunc(r.e.ring.all(), func(l *model.Line) bool { return l.Message == text })
	}
	r.e.log.Debug("before")
	r.want(200, "POST", "/prefs", `{"logLevel":"debug"}`, nil)
	r.e.log.Debug("asked for")
	if heard("before") || !heard("asked for") {
		t.Errorf("before %t, asked for %t", heard("before"), heard("asked for"))
	}
	r.stop()
	r.start()
	r.e.log.Debug("still")
	r.want(200, "POST", "/prefs", `{"logLevel":"warn"}`, nil)
	r.e.log.Info("too little")
	r.want(200, "DELETE", "/prefs/logLevel", "", nil)
	r.e.log.Info("enough")
	if !heard("still") || heard("too little") || !heard("enough") {
		t.Errorf("still %t, too little %t, enough %t", heard("still"), heard("too little"), heard("enough"))
	}
}
