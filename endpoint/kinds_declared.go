package endpoint

import (
	"maps"
	"slices"
)

// declaredShape is that of the objects of a type that a plugin provider declares:
// what the reference's raw objects have, and whatever else they hold.
func declaredShape() *shape {
	return &shape{keyField: "Id", params: true, open: true, fields: join(groupCommon, groupPartial, groupTexts, texts("Type"))}
}

// reserved are the prefixes of the API that are no kinds of object, and those of
// the store alone.
func reserved() []string {
	return []string{
		"info", "power", "plugin_providers", "runs", "events", "logs", "system", "meta", "indexes", "objects", "contents",
		"ws", "files", "interfaces", "keys", "tokens", "unique", trustPrefix,
	}
}

// setKinds makes the types known that a provider declares, in place of those that
// it brought before. One of a prefix that is there already is left out.
func (l *loader) setKinds(provider string, declared map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keepKinds(provider, declared)
}

// keepKinds is setKinds for who holds the lock.
func (l *loader) keepKinds(provider string, declared map[string]any) {
	var kept []*kind
	for _, k := range l.kinds[provider] {
		if _, still := declared[k.prefix]; still {
			kept = append(kept, k)
		} else {
			l.objects.kinds.remove(k)
		}
	}
	for _, prefix := range slices.Sorted(maps.Keys(declared)) {
		if slices.ContainsFunc(kept, func(k *kind) bool { return k.prefix == prefix }) {
			continue
		}
		k := recordKind(prefix, declaredShape())
		if checkName("plugins", prefix) != nil || slices.Contains(reserved(), prefix) || !l.objects.kinds.add(k) {
			l.log.Warn("a plugin provider declares objects of a type that cannot be its own", "provider", provider, "type", prefix)
			continue
		}
		kept = append(kept, k)
	}
	l.kinds[provider] = kept
}
