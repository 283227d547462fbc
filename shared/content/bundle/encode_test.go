package bundle

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// parsed is Parse for tests.
func parsed(t *testing.T, text string) *model.Content {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// encoded runs an encoder into a string.
func encoded(t *testing.T, encode func(io.Writer, *model.Content) error, c *model.Content) string {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const smallYAML = `meta:
  Name: small
  Version: v1.0.0
sections:
  freds:
    one:
      Id: one
      X: 1
  params:
    ab/cd:
      Available: false
      Bundle: ""
      Description: ""
      Documentation: ""
      Endpoint: ""
      Errors: []
      Meta: {}
      Name: ab/cd
      ReadOnly: false
      Schema:
        default: 12345678901234567
        type: integer
      Secure: true
      Validated: false
`

func TestEncodeYAML(t *testing.T) {
	if got := encoded(t, EncodeYAML, parsed(t, small)); got != smallYAML {
		t.Errorf("got\n%s", got)
	}
}

func TestEncodeJSON(t *testing.T) {
	got := encoded(t, EncodeJSON, parsed(t, small))
	if strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, `{"meta":{"Name":"small","Version":"v1.0.0"},"sections":{"freds":`) {
		t.Errorf("got %s", got)
	}
	if yaml := encoded(t, EncodeYAML, parsed(t, got)); yaml != smallYAML {
		t.Errorf("came back as\n%s", yaml)
	}
}

// Past the line that marks it as generated, a Go file is what the reference
// writes, to the byte.
func TestEncodeGo(t *testing.T) {
	c := parsed(t, small)
	for _, tc := range []struct {
		names GoNames
		want  string
	}{
		{GoNames{}, "package main\n\nvar contentYamlString = "},
		{GoNames{Package: "content", Variable: "base"}, "package content\n\nvar base = "},
	} {
		got := encoded(t, func(w io.Writer, c *model.Content) error { return EncodeGo(w, c, tc.names) }, c)
		want := generatedLine + "\n\n" + tc.want + strconv.Quote(smallYAML) + "\n"
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", got, parser.ParseComments)
		if err != nil || !ast.IsGenerated(file) {
			t.Errorf("not a generated Go file: %v", err)
		}
	}
}

// Strings that YAML 1.1 or 1.2 would read as something else come back as they
// were.
func TestEncodeTraps(t *testing.T) {
	c := parsed(t, small)
	values := []any{
		"y", "Y", "yes", "no", "on", "off", "true", "null", "~", "", " ", "0755", "1:30", "1e3", ".nan", ".inf", "0x1f", "1_000", "2021-01-01", "<<", "=",
		"- a", "a: b", "#x", "a #b", "*a", "&a", "!x", "%x", "@x", "`x", "{{ .Param }}", "---", "...", "tab\there", "line\nline\n", "\n", "trailing ", "\x00", "\x7f", "\u0085", "\u2028", "\ufeff", "é", "😀", "\"q\"", "'q'", "\\n",
		strings.Repeat("long words ", 50), true, nil, "é\n  indented\n",
	}
	c.Sections["profiles"] = map[string]map[string]any{"pp": {"Name": "pp", "Params": map[string]any{"ab/cd": values}}}
	back := parsed(t, encoded(t, EncodeYAML, c))
	got, ok := back.Sections["profiles"]["pp"]["Params"].(map[string]any)["ab/cd"].([]any)
	if !ok || len(got) != len(values) {
		t.Fatalf("came back as %v", back.Sections["profiles"]["pp"])
	}
	for i, want := range values {
		if got[i] != want {
			t.Errorf("%q came back as %#v", want, got[i])
		}
	}
}

// failing is a writer that cannot write.
type failing struct{}

var errFull = errors.New("disk full")

func (failing) Write([]byte) (int, error) { return 0, errFull }

func TestEncodeErrors(t *testing.T) {
	broken := &model.Content{Meta: model.ContentMeta{Name: "nan"}, Sections: map[string]map[string]map[string]any{"freds": {"one": {"x": math.NaN()}}}}
	for name, encode := range map[string]func(io.Writer, *model.Content) error{
		"yaml": EncodeYAML, "json": EncodeJSON,
		"go": func(w io.Writer, c *model.Content) error { return EncodeGo(w, c, GoNames{}) },
	} {
		if err := encode(failing{}, parsed(t, small)); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
		if err := encode(io.Discard, broken); err == nil || !strings.Contains(err.Error(), "cannot encode bundle nan") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A key that YAML takes for a merge comes back as a key, and what looks like
// one inside a text stays as it is.
func TestEncodeMergeKey(t *testing.T) {
	c := parsed(t, small)
	for _, value := range []any{map[string]any{"x": "y"}, "z", nil} {
		want := map[string]any{"<<": value, "merge": "{\"<<\":", "merge0": []any{map[string]any{"<<": "merge:\n<<: merge0:\n"}}}
		c.Sections["profiles"] = map[string]map[string]any{"pp": {"Name": "pp", "Params": want}}
		if got := parsed(t, encoded(t, EncodeYAML, c)).Sections["profiles"]["pp"]["Params"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%v came back as %v", want, got)
		}
	}
}
