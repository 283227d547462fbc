package endpoint

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// declaredField is a field of a declared type: its schema, and whether an object
// must have it.
type declaredField struct {
	schema   *content.Checker
	required bool
}

// declaredKind is the kind of a type of object that a plugin provider declares:
// what the reference's raw objects have, and whatever else they hold. Fields tells
// by their names what some of that is like; nothing declares anything.
func declaredKind(prefix string, fields any) *kind {
	s := &shape{keyField: "Id", params: true, open: true, fields: join(groupCommon, groupPartial, groupTexts, texts("Type"))}
	declared, _ := fields.(map[string]any) // anything else declares nothing
	for name, v := range declared {
		schema, ok := v.(map[string]any)
		if !ok {
			continue
		}
		schema = maps.Clone(schema)
		f := declaredField{}
		for word, value := range schema {
			if strings.EqualFold(word, "isrequired") { // a word of the reference's, none of JSON Schema
				f.required, _ = value.(bool)
				delete(schema, word)
			}
		}
		f.schema = content.NewChecker(&model.Param{Name: name, Schema: schema})
		if s.declared == nil {
			s.declared = map[string]declaredField{}
		}
		s.declared[name] = f
	}
	return recordKind(prefix, s)
}

// checkDeclared refuses an object whose fields are not what its type declares.
func checkDeclared(prefix string, r *record) error {
	for _, name := range slices.Sorted(maps.Keys(r.shape.declared)) {
		f := r.shape.declared[name]
		v, set := r.values[name]
		switch {
		case !set && f.required:
			return refused(prefix, r.key, "Missing required field %s", name)
		case !set:
			continue
		}
		if err := f.schema.Check(v); err != nil {
			return refused(prefix, r.key, "Field %s: %s", name, model.AsError(err).Text())
		}
	}
	return nil
}

// reserved are the prefixes of the API that are no kinds of object, and those of
// the store alone.
func reserved() []string {
	return []string{
		"info", "power", "plugin_providers", "runs", "events", "logs", "system", "meta", "indexes", "objects", "audit",
		"ws", "files", "interfaces", "unique", contentsPrefix, seenPrefix, tokensPrefix, trustPrefix, delegationsPrefix,
	}
}

// setKinds makes the types known that a provider declares, in place of those that
// it brought before. One of a prefix that is there already is left out.
func (l *loader) setKinds(provider string, declared map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replaceKinds(provider, declared)
}

// replaceKinds is setKinds for who holds the lock.
func (l *loader) replaceKinds(provider string, declared map[string]any) {
	had := l.kinds[provider]
	if len(declared) == len(had.declared) && (len(declared) == 0 || reflect.DeepEqual(declared, had.declared)) {
		return // what filters have learned of them stays
	}
	for _, k := range had.kinds {
		l.objects.kinds.remove(k)
	}
	now := brought{declared: declared}
	for _, prefix := range slices.Sorted(maps.Keys(declared)) {
		k := declaredKind(prefix, declared[prefix])
		if checkName("plugins", prefix) != nil || slices.Contains(reserved(), prefix) || !l.objects.kinds.add(k) {
			l.log.Warn("a plugin provider declares objects of a type that cannot be its own", "provider", provider, "type", prefix)
			continue
		}
		now.kinds = append(now.kinds, k)
	}
	l.kinds[provider] = now
}

// brought is what a provider declared, and the kinds made of it.
type brought struct {
	declared map[string]any
	kinds    []*kind
}
