package content

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// A reference from one object to another must resolve: to an object of the
// same bundle, to one that every endpoint has (everywhere), or to one that the
// file ._Known.meta lists together with the layer it comes from, which must be
// among the Prerequisites. An entry of that file that nothing refers to is
// refused too, so that the list stays true. A layer with a question mark, as in
// "hardware?: tasks/setup", is no prerequisite: the object is of use where the
// layer is, and the bundle is whole without it.

// everywhere are the objects that every endpoint has.
var everywhere = []string{
	"bootenvs/ignore", "bootenvs/local",
	"profiles/global",
	"stages/local", "stages/none",
}

// refFields tells to which section the fields of a section's objects refer.
var refFields = map[string]map[string]string{
	"profiles":  {"Profiles": "profiles"},
	"stages":    {"RequiredParams": "params", "OptionalParams": "params", "Profiles": "profiles", "Tasks": "tasks", "BootEnv": "bootenvs"},
	"tasks":     {"RequiredParams": "params", "OptionalParams": "params", "Prerequisites": "tasks"},
	"workflows": {"Stages": "stages"},
	"bootenvs":  {"RequiredParams": "params", "OptionalParams": "params"},
}

// taskPrefixes are the entries of a task list that are not tasks, with the
// section they refer to, if any.
var taskPrefixes = map[string]string{
	"action": "", "chroot": "", "context": "", "stage": "stages", "bootenv": "bootenvs",
}

// reference is one object naming another.
type reference struct {
	from   finding // section, key and field
	target string  // section/key
}

// known is an entry of ._Known.meta: an object of another layer that this
// bundle refers to.
type known struct {
	layer, target string
	line          int
}

// findDangling finds references that do not resolve and known entries that
// nothing needs.
func (l *loader) findDangling() []finding {
	used := map[string]bool{}
	for _, k := range l.known {
		used[k.target] = false
	}
	var out []finding
	for _, ref := range references(l.content) {
		section, key, _ := strings.Cut(ref.target, "/")
		if _, ok := l.content.Sections[section][key]; ok || slices.Contains(everywhere, ref.target) {
			continue
		}
		if _, ok := used[ref.target]; ok {
			used[ref.target] = true
			continue
		}
		f := ref.from
		f.text = fmt.Sprintf("%s: refers to %s, which this bundle does not have (one of another layer is listed in %s)", f.field, ref.target, metaFile(knownField))
		out = append(out, f)
	}
	l.checkKnown(used)
	return out
}

// readKnown reads ._Known.meta: lines "layer: section/key", and comments that
// begin with #.
func (l *loader) readKnown(file string, text []byte) {
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		layer, target, ok := strings.Cut(line, ":")
		target = strings.TrimSpace(target)
		if !ok || !strings.Contains(target, "/") {
			l.problem(file, n+1, "%.60q is not \"layer: section/key\"", line)
			continue
		}
		l.known = append(l.known, known{strings.TrimSpace(layer), target, n + 1})
	}
}

// optionalMark is at the end of a layer that need not be there.
const optionalMark = "?"

// checkKnown refuses known entries that nothing refers to, or whose layer is
// no prerequisite.
func (l *loader) checkKnown(used map[string]bool) {
	var layers []string
	for p := range strings.SplitSeq(l.content.Meta.Prerequisites, ",") {
		name, _, _ := strings.Cut(p, ":")
		layers = append(layers, strings.TrimSpace(name))
	}
	for _, k := range l.known {
		if !strings.HasSuffix(k.layer, optionalMark) && !slices.Contains(layers, k.layer) {
			l.problem(metaFile(knownField), k.line, "layer %q is not in %s", k.layer, metaFile("Prerequisites"))
		}
		if !used[k.target] {
			l.problem(metaFile(knownField), k.line, "%s: nothing refers to it", k.target)
		}
	}
}

// references lists every reference in a bundle, in a fixed order.
func references(c *model.Content) []reference {
	var out []reference
	for _, section := range slices.Sorted(maps.Keys(c.Sections)) {
		objects := c.Sections[section]
		for _, key := range slices.Sorted(maps.Keys(objects)) {
			from := finding{section: section, key: key}
			out = append(out, fieldRefs(from, objects[key])...)
			out = append(out, paramRefs(from, objects[key])...)
			out = append(out, templateRefs(from, objects[key])...)
		}
	}
	return out
}

// fieldRefs lists the references in the fields of refFields.
func fieldRefs(from finding, obj map[string]any) []reference {
	var out []reference
	fields := refFields[from.section]
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		from.field = field
		for _, name := range texts(obj[field]) {
			section := fields[field]
			if section == "tasks" {
				section, name = taskRef(name)
			}
			if section != "" && name != "" {
				out = append(out, reference{from, section + "/" + name})
			}
		}
	}
	return out
}

// taskRef returns what an entry of a task list refers to; an empty section
// means nothing that a bundle holds.
func taskRef(entry string) (section, name string) {
	prefix, rest, ok := strings.Cut(entry, ":")
	if !ok {
		return "tasks", entry
	}
	if section, ok := taskPrefixes[prefix]; ok {
		return section, rest
	}
	return "tasks", entry
}

// paramRefs lists the params that an object sets.
func paramRefs(from finding, obj map[string]any) []reference {
	values, ok := obj["Params"].(map[string]any)
	if !ok || refFields[from.section] == nil {
		return nil
	}
	from.field = "Params"
	var out []reference
	for _, name := range slices.Sorted(maps.Keys(values)) {
		out = append(out, reference{from, "params/" + name})
	}
	return out
}

// Calls and definitions of named templates in a template's text.
var (
	templateCall   = regexp.MustCompile(`\{\{-?\s*template\s+"([^"]+)"`)
	templateDefine = regexp.MustCompile(`\{\{-?\s*(?:define|block)\s+"([^"]+)"`)
)

// templateRefs lists the templates that an object uses: by ID, and by name in
// the text of its own templates.
func templateRefs(from finding, obj map[string]any) []reference {
	if from.section == "templates" {
		from.field = "Contents"
		text, _ := obj["Contents"].(string)
		return textRefs(from, text)
	}
	list, ok := obj["Templates"].([]any)
	if !ok {
		return nil
	}
	from.field = "Templates"
	var out []reference
	for _, e := range list {
		info, ok := e.(map[string]any)
		if !ok {
			continue
		}
		if id, _ := info["ID"].(string); id != "" {
			out = append(out, reference{from, "templates/" + id})
		}
		text, _ := info["Contents"].(string)
		out = append(out, textRefs(from, text)...)
	}
	return out
}

// textRefs lists the named templates that a template's text calls and does not
// define itself.
func textRefs(from finding, text string) []reference {
	own := map[string]bool{}
	for _, m := range templateDefine.FindAllStringSubmatch(text, -1) {
		own[m[1]] = true
	}
	var out []reference
	for _, m := range templateCall.FindAllStringSubmatchIndex(text, -1) {
		if name := text[m[2]:m[3]]; !own[name] {
			from.lines = strings.Count(text[:m[0]], "\n")
			out = append(out, reference{from, "templates/" + name})
		}
	}
	return out
}

// texts returns a string or an array of strings as a slice.
func texts(v any) []string {
	switch t := v.(type) {
	case string:
		return []string{t}
	case []any:
		var out []string
		for _, e := range t {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
