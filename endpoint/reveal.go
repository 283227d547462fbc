package endpoint

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"provision-plugins/endpoint/secret"
	"provision-plugins/shared/model"
)

// reveals is reveal for the params that a bundle declares.
func (o *objects) reveals(ctx context.Context, bundle *model.Content) error {
	params := bundle.Sections["params"]
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name]["Secure"] == true {
			continue
		}
		if err := o.reveal(ctx, name); err != nil {
			return model.AsError(err).On(contentsPrefix, bundle.Meta.Name)
		}
	}
	return nil
}

// reveal refuses to declare a param that is not Secure to those who may not see
// its values: the sealed ones would be shown in clear from then on.
func (o *objects) reveal(ctx context.Context, name string) error {
	if model.SecretName(name) {
		return nil // sealed all the same
	}
	quoted, err := model.Marshal(name)
	if err != nil {
		return err
	}
	for _, k := range o.kinds.list() {
		if !k.hasParams() || allowed(ctx, k.prefix, actGetSecure, "") {
			continue
		}
		for _, found := range o.store.List(k.prefix) {
			if !bytes.Contains(found.Value, quoted) {
				continue
			}
			params := paramsOf(o.decoded(k, found))
			if params != nil && secret.Parse((*params)[name]) != nil {
				return model.Errorf(model.Forbidden, "Access Denied: %s may not: %s %s, to have the sealed values of %s shown", principal(ctx), k.prefix, actGetSecure, name)
			}
		}
	}
	return nil
}
