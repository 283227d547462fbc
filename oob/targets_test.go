package main

import (
	"slices"
	"strings"
	"testing"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

func TestSelectionCheck(t *testing.T) {
	tests := []struct {
		s  selection
		ok bool
	}{
		{selection{args: []string{"m1"}, parallel: 1}, true},
		{selection{all: true, parallel: maxParallel}, true},
		{selection{filters: []string{"a=b"}, parallel: 1}, true},
		{selection{all: true, filters: []string{"a=b"}, parallel: 1}, true},
		{selection{parallel: 1}, false},
		{selection{args: []string{"m1"}, all: true, parallel: 1}, false},
		{selection{args: []string{"m1"}, filters: []string{"a=b"}, parallel: 1}, false},
		{selection{all: true, parallel: 0}, false},
		{selection{all: true, parallel: maxParallel + 1}, false},
	}
	for _, tt := range tests {
		if err := tt.s.check(); (err == nil) != tt.ok || err != nil && exitCode(err) != 2 {
			t.Errorf("%+v: %v", tt.s, err)
		}
	}
}

// What an action does not need of a machine is not asked for; what it does need is.
func TestBriefMachines(t *testing.T) {
	raw, err := model.Marshal(model.NewMachine("m1"))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := model.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	needed := []string{"Name", "Uuid", "Address", "Profiles", "Params", "Partial"}
	for field := range fields {
		if slices.Contains(briefWithout, field) == slices.Contains(needed, field) {
			t.Errorf("field %s is needed: %v, and left out: %v", field, slices.Contains(needed, field), slices.Contains(briefWithout, field))
		}
	}
	whole := model.NewMachine("m1")
	whole.Address, whole.Profiles = "192.0.2.1", []string{"p"}
	whole.Params = model.Params{"oob/driver": "ipmi", "oob/protected": true, "oob/timeout": 7, "machine-plugin": "x", "rack": 1}
	got := newMachine(whole)
	part := *whole
	part.Params = model.Params{}
	for _, name := range briefParams {
		part.Params[name] = whole.Params[name]
	}
	brief := newMachine(&part)
	if brief.driver != got.driver || brief.protected != got.protected || timeoutIn(brief.params) != timeoutIn(got.params) || timeoutIn(got.params) == 0 {
		t.Errorf("brief %+v, whole %+v", brief, got)
	}
}

func TestPick(t *testing.T) {
	machines := []machine{
		{name: "a1", uuid: "u1", profiles: []string{"rack", "lab"}},
		{name: "a2", uuid: "u2", profiles: []string{"rack"}},
		{name: "b", uuid: "u3"},
	}
	tests := []struct{ names, found, missing string }{
		{"b a1", "b a1", ""},
		{"a1 u1 @lab", "a1", ""},
		{"@rack b", "a1 a2 b", ""},
		{"x a1 @none y", "a1", "x @none y"},
		{"", "", ""},
	}
	for _, tt := range tests {
		found, missing := pick(machines, strings.Fields(tt.names))
		if strings.Join(namesOf(found), " ") != tt.found || strings.Join(missing, " ") != tt.missing {
			t.Errorf("pick(%s) = %v, missing %v", tt.names, namesOf(found), missing)
		}
	}
}

func TestNewMachine(t *testing.T) {
	tests := []struct {
		params    model.Params
		driver    string
		protected bool
	}{
		{nil, "", false},
		{model.Params{"machine-plugin": "ipmi"}, "ipmi", false},
		{model.Params{"machine-plugin": "ipmi", "oob/driver": "redfish", "oob/protected": true}, "redfish", true},
		{model.Params{"machine-plugin": 5, "oob/driver": true, "oob/protected": "yes"}, "", false},
	}
	for _, tt := range tests {
		m := newMachine(&model.Machine{Name: "m1", Params: tt.params})
		if m.driver != tt.driver || m.protected != tt.protected {
			t.Errorf("%v: got %+v", tt.params, m)
		}
	}
}

func TestMachineKey(t *testing.T) {
	for name, want := range map[string]string{
		"m1":                                   "Name:m1",
		"a b":                                  "Name:a b",
		"3E7031FE-3062-45f1-835c-92541bc9cbd3": "3E7031FE-3062-45f1-835c-92541bc9cbd3",
		"3e7031fe":                             "Name:3e7031fe",
	} {
		if got := machineKey(name); got != want {
			t.Errorf("machineKey(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestAddressOf(t *testing.T) {
	columns := map[string]inventory.Columns{
		"ipmi": {"address": "ipmi/address", "port": "ipmi/port"},
		"vbox": {"address": "vbox/host"},
	}
	tests := []struct {
		m    machine
		want string
	}{
		{machine{driver: "ipmi", params: model.Params{"ipmi/address": "10.0.0.1"}}, "10.0.0.1"},
		{machine{driver: "ipmi", params: model.Params{"ipmi/address": "10.0.0.1", "ipmi/port": 0}}, "10.0.0.1"},
		{machine{driver: "ipmi", params: model.Params{"ipmi/address": "fd00::1", "ipmi/port": 6230}}, "[fd00::1]:6230"},
		{machine{driver: "ipmi", params: model.Params{"ipmi/address": 5}}, ""},
		{machine{driver: "ipmi", params: model.Params{"ipmi/address": "h", "ipmi/port": "x"}}, "h"},
		{machine{driver: "ipmi", params: model.Params{"vbox/host": "hyper", "ipmi/address": "h"}}, "h"},
		{machine{params: model.Params{"vbox/host": "hyper"}}, "hyper"},
		{machine{params: model.Params{"vbox/host": "hyper", "ipmi/address": "h"}, address: "given"}, "given"},
		{machine{driver: "other", address: "given"}, "given"},
	}
	for _, tt := range tests {
		if got := addressOf(tt.m, columns); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.m, got, tt.want)
		}
	}
}

func TestParamOps(t *testing.T) {
	ops, err := paramOps(model.Params{"b": 1}, model.Params{"c/d~e": 2, "a": nil}, []string{"b"})
	var paths []string
	for _, op := range ops {
		paths = append(paths, op.Op+" "+op.Path)
	}
	if err != nil || !slices.Equal(paths, []string{"add /Params/a", "remove /Params/b", "add /Params/c~1d~0e"}) {
		t.Errorf("got %v, %v", paths, err)
	}
	if _, err := paramOps(nil, nil, []string{"b"}); model.KindOf(err) != model.NotFound {
		t.Errorf("unset of what is not set: %v", err)
	}
	if _, err := paramOps(model.Params{"b": 1}, model.Params{"b": 2}, []string{"b"}); model.KindOf(err) != model.Invalid {
		t.Errorf("set and unset: %v", err)
	}
}

func TestParseValue(t *testing.T) {
	text := &model.Param{Schema: map[string]any{"type": "string"}}
	number := &model.Param{Schema: map[string]any{"type": "integer"}}
	tests := []struct {
		decl *model.Param
		in   string
		want string
	}{
		{&model.Param{}, "5", "5"},
		{&model.Param{}, "true", "true"},
		{&model.Param{}, `[1,"a"]`, `[1,"a"]`},
		{&model.Param{}, "10.0.0.1", `"10.0.0.1"`},
		{&model.Param{}, "", `""`},
		{&model.Param{}, "  ", `"  "`},
		{&model.Param{}, "5 6", `"5 6"`},
		{&model.Param{Schema: "odd"}, "5", "5"},
		{text, "5", `"5"`},
		{text, "true", `"true"`},
		{number, "5", "5"},
		{number, "abc", `"abc"`},
		{number, "12345678901234567890", "12345678901234567890"},
	}
	for _, tt := range tests {
		got, err := model.Marshal(parseValue(tt.decl, tt.in))
		if err != nil || string(got) != tt.want {
			t.Errorf("parseValue(%v, %q) = %s, %v; want %s", tt.decl.Schema, tt.in, got, err, tt.want)
		}
	}
}

func TestSplitAssignments(t *testing.T) {
	targets, values := splitAssignments([]string{"m1", "a=b", "n[1-2]", "c/d="})
	if !slices.Equal(targets, []string{"m1", "n[1-2]"}) || !slices.Equal(values, []string{"a=b", "c/d="}) {
		t.Errorf("got %q, %q", targets, values)
	}
}
