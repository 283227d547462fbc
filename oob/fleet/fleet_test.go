package fleet

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"provision-plugins/shared/inventory"
	"provision-plugins/shared/model"
)

// rack is a machine with values of every kind.
func rack(name string) *model.Machine {
	m := model.NewMachine(name)
	m.Uuid = "00000000-0000-0000-0000-000000000001"
	m.Description = `12, "the first" of #1`
	m.Profiles = []string{"row1", "rack, two"}
	m.Params = model.Params{
		"oob/driver": "ipmi", "ipmi/address": "10.0.0.1", "ipmi/port": json.Number("623"),
		"text/number": "12", "text/word": "on", "text/octal": "007", "text/empty": "", "text/blank": "  a ", "text/json": `{"a":1}`,
		"text/lines": "one\ntwo\n", "text/return": "a\r\nb", "text/hash": "#1", "text/quote": `"a"`, "text/null": "null", "text/unicode": "Zürich \u2028",
		"number/big": json.Number("9007199254740993"), "number/half": json.Number("0.5"), "number/zero": json.Number("0"),
		"flag/yes": true, "flag/no": false, "unset": nil,
		"list": []any{json.Number("1"), "2", nil, []any{}}, "object": map[string]any{"a": map[string]any{}, "b": "x"},
		"ipmi/password": "0123456789", "my/token": `{"json"}`,
	}
	return m
}

// of is the file's machine of a machine.
func of(t *testing.T, m *model.Machine) Machine {
	t.Helper()
	out, hidden, err := Of(m)
	if err != nil || hidden != 0 {
		t.Fatalf("%d hidden, %v", hidden, err)
	}
	return out
}

// unchanged checks that a machine that was read is the one that was written.
func unchanged(t *testing.T, read Machine, m *model.Machine) {
	t.Helper()
	ops, what, err := read.Changes(m)
	if err != nil || len(ops) > 0 || len(what) > 0 {
		t.Errorf("would change %v by %+v, %v", what, ops, err)
	}
	made, err := read.New()
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := Of(made)
	if err != nil {
		t.Fatal(err)
	}
	if want := of(t, m).Params; !same(again.Params, want) {
		t.Errorf("a new one differs: %s", cmp.Diff(want, again.Params))
	}
}

func TestYAMLRoundTrip(t *testing.T) {
	m := rack("m1")
	m.Meta, m.HardwareAddrs, m.Runnable, m.Locked, m.Address = map[string]string{"color": "red"}, []string{"52:54:00:00:00:01"}, false, true, "10.1.0.1"
	m.Pool, m.Arch = "spare", "arm64"
	var text bytes.Buffer
	if err := WriteYAML(&text, []Machine{of(t, m), of(t, model.NewMachine("#2"))}); err != nil {
		t.Fatal(err)
	}
	list, err := ReadYAML(text.Bytes())
	if err != nil || len(list) != 2 {
		t.Fatalf("%v of\n%s", err, &text)
	}
	unchanged(t, list[0], m)
	unchanged(t, list[1], model.NewMachine("#2"))
	if made, err := list[0].New(); err != nil || made.Uuid != m.Uuid || made.Runnable || !made.Locked || made.Meta["color"] != "red" || made.Pool != "spare" {
		t.Errorf("made %+v, %v", made, err)
	}
	var again bytes.Buffer
	if err := WriteYAML(&again, list); err != nil || again.String() != text.String() {
		t.Errorf("written again as\n%s%v", &again, err)
	}
}

func TestCSVRoundTrip(t *testing.T) {
	m, other := rack("m1"), model.NewMachine("#2")
	delete(m.Params, "text/return")
	var text bytes.Buffer
	lost, err := WriteCSV(&text, []Machine{of(t, m), of(t, other)})
	if err != nil || len(lost) > 0 {
		t.Fatalf("%v, %v", lost, err)
	}
	rows, err := inventory.Read(strings.NewReader(text.String()), "", func(string) (inventory.Columns, error) { return nil, nil })
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v of\n%s", err, &text)
	}
	for i, want := range []*model.Machine{m, other} {
		read, err := OfRow(rows[i])
		if err != nil {
			t.Fatal(err)
		}
		if read.Line == 0 || read.Name != want.Name {
			t.Errorf("read %+v", read)
		}
		unchanged(t, read, want)
	}
}

func TestCSVTellsWhatItLeavesOut(t *testing.T) {
	m := rack("m1")
	m.Locked, m.Meta = true, map[string]string{"a": "b"}
	lost, err := WriteCSV(io.Discard, []Machine{of(t, m)})
	if err != nil || !slices.Equal(lost, []string{"Locked", "Meta"}) {
		t.Errorf("lost %v, %v", lost, err)
	}
}

