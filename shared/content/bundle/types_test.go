package bundle

import (
	"reflect"
	"slices"
	"testing"

	"provision-plugins/shared/model"
)

// jsonFields lists the fields of a wire struct in order, embedded ones in place.
func jsonFields(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		if f.Anonymous {
			out = append(out, jsonFields(f.Type)...)
			continue
		}
		out = append(out, f.Name)
	}
	return out
}

// The objects that have a wire struct have the same fields in a bundle, in the
// same order.
func TestTypesMatchModel(t *testing.T) {
	for section, v := range map[string]any{"params": model.Param{}, "profiles": model.Profile{}} {
		typ, ok := TypeOf(section)
		if !ok {
			t.Fatalf("%s: no type", section)
		}
		var got []string
		for _, f := range typ.Fields {
			got = append(got, f.Name)
		}
		if want := jsonFields(reflect.TypeOf(v)); !slices.Equal(got, want) {
			t.Errorf("%s: fields are\n%v, in model\n%v", section, got, want)
		}
	}
}

// No type has a field twice, and each has the field its key is in.
func TestTypesAreSound(t *testing.T) {
	for _, typ := range types {
		seen := map[string]bool{}
		for _, f := range typ.Fields {
			if seen[f.Name] {
				t.Errorf("%s: field %s twice", typ.Section, f.Name)
			}
			seen[f.Name] = true
			if (f.Kind == Struct || f.Kind == Structs) != (f.Fields != nil) {
				t.Errorf("%s.%s: sub-fields do not fit its kind", typ.Section, f.Name)
			}
		}
		if !seen[typ.Key] {
			t.Errorf("%s: no field %s", typ.Section, typ.Key)
		}
	}
	if _, ok := TypeOf("freds"); ok {
		t.Error("freds has a type")
	}
}
