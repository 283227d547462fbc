package endpoint

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"provision-plugins/endpoint/query"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// derived is what is kept beside a revision of an object: how it is shown in
// answers, and in events if that is as it is stored.
type derived struct{ shown, event atomic.Pointer[shownAt] }

// shownAt is how an object is shown as long as the catalog is what it was.
type shownAt struct {
	epoch uint64
	raw   json.RawMessage
}

// derivedOf returns what is kept beside an object of the view.
func derivedOf(o *store.Object) *derived {
	if o.Note == nil {
		return &derived{}
	}
	if d, ok := o.Note.Load().(*derived); ok {
		return d
	}
	d, _ := o.Note.Keep(&derived{}).(*derived)
	return d
}

// answer encodes a stored object for an answer; where secrets stay closed, once
// for each revision.
func (o *objects) answer(k *kind, found *store.Object, decode bool) (json.RawMessage, error) {
	if decode || k.prefix == "plugins" { // a part of these is known only in memory
		return o.show(k, *found, decode)
	}
	d, epoch := derivedOf(found), o.cat.epoch.Load()
	if raw := d.shown.Load().at(epoch); raw != nil {
		return raw, nil
	}
	shown, _, err := o.cat.forms(k, found, epoch)
	return shown, err
}

// answerOf is answer, where secrets stay closed, for an object that is decoded.
func (o *objects) answerOf(k *kind, found *store.Object, decoded any) (json.RawMessage, error) {
	epoch, visible := o.cat.epoch.Load(), copied(decoded)
	if visible == nil || derivedOf(found).shown.Load().at(epoch) != nil {
		return o.answer(k, found, false)
	}
	shown, _, err := o.cat.formsOf(found, visible, epoch)
	return shown, err
}

// at is the form of an epoch, nil if it is of another one.
func (s *shownAt) at(epoch uint64) json.RawMessage {
	if s == nil || s.epoch != epoch {
		return nil
	}
	return s.raw
}

// columns tell how the fields of a kind are read by filters. A secret is found
// by its mask alone, so that a filter cannot probe for it.
func (o *objects) columns(k *kind) query.Columns[store.Object] {
	return query.Columns[store.Object]{
		Encoded: func(s *store.Object) []byte { return s.Value },
		Epoch:   o.cat.epoch.Load(), Secret: o.cat.secret, Mask: model.Masked,
		Aliases: map[string]string{"Key": k.keyField(), "Valid": "Validated"},
	}
}

