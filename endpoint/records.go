package endpoint

import (
	"encoding/json"
	"maps"
	"slices"

	"provision-plugins/shared/model"
)

// field is one field of a record: its name, and the value it has when nothing
// is said, whose type is the field's. A nil value takes anything.
type field struct {
	name string
	zero any
	// elem has the type of the elements of a list or a map; nil: any.
	elem any
	// hidden fields are kept and never shown.
	hidden bool
}

// The groups of fields that the reference's objects share.
var (
	groupValidation = []field{{name: "Validated", zero: false}, {name: "Available", zero: false}, {name: "Errors", zero: []any{}, elem: ""}}
	groupAccess     = []field{{name: "ReadOnly", zero: false}}
	groupMeta       = []field{{name: "Meta", zero: map[string]any{}, elem: ""}}
	groupOwned      = []field{{name: "Endpoint", zero: ""}}
	groupBundled    = []field{{name: "Bundle", zero: ""}}
	groupPartial    = []field{{name: "Partial", zero: false}}
	groupTexts      = texts("Description", "Documentation")
	// groupCommon is what every object of content has.
	groupCommon = join(groupValidation, groupAccess, groupMeta, groupOwned, groupBundled)
)

// texts are fields that hold a text each.
func texts(names ...string) []field { return alike("", names) }

// lists are fields that hold a list of texts each.
func lists(names ...string) []field { return listsOf("", names) }

// tables are fields that hold a list of objects each.
func tables(names ...string) []field { return listsOf(map[string]any{}, names) }

// listsOf makes fields with lists of elements of one type.
func listsOf(elem any, names []string) []field {
	out := alike([]any{}, names)
	for i := range out {
		out[i].elem = elem
	}
	return out
}

// flags are fields that are true or false.
func flags(names ...string) []field { return alike(false, names) }

// secrets are texts that are never shown.
func secrets(names ...string) []field {
	out := texts(names...)
	for i := range out {
		out[i].hidden = true
	}
	return out
}

// alike makes fields of one type.
func alike(zero any, names []string) []field {
	out := make([]field, len(names))
	for i, name := range names {
		out[i] = field{name: name, zero: zero}
	}
	return out
}

// join makes one list of several.
func join(groups ...[]field) []field {
	var out []field
	for _, g := range groups {
		out = append(out, g...)
	}
	return out
}

// shape is what the records of a kind hold, beside their key and their params.
type shape struct {
	keyField string
	fields   []field
	// params tells that the objects have params of their own.
	params bool
	// declared are fields of which a plugin provider says what they are like.
	declared map[string]declaredField
	// open records keep fields that the shape does not name: the types that
	// plugins bring along.
	open bool
}

// record is an object of a kind that is data.
type record struct {
	shape  *shape
	key    string
	params model.Params // nil if the shape has none
	values map[string]any
}

// newRecord makes an empty record.
func newRecord(s *shape) *record {
	r := &record{shape: s, values: map[string]any{}}
	if s.params {
		r.params = model.Params{}
	}
	return r
}

// UnmarshalJSON takes the fields of the shape; a field of another type than the
// shape's is refused, one that the shape does not name is dropped.
func (r *record) UnmarshalJSON(raw []byte) error {
	var in map[string]any
	if err := model.Unmarshal(raw, &in); err != nil {
		return err
	}
	if err := take(in, r.shape.keyField, &r.key); err != nil {
		return err
	}
	if r.shape.params {
		var params map[string]any
		if err := take(in, "Params", &params); err != nil {
			return err
		}
		r.params = orParams(params)
	}
	for _, f := range r.shape.fields {
		v, given := in[f.name]
		delete(in, f.name)
		switch {
		case !given:
		case v == nil:
			delete(r.values, f.name)
		case f.zero != nil && jsonType(v) != jsonType(f.zero):
			return model.Errorf(model.Invalid, "field %s must be %s, not %s", f.name, jsonType(f.zero), jsonType(v))
		default:
			r.values[f.name] = v
		}
	}
	if r.shape.open {
		maps.Copy(r.values, in)
	}
	return nil
}

// checkElements refuses lists and maps of what no client could decode: it would
// see none of the other objects of a list either.
func (r *record) checkElements() error {
	for _, f := range r.shape.fields {
		if f.elem == nil {
			continue
		}
		all, _ := r.values[f.name].([]any)
		if members, isMap := r.values[f.name].(map[string]any); isMap {
			all = slices.Collect(maps.Values(members))
		}
		for _, v := range all {
			if jsonType(v) != jsonType(f.elem) {
				return model.Errorf(model.Invalid, "each element of %s must be %s, not %s", f.name, jsonType(f.elem), jsonType(v))
			}
		}
	}
	return nil
}

// take moves one field of a decoded object to where it belongs.
func take[T any](in map[string]any, name string, to *T) error {
	v, given := in[name]
	delete(in, name)
	if !given || v == nil {
		return nil
	}
	t, ok := v.(T)
	if !ok {
		return model.Errorf(model.Invalid, "field %s must be %s, not %s", name, jsonType(*to), jsonType(v))
	}
	*to = t
	return nil
}

// MarshalJSON writes every field, those that were never set with their zero.
func (r *record) MarshalJSON() ([]byte, error) {
	out := maps.Clone(r.values)
	for _, f := range r.shape.fields {
		if _, set := out[f.name]; !set && !f.hidden {
			out[f.name] = f.zero
		}
	}
	out[r.shape.keyField] = r.key
	if r.shape.params {
		out["Params"] = orParams(r.params)
	}
	return model.Marshal(out)
}

// hide drops the fields that are never shown.
func (r *record) hide() {
	for _, f := range r.shape.fields {
		if f.hidden {
			delete(r.values, f.name)
		}
	}
}

// restore puts the hidden fields that a writer, who was not shown them, left
// out back to what they were.
func (r *record) restore(stored *record) {
	for _, f := range r.shape.fields {
		if was, kept := stored.values[f.name]; f.hidden && kept && r.values[f.name] == nil {
			r.values[f.name] = was
		}
	}
}

// text returns a field that holds a text.
func (r *record) text(name string) string {
	s, _ := r.values[name].(string)
	return s
}

// list returns a field that holds a list of texts.
func (r *record) list(name string) []string {
	all, _ := r.values[name].([]any)
	out := make([]string, 0, len(all))
	for _, v := range all {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// tidy sets what the endpoint and not the writer decides.
func (r *record) tidy() {
	for _, f := range r.shape.fields {
		switch f.name {
		case "Validated", "Available":
			r.values[f.name] = true
		case "Errors", "ReadOnly", "Bundle", "Partial":
			delete(r.values, f.name)
		}
	}
}

// jsonType names the JSON type of a decoded value.
func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	case json.Number, int:
		return "a number"
	}
	return "something else"
}
