package endpoint

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"provision-plugins/endpoint/query"
	"provision-plugins/endpoint/runs"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// objects is what the API stores and reads.
type objects struct {
	store *store.Store
	// indexes find objects by prefix; none for kinds of which there are few.
	indexes map[string]*query.Index[store.Object]
	runs    *runs.Manager
	cat     *catalog
	kinds   *kindSet
	locks   keyLocks
	vault   *vault
	// decodings are those that params come from.
	decodings decodedObjects
	// ended is told of a user whose tokens are void: it is gone, or has another
	// Secret.
	ended func(ctx context.Context, user string) error
	// overlay adds to an object what is known only in memory.
	overlay func(object any)
}

// updateTries bounds how often a change is made anew on a fresher object.
const updateTries = 8

// notFound is the error of an object that is not there.
func notFound(prefix, key string) *model.Error {
	return model.Errorf(model.NotFound, "Not Found").On(prefix, key)
}

// readOnly is the error of a change to an object of a content layer.
func readOnly(prefix, key, owner string) *model.Error {
	return model.Errorf(model.Conflict, "readonly: it belongs to content %s", owner).On(prefix, key)
}

// find returns a stored object by its key or by Index:value.
func (o *objects) find(k *kind, key string) (store.Object, error) {
	index, value, indexed := strings.Cut(key, ":")
	var found store.Object
	var err error
	switch {
	case !indexed:
		found, err = o.store.Get(k.prefix, key)
	case slices.Contains(k.unique, index):
		found, err = o.store.Find(k.prefix, index, value)
	case index == k.keyField() || index == "Key":
		found, err = o.store.Get(k.prefix, value)
	default:
		return found, model.Errorf(model.Invalid, "cannot look up by %s: no such index", index).On(k.prefix, key)
	}
	if err != nil && model.KindOf(err) == model.NotFound {
		return found, notFound(k.prefix, key)
	}
	return found, err
}

// show encodes a stored object for an answer, with its secrets in clear for
// those who asked for that and may see them.
func (o *objects) show(k *kind, found store.Object, decode bool) (json.RawMessage, error) {
	object, err := o.shown(k, found, decode)
	if err != nil {
		return nil, err
	}
	if k.prefix == "plugins" {
		o.overlay(object)
	}
	return model.Marshal(object)
}

// create stores a new object.
func (o *objects) create(ctx context.Context, k *kind, body []byte) (json.RawMessage, error) {
	gen := o.cat.epoch.Load()
	object, err := o.begun(k, body)
	if err != nil {
		return nil, err
	}
	if err := o.accept(ctx, object, nil, store.Object{Prefix: k.prefix}); err != nil {
		return nil, err
	}
	k.tidy(object)
	if err := o.validate(k, object, nil); err != nil {
		return nil, err
	}
	if err := o.guardTargets(ctx, k, object, nil); err != nil {
		return nil, err
	}
	key := *k.key(object)
	if o.cat.owns(k.prefix, key) != "" {
		return nil, model.Errorf(model.Conflict, "already exists").On(k.prefix, key)
	}
	next, err := o.sealed(object, store.Object{Prefix: k.prefix, ID: key})
	if err != nil {
		return nil, err
	}
	o.cat.foresee(&next, object)
	unlock := o.locks.lock(k.prefix, key, principal(ctx))
	made, err := o.store.Create(ctx, next, uniqueOf(object))
	if err == nil {
		err = o.unlayered(ctx, made)
	}
	unlock()
	if err != nil {
		return nil, o.taken(err, k, object)
	}
	return o.settled(ctx, k, made, gen)
}

// begun decodes a new object; a machine begins as the preferences say, as far
// as its maker does not.
func (o *objects) begun(k *kind, body []byte) (any, error) {
	object := k.fresh()
	m, ok := object.(*model.Machine)
	if ok {
		m.Stage, m.BootEnv = "", ""
	}
	if err := model.Unmarshal(body, object); err != nil || !ok {
		return object, err
	}
	begin(m)
	return m, o.prefer(m)
}

// taken words the conflict of a key or a name that is there already.
func (o *objects) taken(err error, k *kind, object any) error {
	if model.KindOf(err) != model.Conflict {
		return err
	}
	key := *k.key(object)
	if m, ok := object.(*model.Machine); ok {
		if other, err := o.find(k, "Name:"+m.Name); err == nil && other.ID != m.Uuid {
			return model.Errorf(model.Conflict, "already exists: machine %s has the Name %s", other.ID, m.Name).On(k.prefix, key)
		}
	}
	return model.Errorf(model.Conflict, "already exists").On(k.prefix, key)
}

