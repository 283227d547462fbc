package bundle

import (
	"io"
	"testing"

	"provision-plugins/shared/model"
)

func TestGoText(t *testing.T) {
	c := parsed(t, small)
	file := encoded(t, func(w io.Writer, c *model.Content) error { return EncodeGo(w, c, GoNames{}) }, c)
	for _, tc := range []struct {
		name, file, want string
		line             int
	}{
		{"ours", file, smallYAML, 5},
		{"the reference's", "package main\n\nvar contentYamlString = \"meta:\\n\"\n", "meta:\n", 3},
		{"raw string", "package main\nvar x = `a\nb`\n", "a\nb", 2},
		{"no newline at the end", "package main\nvar x = \"a = b\"", "a = b", 2},
	} {
		text, line, err := GoText([]byte(tc.file))
		if err != nil || string(text) != tc.want || line != tc.line {
			t.Errorf("%s: %q at %d, %v", tc.name, text, line, err)
		}
	}
}

func TestGoTextRefuses(t *testing.T) {
	const form = "not a generated bundle: package NAME, then var NAME = \"...\""
	for _, tc := range []struct{ file, want string }{
		{"", "line 1: it ends before the variable that holds the bundle"},
		{"// x\npackage main\n", "line 3: it ends before the variable that holds the bundle"},
		{"var x = \"a\"\n", "line 1: " + form},
		{"package main\n\nimport \"os\"\n", "line 3: " + form},
		{"package main\n\nvar x = 5\n", "line 3: the variable does not hold one string, the last thing in the file"},
		{"package main\nvar x = \"a\"\nvar y = \"b\"\n", "line 2: the variable does not hold one string, the last thing in the file"},
		{"package main\nvar x = \"a\n", "line 2: the variable does not hold one string, the last thing in the file"},
		{"package main\n// \xff\n", "line 2: not UTF-8"},
	} {
		if got, _, err := GoText([]byte(tc.file)); text(err) != tc.want {
			t.Errorf("%q: %q, %v, want %q", tc.file, got, err, tc.want)
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

func FuzzGoText(f *testing.F) {
	f.Add([]byte("// c\n\npackage main\n\nvar x = \"a\\n\"\n"))
	f.Add([]byte("package main\nvar x = `a`"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, line, err := GoText(data)
		if (err == nil) != (line > 0) || err != nil && text != nil {
			t.Errorf("%q at %d, %v", text, line, err)
		}
	})
}

// Whatever is decoded or refused, it is in one line and without a panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("a: [1, {b: c}]\n"))
	f.Add([]byte("a: &x 0755\nb: *x\n---\n"))
	f.Add([]byte("{\"a\":1e5}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		for _, decode := range []func([]byte) (any, error){DecodeYAML, DecodeJSON} {
			if v, err := decode(data); err == nil && v == nil {
				t.Error("neither a value nor an error")
			}
		}
	})
}
