package model

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// golden reads a recorded body. The files hold what the reference sends, one
// line each: key order and nulls count.
func golden(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// at parses a time of the recordings.
func at(t *testing.T, s string) time.Time {
	t.Helper()
	tm, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

func TestWireGolden(t *testing.T) {
	machine := NewMachine("old-vm")
	machine.Validation = Validation{Errors: []string{}}
	machine.Stage, machine.BootEnv, machine.CurrentTask, machine.Runnable, machine.Pool, machine.PoolStatus = "", "", 0, false, "", ""
	machine.HardwareAddrs = []string{"08:00:27:aa:bb:cc"}
	machine.Params = Params{"machine-plugin": "virtualbox-ipmi", "virtualbox/id": "AAAAAAAA-0000-0000-0000-000000000001", "virtualbox/name": "old-vm"}
	for _, tc := range []struct {
		file string
		v    any
	}{
		{"error-ok.json", &Error{Code: 200}},
		{"error-double.json", &Error{Messages: []string{`{"Model":"plugin","Key":"ipmi","Type":"rpc","Messages":["dr-provision missing secure-param-upgrade"],"Code":500}`}, Code: 500}},
		{"error-mode.json", &Error{Model: "plugin", Key: "ipmi", Type: "rpc", Messages: []string{"Invalid mode: telnet"}, Code: 404}},
		{"error-method.json", &Error{Key: "/api-plugin/v4/action", Type: "GET", Code: 404}},
		{"machine.json", machine},
		{"line.json", &Line{Group: 2, Seq: 1, Time: at(t, "2026-11-20T09:49:35.220437988Z"), Service: "incrementer", Level: "info", File: "/src/plugin/plugin.go", Line: 408, Message: "Setting API session\n", Data: []any{}}},
		{"event.json", &Event{Time: at(t, "2021-09-01T10:00:00Z"), Type: "machines", Action: "create", Key: "9b2c2d5e-0a74-4b6b-a9a3-000000000001", Principal: "user:rocketskates",
			Object: json.RawMessage(`{"Name":"ev-vm","Uuid":"9b2c2d5e-0a74-4b6b-a9a3-000000000001","Params":{"machine-plugin":"virtualbox-ipmi"}}`)}},
		{"provider.json", &PluginProvider{MetaData: MetaData{Meta: map[string]string{}}, Name: "slack", Version: "v4.8.0-alpha00", PluginVersion: PluginVersion, HasPublish: true,
			RequiredParams: []string{"slack/bot-key"}, StoreObjects: map[string]any{}, Content: "meta:\n  Author: x\n"}},
		{"action.json", &Action{Model: json.RawMessage(`{"Name":"m1.local","Uuid":"3e7031fe-3062-45f1-835c-92541bc9cbd3","Params":{}}`), Plugin: "ipmi", Command: "powerstatus",
			Params: Params{"ipmi/mode": "ipmitool", "ipmi/port-ipmitool": 0}}},
		{"available-action.json", &AvailableAction{Provider: "incrementer", Model: "machines", Command: "reset_count", RequiredParams: []string{"incrementer/touched"}, OptionalParams: []string{}}},
		{"plugin.json", &Plugin{Validation: Validation{Available: true, Validated: true, Errors: []string{}}, MetaData: MetaData{Meta: map[string]string{}}, Name: "ipmi", Params: Params{}, Provider: "ipmi", PluginErrors: []string{}}},
		{"param.json", &Param{Name: "ipmi/mode", Secure: true, Schema: map[string]any{"type": "string"}}},
		{"profile.json", &Profile{Name: GlobalProfile}},
	} {
		raw, err := Marshal(tc.v)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(raw), golden(t, tc.file); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", tc.file, got, want)
		}
	}
}

// What was recorded comes back unchanged after a round through our structs.
func TestWireRoundTrip(t *testing.T) {
	for file, v := range map[string]any{
		"error-double.json": &Error{}, "machine.json": &Machine{}, "line.json": &Line{}, "event.json": &Event{}, "provider.json": &PluginProvider{},
		"action.json": &Action{}, "available-action.json": &AvailableAction{}, "plugin.json": &Plugin{}, "param.json": &Param{}, "profile.json": &Profile{},
	} {
		text := golden(t, file)
		if err := Unmarshal([]byte(text), v); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if json.Unmarshal(raw, &got) != nil || json.Unmarshal([]byte(text), &want) != nil {
			t.Fatal("cannot compare")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

// The reference reads field names whatever their case, and skips those it does
// not know.
func TestWireLeniency(t *testing.T) {
	var a Action
	if err := Unmarshal([]byte(`{"command":"poweron","PLUGIN":"ipmi","Novelty":{"a":1}}`), &a); err != nil || a.Command != "poweron" || a.Plugin != "ipmi" {
		t.Errorf("%+v, %v", a, err)
	}
}

// A new machine is what the reference makes of a name.
func TestNewMachine(t *testing.T) {
	m := NewMachine("m1")
	if m.Name != "m1" || m.Uuid != "" || m.BootEnv != "local" || m.Stage != "none" || !m.Runnable || m.CurrentTask != -1 || m.Arch != "amd64" || m.Pool != "default" || m.PoolStatus != "Free" {
		t.Errorf("got %+v", m)
	}
	raw, err := Marshal(m)
	if err != nil || strings.Contains(string(raw), "null") {
		t.Errorf("a new machine has nulls: %s, %v", raw, err)
	}
}

// Error and result of a run are left out until there is one.
func TestRunOmitsWhatIsNotThere(t *testing.T) {
	raw, err := Marshal(&Run{ID: "r1", State: RunQueued})
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{`"Result"`, `"Error"`, `"Released"`, `"Log"`} {
		if strings.Contains(string(raw), field) {
			t.Errorf("%s is in %s", field, raw)
		}
	}
	for state, want := range map[RunState]bool{RunQueued: false, RunSent: false, RunDone: true, RunFailed: true, RunUnknown: true} {
		if state.Terminal() != want {
			t.Errorf("%s: terminal is %v", state, !want)
		}
	}
}

// Fields of a result that do not apply are left out; a change that changed
// nothing says so.
func TestResult(t *testing.T) {
	no := false
	for want, r := range map[string]Result{
		`{"tookMs":0}`: {},
		`{"power":"on","raw":"Chassis Power is on","changed":false,"outcome":"verified","evidence":"state on at 0.1s","attempts":1,"tookMs":12,"driver":"ipmi"}`: {
			Power: StateOn, Raw: "Chassis Power is on", Changed: &no, Outcome: Verified, Evidence: "state on at 0.1s", Attempts: 1, TookMs: 12, Driver: "ipmi"},
		`{"boot":{"device":"pxe","persistent":false,"uefi":true,"valid":true},"tookMs":3}`: {Boot: &BootOverride{Device: BootPXE, UEFI: true, Valid: true}, TookMs: 3},
		`{"outcome":"accepted","tookMs":0,"run":"r1"}`:                                     {Outcome: Accepted, Run: "r1"},
	} {
		raw, err := Marshal(r)
		if err != nil || string(raw) != want {
			t.Errorf("got %s, %v, want %s", raw, err, want)
		}
	}
}