// uniqueOf lists the values that no other object may have.
func uniqueOf(object any) map[string]string {
	if m, ok := object.(*model.Machine); ok {
		return map[string]string{"Name": m.Name}
	}
	return nil
}

// edit makes of an object, as it is shown with its secrets masked, what it
// should be.
type edit func(shown []byte) ([]byte, error)

// modify changes an object. The edit is called again on a fresher object when
// somebody else was quicker.
func (o *objects) modify(ctx context.Context, k *kind, key string, change edit) (json.RawMessage, error) {
	if owner := o.cat.owns(k.prefix, k.layerKey(key)); owner != "" && owner != writableLayer {
		return nil, readOnly(k.prefix, key, owner)
	}
	var last error
	for range updateTries {
		gen := o.cat.epoch.Load()
		found, err := o.find(k, key)
		if err != nil {
			return nil, err
		}
		updated, err := o.modifyOnce(ctx, k, found.ID, change)
		if err == nil {
			return o.settled(ctx, k, updated, gen)
		}
		now, gone := o.store.Get(k.prefix, found.ID)
		if gone != nil || now.Rev == updated.Rev && gen == o.cat.epoch.Load() {
			return nil, err
		}
		last = err
	}
	return nil, last
}

// modifyOnce makes a change to an object and returns it; with an error, as it was
// when the change was tried. The object is read under its lock, so that writers
// of this process wait for each other instead of being too late again and again.
func (o *objects) modifyOnce(ctx context.Context, k *kind, id string, change edit) (store.Object, error) {
	defer o.locks.lock(k.prefix, id, principal(ctx))()
	found, err := o.find(k, id)
	if err == nil {
		err = o.matches(ctx, k, found)
	}
	if err != nil {
		return found, err
	}
	object, err := o.edited(ctx, k, found, change)
	if err != nil {
		return found, err
	}
	next, err := o.sealed(object, found)
	if err != nil {
		return found, err
	}
	o.cat.foresee(&next, object)
	updated, err := o.store.Update(ctx, next, uniqueOf(object))
	if err != nil {
		updated = found
	}
	if m, ok := object.(*model.Machine); ok && err != nil {
		err = o.renamed(err, k, m)
	}
	if user, ok := object.(*record); ok && err == nil && k.prefix == usersPrefix && o.newSecret(k, found, user) {
		err = o.ended(ctx, found.ID)
	}
	return updated, err
}

// edited returns the checked object that the edit makes of the found one.
func (o *objects) edited(ctx context.Context, k *kind, found store.Object, change edit) (any, error) {
	stored, object := k.fresh(), k.fresh()
	if err := model.Unmarshal(found.Value, stored); err != nil {
		return nil, err
	}
	shown, err := o.answerOf(k, &found, stored)
	if err != nil {
		return nil, err
	}
	next, err := change(shown)
	if err != nil {
		return nil, model.AsError(err).On(k.prefix, found.ID)
	}
	if err := model.Unmarshal(next, object); err != nil {
		return nil, err
	}
	if key := k.key(object); *key == "" {
		*key = found.ID
	} else if *key != found.ID {
		return nil, model.Errorf(model.Invalid, "cannot change the key to %q", *key).On(k.prefix, found.ID)
	}
	if err := o.accept(ctx, object, stored, found); err != nil {
		return nil, model.AsError(err).On(k.prefix, found.ID)
	}
	if r, ok := object.(*record); ok {
		r.restore(stored.(*record))
	}
	k.tidy(object)
	if err := o.validate(k, object, stored); err != nil {
		return object, err
	}
	return object, o.guardTargets(ctx, k, object, stored)
}

// renamed words the conflict of a machine's new name; any other conflict stays.
func (o *objects) renamed(err error, k *kind, m *model.Machine) error {
	if other, findErr := o.find(k, "Name:"+m.Name); findErr == nil && other.ID != m.Uuid {
		return o.taken(err, k, m)
	}
	return err
}

