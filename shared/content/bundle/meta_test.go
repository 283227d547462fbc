package bundle

import (
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestMetaFields(t *testing.T) {
	if n := len(MetaFields()); n != 18 {
		t.Errorf("%d metadata fields, the reference has 18", n)
	}
	m := &model.ContentMeta{}
	for _, name := range MetaFields() {
		if !SetMeta(m, name, "value of "+name) {
			t.Errorf("%s: cannot be set", name)
		}
	}
	for _, name := range MetaFields() {
		if got := GetMeta(m, name); got != "value of "+name {
			t.Errorf("%s is %q", name, got)
		}
	}
	if SetMeta(m, "Writable", "true") || SetMeta(m, "name", "x") {
		t.Error("a field that has no file was set")
	}
	if got := GetMeta(m, "Nothing"); got != "" {
		t.Errorf("Nothing is %q", got)
	}
}

func TestCheckMeta(t *testing.T) {
	for _, tc := range []struct {
		meta model.ContentMeta
		want string
	}{
		{model.ContentMeta{Name: "ipmi"}, ""},
		{model.ContentMeta{Name: "packet-ipmi", Type: "plugin"}, ""},
		{model.ContentMeta{}, "a bundle needs a name"},
		{model.ContentMeta{Name: "a/b"}, "bundle name"},
		{model.ContentMeta{Name: strings.Repeat("a", 300)}, "bundle name"},
		{model.ContentMeta{Name: "ab", Type: "static"}, `type "static" is none of dynamic,`},
	} {
		problems := CheckMeta(&tc.meta)
		if tc.want == "" {
			if len(problems) > 0 {
				t.Errorf("%+v: %v", tc.meta, problems)
			}
			continue
		}
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Text, tc.want) {
			t.Errorf("%+v: %v, want %q", tc.meta, problems, tc.want)
		}
	}
}