// candidates are all objects of a kind, or at least those that a list can
// select, by their keys. Those of the layers have no revision.
func (o *objects) candidates(k *kind, l query.List) []*store.Object {
	if name := o.unique(k, l); name != "" {
		return o.one(k, name)
	}
	layered, stored := o.cat.objects(k.prefix), o.store.Snapshot(k.prefix)
	if len(layered) == 0 {
		return stored
	}
	out := slices.Clone(stored)
	for _, raw := range layered {
		out = append(out, &store.Object{Prefix: k.prefix, ID: keyIn(k, raw), Value: raw})
	}
	slices.SortStableFunc(out, func(a, b *store.Object) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// unique is the key or the unique value by which a list asks for one object; empty
// if it asks for none.
func (o *objects) unique(k *kind, l query.List) string {
	for _, f := range l.Filters {
		value, exact := f.Exact()
		if exact && (f.Field == "Key" || f.Field == k.keyField() || slices.Contains(k.unique, f.Field)) {
			return f.Field + ":" + value
		}
	}
	return ""
}

// one is the object that a key or a unique value names, if there is one.
func (o *objects) one(k *kind, key string) []*store.Object {
	if raw, ok := o.cat.object(k.prefix, k.layerKey(key)); ok {
		return []*store.Object{{Prefix: k.prefix, ID: k.layerKey(key), Value: raw}}
	}
	found, err := o.find(k, key)
	if err != nil {
		return nil
	}
	return []*store.Object{&found}
}

// keyIn is the key of an encoded object.
func keyIn(k *kind, raw []byte) string {
	var key string
	if quoted, ok := query.Member(raw, k.keyField()); ok {
		if err := json.Unmarshal(quoted, &key); err != nil {
			return ""
		}
	}
	return key
}

// tableOf is what selects among objects of a kind. One that was found by its key is
// not worth the columns of all.
func tableOf(k *kind, objects []*store.Object) *query.Table[store.Object] {
	if len(objects) == 1 {
		return &query.Table[store.Object]{}
	}
	return &k.table
}

// chosen are the objects of a kind that a caller wants, as they are stored.
func (o *objects) chosen(k *kind, l query.List) ([]*store.Object, error) {
	if err := o.knowsFields(k, l); err != nil {
		return nil, err
	}
	columns := o.columns(k)
	if found, _, ok := o.byIndex(k, l, columns, view{}); ok {
		return found, nil
	}
	objects := o.candidates(k, l)
	found, _ := tableOf(k, objects).Select(l, objects, columns)
	return found, nil
}

// selected answers the objects of a kind that a caller wants, and how many its
// filters select.
func (o *objects) selected(k *kind, l query.List, v view) (page []json.RawMessage, count int, err error) {
	if err := o.knowsFields(k, l); err != nil {
		return nil, 0, err
	}
	columns := o.columns(k)
	if chosen, count, ok := o.byIndex(k, l, columns, v); ok {
		page, err := o.pageOf(k, chosen, v, func(s *store.Object) (json.RawMessage, error) { return o.answer(k, s, v.decode) })
		return page, count, err
	}
	objects := o.candidates(k, l)
	table := tableOf(k, objects)
	answer := func(s *store.Object) (json.RawMessage, error) { return o.answer(k, s, v.decode) }
	if v.aggregate && k.hasParams() {
		// Filters and order see what is shown.
		shown, err := o.aggregated(k, objects, v.decode)
		if err != nil {
			return nil, 0, err
		}
		table = &query.Table[store.Object]{}
		columns.Encoded = func(s *store.Object) []byte { return shown[s] }
		answer = func(s *store.Object) (json.RawMessage, error) { return shown[s], nil }
	}
	chosen, count := table.Select(l, objects, columns)
	page, err = o.pageOf(k, chosen, v, answer)
	return page, count, err
}

// pageOf encodes what a list has chosen.
func (o *objects) pageOf(k *kind, chosen []*store.Object, v view, answer func(*store.Object) (json.RawMessage, error)) ([]json.RawMessage, error) {
	page := make([]json.RawMessage, len(chosen))
	for i, s := range chosen {
		raw, err := answer(s)
		if err != nil {
			return nil, err
		}
		page[i] = v.cut(k, raw)
	}
	return page, nil
}

// byIndex answers a list by the index of the kind; false if there is none that
// helps, or if there is more to look at than what is stored.
func (o *objects) byIndex(k *kind, l query.List, c query.Columns[store.Object], v view) (chosen []*store.Object, count int, ok bool) {
	x := o.indexes[k.prefix]
	if x == nil || v.aggregate || len(o.cat.objects(k.prefix)) > 0 || o.unique(k, l) != "" {
		return nil, 0, false
	}
	return x.Select(l, c)
}

// all answers every object of a kind, as it is shown.
func (o *objects) all(k *kind) ([]json.RawMessage, error) {
	page, _, err := o.selected(k, query.List{Limit: query.All}, view{})
	return page, err
}

// aggregated shows objects with all params that apply to each.
func (o *objects) aggregated(k *kind, objects []*store.Object, decode bool) (map[*store.Object][]byte, error) {
	out := make(map[*store.Object][]byte, len(objects))
	for _, s := range objects {
		raw, err := o.showAggregated(k, *s, decode)
		if err != nil {
			return nil, err
		}
		out[s] = raw
	}
	return out, nil
}

// showAggregated shows an object with all params that apply to it.
func (o *objects) showAggregated(k *kind, found store.Object, decode bool) (json.RawMessage, error) {
	object, err := o.shown(k, found, decode)
	if err != nil {
		return nil, err
	}
	if params := paramsOf(object); params != nil {
		*params = o.chainOf(object, decode).merged()
	}
	if k.prefix == "plugins" {
		o.overlay(object)
	}
	return model.Marshal(object)
}

// knowsFields refuses a filter by what no object of the kind can have.
func (o *objects) knowsFields(k *kind, l query.List) error {
	if k.hasParams() || k.shape != nil && k.shape.open {
		return nil
	}
	for _, field := range l.Fields() {
		name, _, _ := strings.Cut(field, ".")
		if _, known := k.fieldTypes()[name]; !known && name != "Key" && name != "Valid" {
			return model.Errorf(model.Invalid, "Filter not found: %s", field).On(k.prefix, "")
		}
	}
	return nil
}

// view is how a caller wants objects shown.
type view struct {
	aggregate bool
	decode    bool     // Secure values in clear
	slim      []string // fields that are left out
	params    []string // the only params that are wanted; nil: all
}

// viewOf reads a view from a query.
func viewOf(q url.Values) view {
	v := view{aggregate: q.Get("aggregate") == "true", decode: q.Get("decode") == "true"}
	if text := q.Get("slim"); text != "" {
		v.slim = strings.Split(text, ",")
	}
	if text := q.Get("params"); text != "" {
		v.params = strings.Split(text, ",")
	}
	return v
}

// cut leaves out what the caller does not want; the object then says that it is
// partial.
func (v view) cut(k *kind, raw json.RawMessage) json.RawMessage {
	if len(v.slim) == 0 && v.params == nil {
		return raw
	}
	return query.Rewrite(raw, func(field string, value []byte) []byte {
		switch {
		case field != k.keyField() && field != "Name" && slices.Contains(v.slim, field):
			return nil
		case field == "Partial":
			return []byte("true")
		case field == "Params" && v.params != nil:
			return query.Rewrite(value, func(param string, value []byte) []byte {
				if slices.Contains(v.params, param) {
					return value
				}
				return nil
			})
		}
		return value
	})
}

// only returns the members of those names.
func only[T any](all map[string]T, names []string) map[string]T {
	out := map[string]T{}
	for _, name := range names {
		if v, ok := all[name]; ok {
			out[name] = v
		}
	}
	return out
}
