package endpoint

import (
	"context"
	"net/http"

	"provision-plugins/shared/plugin"
)

// The paths below which requests go to a plugin, and how the table of rules
// knows them.
const (
	apisRoot    = "/plugin-apis/"
	apisPattern = apisRoot + "{plugin}/{rest...}"
)

// pluginAPI passes a request on to a plugin, as it is but for the caller's
// credentials. That the caller may was settled by the table of rules.
func (a *api) pluginAPI(w http.ResponseWriter, r *http.Request) {
	name := pathValues(apisPattern, r.URL.EscapedPath())["plugin"] // as it was authorised
	u := a.actions.sup.unit(name)
	if u == nil {
		a.write(w, r, failure(notFound("plugins", name)))
		return
	}
	proc, err := u.process()
	if err != nil {
		a.write(w, r, failure(err))
		return
	}
	a.streams.Add(1)
	defer a.streams.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(a.ending, cancel)()
	proc.Proxy(principalFor(r.Context(), name)).ServeHTTP(w, r.WithContext(ctx))
}

// principalFor tells a plugin who a request is from: one who may reach its API,
// and whether that one may change its object too.
func principalFor(ctx context.Context, name string) plugin.Principal {
	who := plugin.Principal{Name: principal(ctx)}
	for _, action := range []string{actConsole, "get", "update", "action"} {
		if allowed(ctx, "plugins", action, name) {
			who.Claims = append(who.Claims, "plugins:"+action+":"+name)
		}
	}
	return who
}

// systemPrefix is where the actions on the endpoint itself are, and systemKey
// how the reference calls it.
const (
	systemPrefix = "system"
	systemKey    = "global"
)
