package content

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"provision-plugins/shared/model"
)

// CheckValue checks a value against the param's JSON Schema (draft 4 unless it
// names another). The error says what is wrong in the reference's words, such
// as "(root): Invalid type. Expected: integer, given: string", and never holds
// the value. A param without a schema takes anything.
func CheckValue(p *model.Param, value any) error { return NewChecker(p).Check(value) }

// Checker checks values of one param. Its schema is compiled once, which costs
// some hundred times what a check does. It may be used by many goroutines.
type Checker struct {
	schema *jsonschema.Schema // nil takes anything
	err    error              // of the schema
}

// NewChecker makes a checker of the param as it is now.
func NewChecker(p *model.Param) *Checker {
	schema, err := compile(p)
	if err != nil {
		err = fmt.Errorf("param %s: %w", p.Name, err)
	}
	return &Checker{schema, err}
}

// Check is CheckValue for the checker's param.
func (c *Checker) Check(value any) error {
	if c.err != nil {
		return c.err
	}
	return check(c.schema, value)
}

// checkParam tells what is wrong with a param's schema, its default, or an
// enumerated value that its own schema refuses.
func checkParam(p *model.Param) error {
	schema, err := compile(p)
	if err != nil || schema == nil {
		return err
	}
	keywords, ok := p.Schema.(map[string]any)
	if !ok {
		return nil
	}
	if v, ok := keywords["default"]; ok {
		if err := check(schema, v); err != nil {
			return valueError("Error in default value: " + err.Error())
		}
	}
	values, ok := keywords["enum"].([]any)
	if !ok {
		return nil
	}
	for i, v := range values {
		if err := check(schema, v); err != nil {
			return valueError(fmt.Sprintf("Schema.enum[%d] can never be given: %v (YAML 1.1 reads y, yes, on, n, no and off as booleans; quote them)", i, err))
		}
	}
	return nil
}

// schemaURL names a param's schema to the compiler.
const schemaURL = "param:///schema"

// valueError is a text in the reference's words.
type valueError string

// Error returns the text.
func (e valueError) Error() string { return string(e) }

// compile compiles a param's schema; nil stands for a schema that is not set.
// Nothing is fetched: a schema may refer to its own parts only.
func compile(p *model.Param) (*jsonschema.Schema, error) {
	if p.Schema == nil {
		return nil, nil
	}
	doc, err := plain(p.Schema)
	if err != nil {
		return nil, fmt.Errorf("cannot read Schema: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	c.UseLoader(jsonschema.SchemeURLLoader{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, schemaError(err, doc)
	}
	schema, err := c.Compile(schemaURL)
	if err != nil {
		return nil, schemaError(err, doc)
	}
	return schema, nil
}

// schemaError says in one line why a schema does not compile.
func schemaError(err error, doc any) error {
	var bad *jsonschema.SchemaValidationError
	var verr *jsonschema.ValidationError
	if errors.As(err, &bad) && errors.As(bad.Err, &verr) {
		return valueError("Schema is not valid: " + strings.Join(words(verr, doc), "; "))
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return valueError("Schema is not valid: " + strings.ReplaceAll(text, schemaURL, ""))
}

// check validates a value with a compiled schema.
func check(schema *jsonschema.Schema, value any) error {
	if schema == nil {
		return nil
	}
	v, err := plain(value)
	if err != nil {
		return err
	}
	err = schema.Validate(v)
	var verr *jsonschema.ValidationError
	if errors.As(err, &verr) {
		return valueError(strings.Join(words(verr, v), "; "))
	}
	return err
}

// maxExponent bounds a number's exponent: exact arithmetic on a larger one,
// which a few bytes can ask for, would take all the memory there is.
const maxExponent = 400

// errNumber is a number that no device and no program here means.
const errNumber valueError = "(root): Number is out of range"

// plain returns v as decoded JSON, so that values made in Go are judged like
// those that came over a socket.
func plain(v any) (any, error) {
	switch t := v.(type) {
	case nil, bool, string, float64, int, int64:
		return t, nil
	case model.Secret:
		return string(t), nil
	case json.Number:
		return t, checkNumber(t)
	case map[string]any:
		return plainMap(t)
	case model.Params:
		return plainMap(t)
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			var err error
			if out[i], err = plain(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	var out any
	if err := model.Remarshal(v, &out); err != nil {
		return nil, valueError("(root): Value cannot be read as JSON")
	}
	return out, nil
}

// plainMap is plain for the values of an object.
func plainMap(m map[string]any) (any, error) {
	out := make(map[string]any, len(m))
	for k, e := range m {
		v, err := plain(e)
		if err != nil {
			return nil, err
		}
		out[k] = v
	}
	return out, nil
}

// checkNumber refuses numbers whose exponent is out of bounds.
func checkNumber(n json.Number) error {
	_, exp, ok := strings.Cut(strings.ToLower(n.String()), "e")
	if !ok {
		return nil
	}
	if e, err := strconv.Atoi(exp); err != nil || e > maxExponent || e < -maxExponent {
		return errNumber
	}
	return nil
}
