package endpoint

import (
	"slices"

	"provision-plugins/shared/model"
)

// reference is a name by which an object points to another one.
type reference struct {
	prefix string
	word   string // how the reference's messages call such an object
	name   string
}

// referencesOf lists the names that an object of the endpoint's own types points
// to; those of records are only data, but for preferences.
func referencesOf(k *kind, object any) []reference {
	var out []reference
	var profiles []string
	switch t := object.(type) {
	case *model.Machine:
		out = []reference{{"stages", "Stage", t.Stage}, {"bootenvs", "BootEnv", t.BootEnv}, {"workflows", "Workflow", t.Workflow}}
		profiles = t.Profiles
	case *model.Profile:
		profiles = t.Profiles
	case *record:
		if to, known := prefReferences[t.key]; known && k.prefix == "prefs" {
			to.name = t.text("Val")
			out = append(out, to)
		}
	}
	for _, name := range profiles {
		out = append(out, reference{"profiles", "Profile", name})
	}
	return out
}

// refersTo refuses an object that points to what is not there. What the stored
// object points to already is no reason: it may have gone since, and the object
// must still be changeable.
func (o *objects) refersTo(k *kind, object, stored any) error {
	before := referencesOf(k, stored)
	for _, r := range referencesOf(k, object) {
		if r.name == "" || slices.Contains(before, r) || o.exists(r) {
			continue
		}
		key := *k.key(object)
		if m, ok := object.(*model.Machine); ok && stored == nil {
			key = m.Name // the key was made for it
		}
		return refused(k.prefix, key, "%s %s does not exist", r.word, r.name)
	}
	return nil
}

// exists reports whether the object that a reference points to is there.
func (o *objects) exists(r reference) bool {
	if o.cat.owns(r.prefix, r.name) != "" {
		return true
	}
	_, err := o.store.Get(r.prefix, r.name)
	return err == nil
}
