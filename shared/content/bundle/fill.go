package bundle

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Problem is something wrong with a bundle, and where.
type Problem struct {
	// Section and Key name the object concerned; a Section alone is wrong as a
	// whole.
	Section, Key string
	// Field is the top-level field concerned, or "".
	Field string
	Text  string
}

// MetaSection is the Section of problems of the metadata.
const MetaSection = "meta"

// String renders the object and what is wrong with it.
func (p Problem) String() string {
	switch {
	case p.Key != "":
		return p.Section + "/" + p.Key + ": " + p.Text
	case p.Section != "":
		return p.Section + ": " + p.Text
	}
	return p.Text
}

// Complete checks an object's fields against its section's type and fills the
// missing ones, in place. With strict, fields that the type does not have are
// problems; else they are kept. Objects of unknown sections are left alone.
func Complete(section string, obj map[string]any, strict bool) []Problem {
	t, ok := TypeOf(section)
	if !ok {
		return nil
	}
	c := completer{strict: strict}
	c.fields("", t.Fields, obj)
	return c.problems
}

// completer walks one object.
type completer struct {
	strict   bool
	problems []Problem
}

// fields completes the fields of one object or sub-object at path.
func (c *completer) fields(path string, fields []Field, obj map[string]any) {
	known := make(map[string]bool, len(fields))
	for _, f := range fields {
		known[f.Name] = true
		v, set := obj[f.Name]
		if set && v != nil {
			c.value(join(path, f.Name), f, v)
			continue
		}
		delete(obj, f.Name)
		if !f.Optional {
			obj[f.Name] = zero(f)
		}
	}
	if !c.strict {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(obj)) {
		if !known[name] {
			c.problem(join(path, name), "unknown field%s", hint(name, fields))
		}
	}
}

// value checks one field's value.
func (c *completer) value(path string, f Field, v any) {
	switch f.Kind {
	case Text:
		is[string](c, path, v, "a string")
	case Flag:
		is[bool](c, path, v, "a boolean")
	case Texts:
		for i, e := range is[[]any](c, path, v, "an array of strings") {
			is[string](c, fmt.Sprintf("%s[%d]", path, i), e, "a string")
		}
	case TextMap:
		m := is[map[string]any](c, path, v, "an object of strings")
		for _, k := range slices.Sorted(maps.Keys(m)) {
			is[string](c, join(path, k), m[k], "a string")
		}
	case Values:
		is[map[string]any](c, path, v, "an object")
	case Struct, Structs:
		c.structs(path, f, v)
	}
}

// structs completes a sub-object, or each of an array of them.
func (c *completer) structs(path string, f Field, v any) {
	if f.Kind == Struct {
		if m := is[map[string]any](c, path, v, "an object"); m != nil {
			c.fields(path, f.Fields, m)
		}
		return
	}
	for i, e := range is[[]any](c, path, v, "an array of objects") {
		at := fmt.Sprintf("%s[%d]", path, i)
		if m := is[map[string]any](c, at, e, "an object"); m != nil {
			c.fields(at, f.Fields, m)
		}
	}
}

// problem notes what is wrong at path.
func (c *completer) problem(path, format string, args ...any) {
	top, _, _ := strings.Cut(path, ".")
	top, _, _ = strings.Cut(top, "[")
	c.problems = append(c.problems, Problem{Field: top, Text: path + ": " + fmt.Sprintf(format, args...)})
}

// is returns v as a T, or notes that it is not what it must be.
func is[T any](c *completer, path string, v any, want string) T {
	t, ok := v.(T)
	if !ok {
		c.problem(path, "must be %s, not %s", want, describe(v))
	}
	return t
}

// zero is the value the reference fills a missing field with.
func zero(f Field) any {
	switch f.Kind {
	case Text:
		return ""
	case Flag:
		return false
	case Texts, Structs:
		return []any{}
	case Struct:
		m := map[string]any{}
		for _, sub := range f.Fields {
			m[sub.Name] = zero(sub)
		}
		return m
	}
	return map[string]any{}
}

// describe names the JSON type of v, with the usual reason where YAML is the
// cause.
func describe(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean (YAML 1.1 reads y, yes, on, n, no and off so; quote them)"
	case json.Number, float64, int, int64:
		return "a number (quote it)"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return "null"
}

// hint points from an unknown field to the one that was probably meant.
func hint(name string, fields []Field) string {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return " (write it " + f.Name + ")"
		}
	}
	return ""
}

// join appends a field to a path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