func TestCSVRefuses(t *testing.T) {
	wide := model.Params{}
	for i := range maxColumns {
		wide["p/"+strings.Repeat("x", i+1)] = true
	}
	for name, tt := range map[string]struct {
		params model.Params
		want   string
	}{
		"a secret that is empty":   {model.Params{"a/token": ""}, "a cell cannot hold the value of a/token"},
		"a secret that is no text": {model.Params{"a/token": json.Number("1")}, "a cell cannot hold the value of a/token"},
		"a secret with a return":   {model.Params{"a/token": "a\rb"}, "a cell cannot hold the value of a/token"},
		"a column of that name":    {model.Params{"port": json.Number("1")}, "a column called port is not for a param of that name"},
		"a driver that is no text": {model.Params{"oob/driver": true}, "param oob/driver is no text"},
		"too many params":          {wide, "more than 252 different params"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := WriteCSV(io.Discard, []Machine{{Name: "m1", Params: tt.params}})
			if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "write YAML") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOfHidesNothing(t *testing.T) {
	m := model.NewMachine("m1")
	m.Params = model.Params{
		"a": model.Masked, "b": map[string]any{"Key": "k", "Nonce": "n", "Payload": "p"},
		"c": map[string]any{"Key": "k", "Nonce": "n", "Payload": json.Number("1")}, "d": map[string]any{"Key": "k"},
	}
	got, hidden, err := Of(m)
	if err != nil || hidden != 2 || len(got.Params) != 2 || len(got.Fields) != 0 {
		t.Errorf("%d hidden of %+v, %v", hidden, got, err)
	}
}

func TestChanges(t *testing.T) {
	now := rack("m1")
	file := Machine{Name: "m1", Fields: map[string]any{"Uuid": "other", "Description": "new", "Locked": false}, Params: model.Params{
		"ipmi/address": "10.0.0.2", "number/half": json.Number("0.50"), "number/big": json.Number("9007199254740992"), "fresh/one": "x",
	}}
	ops, what, err := file.Changes(now)
	if err != nil || !slices.Equal(what, []string{"description", "fresh/one", "ipmi/address", "number/big"}) {
		t.Errorf("changes %v, %v", what, err)
	}
	var paths []string
	for _, op := range ops {
		paths = append(paths, op.Op+" "+op.Path)
	}
	want := []string{"replace /Description", "add /Params/fresh~1one", "add /Params/ipmi~1address", "add /Params/number~1big"}
	if !slices.Equal(paths, want) {
		t.Errorf("ops %v", paths)
	}
}

func TestReadYAMLRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":         {"", "empty"},
		"no list":         {"Name: m1\n", "want a list under the key machines"},
		"more at the top": {"machines: []\nusers: []\n", "want a list under the key machines, and nothing else"},
		"text for one":    {"machines: [m1]\n", "entry 1: it is no machine"},
		"no name":         {"machines: [{Description: x}]\n", "entry 1: it has no Name"},
		"twice":           {"machines: [{Name: a}, {Name: b}, {Name: a}]\n", "entry 3: machine a is there twice"},
		"unknown field":   {"machines: [{Name: a, CurrentTask: 3}]\n", `entry 1: "CurrentTask" is not a field`},
		"params a list":   {"machines: [{Name: a, Params: []}]\n", `entry 1: "Params" is not a field of machines here, or of another type`},
		"wrong type":      {"machines: [{Name: a, Locked: maybe}]\n", "entry 1: machine a: "},
		"masked":          {"machines: [{Name: a, Params: {x/password: '******'}}]\n", "param x/password is masked"},
		"not YAML":        {"machines: [\n", "line 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := ReadYAML([]byte(tt.text))
			if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("read %v, %v", list, err)
			}
		})
	}
}

func TestOfRow(t *testing.T) {
	for name, tt := range map[string]struct {
		row  inventory.Row
		want string
	}{
		"driver twice": {inventory.Row{Name: "a", Driver: "x", Line: 2, Params: model.Params{"oob/driver": "y"}}, "line 2: param oob/driver is set"},
		"masked":       {inventory.Row{Name: "a", Line: 3, Params: model.Params{"p": model.Masked}}, "line 3: machine a: param p is masked"},
		"profiles":     {inventory.Row{Name: "a", Line: 4, Params: model.Params{"profiles": true}}, "line 4: machine a: "},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := OfRow(tt.row); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	m, err := OfRow(inventory.Row{Name: "a", Driver: "d", Params: model.Params{"profiles": "x, y", "description": json.Number("12")}})
	want := map[string]any{"Profiles": []any{"x", "y"}, "Description": "12"}
	if diff := cmp.Diff(want, m.Fields); err != nil || diff != "" || m.Params["oob/driver"] != "d" {
		t.Errorf("%v %v %s", err, m.Params, diff)
	}
}

func FuzzReadYAML(f *testing.F) {
	f.Add([]byte("machines: [{Name: a, Params: {x: 1, y: on}}]\n"))
	f.Add([]byte("machines:\n- Name: m\n  Meta: {a: b}\n  Runnable: false\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := ReadYAML(raw)
		if err != nil {
			return
		}
		var text bytes.Buffer
		if err := WriteYAML(&text, list); err != nil {
			t.Fatal(err)
		}
		again, err := ReadYAML(text.Bytes())
		if err != nil || len(again) != len(list) {
			t.Fatalf("%v of\n%s", err, &text)
		}
	})
}
