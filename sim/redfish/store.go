package redfish

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// root is the path of the service root (DSP0266 §6.4).
const root = "/redfish/v1"

// versions is the path of the list of protocol versions (DSP0266 §6.3).
const versions = "/redfish"

// data holds the templates of resources; data/README.md says how they are written.
//
//go:embed data/*.json
var data embed.FS

// resource is a template of one resource, or of each member of a collection.
type resource struct {
	kind  string // its key in the templates
	path  string // without a slash at its end
	tree  map[string]any
	list  string // of a collection whose members are not templates
	item  string // of a template of such members: the list
	log   string // of a log service: which log it is
	patch string // which properties can be patched, by the name in setters

	members []string // of a collection: the paths of its members
}

// action is what a POST can go to beside a collection.
type action struct {
	name string // as "#ComputerSystem.Reset"
	on   *resource
}

// store is the resources of a dialect. It does not change.
type store struct {
	d         *dialect
	resources map[string]*resource // by path; the last segment of an item is "*"
	actions   map[string]action    // by path of the target
}

// newStore builds the resources of a dialect from the templates.
func newStore(d *dialect) (*store, error) {
	common, err := templates("common")
	if err != nil {
		return nil, err
	}
	own, err := templates(d.name)
	if err != nil {
		return nil, err
	}
	liken(common, own)
	merged, _ := merge(common, own).(map[string]any)
	s := &store{d: d, resources: map[string]*resource{}, actions: map[string]action{}}
	for kind, tree := range merged {
		t, ok := tree.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("template %s of dialect %s is no object", kind, d.name)
		}
		s.add(kind, t)
	}
	s.resources[versions] = &resource{kind: "versions", path: versions, tree: map[string]any{"v1": root + "/"}}
	s.link()
	return s, nil
}

// liken writes out the templates that are like a common one but for what they say.
func liken(common, own map[string]any) {
	for kind, tree := range own {
		t, _ := tree.(map[string]any)
		name, ok := t["$like"].(string)
		if !ok {
			continue
		}
		delete(t, "$like")
		own[kind] = merge(common[name], t)
	}
}

// templates reads one file of templates.
func templates(name string) (map[string]any, error) {
	raw, err := data.ReadFile("data/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("cannot read templates of %s: %w", name, err)
	}
	var t map[string]any
	if err = json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("cannot read templates of %s: %w", name, err)
	}
	return t, nil
}

// merge lays one tree over another as a JSON Merge Patch does (RFC 7396 §2).
func merge(under, over any) any {
	o, ok := over.(map[string]any)
	if !ok {
		return over
	}
	u, _ := under.(map[string]any)
	merged := make(map[string]any, len(u)+len(o))
	for k, v := range u {
		merged[k] = v
	}
	for k, v := range o {
		if v == nil {
			delete(merged, k)
		} else {
			merged[k] = merge(merged[k], v)
		}
	}
	return merged
}

// add takes in one template.
func (s *store) add(kind string, tree map[string]any) {
	r := &resource{kind: kind, path: path.Join(root, s.expandIDs(kind))}
	for _, meta := range []struct {
		key string
		to  *string
	}{{"$list", &r.list}, {"$item", &r.item}, {"$patch", &r.patch}, {"$log", &r.log}} {
		*meta.to, _ = tree[meta.key].(string)
		delete(tree, meta.key)
	}
	r.tree, _ = s.expand(r, tree).(map[string]any)
	r.tree["@odata.id"] = s.href(r.path)
	if _, ok := r.tree["Id"]; !ok && !r.collection() {
		r.tree["Id"] = path.Base(r.path)
	}
	if r.item != "" {
		r.tree["@odata.id"], r.tree["Id"] = "$self", "$id"
	}
	s.resources[r.path] = r
	s.addActions(r, r.tree)
}

// collection reports whether r is a collection of resources.
func (r *resource) collection() bool {
	t, _ := r.tree["@odata.type"].(string)
	return strings.HasSuffix(t, "Collection")
}

// expandIDs puts the Ids of the dialect in place of their names.
func (s *store) expandIDs(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	return strings.NewReplacer(
		"{system}", "Systems/"+s.d.system, "{manager}", "Managers/"+s.d.manager, "{chassis}", "Chassis/"+s.d.chassis,
	).Replace(text)
}

// expand writes out what templates abbreviate: "@PATH" is a link, "~" the path of
// the resource itself.
func (s *store) expand(r *resource, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v)+2)
		for k, e := range v {
			out[k] = s.expand(r, e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = s.expand(r, e)
		}
		return out
	case string:
		return s.expandText(r, v)
	}
	return v
}

// expandText is expand for a string.
func (s *store) expandText(r *resource, text string) any {
	text = s.expandIDs(text)
	if to, ok := strings.CutPrefix(text, "@"); ok {
		return map[string]any{"@odata.id": s.href(s.absolute(r, to))}
	}
	if strings.HasPrefix(text, "~/") {
		return s.href(s.absolute(r, text))
	}
	return text
}

// absolute is the path that a template names.
func (s *store) absolute(r *resource, to string) string {
	if own, ok := strings.CutPrefix(to, "~"); ok {
		return path.Clean(r.path + own)
	}
	return path.Join(root, to)
}

// href is a path as links of the dialect are written.
func (s *store) href(p string) string {
	file, fragment, has := strings.Cut(p, "#")
	file = strings.TrimSuffix(file, "/")
	if s.d.slash {
		file += "/"
	}
	if has {
		return file + "#" + fragment
	}
	return file
}

// addActions takes in the targets of the actions of a resource, those of a vendor
// included, wherever they are in it.
func (s *store) addActions(r *resource, tree any) {
	all, _ := tree.(map[string]any)
	for name, a := range all {
		if !strings.HasPrefix(name, "#") {
			s.addActions(r, a)
			continue
		}
		t, _ := a.(map[string]any)
		if target, ok := t["target"].(string); ok {
			s.actions[strings.TrimSuffix(target, "/")] = action{name: name, on: r}
		}
	}
}

// link gives each collection of templates its members.
func (s *store) link() {
	for p := range s.resources {
		up := s.resources[path.Dir(p)]
		if up != nil && up.collection() && path.Base(p) != "*" {
			up.members = append(up.members, p)
		}
	}
	for _, r := range s.resources {
		slices.Sort(r.members)
	}
}

// at returns the resource at a path; id is the last segment if it is one of a
// list's.
func (s *store) at(p string) (r *resource, id string) {
	if r = s.resources[p]; r != nil {
		return r, ""
	}
	dir, id := path.Split(p)
	return s.resources[dir+"*"], id
}
