package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Params are the named values of an object or an action. Values come from JSON
// decoded with Decode, so numbers are json.Number.
type Params map[string]any

// Has reports whether the param is set to something other than null.
func (p Params) Has(name string) bool { return p[name] != nil }

// String returns a string param, def when it is unset, and an invalid error
// naming the param when it is something else.
func (p Params) String(name, def string) (string, error) {
	v, ok := p[name]
	if !ok || v == nil {
		return def, nil
	}
	switch s := v.(type) {
	case string:
		return s, nil
	case Secret:
		return string(s), nil
	}
	return "", wrongType(name, "a string", v)
}

// Int returns an integer param within [lo, hi], or def when it is unset.
func (p Params) Int(name string, def, lo, hi int64) (int64, error) {
	v, ok := p[name]
	if !ok || v == nil {
		return def, nil
	}
	n, ok := integer(v)
	if !ok {
		return 0, wrongType(name, "an integer", v)
	}
	if n < lo || n > hi {
		return 0, Errorf(Invalid, "param %s: %d is outside %d..%d", name, n, lo, hi)
	}
	return n, nil
}

// Bool returns a boolean param, or def when it is unset.
func (p Params) Bool(name string, def bool) (bool, error) {
	v, ok := p[name]
	if !ok || v == nil {
		return def, nil
	}
	b, ok := v.(bool)
	if !ok {
		return false, wrongType(name, "a boolean", v)
	}
	return b, nil
}

// Seconds returns a param that counts seconds, fractions allowed, within
// [0, limit], or def when it is unset.
func (p Params) Seconds(name string, def, limit time.Duration) (time.Duration, error) {
	v, ok := p[name]
	if !ok || v == nil {
		return def, nil
	}
	f, ok := float(v)
	if !ok {
		return 0, wrongType(name, "a number of seconds", v)
	}
	if !(f >= 0 && f <= limit.Seconds()) {
		return 0, Errorf(Invalid, "param %s: %v seconds is outside 0..%v", name, v, limit.Seconds())
	}
	return time.Duration(f * float64(time.Second)), nil
}

// Strings returns a param that is an array of strings, nil when it is unset.
func (p Params) Strings(name string) ([]string, error) {
	v, ok := p[name]
	if !ok || v == nil {
		return nil, nil
	}
	switch list := v.(type) {
	case []string:
		return list, nil
	case []any:
		out := make([]string, len(list))
		for i, e := range list {
			s, ok := e.(string)
			if !ok {
				return nil, wrongType(fmt.Sprintf("%s[%d]", name, i), "a string", e)
			}
			out[i] = s
		}
		return out, nil
	}
	return nil, wrongType(name, "an array of strings", v)
}

// Object decodes a structured param into out; an unset param leaves out alone.
func (p Params) Object(name string, out any) error {
	v, ok := p[name]
	if !ok || v == nil {
		return nil
	}
	raw, err := json.Marshal(reveal(v))
	if err == nil {
		err = decodeObject(raw, out)
	}
	if err != nil {
		return Errorf(Invalid, "param %s: %w", name, err)
	}
	return nil
}

// decodeObject decodes raw into out; numbers in untyped places keep their
// digits. The error names types and fields, never a value: it may be a secret.
func decodeObject(raw []byte, out any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err := dec.Decode(out)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		kind, _, _ := strings.Cut(wrong.Value, " ")
		return fmt.Errorf("field %q must be a %s, not a %s", wrong.Field, wrong.Type, kind)
	}
	return err
}

// reveal returns v with its Secrets as plain strings, which would else be
// encoded masked.
func reveal(v any) any {
	switch t := v.(type) {
	case Secret:
		return string(t)
	case Params:
		return reveal(map[string]any(t))
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, e := range t {
			out[k] = reveal(e)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			out[i] = reveal(e)
		}
		return out
	}
	return v
}

// integer reads every form an integer takes after JSON or Go code.
func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		// Past 2^53 neighbours have become one: which was meant is lost.
		if n != math.Trunc(n) || math.Abs(n) >= 1<<53 {
			return 0, false
		}
		return int64(n), true
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return i, true
		}
		f, err := n.Float64()
		if err != nil {
			return 0, false
		}
		return integer(f)
	}
	return 0, false
}

// float reads every form a number takes after JSON or Go code.
func float(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case json.Number:
		f, err := strconv.ParseFloat(n.String(), 64)
		return f, err == nil
	}
	return 0, false
}

// wrongType names the param and the type that came, never the value: it may be
// a secret.
func wrongType(name, want string, got any) *Error {
	return Errorf(Invalid, "param %s must be %s, not %s", name, want, typeName(got))
}

// typeName is the JSON name of a value's type.
func typeName(v any) string {
	switch v.(type) {
	case string, Secret:
		return "a string"
	case bool:
		return "a boolean"
	case int, int64, float64, json.Number:
		return "a number"
	case []any, []string:
		return "an array"
	case map[string]any, Params:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}
