package content_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"provision-plugins/shared/content"
	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// param makes a param with a schema written in YAML.
func param(t *testing.T, schema string) *model.Param {
	t.Helper()
	v, err := bundle.DecodeYAML([]byte(schema))
	if err != nil {
		t.Fatal(err)
	}
	return &model.Param{Name: "good/x", Schema: v}
}

// The words are those that users of the reference know.
func TestCheckValueWords(t *testing.T) {
	for _, tc := range []struct {
		schema string
		value  any
		want   string
	}{
		{"type: integer", "x", "(root): Invalid type. Expected: integer, given: string"},
		{"type: integer", json.Number("1.5"), "(root): Invalid type. Expected: integer, given: number"},
		{"type: string", json.Number("5"), "(root): Invalid type. Expected: string, given: integer"},
		{"type: string", 5, "(root): Invalid type. Expected: string, given: integer"},
		{"type: string", 5.5, "(root): Invalid type. Expected: string, given: number"},
		{"type: string", []any{"a"}, "(root): Invalid type. Expected: string, given: array"},
		{"type: string", map[string]any{}, "(root): Invalid type. Expected: string, given: object"},
		{"type: string", nil, "(root): Invalid type. Expected: string, given: null"},
		{"type: array", true, "(root): Invalid type. Expected: array, given: boolean"},
		{"type: [string, integer]", true, "(root): Invalid type. Expected: [integer,string], given: boolean"},
		{"{type: array, items: {type: string}}", []any{"a", 5}, "1: Invalid type. Expected: string, given: integer"},
		{"{type: object, properties: {a: {type: object, properties: {b: {type: boolean}}}}}", map[string]any{"a": map[string]any{"b": "x"}}, "a.b: Invalid type. Expected: boolean, given: string"},
		{"enum: [v4, v6]", "v5", `(root): Must be one of the following: "v4", "v6"`},
		{"{type: object, properties: {a: {enum: [1, {b: c}]}}}", map[string]any{"a": 2}, `a: Must be one of the following: 1, {"b":"c"}`},
		{"{type: object, required: [a, b]}", map[string]any{}, "(root): a is required; (root): b is required"},
		{"{type: object, additionalProperties: false}", map[string]any{"a": 1}, "(root): Additional property a is not allowed"},
		{"{dependencies: {a: [b]}}", map[string]any{"a": 1}, "(root): Has a dependency on b"},
		{"pattern: '^a'", "b", "(root): Does not match pattern '^a'"},
		{"format: ipv4", "b", "(root): Does not match format 'ipv4'"},
		{"{minimum: 0}", -1, "(root): Must be greater than or equal to 0"},
		{"{minimum: 0.5, exclusiveMinimum: true}", 0.5, "(root): Must be greater than 0.5"},
		{"{maximum: 65535}", 65536, "(root): Must be less than or equal to 65535"},
		{"{maximum: 5, exclusiveMaximum: true}", 5, "(root): Must be less than 5"},
		{"{multipleOf: 5}", 6, "(root): Must be a multiple of 5"},
		{"{minLength: 2}", "a", "(root): String length must be greater than or equal to 2"},
		{"{maxLength: 2}", "abc", "(root): String length must be less than or equal to 2"},
		{"{minItems: 1}", []any{}, "(root): Array must have at least 1 items"},
		{"{maxItems: 1}", []any{1, 2}, "(root): Array must have at most 1 items"},
		{"{uniqueItems: true}", []any{1, 2, 1}, "(root): array items[0,2] must be unique"},
		{"{minProperties: 1}", map[string]any{}, "(root): Must have at least 1 properties"},
		{"{maxProperties: 0}", map[string]any{"a": 1}, "(root): Must have at most 0 properties"},
		{"{anyOf: [{type: string}, {type: integer}]}", true, "(root): Must validate at least one schema (anyOf)"},
		{"{oneOf: [{minimum: 1}, {minimum: 2}]}", 3, "(root): Must validate one and only one schema (oneOf)"},
		{"{not: {type: string}}", "x", "(root): Must not validate the schema (not)"},
		{"{allOf: [{type: string}, {minLength: 3}]}", "x", "(root): String length must be greater than or equal to 3"},
		{"{$ref: '#/definitions/a', definitions: {a: {type: string}}}", 1, "(root): Invalid type. Expected: string, given: integer"},
		{"{$schema: 'http://json-schema.org/draft-07/schema#', const: a}", "b", "(root): Value does not match the schema"},
	} {
		err := content.CheckValue(param(t, tc.schema), tc.value)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s, %v: got\n%v, want\n%s", tc.schema, tc.value, err, tc.want)
		}
	}
}

