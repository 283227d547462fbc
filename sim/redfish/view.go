package redfish

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"
)

// view is one look at the resources of a BMC. The lock of the BMC is held.
type view struct {
	b      *BMC
	now    time.Time
	system int // which computer system paths are about
	who    *account
	query  map[string][]string

	at   *resource // what is shown
	id   string    // of the item that is shown
	item any       // what a list has under that id
}

// view makes the view of a request.
func (x *exchange) view() *view {
	return &view{b: x.b, now: x.now, system: x.system, who: x.who, query: x.r.URL.Query(), at: x.on}
}

// absent is the value of a property that a resource does not have at present.
type absent struct{}

// show makes a resource from its template; id is that of an item of a list.
func (v *view) show(r *resource, id string) map[string]any {
	shown := *v
	shown.at, shown.id = r, id
	if r.item != "" {
		shown.item, _ = lists[r.item].find(&shown, id)
	}
	tree, _ := shown.fill(r.tree).(map[string]any)
	if kept := v.b.settings[r.kind]; kept != nil {
		tree, _ = merge(tree, kept).(map[string]any)
	}
	if r.collection() {
		shown.members(r, tree)
	}
	return tree
}

// fill replaces what stands for a present value, as "$power".
func (v *view) fill(tree any) any {
	switch t := tree.(type) {
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, e := range t {
			if filled := v.fill(e); filled != (absent{}) {
				out[k] = filled
			}
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, e := range t {
			out[i] = v.fill(e)
		}
		return out
	case string:
		return v.text(t)
	}
	return tree
}

// text is fill for a string.
func (v *view) text(s string) any {
	if name, ok := strings.CutPrefix(s, "$"); ok {
		if value, known := values[name]; known {
			return value(v)
		}
	}
	if v.system > 0 && strings.HasPrefix(s, root) {
		return v.b.actual(s, v.system)
	}
	return s
}

// members fills in a page of a collection.
func (v *view) members(r *resource, tree map[string]any) {
	paths := v.all(r)
	skip := min(v.number("$skip", 0), len(paths))
	size := min(v.number("$top", len(paths)), v.b.fleet.opts.PageSize)
	page := paths[skip:min(skip+size, len(paths))]
	list := make([]any, len(page))
	for i, p := range page {
		list[i] = v.member(p)
	}
	tree["Members"] = list
	tree["Members@odata.count"] = len(paths)
	if next := skip + len(page); next < len(paths) && !v.has("$top") {
		q := "?$skip=" + strconv.Itoa(next)
		if v.has("$expand") {
			q += "&$expand=" + v.query["$expand"][0]
		}
		tree["Members@odata.nextLink"] = v.b.fleet.store.href(v.b.actual(r.path, v.system)) + q
	}
}

// member is one member of a collection: a link, or all of it if that was asked for.
func (v *view) member(p string) any {
	if v.has("$expand") && v.b.fleet.dialect.expand {
		at, system := v.b.canonical(p)
		if r, id := v.b.fleet.store.at(at); r != nil {
			inner := *v
			inner.system, inner.query = system, nil
			return inner.show(r, id)
		}
	}
	return map[string]any{"@odata.id": v.b.fleet.store.href(p)}
}

// all lists the paths of all members of a collection.
func (v *view) all(r *resource) []string {
	base := v.b.actual(r.path, v.system)
	if r.list != "" {
		ids := lists[r.list].ids(v)
		paths := make([]string, len(ids))
		for i, id := range ids {
			paths[i] = base + "/" + id
		}
		return paths
	}
	paths := make([]string, 0, len(r.members))
	for _, p := range r.members {
		if r.path == root+"/Systems" {
			return v.systems(p)
		}
		paths = append(paths, v.b.actual(p, v.system))
	}
	return paths
}

// systems lists the paths of the computer systems.
func (v *view) systems(first string) []string {
	if v.b.faults.NoSystems {
		return nil
	}
	paths := make([]string, len(v.b.machines))
	for i := range paths {
		paths[i] = v.b.actual(first, i)
	}
	return paths
}

// has reports whether the query has a parameter.
func (v *view) has(name string) bool { return len(v.query[name]) > 0 }

// number is a parameter of the query that is a number; def if it is none.
func (v *view) number(name string, def int) int {
	if !v.has(name) {
		return def
	}
	n, err := strconv.Atoi(v.query[name][0])
	if err != nil || n < 0 {
		return def
	}
	return n
}

// systemID is the Id of the i-th computer system: the number at the end of the
// first one's, counted up.
func (d *dialect) systemID(i int) string {
	if i == 0 {
		return d.system
	}
	return strings.TrimSuffix(d.system, "1") + strconv.Itoa(i+1)
}

// actual is the path of the i-th system that a path of the first one stands for.
func (b *BMC) actual(p string, i int) string {
	first := root + "/Systems/" + b.fleet.dialect.system
	rest, ok := strings.CutPrefix(p, first)
	if i == 0 || !ok || rest != "" && rest[0] != '/' && rest[0] != '#' {
		return p
	}
	return root + "/Systems/" + b.fleet.dialect.systemID(i) + rest
}

// canonical is the path of the first system that stands for a path of any, and
// which system that is.
func (b *BMC) canonical(p string) (string, int) {
	rest, ok := strings.CutPrefix(p, root+"/Systems/")
	if !ok || len(b.machines) == 1 {
		return p, 0
	}
	id, below, has := strings.Cut(rest, "/")
	for i := 1; i < len(b.machines); i++ {
		if id != b.fleet.dialect.systemID(i) {
			continue
		}
		p = root + "/Systems/" + b.fleet.dialect.system
		if has {
			p += "/" + below
		}
		return p, i
	}
	return p, 0
}

// keep remembers properties that were patched and mean nothing to the simulator. When
// they have become too much, those from before are forgotten.
func (b *BMC) keep(kind string, props map[string]any) {
	if len(props) == 0 {
		return
	}
	if b.settings == nil {
		b.settings = map[string]map[string]any{}
	}
	merged, _ := merge(maps.Clone(b.settings[kind]), props).(map[string]any)
	if raw, err := json.Marshal(merged); err != nil || len(raw) > maxBody {
		merged = props
	}
	b.settings[kind] = merged
}
