package main

import (
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/model"
)

func TestEventText(t *testing.T) {
	tests := []struct {
		name         string
		e            model.Event
		what, detail string
	}{
		{"machine", model.Event{Type: "machines", Action: "create", Key: "u1", Object: map[string]any{"Name": "m1"}}, "m1", ""},
		{"power", model.Event{Type: "machines", Action: "power", Key: "u1", Object: map[string]any{"Name": "m1", "Was": "on", "Power": "off"}}, "m1", "on -> off"},
		{"power first seen", model.Event{Type: "machines", Action: "power", Key: "u1", Object: map[string]any{"Name": "m1", "Power": "off"}}, "m1", "unknown -> off"},
		{"run", model.Event{Type: "runs", Action: "create", Key: "r1", Object: map[string]any{"Name": "m1", "Command": "poweron", "State": "sent"}}, "m1", "poweron sent"},
		{"run done", model.Event{Type: "runs", Action: "update", Key: "r1", Object: map[string]any{
			"Name": "m1", "Command": "poweron", "State": "done", "Result": map[string]any{"power": "on", "outcome": "verified"}}}, "m1", "poweron done: on (verified)"},
		{"run failed", model.Event{Type: "runs", Action: "update", Key: "r1", Object: map[string]any{
			"Name": "m1", "Command": "poweron", "State": "failed", "Error": map[string]any{"Type": "busy", "Messages": []any{"m1: another runs"}}}}, "m1", "poweron failed: busy: another runs"},
		{"run of another form", model.Event{Type: "runs", Action: "update", Key: "r1", Object: []any{1}}, "r1", ""},
		{"fault", model.Event{Type: "plugins", Action: "fault", Key: "ipmi", Object: map[string]any{"Name": "ipmi", "Error": "it crashed"}}, "ipmi", "it crashed"},
		{"no object", model.Event{Type: "x", Action: "y", Key: "z"}, "z", ""},
		{"text object", model.Event{Type: "x", Action: "y", Key: "z", Object: "Name"}, "z", ""},
	}
	for _, tt := range tests {
		what, detail := eventText(&tt.e)
		if what != tt.what || detail != tt.detail {
			t.Errorf("%s: got %q, %q; want %q, %q", tt.name, what, detail, tt.what, tt.detail)
		}
	}
}

func TestNewProvider(t *testing.T) {
	meta := func(state, text string) model.MetaData {
		return model.MetaData{Meta: map[string]string{metaState: state, metaError: text}}
	}
	plugin := func(name, provider string, available bool, faults ...string) model.Plugin {
		p := model.Plugin{Name: name, Provider: provider, PluginErrors: faults}
		p.Available = available
		return p
	}
	tests := []struct {
		name    string
		def     model.PluginProvider
		plugins []model.Plugin
		state   string
		errors  string
	}{
		{"ready", model.PluginProvider{Name: "a"}, []model.Plugin{plugin("a", "a", true)}, "ready", ""},
		{"not ready", model.PluginProvider{Name: "a", MetaData: meta("loaded", "")}, []model.Plugin{plugin("a", "a", false, "bad params")}, "not ready", "bad params"},
		{"one of two", model.PluginProvider{Name: "a"}, []model.Plugin{plugin("a", "a", true), plugin("b", "a", false, "crashed")}, "ready", "plugin b: crashed"},
		{"of another provider", model.PluginProvider{Name: "a"}, []model.Plugin{plugin("b", "b", true)}, "loaded", "not in use; `oob plugin add a` starts it"},
		{"failed", model.PluginProvider{Name: "a", MetaData: meta("failed", "exit status 3")}, nil, "failed", "exit status 3"},
		{"settling", model.PluginProvider{Name: "a", MetaData: meta("settling", "")}, nil, "settling", ""},
	}
	for _, tt := range tests {
		p := newProvider(tt.def, tt.plugins)
		if p.State != tt.state || strings.Join(p.Errors, "; ") != tt.errors {
			t.Errorf("%s: got %s, %q; want %s, %q", tt.name, p.State, p.Errors, tt.state, tt.errors)
		}
	}
}

