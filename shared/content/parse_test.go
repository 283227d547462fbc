package content_test

import (
	"errors"
	"strings"
	"testing"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// What a reference plugin brings refers to other layers and may have newer
// fields; both are taken. What cannot be used is refused.
func TestParse(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"from elsewhere", "meta: {Name: ab}\nsections: {tasks: {tk: {Name: tk, RequiredParams: [absent], Newer: 1}}}", ""},
		{"public secret", "meta: {Name: ab}\nsections: {params: {ab/pw: {Name: ab/pw, Secure: true, Schema: {type: string, default: x}}}}", ""},
		{"not a bundle", "x", "cannot read bundle"},
		{"schema", "meta: {Name: ab}\nsections: {params: {cd: {Name: cd, Schema: {type: text}}}}", "params/cd: Schema is not valid: type:"},
		{"default", "meta: {Name: ab}\nsections: {params: {cd: {Name: cd, Schema: {type: integer, default: x}}}}", "params/cd: Error in default value: (root): Invalid type. Expected: integer, given: string"},
		{"value", "meta: {Name: ab}\nsections: {params: {cd: {Name: cd, Schema: {type: integer}}}, profiles: {pp: {Name: pp, Params: {cd: x, free: 1}}}}",
			"profiles/pp: Params: Key 'cd': (root): Invalid type. Expected: integer, given: string"},
	} {
		c, err := content.Parse([]byte(tc.text))
		if tc.want == "" {
			if err != nil || content.Validate(c) != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		var e *model.Error
		if !errors.As(err, &e) || e.Kind() != model.Invalid || len(e.Messages) != 1 || !strings.HasPrefix(e.Messages[0], tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestValidate(t *testing.T) {
	c := &model.Content{}
	if err := content.Validate(c); err == nil || !strings.Contains(err.Error(), "a bundle needs a name") {
		t.Errorf("%v", err)
	}
	c.Meta.Name = "ab"
	c.Sections = map[string]map[string]map[string]any{"params": {"cd": {"Name": "cd", "Schema": map[string]any{"type": "integer", "default": "x"}}}}
	if err := content.Validate(c); err == nil || !strings.Contains(err.Error(), "Error in default value") {
		t.Errorf("%v", err)
	}
	c.Sections["params"]["cd"]["Schema"] = map[string]any{"type": "integer"}
	if err := content.Validate(c); err != nil {
		t.Errorf("%v", err)
	}
	params, err := content.Params(c)
	if err != nil || params["cd"].Meta == nil {
		t.Errorf("params are %v, %v", params, err)
	}
}
