package bundle

import (
	"strings"
	"testing"
)

func TestCheckKeys(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"Name: ab\nMeta:\n  on: x\n", "line 3: key on is read as true by YAML 1.1; quote it"},
		{"Name: ab\nParams: {y: 1}\n", "line 2: key y is read as true by YAML 1.1; quote it"},
		{"Name: ab\nParams: {a: 1, No: 1}\n", "line 2: key No is read as false by YAML 1.1; quote it"},
		{"L:\n- a: b\n- off:\n    x\n", "line 3: key off is read as false by YAML 1.1; quote it"},
		{"Name: ab\nMeta:\n  'on': x\n", ""},
		{"Name: ab\nMeta:\n  \"true\": x\n", ""},
		{"Name: ab\nMeta:\n  only: x\n", ""},
		{"Name: ab\nDocumentation: |\n  on: the way\n", ""},
	} {
		v, err := DecodeYAML([]byte(tc.text))
		if err != nil {
			t.Fatal(err)
		}
		err = CheckKeys([]byte(tc.text), v)
		if got := text(err); got != tc.want {
			t.Errorf("%q: %q, want %q", strings.ReplaceAll(tc.text, "\n", "/"), got, tc.want)
		}
	}
}

// text is an error's text, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