func TestColumnsOf(t *testing.T) {
	p := &model.PluginProvider{Name: "a"}
	if columns, err := columnsOf(p); err != nil || columns != nil {
		t.Errorf("without columns: %v, %v", columns, err)
	}
	p.Meta = map[string]string{model.MetaColumns: `{"address":"a/address"}`}
	if columns, err := columnsOf(p); err != nil || columns["address"] != "a/address" {
		t.Errorf("got %v, %v", columns, err)
	}
	p.Meta[model.MetaColumns] = `[`
	if _, err := columnsOf(p); model.KindOf(err) != model.Internal {
		t.Errorf("columns that are no JSON: %v", err)
	}
}

func TestRunTexts(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &model.Run{Name: "m1", Sent: at, Ended: at.Add(1500 * time.Millisecond)}
	if got := took(r); got != "1.5s" {
		t.Errorf("took %s", got)
	}
	if got := took(&model.Run{Sent: at}); got != "" {
		t.Errorf("a run that has not ended took %s", got)
	}
	if got := outcomeOf(r); got != "" {
		t.Errorf("a run without an outcome has %q", got)
	}
	r.Error = model.Errorf(model.Unreachable, "m1: never sent")
	if got := outcomeOf(r); got != "unreachable: never sent" {
		t.Errorf("got %q", got)
	}
}

func TestValueText(t *testing.T) {
	for want, value := range map[string]any{
		"text": "text", `""`: "", "5": 5, "true": true, "null": nil, `["a",1]`: []any{"a", 1}, `{"a":1}`: map[string]any{"a": 1},
	} {
		if got := valueText(value); got != want {
			t.Errorf("valueText(%v) = %s, want %s", value, got, want)
		}
	}
	if got := valueText(func() {}); got == "" {
		t.Error("what JSON cannot express is empty")
	}
}

func TestParamRowsMaskSecrets(t *testing.T) {
	rows := paramRows(model.Params{"b/password": "hunter2", "a/n": 1}, "  ")
	if len(rows) != 2 || rows[0][0] != "  a/n" || rows[1][1] != model.Masked {
		t.Errorf("got %q", rows)
	}
}

func TestParamFlags(t *testing.T) {
	tests := []struct {
		name  string
		flags paramFlags
		stdin string
		want  string // the params, or what the error says
		code  int
	}{
		{"none", paramFlags{}, "", `{}`, 0},
		{"typed", paramFlags{values: []string{"a/n=5", "a/text=5", "a/x=[1]"}}, "", `{"a/n":5,"a/text":"5","a/x":[1]}`, 0},
		{"equals in the value", paramFlags{values: []string{"a/text=b=c"}}, "", `{"a/text":"b=c"}`, 0},
		{"secret from stdin", paramFlags{files: []string{"a/hidden=-"}}, "123\n", `{"a/hidden":"123"}`, 0},
		{"number from stdin", paramFlags{files: []string{"a/n=-"}}, "123\n", `{"a/n":123}`, 0},
		{"secret on the command line", paramFlags{values: []string{"a/hidden=hunter2"}}, "", "param a/hidden is secret", 2},
		{"secret by its name", paramFlags{values: []string{"other/token=hunter2"}}, "", "param other/token is secret", 2},
		{"no value", paramFlags{values: []string{"a/n"}}, "", `is not k=v`, 2},
		{"no name", paramFlags{values: []string{"=5"}}, "", `is not k=v`, 2},
		{"no file", paramFlags{files: []string{"a/n="}}, "", "param a/n: no file is named", 2},
		{"file that is not there", paramFlags{files: []string{"a/n=/does/not/exist"}}, "", "param a/n: cannot read the secret", 2},
		{"nothing on stdin", paramFlags{files: []string{"a/n=-"}}, "", "cannot read the secret from stdin: it is empty", 2},
		{"twice", paramFlags{values: []string{"a/n=5"}, files: []string{"a/n=-"}}, "6", "param a/n is given twice", 2},
	}
	_, a := startIn(t, map[string]string{"params.json": `[
		{"Name": "a/text", "Schema": {"type": "string"}}, {"Name": "a/hidden", "Secure": true}]`})
	for _, tt := range tests {
		a.stdin = strings.NewReader(tt.stdin)
		c, err := a.connect()
		if err != nil {
			t.Fatal(err)
		}
		params, err := tt.flags.read(t.Context(), a, c)
		c.Close()
		raw, encodeErr := model.Marshal(params)
		got := string(raw)
		if err != nil {
			got = err.Error()
		}
		if exitCode(err) != tt.code || encodeErr != nil || !strings.Contains(got, tt.want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: got %s, exit code %d; want %s", tt.name, got, exitCode(err), tt.want)
		}
	}
}
