package endpoint

import (
	"context"
	"net/http"
	"time"

	"provision-plugins/endpoint/delegate"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// delegationsPrefix is where the store keeps which plugins may act for people, by
// the names of the plugins.
const delegationsPrefix = "delegations"

// delegation reads what a plugin may do for people. It counts for the provider
// that the plugin had when it was given.
func (o *objects) delegation(plugin string) (*delegate.Delegation, error) {
	found, err := o.store.Get(delegationsPrefix, plugin)
	if err != nil {
		return nil, err
	}
	var d delegate.Delegation
	if err := model.Unmarshal(found.Value, &d); err != nil {
		return nil, err
	}
	provider, err := o.providerOf(plugin)
	if err != nil {
		return nil, err
	}
	if provider != d.Provider {
		return nil, model.Errorf(model.NotFound, "plugin %s is of provider %s now, and may act for people as one of %s only", plugin, provider, d.Provider)
	}
	return &d, nil
}

// providerOf is the provider of a plugin object.
func (o *objects) providerOf(plugin string) (string, error) {
	stored, err := o.store.Get("plugins", plugin)
	if err != nil {
		return "", notFound("plugins", plugin)
	}
	var p pluggedIn
	err = model.Unmarshal(stored.Value, &p)
	return p.Provider, err
}

// undelegate forgets what a plugin that is about to be removed may do for people: a
// later one of its name must not inherit it.
func (o *objects) undelegate(ctx context.Context, k *kind, name string) error {
	if k.prefix != "plugins" {
		return nil
	}
	_, err := o.store.Delete(ctx, delegationsPrefix, name, 0)
	if model.KindOf(err) == model.NotFound {
		return nil
	}
	return err
}

// inNameOf is the caller of a request that names a person: nobody but a plugin
// that an admin has let may do so. The person has what was delegated, and nothing
// of what the plugin has.
func (a *api) inNameOf(who caller, r *http.Request) (caller, *model.Error) {
	person, named, err := delegate.Person(r.Header)
	if !named {
		return who, nil
	}
	var d *delegate.Delegation
	name := ""
	switch {
	case err != nil:
	case who.plugin == "":
		err = model.Errorf(model.Forbidden, "Access Denied: %s is no plugin, and may not act for others (%s)", who.name, delegate.Header)
	default:
		if d, err = a.objects.delegation(who.plugin); err != nil {
			err = model.Errorf(model.Forbidden, "Access Denied: %s may not act for people; an admin may let it: oob plugin delegate %s", who.name, who.plugin)
			break
		}
		name, err = d.Principal(person)
	}
	if err != nil {
		return who, model.AsError(err)
	}
	return caller{name: name, via: who.name, of: d.Provider, grant: d.Grant()}, nil
}

// getDelegation shows what a plugin may do for people.
func (a *api) getDelegation(r *http.Request) (*reply, error) {
	d, err := a.objects.delegation(r.PathValue("key"))
	if err != nil {
		return nil, model.AsError(err).On("plugins", r.PathValue("key"))
	}
	return ok(d), nil
}

// setDelegation lets a plugin act for people, within the claims of the body. It
// counts from the next request on.
func (a *api) setDelegation(r *http.Request) (*reply, error) {
	name := r.PathValue("key")
	d := &delegate.Delegation{}
	if err := model.Unmarshal(body(r), d); err != nil {
		return nil, err
	}
	// A plugin that is just being removed would leave it to the next of its name.
	defer a.objects.locks.lock("plugins", name, principal(r.Context()))()
	provider, err := a.objects.providerOf(name)
	if err != nil {
		return nil, err
	}
	d.Plugin, d.Provider, d.By, d.Time = name, provider, principal(r.Context()), time.Now().UTC()
	if err := d.Check(); err != nil {
		return nil, model.AsError(err).On("plugins", name)
	}
	raw, err := model.Marshal(d)
	if err != nil {
		return nil, err
	}
	object := store.Object{Prefix: delegationsPrefix, ID: name, Value: raw}
	before, err := a.objects.store.Get(delegationsPrefix, name)
	if object.Rev = before.Rev; err == nil {
		_, err = a.objects.store.Update(r.Context(), object, nil)
	} else {
		_, err = a.objects.store.Create(r.Context(), object, nil)
	}
	if err == nil {
		a.log.Warn("a plugin may act for people", "plugin", name, "claims", d.Claims, "by", d.By)
	}
	return &reply{status: http.StatusOK, body: d}, err
}

// dropDelegation takes it back, at once.
func (a *api) dropDelegation(r *http.Request) (*reply, error) {
	name := r.PathValue("key")
	was, err := a.objects.store.Delete(r.Context(), delegationsPrefix, name, 0)
	if err != nil {
		return nil, model.AsError(err).On("plugins", name)
	}
	a.log.Warn("a plugin may no longer act for people", "plugin", name, "by", principal(r.Context()))
	return ok(was.Value), nil
}