// remove deletes an object and returns what it was.
func (o *objects) remove(ctx context.Context, k *kind, key string) (json.RawMessage, error) {
	if owner := o.cat.owns(k.prefix, k.layerKey(key)); owner != "" && owner != writableLayer {
		return nil, readOnly(k.prefix, key, owner)
	}
	found, err := o.find(k, key)
	if err != nil {
		return nil, err
	}
	defer o.locks.lock(k.prefix, found.ID, principal(ctx))()
	if found, err = o.find(k, found.ID); err != nil {
		return nil, err
	}
	if err := o.matches(ctx, k, found); err != nil {
		return nil, err
	}
	if err := o.removable(k, found); err != nil {
		return nil, err
	}
	if err := o.undelegate(ctx, k, found.ID); err != nil {
		return nil, err
	}
	was, err := o.store.Delete(ctx, k.prefix, found.ID, found.Rev)
	if err == nil && k.prefix == usersPrefix {
		err = o.ended(ctx, found.ID)
	}
	if err != nil {
		return nil, err
	}
	return o.show(k, was, false)
}

// removable refuses to delete what is still needed.
func (o *objects) removable(k *kind, found store.Object) error {
	if run := o.runs.Live(k.prefix, found.ID); run != nil {
		return model.Errorf(model.Conflict, "cannot delete: run %s (%s) has not ended; it ends by %s",
			run.ID, run.Command, runs.EndsBy(run)).On(k.prefix, found.ID)
	}
	switch k.prefix {
	case "machines":
		m := &model.Machine{}
		if err := model.Unmarshal(found.Value, m); err == nil && m.Locked {
			return model.Errorf(model.Conflict, "Locked").On(k.prefix, found.ID)
		}
	case "profiles":
		return o.profileUnused(found.ID)
	case rolesPrefix:
		return o.roleUnused(found.ID)
	}
	return nil
}

// profileUnused refuses to delete the global profile and one that a machine has.
func (o *objects) profileUnused(name string) error {
	if name == model.GlobalProfile {
		return model.Errorf(model.Conflict, "cannot delete: every machine has it").On("profiles", name)
	}
	for _, s := range o.store.List("machines") {
		var m struct {
			Name     string
			Profiles []string
		}
		if err := model.Unmarshal(s.Value, &m); err != nil {
			return err
		}
		for _, p := range m.Profiles {
			if p == name {
				return model.Errorf(model.Conflict, "cannot delete: machine %s has it", m.Name).On("profiles", name)
			}
		}
	}
	return nil
}

// paramsShown returns an object's params, or with aggregate all that apply to
// it, secrets masked.
func (o *objects) paramsShown(k *kind, key string, aggregate, decode bool) (model.Params, error) {
	if raw, ok := o.cat.object(k.prefix, k.layerKey(key)); ok {
		shown, err := o.layerShown(k, raw, decode)
		if err != nil {
			return nil, err
		}
		return decodedParams(k, shown)
	}
	found, err := o.find(k, key)
	if err != nil {
		return nil, err
	}
	object, err := o.shown(k, found, decode)
	if err != nil {
		return nil, err
	}
	params := *paramsOf(object)
	if aggregate {
		params = o.chainOf(object, decode).merged()
	}
	return orParams(params), nil
}

// chainOf is where an object's params come from.
func (o *objects) chainOf(object any, decode bool) chain {
	from := params{o, decode}
	switch t := object.(type) {
	case *model.Machine:
		return from.ofMachine(t)
	case *model.Plugin:
		return from.ofPlugin(t)
	}
	return chain{*paramsOf(object)}
}

// modifyParams changes an object's params, as they are shown, and returns them
// as they are shown afterwards.
func (o *objects) modifyParams(ctx context.Context, k *kind, key string, change func(model.Params) (model.Params, error)) (model.Params, error) {
	raw, err := o.modify(ctx, k, key, func(shown []byte) ([]byte, error) {
		object := k.fresh()
		if err := model.Unmarshal(shown, object); err != nil {
			return nil, err
		}
		o.locks.save(k.prefix, *k.key(object)) // the edit is made under the lock
		params := paramsOf(object)
		next, err := change(orParams(*params))
		if err != nil {
			return nil, err
		}
		*params = next
		return model.Marshal(object)
	})
	if err != nil {
		return nil, err
	}
	return decodedParams(k, raw)
}

// decodedParams returns the params of an encoded object.
func decodedParams(k *kind, raw []byte) (model.Params, error) {
	object := k.fresh()
	err := model.Unmarshal(raw, object)
	return *paramsOf(object), err
}