func TestCheckValueTakes(t *testing.T) {
	for _, tc := range []struct {
		schema string
		value  any
	}{
		{"type: integer", json.Number("12345678901234567890")},
		{"type: integer", 5.0},
		{"type: integer", 5},
		{"type: integer", int64(5)},
		{"type: number", json.Number("1e10")},
		{"type: string", model.Secret("x")},
		{"enum: [hunter2]", model.Secret("hunter2")},
		{"{type: array, items: {type: string}}", []string{"a"}},
		{"type: object", model.Params{"a": []string{"b"}}},
		{"type: string", time.Unix(0, 0)},
		{"{}", nil},
	} {
		if err := content.CheckValue(param(t, tc.schema), tc.value); err != nil {
			t.Errorf("%s, %v: %v", tc.schema, tc.value, err)
		}
	}
	if err := content.CheckValue(&model.Param{Name: "ab"}, "anything"); err != nil {
		t.Errorf("no schema: %v", err)
	}
}

func TestCheckValueBrokenSchema(t *testing.T) {
	for schema, want := range map[string]string{
		"type: text":                               "param good/x: Schema is not valid: type:",
		"$ref: 'http://127.0.0.1:9/x'":             "param good/x: Schema is not valid: ",
		"$ref: 'file:///etc/passwd'":               "param good/x: Schema is not valid: ",
		"$ref: '#/definitions/absent'":             "param good/x: Schema is not valid: ",
		"$schema: 'http://example.com/own-schema'": "param good/x: Schema is not valid: ",
		"required: true":                           "param good/x: Schema is not valid: required: Invalid type. Expected: array, given: boolean",
	} {
		err := content.CheckValue(param(t, schema), "x")
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", schema, err, want)
		}
	}
}

// Exact arithmetic on a number of a few bytes must not take all there is.
func TestCheckValueHugeNumbers(t *testing.T) {
	p := param(t, "{type: number, minimum: 0}")
	for _, n := range []json.Number{"1e999999999", "1e-999999999", "1E99999999999999999999"} {
		if err := content.CheckValue(p, map[string]any{"a": []any{n}}); err == nil || err.Error() != "(root): Number is out of range" {
			t.Errorf("%s: %v", n, err)
		}
	}
	p.Schema = map[string]any{"minimum": json.Number("1e999999999")}
	if err := content.CheckValue(p, 1); err == nil {
		t.Error("a huge bound was taken")
	}
	if err := content.CheckValue(param(t, "type: string"), func() {}); err == nil {
		t.Error("a func was taken")
	}
}

// No error shows the value: it may be a secret.
func TestCheckValueLeaksNothing(t *testing.T) {
	const secret = "hunter2-hunter2"
	for _, schema := range []string{
		"type: integer", "enum: [a]", "pattern: '^a'", "format: ipv4", "maxLength: 2", "minLength: 99", "{not: {}}", "{anyOf: [{type: integer}]}", "{oneOf: [{}, {}]}",
		"{$schema: 'http://json-schema.org/draft-07/schema#', const: a}",
	} {
		if err := content.CheckValue(param(t, schema), model.Secret(secret)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

func FuzzCheckValue(f *testing.F) {
	f.Add([]byte(`{"type":"integer","minimum":1}`), []byte(`"x"`))
	f.Add([]byte(`{"$ref":"#"}`), []byte(`{}`))
	f.Add([]byte(`{"pattern":"(a+)+$","format":"regex","enum":[1]}`), []byte(`"aaaaaaaaaaaaaaaaaaaa!"`))
	f.Add([]byte(`{"properties":{"a":{"items":[{"type":"null"}]}}}`), []byte(`{"a":[1e400]}`))
	f.Fuzz(func(t *testing.T, schema, value []byte) {
		p := &model.Param{Name: "ab"}
		var v any
		if len(schema)+len(value) > 1<<12 || model.Unmarshal(schema, &p.Schema) != nil || model.Unmarshal(value, &v) != nil {
			return
		}
		if err := content.CheckValue(p, v); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
	})
}

// TestChecker checks many values at once by one compiled schema, and keeps the
// error of a schema that cannot be compiled.
func TestChecker(t *testing.T) {
	c := content.NewChecker(&model.Param{Name: "n", Schema: map[string]any{"type": "integer", "maximum": 9}})
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := c.Check(i); (err == nil) != (i <= 9) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	all.Wait()
	broken := content.NewChecker(&model.Param{Name: "n", Schema: map[string]any{"type": "whatever"}})
	for range 2 {
		if err := broken.Check(1); err == nil || !strings.Contains(err.Error(), "param n: Schema is not valid") {
			t.Errorf("got %v", err)
		}
	}
	if err := content.NewChecker(&model.Param{Name: "n"}).Check("anything"); err != nil {
		t.Errorf("no schema: %v", err)
	}
}
