package bundle

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decode is DecodeYAML of an object, for tests.
func decode(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := DecodeYAML([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

func TestCompleteFills(t *testing.T) {
	for _, tc := range []struct{ section, in, want string }{
		{"params", "Name: ipmi/mode", `{"Validated":false,"Available":false,"Errors":[],"ReadOnly":false,"Meta":{},"Endpoint":"","Bundle":"","Name":"ipmi/mode","Description":"","Documentation":"","Secure":false,"Schema":{}}`},
		{"profiles", "{Name: gold, Meta: null}", `{"Validated":false,"Available":false,"Errors":[],"ReadOnly":false,"Meta":{},"Endpoint":"","Bundle":"","Partial":false,"Name":"gold","Description":"","Documentation":"","Params":{},"Profiles":[]}`},
		{"templates", "ID: x.sh", `{"Validated":false,"Available":false,"Errors":[],"ReadOnly":false,"Meta":{},"Endpoint":"","Bundle":"","ID":"x.sh","Description":"","Contents":""}`},
		{"workflows", "Name: wf", `{"Validated":false,"Available":false,"Errors":[],"ReadOnly":false,"Meta":{},"Endpoint":"","Bundle":"","Name":"wf","Description":"","Documentation":"","Stages":[]}`},
		{"tasks", "{Name: tk, Templates: [{Name: a}]}", `{"Validated":false,"Available":false,"Errors":[],"ReadOnly":false,"Meta":{},"Endpoint":"","Bundle":"","Name":"tk","Description":"","Documentation":"","RequiredParams":[],"OptionalParams":[],"Prerequisites":[],
			"Templates":[{"Name":"a","Path":"","Link":"","ID":"","Contents":"","Meta":{}}]}`},
		{"stages", "{Name: st, RunnerWait: true}", `{"Validated":false,"Available":false,"Errors":[],"ReadOnly":false,"Meta":{},"Endpoint":"","Bundle":"","Partial":false,"Name":"st","Description":"","Documentation":"","Templates":[],"RequiredParams":[],
			"OptionalParams":[],"Params":{},"BootEnv":"","Tasks":[],"Profiles":[],"Reboot":false,"RunnerWait":true}`},
		{"bootenvs", "{Name: be, OS: {Name: local}}", `{"Validated":false,"Available":false,"Errors":[],"ReadOnly":false,"Meta":{},"Endpoint":"","Bundle":"","Name":"be","Description":"","Documentation":"","Templates":[],"Kernel":"","Initrds":[],"BootParams":"",
			"RequiredParams":[],"OptionalParams":[],"Loaders":{},"OnlyUnknown":false,"OS":{"Name":"local","Family":"","Codename":"","Version":"","IsoFile":"","IsoSha256":"","IsoUrl":"","SupportedArchitectures":{}}}`},
		{"freds", "{Id: one, Whatever: [1]}", `{"Id":"one","Whatever":[1]}`},
	} {
		obj := decode(t, tc.in)
		if problems := Complete(tc.section, obj, true); len(problems) > 0 {
			t.Errorf("%s: %v", tc.section, problems)
		}
		raw, err := json.Marshal(obj)
		if err != nil {
			t.Fatal(err)
		}
		var got, want any
		if json.Unmarshal(raw, &got) != nil || json.Unmarshal([]byte(tc.want), &want) != nil {
			t.Fatal("cannot compare")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.section, diff)
		}
	}
}

func TestCompleteRefuses(t *testing.T) {
	for _, tc := range []struct{ section, in, field, want string }{
		{"params", "{Name: ab, Descr: x}", "Descr", "Descr: unknown field"},
		{"params", "{Name: ab, secure: true}", "secure", "secure: unknown field (write it Secure)"},
		{"params", "{Name: ab, Description: yes}", "Description", "Description: must be a string, not a boolean (YAML 1.1 reads"},
		{"params", "{Name: ab, Description: 010}", "Description", "Description: must be a string, not a number"},
		{"params", "{Name: ab, Secure: 'yes'}", "Secure", "Secure: must be a boolean, not a string"},
		{"params", "{Name: ab, Meta: [a]}", "Meta", "Meta: must be an object of strings, not an array"},
		{"params", "{Name: ab, Meta: {icon: on}}", "Meta", "Meta.icon: must be a string, not a boolean"},
		{"profiles", "{Name: ab, Params: [1]}", "Params", "Params: must be an object, not an array"},
		{"profiles", "{Name: ab, Profiles: x}", "Profiles", "Profiles: must be an array of strings, not a string"},
		{"stages", "{Name: ab, Tasks: [ok, off]}", "Tasks", "Tasks[1]: must be a string, not a boolean"},
		{"stages", "{Name: ab, Tasks: [{}]}", "Tasks", "Tasks[0]: must be a string, not an object"},
		{"tasks", "{Name: ab, Templates: [x]}", "Templates", "Templates[0]: must be an object, not a string"},
		{"tasks", "{Name: ab, Templates: [{Nome: x}]}", "Templates", "Templates[0].Nome: unknown field"},
		{"tasks", "{Name: ab, Templates: [null]}", "Templates", "Templates[0]: must be an object, not null"},
		{"bootenvs", "{Name: ab, OS: {Version: 7.3}}", "OS", "OS.Version: must be a string, not a number"},
		{"bootenvs", "{Name: ab, OS: x}", "OS", "OS: must be an object, not a string"},
	} {
		problems := Complete(tc.section, decode(t, tc.in), true)
		if len(problems) != 1 || problems[0].Field != tc.field || !strings.HasPrefix(problems[0].Text, tc.want) {
			t.Errorf("%s %s: %v, want %q", tc.section, tc.in, problems, tc.want)
		}
	}
}

// What comes from elsewhere may have fields that are newer than this software.
func TestCompleteKeepsUnknownFields(t *testing.T) {
	obj := decode(t, "{Name: ab, Novelty: 1}")
	if problems := Complete("tasks", obj, false); len(problems) > 0 {
		t.Fatal(problems)
	}
	if obj["Novelty"] != json.Number("1") {
		t.Errorf("Novelty is %v", obj["Novelty"])
	}
}
