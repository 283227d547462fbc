package content

import (
	"strings"
	"testing"
)

// Both readers find the same lines.
func TestPlaces(t *testing.T) {
	const yamlText = "# c\na: 1\nb:\n  c: [x,\n    y]\n  d: null\n? e\n: &f {g: h}\ni: *f\n\"j\": |\n  text\n"
	const jsonText = "\n{\"a\": 1,\n\"b\": {\n\"c\": [\"x\",\n\"y\"], \n\"d\": null},\n\"e\":\n{\"g\": \"h\"},\n\"i\":\n0, \"j\": \"text\"}\n"
	fromJSON, err := jsonPlaces([]byte(jsonText))
	if err != nil {
		t.Fatal(err)
	}
	fromYAML := yamlPlaces([]byte(yamlText))
	for _, tc := range []struct {
		path         string
		yaml, jsonAt int
	}{
		{"", 2, 2}, {"a", 2, 2}, {"b", 3, 3}, {"b c", 4, 4}, {"b d", 6, 6}, {"b x", 3, 3}, {"e", 7, 7}, {"e g", 8, 8}, {"i", 9, 9}, {"j", 10, 10}, {"k", 2, 2}, {"a b c", 2, 2},
	} {
		path := strings.Fields(tc.path)
		if got := fromYAML.at(path...); got != tc.yaml {
			t.Errorf("yaml %q: %d", tc.path, got)
		}
		if got := fromJSON.at(path...); got != tc.jsonAt {
			t.Errorf("json %q: %d", tc.path, got)
		}
	}
	var none *place
	if none.at("a") != 0 {
		t.Error("no places have a line")
	}
}

// The words of YAML 1.1, and what is left alone.
func TestTraps(t *testing.T) {
	for _, tc := range []struct{ section, text, want string }{
		{"params", "Name: ab\nSecure: yes\n", ""},
		{"stages", "Name: ab\nReboot: on\nRunnerWait: n\n", ""},
		{"params", "Name: ab\nSecure: 'yes'\n", ""},
		{"params", "Name: ab\nSchema: {default: true}\n", ""},
		{"params", "Name: ab\nMeta:\n  'on': 'off'\n  \"y\": \"n\"\n", ""},
		{"params", "Name: ab\nMeta:\n  only: once\n", ""},
		{"params", "Name: ab\nDocumentation: |\n  on: the way 0755\n", ""},
		{"params", "Name: ab\nMeta:\n  true: x\n", ""},
		{"params", "Name: ab\nSchema: {default: [0, 0x1f, -1, 1.5, 0.5, 1e3, 00:11, fe80::1, '1:30', \"0755\", 12:99]}\n", ""},
		{"params", "Name: ab\nSchema: {a: [{b: [off]}]}\n", "2: Schema.a[0].b[0]: off is read as false by YAML 1.1; quote it, or write false"},
		{"params", "Name: ab\nErrors:\n- Y\n", "3: Errors[0]: Y is read as true by YAML 1.1; quote it"},
		{"stages", "Name: ab\nReboot:\n- on\n", "3: Reboot[0]: on is read as true by YAML 1.1; quote it, or write true"},
		{"tasks", "Name: ab\nTemplates:\n- Name: run\n  Path: 0644\n", "4: Templates[0].Path: 0644 is read as 420 by YAML 1.1; quote it"},
		{"freds", "Id: ab\nX: -017\n", "2: X: -017 is read as -15 by YAML 1.1; quote it, or write -15"},
		{"freds", "Id: ab\nX: 190:20:30.15\n", "2: X: 190:20:30.15 is read as text here and as 685230.15 by other readers of YAML 1.1; quote it"},
		{"freds", "Id: ab\nX: [-1:00, 2]\n", "2: X[0]: -1:00 is read as text here and as -60 by other readers of YAML 1.1; quote it"},
		{"freds", "Id: ab\n1_0: x\n", "2: key 1_0 is read as 10 by YAML 1.1; quote it"},
		{"freds", "Id: ab\nX: -.INF\n", "2: X: -.INF is read as a number that JSON does not have by YAML 1.1; quote it"},
	} {
		var got []string
		for _, trap := range findTraps(tc.section, []byte(tc.text), yamlPlaces([]byte(tc.text))) {
			got = append(got, (&place{line: trap.line}).prefix()+trap.text)
		}
		if strings.Join(got, "/") != tc.want {
			t.Errorf("%q: %q, want %q", tc.text, got, tc.want)
		}
	}
}

// prefix is a line's number as messages have it.
func (p *place) prefix() string { return string(rune('0'+p.line)) + ": " }

// A reader of places never fails where the decoder does not.
func FuzzPlaces(f *testing.F) {
	f.Add([]byte("a: &x [1, yes, 0755]\nb: {c: *x, <<: {d: e}}\n"))
	f.Add([]byte("{\"a\": [1, {\"b\": null}], \"c\": \"d\"}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<14 {
			return
		}
		if v, root, err := decodeYAML(text); err == nil && (v == nil || root == nil) {
			t.Error("YAML: no places")
		}
		v, root, err := decodeJSON(text)
		if err != nil {
			return
		}
		if m, ok := v.(map[string]any); ok {
			for key := range m {
				if root.at(key) == 0 {
					t.Errorf("JSON: %q has no line", key)
				}
			}
		}
	})
}
