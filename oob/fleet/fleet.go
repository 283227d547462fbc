// Package fleet holds machines in files: what operators set of them, as YAML or
// CSV, and what has to be changed where they exist already.
package fleet

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// Machine is a machine as a file holds it. What it does not name is left as it
// is where the machine exists, and is the default where it does not.
type Machine struct {
	Name   string
	Fields map[string]any // by their names in the API, of those in fields
	Params model.Params
	Line   int // where it begins in a CSV; 0 elsewhere
}

// fields are what operators set of a machine, beside its name and params, in the
// order of a file. The others are the endpoint's own.
var fields = []string{
	"Uuid", "Description", "Profiles", "Address", "HardwareAddrs", "Arch", "OS",
	"Stage", "BootEnv", "Workflow", "Pool", "Runnable", "Locked", "Meta",
}

// sealed reports whether a value is one that only the endpoint can open.
func sealed(value any) bool {
	m, ok := value.(map[string]any)
	if !ok || len(m) != 3 {
		return false
	}
	for _, part := range []string{"Key", "Nonce", "Payload"} {
		if _, ok := m[part].(string); !ok {
			return false
		}
	}
	return true
}

// Hidden reports whether a param's value stands for a secret and is not the
// secret.
func Hidden(value any) bool { return value == model.Masked || sealed(value) }

// Of takes out of a machine what a file holds. Params whose values are hidden
// are left out, and counted.
func Of(m *model.Machine) (out Machine, hidden int, err error) {
	has, err := asMap(m)
	if err != nil {
		return out, 0, err
	}
	usual, err := asMap(model.NewMachine(""))
	if err != nil {
		return out, 0, err
	}
	out = Machine{Name: m.Name, Fields: map[string]any{}, Params: model.Params{}}
	for _, field := range fields {
		if value := has[field]; !same(value, usual[field]) && !empty(value) {
			out.Fields[field] = value
		}
	}
	for name, value := range m.Params {
		switch {
		case value == nil:
		case Hidden(value):
			hidden++
		default:
			out.Params[name] = value
		}
	}
	return out, hidden, nil
}

// asMap is an object by the names of its fields.
func asMap(v any) (map[string]any, error) {
	var out map[string]any
	err := model.Remarshal(v, &out)
	return out, err
}

// empty reports whether a value says nothing.
func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// same reports whether two values are the same JSON, numbers by their value.
func same(a, b any) bool {
	var x, y any
	if model.Remarshal(a, &x) != nil || model.Remarshal(b, &y) != nil {
		return false
	}
	return equal(x, y)
}

// equal compares decoded JSON.
func equal(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		return ok && maps.EqualFunc(x, y, equal)
	case []any:
		y, ok := b.([]any)
		return ok && slices.EqualFunc(x, y, equal)
	case json.Number:
		y, ok := b.(json.Number)
		return ok && equalNumbers(x, y)
	}
	return a == b
}

// whole is how whole numbers are written.
var whole = regexp.MustCompile(`^-?[0-9]+$`)

// equalNumbers compares whole numbers by their digits and others by what they
// are to a computer: 2.50 is 2.5.
func equalNumbers(a, b json.Number) bool {
	if a == b {
		return true
	}
	if whole.MatchString(a.String()) && whole.MatchString(b.String()) {
		return false
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}

// New makes the machine that a file's machine becomes where there is none.
func (m *Machine) New() (*model.Machine, error) {
	out := model.NewMachine(m.Name)
	if err := model.Remarshal(m.Fields, out); err != nil {
		return nil, model.Errorf(model.Invalid, "machine %s: %w", m.Name, err)
	}
	for name, value := range m.Params {
		out.Params[name] = value
	}
	return out, nil
}

// Changes is the patch that makes a machine what the file says, and what it
// changes, by name. Both are empty where it is so already.
func (m *Machine) Changes(now *model.Machine) (ops []client.Op, what []string, err error) {
	has, err := asMap(now)
	if err != nil {
		return nil, nil, err
	}
	for _, field := range fields {
		value, ok := m.Fields[field]
		if !ok || field == "Uuid" || same(value, has[field]) {
			continue
		}
		ops = append(ops, client.Replace(client.Pointer(field), value))
		what = append(what, strings.ToLower(field))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Params)) {
		if same(m.Params[name], now.Params[name]) {
			continue
		}
		ops = append(ops, client.Add(client.Pointer("Params", name), m.Params[name]))
		what = append(what, name)
	}
	return ops, what, nil
}

// check refuses what cannot be a machine.
func (m *Machine) check() error {
	if m.Name == "" {
		return model.Errorf(model.Invalid, "it has no Name")
	}
	for name, value := range m.Params {
		if Hidden(value) {
			return model.Errorf(model.Invalid, "machine %s: param %s is masked: leave it out, or export it with --secrets", m.Name, name)
		}
	}
	return nil
}
