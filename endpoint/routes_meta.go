package endpoint

import (
	"encoding/json"
	"net/http"
	"slices"

	"provision-plugins/shared/model"
)

// metaRoutes are those of what is told about objects: their prefixes, indexes
// and metadata, and the preferences.
func (a *api) metaRoutes() []route {
	list := []route{
		{"GET /objects", a.listPrefixes},
		{"GET /indexes", a.listIndexes},
		{"GET /indexes/{prefix}", a.getIndexes},
		{"GET /indexes/{prefix}/{index}", a.getIndex},
		{"GET /meta/{prefix}/{key...}", a.getMeta},
		{"PUT /meta/{prefix}/{key...}", matching(a.changeMeta(func(_, request []byte) ([]byte, error) { return request, nil }))},
		{"PATCH /meta/{prefix}/{key...}", matching(a.changeMeta(applyPatch))},
		{"GET /prefs", a.getPrefs},
		{"POST /prefs", a.setPrefs},
	}
	for i, row := range list {
		list[i].handle = worded("", row.handle)
	}
	return list
}

// listPrefixes lists the prefixes of objects.
func (a *api) listPrefixes(*http.Request) (*reply, error) {
	out := []string{"contents", "events", "plugin_providers", "runs"}
	for _, k := range a.objects.kinds.list() {
		out = append(out, k.prefix)
	}
	slices.Sort(out)
	return ok(out), nil
}

// index tells how objects can be found by one field.
type index struct {
	Type      string
	Unique    bool
	Unordered bool
	Regex     bool
}

// indexTypes are the reference's words for the types of fields that can be
// indexed.
var indexTypes = map[string]string{"a string": "string", "a boolean": "boolean", "a number": "number"}

// indexesOf are the indexes of a kind: its plain fields, all of which filters
// and sorting know.
func indexesOf(k *kind) map[string]index {
	out := map[string]index{"Key": {Type: "string", Unique: true, Regex: true}}
	for name, is := range k.fieldTypes() {
		word, plain := indexTypes[is]
		if !plain {
			continue
		}
		unique := name == k.keyField() || slices.Contains(k.unique, name)
		out[name] = index{Type: word, Unique: unique, Unordered: word == "boolean", Regex: word == "string"}
	}
	if validated, ok := out["Validated"]; ok {
		out["Valid"] = validated
	}
	for name, word := range map[string]string{"Uuid": "UUID", "Address": "IP Address"} {
		if i, ok := out[name]; ok {
			i.Type = word
			out[name] = i
		}
	}
	return out
}

// listIndexes shows the indexes of every kind.
func (a *api) listIndexes(*http.Request) (*reply, error) {
	out := map[string]map[string]index{}
	for _, k := range a.objects.kinds.list() {
		out[k.prefix] = indexesOf(k)
	}
	return ok(out), nil
}

// kindIn returns the kind that a path names.
func (a *api) kindIn(r *http.Request) (*kind, error) {
	prefix := r.PathValue("prefix")
	if k := a.objects.kinds.get(prefix); k != nil {
		return k, nil
	}
	return nil, model.Errorf(model.NotFound, "Not Found").On(prefix, "")
}

// getIndexes shows the indexes of one kind.
func (a *api) getIndexes(r *http.Request) (*reply, error) {
	k, err := a.kindIn(r)
	if err != nil {
		return nil, err
	}
	return ok(indexesOf(k)), nil
}

// getIndex shows one index.
func (a *api) getIndex(r *http.Request) (*reply, error) {
	k, err := a.kindIn(r)
	if err != nil {
		return nil, err
	}
	found, known := indexesOf(k)[r.PathValue("index")]
	if !known {
		return nil, model.Errorf(model.NotFound, "Not Found").On("indexes", k.prefix+"/"+r.PathValue("index"))
	}
	return ok(found), nil
}

// withMeta is the one part of an object that its metadata is.
type withMeta struct{ Meta map[string]string }

// getMeta shows an object's metadata.
func (a *api) getMeta(r *http.Request) (*reply, error) {
	k, err := a.kindIn(r)
	if err != nil {
		return nil, err
	}
	raw, _, err := a.objects.tagged(k, r.PathValue("key"), view{})
	if err != nil {
		return nil, err
	}
	var object withMeta
	err = model.Unmarshal(raw, &object)
	return ok(orMap(object.Meta)), err
}

// changeMeta makes a handler of how a request changes an object's metadata.
func (a *api) changeMeta(change func(shown, request []byte) ([]byte, error)) handle {
	return func(r *http.Request) (*reply, error) {
		k, err := a.kindIn(r)
		if err != nil {
			return nil, err
		}
		request := body(r)
		raw, err := a.objects.modify(r.Context(), k, r.PathValue("key"), func(shown []byte) ([]byte, error) {
			return editMember(shown, "Meta", func(meta []byte) ([]byte, error) { return change(meta, request) })
		})
		if err != nil {
			return nil, err
		}
		var object withMeta
		err = model.Unmarshal(raw, &object)
		return ok(orMap(object.Meta)), err
	}
}

// editMember changes one member of an encoded object.
func editMember(raw []byte, name string, change func([]byte) ([]byte, error)) ([]byte, error) {
	var object map[string]json.RawMessage
	if err := model.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	next, err := change(object[name])
	if err != nil {
		return nil, err
	}
	object[name] = next
	return model.Marshal(object)
}
