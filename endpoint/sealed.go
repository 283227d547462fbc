package endpoint

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// The secrets of stored objects are sealed, each to the key of its object.
// They are opened where an action or a config needs them, and where who may see
// them asks for it; everything else passes them on as they are.

// vault opens the keys of objects.
type vault struct {
	master *secret.Master

	mu    sync.Mutex // guards boxes
	boxes map[string]*secret.Box
}

// maxBoxes bounds how many keys are kept open, half a kilobyte each. Opening one
// again takes a tenth of a millisecond.
const maxBoxes = 16_384

// newVault makes a vault of the master key.
func newVault(m *secret.Master) *vault { return &vault{master: m, boxes: map[string]*secret.Box{}} }

// owner is what an object's key is bound to.
func owner(o store.Object) string { return o.Prefix + "/" + o.ID }

// box opens the key of an object; nil if it has none.
func (v *vault) box(o store.Object) (*secret.Box, error) {
	if len(o.Key) == 0 {
		return nil, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if b := v.boxes[string(o.Key)]; b != nil {
		return b, nil
	}
	b, err := v.master.OpenBox(owner(o), o.Key)
	if err != nil {
		return nil, err
	}
	if len(v.boxes) >= maxBoxes {
		clear(v.boxes)
	}
	v.boxes[string(o.Key)] = b
	return b, nil
}

// boxFor is box, with a new key for an object that has none.
func (v *vault) boxFor(o store.Object) (*secret.Box, store.Object, error) {
	b, err := v.box(o)
	if b == nil && err == nil {
		b, o.Key, err = v.master.NewBox(owner(o))
	}
	return b, o, err
}

// open opens the sealed secrets among params, in place.
func (o *objects) open(params model.Params, of store.Object) error {
	for name, value := range params {
		opened, err := o.openValue(name, value, of)
		switch {
		case err == nil:
			params[name] = opened
		case o.cat.secret(name):
			return err
		}
		// Else it only looks sealed, or was so when its param was Secure.
	}
	return nil
}

// openValue opens a value if it is sealed.
func (o *objects) openValue(name string, value any, of store.Object) (any, error) {
	sealed := secret.Parse(value)
	if sealed == nil {
		return value, nil
	}
	b, err := o.vault.box(of)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, model.Errorf(model.Invalid, "Key '%s': the sealed value does not open: seal it to the key of %s/pubkey", name, owner(of))
	}
	return b.Open(name, sealed)
}

// opened decodes a stored object and opens its secrets: for those who act on
// it.
func (o *objects) opened(k *kind, found store.Object) (any, error) {
	object := k.fresh()
	if err := model.Unmarshal(found.Value, object); err != nil {
		return nil, err
	}
	if params := paramsOf(object); params != nil {
		if err := o.open(*params, found); err != nil {
			return nil, model.AsError(err).On(k.prefix, found.ID)
		}
	}
	return object, nil
}

// sealed encodes an object for the store: the secrets that are not sealed yet
// are sealed to its key.
func (o *objects) sealed(object any, next store.Object) (store.Object, error) {
	if params := paramsOf(object); params != nil {
		for name, value := range *params {
			if value == nil || !o.cat.secret(name) || secret.Parse(value) != nil {
				continue
			}
			b, keyed, err := o.vault.boxFor(next)
			if err != nil {
				return next, err
			}
			s, err := b.Seal(name, value)
			if err != nil {
				return next, err
			}
			next, (*params)[name] = keyed, secret.Value(s)
		}
	}
	raw, err := model.Marshal(object)
	next.Value = raw
	return next, err
}

