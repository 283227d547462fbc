package plugin

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"provision-plugins/shared/model"
)

// request is what the log needs to know about an inbound request. It travels
// in the context.
type request struct {
	group int64
	level slog.Level
	// quiet lines must not become events: they were caused by one.
	quiet bool
	// followed lines belong to somebody who wants all of them before the answer.
	followed bool

	mu     sync.Mutex      // guards the below
	values func() []string // the secrets in it, found when first needed
}

// requestKey is the context key of *request.
type requestKey struct{}

// withRequest puts req into the context.
func withRequest(ctx context.Context, req *request) context.Context {
	return context.WithValue(ctx, requestKey{}, req)
}

// requestOf returns the context's request, nil if it has none.
func requestOf(ctx context.Context) *request {
	req, _ := ctx.Value(requestKey{}).(*request)
	return req
}

// holds tells which params the request carries, so that no line of it shows
// their secrets. They are looked at when the first line is logged.
func (r *request) holds(secure func(string) bool, params func() []model.Params) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = sync.OnceValue(func() []string { return secretsOf(secure, params()) })
}

// secretsOf lists the secret values in params.
func secretsOf(secure func(string) bool, params []model.Params) []string {
	var out []string
	for _, p := range params {
		out = append(out, model.SecretValues(p, secure)...)
	}
	return out
}

// secrets returns the secret values the request carries.
func (r *request) secrets() []string {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	values := r.values
	r.mu.Unlock()
	if values == nil {
		return nil
	}
	return values()
}

// actionParams collects every map of an action that may hold secrets.
func actionParams(a *model.Action) []model.Params {
	out := []model.Params{a.Params}
	switch m := a.Model.(type) {
	case map[string]any:
		out = append(out, m)
	case model.Params:
		out = append(out, m)
	case json.RawMessage:
		var object model.Params
		// What is no object has no params.
		if model.Unmarshal(m, &object) == nil {
			out = append(out, object)
		}
	}
	return out
}
