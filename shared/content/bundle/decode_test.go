package bundle

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		decode     func([]byte) (any, error)
		want       any
	}{
		{"yaml", "# c\n---\nName: ab\nNum: 12345678901234567\nF: 1.5\nL: [a, true]\n", DecodeYAML,
			map[string]any{"Name": "ab", "Num": json.Number("12345678901234567"), "F": json.Number("1.5"), "L": []any{"a", true}}},
		{"yaml date", "D: 2021-01-01\n", DecodeYAML, map[string]any{"D": "2021-01-01"}},
		{"yaml block", "D: |\n  a\n   --- b\n", DecodeYAML, map[string]any{"D": "a\n --- b\n"}},
		{"yaml alias", "A: &x [1]\nB: *x\n", DecodeYAML, map[string]any{"A": []any{json.Number("1")}, "B": []any{json.Number("1")}}},
		{"json", `{"N":123456789012345678901234567890}`, DecodeJSON, map[string]any{"N": json.Number("123456789012345678901234567890")}},
	} {
		got, err := tc.decode([]byte(tc.text))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		decode     func([]byte) (any, error)
		line       int
		want       string
	}{
		{"tab", "a: b\n\tc: d\n", DecodeYAML, 2, "found a tab character"},
		{"twice", "a: b\na: c\n", DecodeYAML, 2, `key "a" already set in map`},
		{"second document", "a: b\n---\nc: d\n", DecodeYAML, 2, "a second document begins"},
		{"second after marker", "--- {a: b}\n---\n", DecodeYAML, 2, "a second document begins"},
		{"latin1", "a: b\nc: caf\xe9\n", DecodeYAML, 2, "not UTF-8"},
		{"latin1 json", "{\n\n\"a\":\"caf\xe9\"}", DecodeJSON, 3, "not UTF-8"},
		{"json", "{\n\"a\": 1,\n}", DecodeJSON, 3, "invalid character '}'"},
		{"nan", "a: .nan\n", DecodeYAML, 0, "unsupported value"},
	} {
		_, err := tc.decode([]byte(tc.text))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if syntax.Line != tc.line || !strings.Contains(syntax.Text, tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q at line %d", tc.name, syntax, syntax.Line)
		}
	}
	for _, text := range []string{"", " \n", "# only a comment\n", "---\n", "null", "~"} {
		if _, err := DecodeYAML([]byte(text)); !errors.Is(err, ErrEmpty) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", " \n", "null"} {
		if _, err := DecodeJSON([]byte(text)); !errors.Is(err, ErrEmpty) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := DecodeJSON([]byte("{} {}")); err == nil {
		t.Error("two JSON values were taken")
	}
}

// A few bytes must not unfold into more than there is memory for.
func TestDecodeBombs(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+p+",", 10), ",") + "]\n"
	}
	if _, err := DecodeYAML([]byte(bomb)); err == nil {
		t.Error("an alias bomb was taken")
	}
	if _, err := DecodeYAML([]byte(strings.Repeat("[", 100000))); err == nil {
		t.Error("a very deep value was taken")
	}
	if _, err := DecodeJSON([]byte(strings.Repeat("[", 100000))); err == nil {
		t.Error("a very deep JSON value was taken")
	}
}
