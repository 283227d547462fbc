package endpoint

import (
	"context"
	"maps"
	"slices"

	bundles "provision-plugins/content"
	"provision-plugins/endpoint/events"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// openContent loads the endpoint's own content layers, and with them all that
// reads and writes objects.
func (e *Endpoint) openContent(ctx context.Context) error {
	e.hub = events.New(events.Options{Published: e.count.Event})
	e.publishLog()
	e.cat = newCatalog(e.log)
	e.objects = &objects{store: e.store, indexes: e.indexes, cat: e.cat, kinds: newKinds(), vault: newVault(e.master), overlay: func(any) {}}
	e.objects.recall()
	base, err := bundles.Base()
	if err != nil {
		return err
	}
	profiles := base.Sections["profiles"]
	delete(base.Sections, "profiles")
	if base.Sections[rolesPrefix], err = roleSection(); err != nil {
		return err
	}
	if err := e.cat.putFrom(sourceBuiltin, "base", base); err != nil {
		return err
	}
	oob, err := bundles.OOB()
	if err != nil {
		return err
	}
	if err := e.cat.putFrom(sourceBuiltin, "oob", oob); err != nil {
		return err
	}
	for _, o := range e.store.List("params") {
		e.cat.stored(store.Change{New: &o})
	}
	e.contents = &contents{objects: e.objects, cat: e.cat, features: features, changed: func() {}}
	e.contents.load(ctx)
	if err := e.upgrade(ctx); err != nil {
		return err
	}
	return e.seedProfiles(ctx, profiles)
}

// seedProfiles stores the base content's profiles where they are absent: unlike
// the rest of a layer, the global profile is there to be changed.
func (e *Endpoint) seedProfiles(ctx context.Context, profiles map[string]map[string]any) error {
	if profiles == nil {
		profiles = map[string]map[string]any{}
	}
	if profiles[model.GlobalProfile] == nil {
		profiles[model.GlobalProfile] = map[string]any{"Name": model.GlobalProfile, "Description": "Params of every machine"}
	}
	for _, name := range slices.Sorted(maps.Keys(profiles)) {
		if _, err := e.store.Get("profiles", name); err == nil {
			continue
		}
		body, err := model.Marshal(profiles[name])
		if err != nil {
			return err
		}
		if _, err := e.objects.create(ctx, e.objects.kinds.get("profiles"), body); err != nil {
			return err
		}
	}
	return nil
}
