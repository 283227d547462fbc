package content

import (
	"fmt"
	"maps"
	"slices"

	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// Parse reads a bundle in YAML or JSON and checks it as Validate does. A
// program that needs no schemas checked can use bundle.Parse, which costs less
// at start.
func Parse(data []byte) (*model.Content, error) {
	c, err := bundle.Parse(data)
	if err != nil {
		return nil, err
	}
	if problems := checkValues(c); len(problems) > 0 {
		return nil, bundle.Refusal(problems)
	}
	return c, nil
}

// Validate fills the objects of a bundle and checks what can be checked of it
// alone: names, the types of fields, schemas and their defaults, and the param
// values in profiles and stages against the schemas that the bundle declares.
// The error has one message for each problem.
func Validate(c *model.Content) error {
	problems := bundle.Check(c)
	if len(problems) == 0 {
		problems = checkValues(c)
	}
	if len(problems) > 0 {
		return bundle.Refusal(problems)
	}
	return nil
}

// Params returns the params that a bundle declares, by name.
func Params(c *model.Content) (map[string]*model.Param, error) { return bundle.Params(c) }

// finding is something wrong with an object.
type finding struct {
	section, key, field, text string
	// lines is how many lines into a template's text it is.
	lines int
}

// checkValues checks schemas, and values against them.
func checkValues(c *model.Content) []string {
	var out []string
	for _, f := range findValues(c) {
		out = append(out, fmt.Sprintf("%s/%s: %s", f.section, f.key, f.text))
	}
	return out
}

// findValues finds schemas that are not valid and values that break theirs.
func findValues(c *model.Content) []finding {
	params, err := bundle.Params(c)
	if err != nil {
		return []finding{{section: "params", text: err.Error()}}
	}
	var out []finding
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if err := checkParam(params[name]); err != nil {
			out = append(out, finding{section: "params", key: name, field: "Schema", text: err.Error()})
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, section := range []string{"profiles", "stages"} {
		for _, key := range slices.Sorted(maps.Keys(c.Sections[section])) {
			out = append(out, findSet(section, key, c.Sections[section][key], params)...)
		}
	}
	return out
}

// findSet finds the values in one object's Params that break their schema.
func findSet(section, key string, obj map[string]any, params map[string]*model.Param) []finding {
	values, ok := obj["Params"].(map[string]any)
	if !ok {
		return nil
	}
	var out []finding
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p := params[name]
		if p == nil {
			continue
		}
		if err := CheckValue(p, values[name]); err != nil {
			out = append(out, finding{section: section, key: key, field: "Params", text: fmt.Sprintf("Params: Key '%s': %v", name, err)})
		}
	}
	return out
}
