package bundle

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"provision-plugins/shared/model"
)

// MaxSize bounds a bundle's text, in bytes.
const MaxSize = model.MaxBody

// Parse reads a bundle in YAML or JSON and checks it with Check. Its objects
// are filled; fields that their types do not have are kept, because a bundle
// may be newer than this software.
func Parse(data []byte) (*model.Content, error) {
	if len(data) > MaxSize {
		return nil, model.Errorf(model.Invalid, "cannot read bundle: larger than %d bytes", MaxSize)
	}
	decode := DecodeYAML
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		decode = DecodeJSON
	}
	v, err := decode(data)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read bundle: %w", err)
	}
	c := &model.Content{}
	if err := model.Remarshal(v, c); err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read bundle: %s", model.AsError(err).Text())
	}
	if problems := Check(c); len(problems) > 0 {
		return nil, Refusal(problems)
	}
	return c, nil
}

// Check fills the objects of a bundle and tells what is wrong with it: its
// name, the names of its objects, the types of their fields.
func Check(c *model.Content) []string {
	var out []string
	for _, p := range Inspect(c) {
		out = append(out, p.String())
	}
	return out
}

// Inspect is Check with the place of each problem.
func Inspect(c *model.Content) []Problem {
	var out []Problem
	for _, p := range CheckMeta(&c.Meta) {
		p.Section = MetaSection
		out = append(out, p)
	}
	for _, section := range slices.Sorted(maps.Keys(c.Sections)) {
		if text := CheckSection(section); text != "" {
			out = append(out, Problem{Section: section, Text: text})
			continue
		}
		objects := c.Sections[section]
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			for _, p := range inspectObject(section, key, objects[key]) {
				p.Section, p.Key = section, key
				out = append(out, p)
			}
		}
	}
	return out
}

// inspectObject fills one object and tells what is wrong with it.
func inspectObject(section, key string, obj map[string]any) []Problem {
	if obj == nil {
		return []Problem{{Text: ErrEmpty.Error()}}
	}
	name, problem := KeyOf(section, obj)
	if problem != "" {
		return []Problem{{Field: KeyField(section, obj), Text: problem}}
	}
	if name != key {
		return []Problem{{Field: KeyField(section, obj), Text: fmt.Sprintf("is named %q inside", name)}}
	}
	return Complete(section, obj, false)
}

// maxProblems bounds how many problems one refusal lists.
const maxProblems = 50

// Refusal is the error for a bundle with problems, one message for each.
func Refusal(problems []string) *model.Error {
	err := model.Errorf(model.Invalid, "cannot use bundle")
	if n := len(problems); n > maxProblems {
		problems = append(slices.Clone(problems[:maxProblems]), fmt.Sprintf("and %d more", n-maxProblems))
	}
	err.Messages = problems
	return err
}
