package endpoint

import (
	"context"
	"log/slog"
	"reflect"

	"provision-plugins/endpoint/store"
	"provision-plugins/endpoint/targets"
	"provision-plugins/shared/model"
)

// targetsPrefix is where the store keeps what each provider said of its
// credentials, so that they are kept where they are while it is away too.
const targetsPrefix = "targets"

// declareTargets notes which params say where a provider's credentials go.
func (o *objects) declareTargets(ctx context.Context, p *model.PluginProvider) error {
	raw, err := model.Marshal(p.Meta[model.MetaTargets])
	if err != nil {
		return err
	}
	found, err := o.store.Get(targetsPrefix, p.Name)
	switch {
	case err == nil && string(found.Value) == string(raw):
		return nil
	case err == nil:
		found.Value = raw
		_, err = o.store.Update(ctx, found, nil)
		return err
	case p.Meta[model.MetaTargets] == "":
		return nil
	}
	_, err = o.store.Create(ctx, store.Object{Prefix: targetsPrefix, ID: p.Name, Value: raw}, nil)
	return err
}

// targets are those of all providers that have been here.
func (o *objects) targets(log *slog.Logger) targets.Table {
	all := targets.Table{}
	for _, found := range o.store.List(targetsPrefix) {
		var text string
		err := model.Unmarshal(found.Value, &text)
		if err == nil {
			var table targets.Table
			if table, err = targets.Parse(text); err == nil {
				all.Add(table)
			}
		}
		if err != nil {
			log.Error("cannot read where a provider's credentials go", "provider", found.ID, "error", err)
		}
	}
	return all
}

// holder is an object whose params may be a credential, or say where one goes.
type holder struct {
	own    model.Params
	from   chain
	shared bool // others take their params from it
}

// holderOf looks at an object; stored is nil for a new one. Secrets of others are
// opened, so that they can be compared.
func (o *objects) holderOf(object any) holder {
	p := params{o, true}
	h := holder{}
	if object == nil {
		return h
	}
	if own := paramsOf(object); own != nil {
		h.own = *own
	}
	switch t := object.(type) {
	case *model.Machine:
		h.from = p.ofMachine(t)
	case *model.Plugin:
		h.from = p.ofPlugin(t)
	case *model.Profile:
		h.from, h.shared = p.profiles(chain{h.own}, t.Profiles, 0), true
	case *record:
		h.from, h.shared = p.profiles(chain{h.own}, t.list("Profiles"), 0), true
	}
	return h
}

// guardTargets refuses a change that would send a stored credential elsewhere,
// to those who may not set it: who may change an address but not a password could
// else have the password sent to an address of its own. A new profile is sent to
// by nobody yet.
func (o *objects) guardTargets(ctx context.Context, k *kind, object, stored any) error {
	key := *k.key(object)
	if paramsOf(object) == nil || allowed(ctx, k.prefix, actUpdateSecure, key) {
		return nil
	}
	table := o.targets(o.cat.log)
	if len(table) == 0 {
		return nil
	}
	before, after := o.holderOf(stored), o.holderOf(object)
	move, moved := table.Moved(targets.Change{
		Before: before.from.lookup, After: after.from.lookup, Shared: after.shared && stored != nil,
		Set: func(name string) bool {
			v, ok := after.own[name]
			return ok && v != nil && !reflect.DeepEqual(v, before.own[name])
		},
	})
	if !moved {
		return nil
	}
	return model.Errorf(model.Forbidden, "Access Denied: %s may not: %s %s %s, to change %s, which says where the stored %s is sent; set %s in the same change",
		principal(ctx), k.prefix, actUpdateSecure, key, move.Param, move.Credential, move.Credential).On(k.prefix, key)
}
