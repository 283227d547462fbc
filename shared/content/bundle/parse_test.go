package bundle

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// small is a bundle as another program may send it.
const small = `
meta:
  Name: small
  Version: v1.0.0
  Novelty: x
sections:
  params:
    ab/cd:
      Name: ab/cd
      Secure: true
      Schema: {type: integer, default: 12345678901234567}
  freds:
    one: {Id: one, X: 1}
`

func TestParse(t *testing.T) {
	c, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if c.Meta.Name != "small" || c.Meta.Version != "v1.0.0" {
		t.Errorf("meta is %+v", c.Meta)
	}
	params, err := Params(c)
	if err != nil {
		t.Fatal(err)
	}
	p := params["ab/cd"]
	if p == nil || !p.Secure || p.Errors == nil || fmt.Sprint(p.Schema) != "map[default:12345678901234567 type:integer]" {
		t.Errorf("param is %+v", p)
	}
	if c.Sections["freds"]["one"]["Id"] != "one" {
		t.Errorf("freds are %v", c.Sections["freds"])
	}
}

// JSON and YAML of one bundle mean the same.
func TestParseJSON(t *testing.T) {
	c, err := Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := model.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, again) {
		t.Errorf("%+v became %+v", c, again)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", "cannot read bundle: empty"},
		{"text", "hello", "cannot parse JSON"},
		{"syntax", "meta:\n\tx", "cannot read bundle: line 2"},
		{"no name", "meta: {}", "meta: a bundle needs a name"},
		{"wrong section", "meta: {Name: ab}\nsections: {params: [1]}", "cannot parse JSON"},
		{"null object", "meta: {Name: ab}\nsections: {params: {cd: null}}", "params/cd: empty"},
		{"key", "meta: {Name: ab}\nsections: {params: {cd: {Name: ef}}}", `params/cd: is named "ef" inside`},
		{"name", "meta: {Name: ab}\nsections: {params: {c: {Name: c}}}", "params/c: name"},
		{"field", "meta: {Name: ab}\nsections: {params: {cd: {Name: cd, Secure: 1}}}", "params/cd: Secure: must be a boolean"},
	} {
		_, err := Parse([]byte(tc.text))
		var e *model.Error
		if !errors.As(err, &e) || e.Kind() != model.Invalid || !strings.HasPrefix(e.Messages[0], tc.want) && !strings.Contains(e.Text(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	if _, err := Parse(make([]byte, MaxSize+1)); model.KindOf(err) != model.Invalid {
		t.Errorf("too large: %v", err)
	}
}

func TestRefusalIsBounded(t *testing.T) {
	problems := make([]string, 3*maxProblems)
	err := Refusal(problems)
	if n := len(err.Messages); n != maxProblems+1 || err.Messages[maxProblems] != fmt.Sprintf("and %d more", 2*maxProblems) {
		t.Errorf("%d messages, the last %q", n, err.Messages[n-1])
	}
}

func TestParamsOfWrongForm(t *testing.T) {
	c := &model.Content{Sections: map[string]map[string]map[string]any{"params": {"ab": {"Name": 5}}}}
	if _, err := Params(c); model.KindOf(err) != model.Invalid {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{"meta":{"Name":"ab"},"sections":{"profiles":{"cd":{"Name":"cd","Params":{"x":[1e5,"\u2028é~"]}}}}}`))
	f.Add([]byte("meta: {Name: ab}\nsections: {params: {cd: {Name: cd, Description: \"a\\x7f\\tb\"}}}"))
	f.Add([]byte("meta: &a {Name: ab}\nx: *a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		c, err := Parse(data)
		if err != nil {
			return
		}
		var text, again strings.Builder
		if err := EncodeYAML(&text, c); err != nil {
			t.Fatal(err)
		}
		back, err := Parse([]byte(text.String()))
		if err != nil {
			t.Fatalf("%v in own output:\n%s", err, text.String())
		}
		if err := EncodeYAML(&again, back); err != nil {
			t.Fatal(err)
		}
		if text.String() != again.String() {
			t.Fatalf("not stable:\n%s\n%s", text.String(), again.String())
		}
	})
}
