package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"provision-plugins/shared/model"
)

// countHeader tells how many objects the filters of a list select.
const countHeader = "X-Drp-List-Filter-Count"

// Fetch reads what is at a path below /api/v3, for what is not an object of a
// kind: info, power, events/recent.
func Fetch[T any](ctx context.Context, c *Client, path string) (T, error) {
	var out T
	err := c.Get(ctx, path, &out)
	return out, err
}

// Objects are the objects of one kind on an endpoint. A key is the object's own
// or INDEX:VALUE, such as Name:m1. Reads are tried again when the connection is
// refused; changes are sent once.
type Objects[T any] struct {
	client *Client
	prefix string
}

// Of returns the objects of a kind by its prefix, for kinds that have no method
// below.
func Of[T any](c *Client, prefix string) Objects[T] { return Objects[T]{c, prefix} }

// Machines are the endpoint's machines.
func (c *Client) Machines() Objects[model.Machine] { return Of[model.Machine](c, "machines") }

// Plugins are the configured plugins.
func (c *Client) Plugins() Objects[model.Plugin] { return Of[model.Plugin](c, "plugins") }

// Providers are the plugin providers; they are read only.
func (c *Client) Providers() Objects[model.PluginProvider] {
	return Of[model.PluginProvider](c, "plugin_providers")
}

// Profiles are the endpoint's profiles.
func (c *Client) Profiles() Objects[model.Profile] { return Of[model.Profile](c, "profiles") }

// Params are the declarations of params.
func (c *Client) Params() Objects[model.Param] { return Of[model.Param](c, "params") }

// Runs are the kept runs, the newest first; they are read only.
func (c *Client) Runs() Objects[model.Run] { return Of[model.Run](c, "runs") }

// path is the path of an object, or of what is below it.
func (o Objects[T]) path(key string, below ...string) string {
	path := Path(o.prefix, key)
	if o.prefix == "params" {
		path = o.prefix + "/" + slashed(key)
	}
	if len(below) > 0 {
		path += "/" + Path(below...)
	}
	return path
}

// slashed escapes a name but not its slashes: v4 endpoints route names of params
// so.
func slashed(name string) string { return Path(strings.Split(name, "/")...) }

// Get reads one object.
func (o Objects[T]) Get(ctx context.Context, key string) (*T, error) {
	return into[T](func(out any) error { return o.client.Get(ctx, o.path(key), out) })
}

// List lists the objects that a query selects.
func (o Objects[T]) List(ctx context.Context, q Query) ([]T, error) {
	return Fetch[[]T](ctx, o.client, o.prefix+q.suffix())
}

// Count tells how many objects the filters of a query select, whatever its
// limit and offset.
func (o Objects[T]) Count(ctx context.Context, q Query) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, replyTimeout, errNoReply)
	defer cancel()
	r := &request{method: http.MethodHead, path: o.prefix + q.suffix(), read: true}
	rep, err := o.client.call(ctx, r, nil)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(rep.header.Get(countHeader))
	if err != nil || n < 0 {
		return 0, o.client.unreadable(r, errNoCount)
	}
	return n, nil
}

// Create makes an object and returns it as the endpoint keeps it, with what the
// endpoint filled in.
func (o Objects[T]) Create(ctx context.Context, object *T) (*T, error) {
	return into[T](func(out any) error { return o.client.Post(ctx, o.prefix, object, out) })
}

// Replace puts an object in place of another, all of it.
func (o Objects[T]) Replace(ctx context.Context, key string, object *T) (*T, error) {
	return into[T](func(out any) error { return o.client.Put(ctx, o.path(key), object, out) })
}

// Patch changes an object by a JSON patch. A Test in it that does not hold is
// an error of kind conflict, and nothing is changed.
func (o Objects[T]) Patch(ctx context.Context, key string, ops ...Op) (*T, error) {
	return into[T](func(out any) error { return o.client.Patch(ctx, o.path(key), ops, out) })
}

// Delete removes an object and returns it as it was.
func (o Objects[T]) Delete(ctx context.Context, key string) (*T, error) {
	return into[T](func(out any) error { return o.client.Delete(ctx, o.path(key), out) })
}

// Actions lists the actions that an object has; those of one plugin if plugin
// is not empty.
func (o Objects[T]) Actions(ctx context.Context, key, plugin string) ([]model.AvailableAction, error) {
	return Fetch[[]model.AvailableAction](ctx, o.client, o.path(key, "actions")+ofPlugin(plugin))
}

// Action reads the definition of one action of an object.
func (o Objects[T]) Action(ctx context.Context, key, command, plugin string) (*model.AvailableAction, error) {
	return into[model.AvailableAction](func(out any) error {
		return o.client.Get(ctx, o.path(key, "actions", command)+ofPlugin(plugin), out)
	})
}

// ofPlugin is the query that asks one plugin.
func ofPlugin(plugin string) string {
	if plugin == "" {
		return ""
	}
	return "?" + url.Values{"plugin": {plugin}}.Encode()
}

// into has a call fill a fresh value.
func into[T any](call func(out any) error) (*T, error) {
	out := new(T)
	if err := call(out); err != nil {
		return nil, err
	}
	return out, nil
}
