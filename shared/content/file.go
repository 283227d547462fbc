package content

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"provision-plugins/shared/content/bundle"
	"provision-plugins/shared/model"
)

// Read reads a bundle in any of its forms: a source directory, or a .yaml,
// .yml, .json or .go file. A file is checked as Validate does; the error names
// the file, and the line where it is known, one message for each problem.
func Read(ctx context.Context, name string) (*model.Content, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read bundle %s: %w", name, cause(err))
	}
	if info.IsDir() {
		return LoadDir(ctx, name)
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json", ".go":
	default:
		return nil, model.Errorf(model.Invalid, "cannot read bundle %s: unknown extension %q (use .yaml, .yml, .json or .go)", name, filepath.Ext(name))
	}
	var text []byte
	if err = errors.New("not a regular file"); info.Mode().IsRegular() {
		text, err = readBounded(os.DirFS(filepath.Dir(name)), filepath.Base(name), bundle.MaxSize)
	}
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read bundle %s: %w", name, cause(err))
	}
	return ParseFile(name, text)
}

// ParseFile is Read for the text of a file, whose name tells the form.
func ParseFile(name string, text []byte) (*model.Content, error) {
	f := &bundleFile{name: name}
	v, err := f.decode(text)
	if err != nil {
		f.refuse(err)
		return nil, bundle.Refusal(f.problems)
	}
	c := f.content(v)
	if len(f.problems) == 0 {
		for _, p := range bundle.Inspect(c) {
			f.problem(p)
		}
	}
	if len(f.problems) == 0 {
		for _, v := range findValues(c) {
			f.problem(bundle.Problem{Section: v.section, Key: v.key, Field: v.field, Text: v.text})
		}
	}
	if len(f.problems) > 0 {
		return nil, bundle.Refusal(f.problems)
	}
	return c, nil
}

// bundleFile reads one file and gathers what is wrong with it.
type bundleFile struct {
	name     string
	goLine   int    // of the variable that holds the YAML, in a .go file
	text     []byte // what was decoded
	root     *place // nil until there is a problem, in YAML
	problems []string
}

// decode decodes the file in the form that its extension tells.
func (f *bundleFile) decode(text []byte) (any, error) {
	decode := decodeBundle
	switch filepath.Ext(f.name) {
	case ".json":
		decode = decodeJSON
	case ".go":
		inner, line, err := bundle.GoText(text)
		if err != nil {
			return nil, err
		}
		text, f.goLine = inner, line
	}
	f.text = text
	v, root, err := decode(text)
	f.root = root
	return v, err
}

// line returns the line of what a path of keys leads to. The places of a YAML
// file are not read before the first problem.
func (f *bundleFile) line(path ...string) int {
	if f.root == nil {
		f.root = cmp.Or(yamlPlaces(f.text), &place{})
	}
	return f.root.at(path...)
}

// decodeBundle decodes YAML without its places.
func decodeBundle(text []byte) (any, *place, error) {
	v, err := bundle.DecodeYAML(text)
	var syntax *bundle.SyntaxError
	if errors.As(err, &syntax) && syntax.Line == 0 {
		return decodeYAML(text)
	}
	return v, nil, err
}

// content turns a decoded value into a bundle, after a look at its form.
func (f *bundleFile) content(v any) *model.Content {
	c := &model.Content{}
	top, ok := v.(map[string]any)
	if !ok {
		f.at(f.line(), "not a bundle: an object with meta and sections")
		return c
	}
	f.checkMeta(top["meta"])
	f.checkSections(top["sections"])
	if len(f.problems) > 0 {
		return c
	}
	if err := model.Remarshal(v, c); err != nil {
		f.at(f.line(), model.AsError(err).Text())
	}
	return c
}

// checkMeta wants strings in the metadata.
func (f *bundleFile) checkMeta(v any) {
	meta, ok := v.(map[string]any)
	if v != nil && !ok {
		f.at(f.line("meta"), "meta must be an object")
	}
	for _, name := range bundle.MetaFields() {
		if _, ok := meta[name].(string); meta[name] != nil && !ok {
			f.at(f.line("meta", name), "meta: "+name+" must be a string (quote it)")
		}
	}
}

// checkSections wants objects of objects of objects.
func (f *bundleFile) checkSections(v any) {
	sections, ok := v.(map[string]any)
	if v != nil && !ok {
		f.at(f.line("sections"), "sections must be an object")
	}
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		objects, ok := sections[section].(map[string]any)
		if sections[section] != nil && !ok {
			f.at(f.line("sections", section), section+" must be an object")
		}
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			if _, ok := objects[key].(map[string]any); objects[key] != nil && !ok {
				f.at(f.line("sections", section, key), section+"/"+key+" must be an object")
			}
		}
	}
}

// problem notes a problem of the bundle at its line.
func (f *bundleFile) problem(p bundle.Problem) {
	path := []string{"sections", p.Section, p.Key, p.Field}
	if p.Key == "" {
		path = []string{"sections", p.Section}
		if p.Section == bundle.MetaSection {
			path = []string{p.Section, p.Field}
		}
	}
	f.at(f.line(path...), p.String())
}

// refuse notes why the file cannot be decoded.
func (f *bundleFile) refuse(err error) {
	var syntax *bundle.SyntaxError
	switch {
	case errors.As(err, &syntax):
		f.at(syntax.Line, syntax.Text)
	case errors.Is(err, bundle.ErrEmpty):
		f.at(1, "empty: there is no bundle in it")
	default:
		f.at(0, err.Error())
	}
}

// at notes a problem as "file:line: text". In a .go file the line is that of
// the variable, and the YAML's own comes after it.
func (f *bundleFile) at(line int, text string) {
	switch {
	case f.goLine > 0:
		text = fmt.Sprintf("%s:%d: line %d of the YAML: %s", f.name, f.goLine, max(line, 1), text)
	case line > 0:
		text = fmt.Sprintf("%s:%d: %s", f.name, line, text)
	default:
		text = f.name + ": " + text
	}
	f.problems = append(f.problems, text)
}
