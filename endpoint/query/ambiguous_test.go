package query

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAmbiguous(t *testing.T) {
	for raw, want := range map[string]string{
		``: "", `null`: "", `{}`: "", `[[],{},[{}]]`: "", `"x"`: "", `7`: "",
		`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}],"d":"a"}`:  "",
		`{"a":{"b":1},"b":"a","c":{}}`:                       "",
		`[1e308,-1.5e-9999,0.1,123456789012345678901234567]`: "",
		`["a","a"]`:                 "",
		`{"a":`:                     "", // no JSON
		`{"a":NaN}`:                 "",
		`{"a":1,"a":2}`:             `key "a" is there twice`,
		`{"a":1,"\u0061":2}`:        `key "a" is there twice`,
		`[{"x":{"a":[],"b":{},"a":`: `key "a" is there twice`,
		`{"a":1e999}`:               "a number is out of range",
		`[[-1e400]]`:                "a number is out of range",
		`1e999`:                     "a number is out of range",
		"{\"a\":\"\xff\"}":          "it is not UTF-8",
		"{\"a\xc0\":1}":             "it is not UTF-8",
		`{"` + strings.Repeat("x", 1000) + `":1,"` + strings.Repeat("x", 1000) + `":1}`: `key "` + strings.Repeat("x", 60) + `" is there twice`,
	} {
		got := ""
		if err := Ambiguous([]byte(raw)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%.60s: %q, want %q", raw, got, want)
		}
	}
}

// What is not ambiguous and is JSON can be decoded.
func FuzzAmbiguous(f *testing.F) {
	for _, seed := range []string{`{"a":[1e9,{"b":null}],"c":"d"}`, `[1e999]`, `{"a":1,"a":2}`, "\"\xff\"", `{}}`, `]`, `}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := Ambiguous(raw); err != nil || !json.Valid(raw) || Deeper(raw, 1000) {
			return
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	})
}
