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

// acceptParam refuses a declaration by which secrets would be seen.
func (o *objects) acceptParam(ctx context.Context, p *model.Param) error {
	if !p.Secure {
		return o.reveal(ctx, p.Name)
	}
	if openDefault(p) {
		return refused("params", p.Name, "a Secure param must have no default: everybody could read it")
	}
	return nil
}

// openDefault reports whether a Secure param has a default, which is shown to
// whoever looks at its schema.
func openDefault(p *model.Param) bool {
	value, ok := schemaDefault(p)
	return p.Secure && ok && value != ""
}

// openDefaults warns of the Secure params of content that have defaults. Content
// that others made is taken as it is: it is known already.
func openDefaults(params map[string]*model.Param) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if openDefault(params[name]) && len(out) < maxWarnings {
			out = append(out, "params/"+name+": it is Secure and has a default, which everybody can read")
		}
	}
	return out
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
