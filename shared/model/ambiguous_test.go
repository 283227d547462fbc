package model

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// manyKeys begins an object with so many keys.
func manyKeys(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, `"k%d":1,`, i)
	}
	return out.String()
}

func TestAmbiguous(t *testing.T) {
	for raw, want := range map[string]string{
		``: "", `null`: "", `{}`: "", `[[],{},[{}]]`: "", `"x"`: "", `7`: "",
		`{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}],"d":"a"}`:  "",
		`{"a":{"b":1},"b":"a","c":{}}`:                       "",
		`[1e308,-1.5e-9999,0.1,123456789012345678901234567]`: "",
		`["a","a"]`:                              "",
		`{"a":`:                                  "", // no JSON
		`{"a":NaN}`:                              "",
		`{"a":1,"a":2}`:                          `key "a" is there twice`,
		`{"a":1,"\u0061":2}`:                     `key "a" is there twice`,
		`[{"x":{"a":[],"b":{},"a":`:              `key "a" is there twice`,
		`{"a":1e999}`:                            "a number is out of range",
		`[[-1e400]]`:                             "a number is out of range",
		`1e999`:                                  "a number is out of range",
		"[1," + strings.Repeat("9", 400) + "]":   "a number is out of range",
		"[1,0." + strings.Repeat("9", 400) + "]": "",
		`{"a\"b":1,"a\\":2,"a":3}`:               "",
		`{"a\"b":1,"a\"b":2}`:                    `key "a\"b" is there twice`,
		`["a:","a:",{"b":"b","c":"b"},["b"]]`:    "",
		"{" + manyKeys(100) + `"z":1}`:           "",
		"{" + manyKeys(100) + `"k7":1}`:          `key "k7" is there twice`,
		"{" + manyKeys(32) + `"k31":1}`:          `key "k31" is there twice`,
		"{" + manyKeys(40) + `"k39":1}`:          `key "k39" is there twice`,
		`{"a":{` + manyKeys(40) + `"x":1},"x":1,"k1":1,"k2":{"k1":1},"a":1}`: `key "a" is there twice`,
		"{\"a\":\"\xff\"}": "it is not UTF-8",
		"{\"a\xc0\":1}":    "it is not UTF-8",
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
	for _, seed := range []string{`{"a":[1e9,{"b":null}],"c":"d"}`, `[1e999]`, `{"a":1,"a":2}`, `{"a\u0062":-1.5E-3,"ab":[]}`, "\"\xff\"", `{}}`, `]`, `}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if err := Ambiguous(raw); err != nil || !json.Valid(raw) {
			return
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	})
}

// What is clear is decoded; anything else has one line.
func TestDecodeClear(t *testing.T) {
	for raw, want := range map[string]string{
		``: "", `{"a":1}`: "",
		`{"a":1,"a":2}`:    `cannot parse JSON: key "a" is there twice`,
		`{"a":1e999}`:      "cannot parse JSON: a number is out of range",
		"{\"a\":\"\xc3\"}": "cannot parse JSON: it is not UTF-8",
		`{"a":1}{}`:        "cannot parse JSON: more than one value",
		`{"a":`:            "cannot parse JSON: unexpected EOF",
		`{"a":"0123456789012345678901234567890"}`: "cannot read body: larger than 32 bytes",
		strings.Repeat("[", 20):                   "cannot parse JSON: unexpected EOF",
	} {
		v, got := map[string]any{}, ""
		if err := DecodeClear(strings.NewReader(raw), 32, &v); err != nil {
			got = AsError(err).Text()
			if KindOf(err) != Invalid {
				t.Errorf("%.60s: kind %s", raw, KindOf(err))
			}
		}
		if got != want {
			t.Errorf("%.60s: %q, want %q", raw, got, want)
		}
	}
}
