package client

import (
	"context"
	"net/url"

	"provision-plugins/shared/model"
)

// View says which params are read.
type View struct {
	// Aggregate reads those too that come from profiles, the global one and
	// defaults.
	Aggregate bool
	// Decode reads Secure params in clear, if the endpoint lets the caller.
	Decode bool
}

// suffix renders the view to stand after a path.
func (v View) suffix() string {
	values := url.Values{}
	if v.Aggregate {
		values.Set("aggregate", "true")
	}
	if v.Decode {
		values.Set("decode", "true")
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// Params reads the params of an object.
func (o Objects[T]) Params(ctx context.Context, key string, v View) (model.Params, error) {
	return Fetch[model.Params](ctx, o.client, o.path(key, "params")+v.suffix())
}

// Param reads one param of an object; nil if it is not set.
func (o Objects[T]) Param(ctx context.Context, key, name string, v View) (any, error) {
	return decoded(func(out any) error {
		return o.client.Get(ctx, o.paramPath(key, name)+v.suffix(), out)
	})
}

// SetParam sets one param of an object, and returns the value as it is kept.
func (o Objects[T]) SetParam(ctx context.Context, key, name string, value any) (any, error) {
	return decoded(func(out any) error { return o.client.Post(ctx, o.paramPath(key, name), value, out) })
}

// SetParams puts params in place of all that an object has.
func (o Objects[T]) SetParams(ctx context.Context, key string, params model.Params) (model.Params, error) {
	var out model.Params
	err := o.client.Post(ctx, o.path(key, "params"), params, &out)
	return out, err
}

// RemoveParam unsets one param of an object and returns what it was.
func (o Objects[T]) RemoveParam(ctx context.Context, key, name string) (any, error) {
	return decoded(func(out any) error { return o.client.Delete(ctx, o.paramPath(key, name), out) })
}

// paramPath is the path of one param of an object.
func (o Objects[T]) paramPath(key, name string) string {
	return o.path(key, "params") + "/" + slashed(name)
}

// decoded has a call fill a value of any type, its numbers as they were written.
func decoded(call func(out any) error) (any, error) {
	var out any
	err := call(&out)
	return out, err
}
