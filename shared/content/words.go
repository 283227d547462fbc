package content

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// words puts a validation error into the reference's words, one text for each
// thing that is wrong. Value is what was validated.
func words(e *jsonschema.ValidationError, value any) []string {
	if text := word(e, value); text != nil {
		at := strings.Join(e.InstanceLocation, ".")
		if at == "" {
			at = "(root)"
		}
		out := make([]string, len(text))
		for i, t := range text {
			out[i] = at + ": " + t
		}
		return out
	}
	var out []string
	for _, cause := range e.Causes {
		out = append(out, words(cause, value)...)
	}
	if len(out) == 0 {
		out = []string{"(root): Value does not match the schema"}
	}
	return out
}

// word is the text of one error, or nil for one that only groups others.
func word(e *jsonschema.ValidationError, value any) []string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		return one("Invalid type. Expected: %s, given: %s", expected(k.Want), given(k.Got, lookup(value, e.InstanceLocation)))
	case *kind.Enum:
		return one("Must be one of the following: %s", list(k.Want))
	case *kind.Required:
		return each("%s is required", k.Missing)
	case *kind.AdditionalProperties:
		return each("Additional property %s is not allowed", k.Properties)
	case *kind.Dependency:
		return each("Has a dependency on %s", k.Missing)
	case *kind.Pattern:
		return one("Does not match pattern '%s'", k.Want)
	case *kind.Format:
		return one("Does not match format '%s'", k.Want)
	case *kind.UniqueItems:
		return one("array items[%d,%d] must be unique", k.Duplicates[0], k.Duplicates[1])
	}
	if text := sizeWord(e.ErrorKind); text != nil {
		return text
	}
	return choiceWord(e.ErrorKind)
}

// sizeWord is the text of an error about a number, a length or a count.
func sizeWord(k jsonschema.ErrorKind) []string {
	switch k := k.(type) {
	case *kind.Minimum:
		return one("Must be greater than or equal to %s", number(k.Want))
	case *kind.ExclusiveMinimum:
		return one("Must be greater than %s", number(k.Want))
	case *kind.Maximum:
		return one("Must be less than or equal to %s", number(k.Want))
	case *kind.ExclusiveMaximum:
		return one("Must be less than %s", number(k.Want))
	case *kind.MultipleOf:
		return one("Must be a multiple of %s", number(k.Want))
	case *kind.MinLength:
		return one("String length must be greater than or equal to %d", k.Want)
	case *kind.MaxLength:
		return one("String length must be less than or equal to %d", k.Want)
	case *kind.MinItems:
		return one("Array must have at least %d items", k.Want)
	case *kind.MaxItems:
		return one("Array must have at most %d items", k.Want)
	case *kind.MinProperties:
		return one("Must have at least %d properties", k.Want)
	case *kind.MaxProperties:
		return one("Must have at most %d properties", k.Want)
	}
	return nil
}

// choiceWord is the text of an error about schemas in a schema.
func choiceWord(k jsonschema.ErrorKind) []string {
	switch k.(type) {
	case *kind.AnyOf:
		return one("Must validate at least one schema (anyOf)")
	case *kind.OneOf:
		return one("Must validate one and only one schema (oneOf)")
	case *kind.Not:
		return one("Must not validate the schema (not)")
	}
	return nil
}

// one is a single text.
func one(format string, args ...any) []string {
	return []string{fmt.Sprintf(format, args...)}
}

// each is one text for every name.
func each(format string, names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = fmt.Sprintf(format, name)
	}
	return out
}

// expected lists the types that a schema takes.
func expected(types []string) string {
	if len(types) == 1 {
		return types[0]
	}
	return "[" + strings.Join(types, ",") + "]"
}

// given is the type of a value; whole numbers are integers.
func given(got string, value any) string {
	if got != "number" {
		return got
	}
	if n, ok := new(big.Rat).SetString(fmt.Sprint(value)); ok && n.IsInt() {
		return "integer"
	}
	return got
}

// list writes the values of an enumeration, which are the schema's, not the
// caller's.
func list(values []any) string {
	out := make([]string, len(values))
	for i, v := range values {
		raw, err := json.Marshal(v)
		if err != nil {
			raw = fmt.Append(nil, v)
		}
		out[i] = string(raw)
	}
	return strings.Join(out, ", ")
}

// number writes a bound of a schema.
func number(n *big.Rat) string {
	if n.IsInt() {
		return n.Num().String()
	}
	f, _ := n.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// lookup finds the value at a location, nil if there is none.
func lookup(value any, location []string) any {
	for _, step := range location {
		switch t := value.(type) {
		case map[string]any:
			value = t[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(t) {
				return nil
			}
			value = t[i]
		default:
			return nil
		}
	}
	return value
}