// accept takes the params of an object from a writer: the mask and a sealed
// value that is the stored one stand for what is stored; what a client sealed
// is opened, to be checked. Setting a Secure value takes a claim of its own.
func (o *objects) accept(ctx context.Context, object, stored any, found store.Object) error {
	if p, ok := object.(*model.Param); ok {
		if err := o.acceptParam(ctx, p); err != nil {
			return err
		}
	}
	now, old := paramsOf(object), model.Params{}
	if before := paramsOf(stored); before != nil {
		old = *before
	}
	if now != nil {
		for name, value := range *now {
			if secret.Same(value, old[name]) {
				(*now)[name] = o.unchanged(name, value, found)
				continue
			}
			taken, err := o.acceptSecret(ctx, name, value, found)
			if err != nil {
				return err
			}
			(*now)[name] = taken
		}
	}
	if user, ok := object.(*record); ok && found.Prefix == usersPrefix {
		guardUser(user, stored)
	}
	return unmask(object, stored)
}

// unchanged is a sealed value that a writer left as it is. One of a param that
// is declared, and no longer Secure, is opened, so that it can be checked and
// stored as such.
func (o *objects) unchanged(name string, value any, of store.Object) any {
	if !o.cat.open(name) {
		return value
	}
	if opened, err := o.openValue(name, value, of); err == nil {
		return opened
	}
	return value
}

// acceptSecret takes one value that is not the stored one.
func (o *objects) acceptSecret(ctx context.Context, name string, value any, of store.Object) (any, error) {
	if value == nil || value == model.Masked || !o.cat.secret(name) {
		return value, nil
	}
	if o.cat.secure(name) && !allowed(ctx, of.Prefix, actUpdateSecure, of.ID) {
		return nil, model.Errorf(model.Forbidden, "Access Denied: %s may not: %s %s, to set %s", principal(ctx), of.Prefix, actUpdateSecure, name)
	}
	return o.openValue(name, value, of)
}

// shown decodes a stored object as answers show it: secrets sealed or masked,
// or in clear for those who asked for it and may see them.
func (o *objects) shown(k *kind, found store.Object, decode bool) (any, error) {
	if decode {
		return o.opened(k, found)
	}
	object := k.fresh()
	err := model.Unmarshal(found.Value, object)
	o.cat.mask(object)
	return object, err
}

// layerShown is shown for an object of a content layer.
func (o *objects) layerShown(k *kind, raw json.RawMessage, decode bool) (json.RawMessage, error) {
	if decode && k.hasParams() {
		return raw, nil
	}
	// What the kind does not name is not shown: nothing else knows its secrets.
	object, err := o.shown(k, store.Object{Value: raw}, false)
	if err != nil {
		return nil, err
	}
	return model.Marshal(object)
}

// publicKey returns the key to which clients seal an object's values. An object
// that has none gets one.
func (o *objects) publicKey(ctx context.Context, k *kind, key string) ([]byte, error) {
	if by := o.cat.owns(k.prefix, key); by != "" && by != writableLayer {
		return nil, readOnly(k.prefix, key, by)
	}
	var last error
	for range updateTries {
		found, err := o.find(k, key)
		if err != nil {
			return nil, err
		}
		b, keyed, err := o.vault.boxFor(found)
		if err != nil {
			return nil, err
		}
		if len(found.Key) > 0 {
			return b.Public(), nil
		}
		unlock := o.locks.lock(k.prefix, found.ID, principal(ctx))
		_, err = o.store.Update(ctx, keyed, uniqueOf(o.decoded(k, keyed)))
		unlock()
		if err == nil {
			return b.Public(), nil
		}
		if model.KindOf(err) != model.Conflict { // somebody else was quicker
			return nil, err
		}
		last = err
	}
	return nil, last
}

// decoded decodes a stored object as it is, nil if it cannot be read.
func (o *objects) decoded(k *kind, found store.Object) any {
	object := k.fresh()
	if err := model.Unmarshal(found.Value, object); err != nil {
		return nil
	}
	return object
}

// secretRoutes are those of the key of one kind of object.
func (a *api) secretRoutes(k *kind) []route {
	if paramsOf(k.fresh()) == nil {
		return nil
	}
	return []route{{"GET /" + k.prefix + "/{key}/pubkey", func(r *http.Request) (*reply, error) {
		public, err := a.objects.publicKey(r.Context(), k, r.PathValue("key"))
		return ok(public), err
	}}}
}
