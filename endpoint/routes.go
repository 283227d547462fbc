package endpoint

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"provision-plugins/endpoint/query"
	"provision-plugins/shared/model"
)

// route is one row of the API.
type route struct {
	pattern string // method and path below /api/v3
	handle  handle
}

// routes is the whole API, apart from the event stream.
func (a *api) routes() []route {
	list := []route{
		{"GET /info", a.getInfo},
		{"GET /power", func(*http.Request) (*reply, error) { return ok(a.power.all()), nil }},
		{"GET /plugin_providers", listed(a.providers)},
		{"GET /plugin_providers/{key}", a.getProvider},
		{"DELETE /plugin_providers/{key}", a.removeProvider},
		{"POST /plugin_providers/{key}/trust", a.trustProvider(true)},
		{"DELETE /plugin_providers/{key}/trust", a.trustProvider(false)},
		{"GET /plugins/{key}/delegation", a.getDelegation},
		{"PUT /plugins/{key}/delegation", a.setDelegation},
		{"DELETE /plugins/{key}/delegation", a.dropDelegation},
		{"GET /runs", listed(a.listRuns)},
		{"GET /runs/{key}", a.getRun},
		{"POST /runs/{key}/cancel", a.cancelRun},
		{"DELETE /runs/{key}", a.cancelRun},
		{"GET /events/recent", a.recentEvents},
		{"POST /events", a.postEvent},
		{"GET /log-level", func(*http.Request) (*reply, error) { return a.getLevel() }},
		{"PUT /log-level", a.putLevel},
		{"GET /logs", func(*http.Request) (*reply, error) { return ok(a.ring.all()), nil }},
	}
	return slices.Concat(list, a.metaRoutes(), a.userRoutes(), a.auditRoutes(), a.contentRoutes(),
		a.actionRoutes(systemPrefix, "/system/actions"))
}

// kindRoutes are those of one kind of object. They are found by the first word
// of the path, after those of the table above: plugins bring kinds of their own.
func (a *api) kindRoutes(k *kind) []route {
	list := append(a.objectRoutes(k), a.secretRoutes(k)...)
	if k.prefix != "params" { // a param's name may hold slashes
		list = append(list, a.actionRoutes(k.prefix, "/"+k.prefix+"/{key}/actions")...)
	}
	return list
}

// objectRoutes are those of one kind of stored object.
func (a *api) objectRoutes(k *kind) []route {
	base, one := "/"+k.prefix, "/"+k.prefix+"/{key}"
	if k.prefix == "params" { // their names hold slashes, which clients do not escape
		one = "/params/{key...}"
	}
	list := []route{
		{"GET " + base, a.listObjects(k)},
		{"POST " + base, func(r *http.Request) (*reply, error) {
			raw, err := a.objects.create(r.Context(), k, body(r))
			return &reply{status: http.StatusCreated, body: raw}, err
		}},
		{"GET " + one, a.getObject(k)},
		{"PUT " + one, a.changeObject(k, func(_, request []byte) ([]byte, error) { return request, nil })},
		{"PATCH " + one, a.changeObject(k, applyPatch)},
		{"DELETE " + one, func(r *http.Request) (*reply, error) {
			raw, err := a.objects.remove(r.Context(), k, r.PathValue("key"))
			return ok(raw), err
		}},
	}
	if k.hasParams() {
		list = append(list, a.paramRoutes(k)...)
	}
	for i, row := range list {
		list[i].handle = worded(k.prefix, matching(row.handle))
	}
	return list
}

// changeObject makes a handler of how a request changes the shown object.
func (a *api) changeObject(k *kind, change func(shown, request []byte) ([]byte, error)) handle {
	return func(r *http.Request) (*reply, error) {
		request := body(r)
		raw, err := a.objects.modify(r.Context(), k, r.PathValue("key"), func(shown []byte) ([]byte, error) {
			return change(shown, request)
		})
		return ok(raw), err
	}
}

// listObjects lists a kind's objects.
func (a *api) listObjects(k *kind) handle {
	return func(r *http.Request) (*reply, error) {
		l, err := query.Parse(r.URL.Query())
		if err != nil {
			return nil, err
		}
		page, count, err := a.objects.selected(k, l, viewOf(r.URL.Query()))
		return &reply{status: http.StatusOK, body: page, count: strconv.Itoa(count)}, err
	}
}

// listed makes a handler of what a list is taken from.
func listed(from func(l query.List) ([]json.RawMessage, error)) handle {
	return func(r *http.Request) (*reply, error) {
		l, err := query.Parse(r.URL.Query())
		if err != nil {
			return nil, err
		}
		all, err := from(l)
		if err != nil {
			return nil, err
		}
		list := make([]*json.RawMessage, len(all))
		for i := range all {
			list[i] = &all[i]
		}
		// What is listed is shown as it is, so that no secret is in it.
		var table query.Table[json.RawMessage]
		chosen, count := table.Select(l, list, query.Columns[json.RawMessage]{Encoded: func(raw *json.RawMessage) []byte { return *raw }})
		page := make([]json.RawMessage, len(chosen))
		for i, raw := range chosen {
			page[i] = *raw
		}
		return &reply{status: http.StatusOK, body: page, count: strconv.Itoa(count)}, nil
	}
}

// paramRoutes are those of the params of one kind of object.
func (a *api) paramRoutes(k *kind) []route {
	base := "/" + k.prefix + "/{key}/params"
	return []route{
		{"GET " + base, func(r *http.Request) (*reply, error) {
			v := viewOf(r.URL.Query())
			params, err := a.objects.paramsShown(k, r.PathValue("key"), v.aggregate, v.decode)
			if v.params != nil {
				params = only(params, v.params)
			}
			return ok(params), err
		}},
		{"POST " + base, a.changeParams(k, func(_, request []byte) ([]byte, error) { return request, nil })},
		{"PATCH " + base, a.changeParams(k, applyPatch)},
		{"GET " + base + "/{name...}", func(r *http.Request) (*reply, error) {
			params, err := a.objects.paramsShown(k, r.PathValue("key"), r.URL.Query().Get("aggregate") == "true", decode(r))
			return ok(params[r.PathValue("name")]), err
		}},
		{"POST " + base + "/{name...}", a.setParam(k)},
		{"DELETE " + base + "/{name...}", a.dropParam(k)},
	}
}

// changeParams makes a handler of how a request changes the shown params.
func (a *api) changeParams(k *kind, change func(shown, request []byte) ([]byte, error)) handle {
	return func(r *http.Request) (*reply, error) {
		request := body(r)
		params, err := a.objects.modifyParams(r.Context(), k, r.PathValue("key"), func(shown model.Params) (model.Params, error) {
			before, err := model.Marshal(shown)
			if err != nil {
				return nil, err
			}
			after, err := change(before, request)
			if err != nil {
				return nil, err
			}
			var params model.Params
			err = model.Unmarshal(after, &params)
			return params, err
		})
		return ok(params), err
	}
}

// setParam sets one param to the request's body.
func (a *api) setParam(k *kind) handle {
	return func(r *http.Request) (*reply, error) {
		var value any
		if err := model.Unmarshal(body(r), &value); err != nil {
			return nil, err
		}
		name := r.PathValue("name")
		params, err := a.objects.modifyParams(r.Context(), k, r.PathValue("key"), func(shown model.Params) (model.Params, error) {
			shown[name] = value
			return shown, nil
		})
		return ok(params[name]), err
	}
}

// dropParam removes one param and answers what it was.
func (a *api) dropParam(k *kind) handle {
	return func(r *http.Request) (*reply, error) {
		name := r.PathValue("name")
		var was any
		_, err := a.objects.modifyParams(r.Context(), k, r.PathValue("key"), func(shown model.Params) (model.Params, error) {
			was = shown[name]
			delete(shown, name)
			return shown, nil
		})
		return ok(was), err
	}
}

// actionRoutes are those of the actions on one kind of object, or on the endpoint
// itself.
func (a *api) actionRoutes(prefix, base string) []route {
	list := func(r *http.Request) ([]model.AvailableAction, error) {
		return a.actions.list(r.Context(), invocation{
			prefix: prefix, key: r.PathValue("key"), command: r.PathValue("command"), plugin: r.URL.Query().Get("plugin"),
		})
	}
	return []route{
		{"GET " + base, worded(prefix, func(r *http.Request) (*reply, error) {
			all, err := list(r)
			return ok(all), err
		})},
		{"GET " + base + "/{command}", worded(prefix, func(r *http.Request) (*reply, error) {
			all, err := list(r)
			if err != nil {
				return nil, err
			}
			return ok(all[0]), nil
		})},
		{"POST " + base + "/{command}", func(r *http.Request) (*reply, error) { return a.invoke(r, prefix) }},
	}
}

// invoke runs an action.
func (a *api) invoke(r *http.Request, prefix string) (*reply, error) {
	in := invocation{
		prefix: prefix, key: r.PathValue("key"), command: r.PathValue("command"),
		plugin:         r.URL.Query().Get("plugin"),
		override:       r.URL.Query().Get("override-protected") == "true",
		idempotencyKey: r.Header.Get("Idempotency-Key"),
		logLevel:       cmp.Or(r.Header.Get("X-Log-Request"), a.objects.pref(prefPlugins)),
	}
	if err := model.Unmarshal(body(r), &in.body); err != nil {
		return nil, err
	}
	out, err := a.actions.invoke(r.Context(), in)
	if err != nil {
		return nil, err
	}
	rep := &reply{status: out.status, body: out.body}
	if out.err != nil {
		rep = failure(out.err)
	}
	rep.run, rep.receipt = out.run, out.receipt
	return rep, nil
}

// getInfo describes the endpoint.
func (a *api) getInfo(*http.Request) (*reply, error) { return ok(a.info()), nil }

// providers lists what is in the plugin directory.
func (a *api) providers(query.List) ([]json.RawMessage, error) {
	return encoded(a.discovery.providers())
}

// encoded encodes each element of a list.
func encoded[T any](list []T) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(list))
	for i, v := range list {
		raw, err := model.Marshal(v)
		if err != nil {
			return nil, err
		}
		out[i] = raw
	}
	return out, nil
}

// getProvider shows one provider, or a file that is none.
func (a *api) getProvider(r *http.Request) (*reply, error) {
	found, err := a.discovery.provider(r.PathValue("key"))
	return ok(found), err
}

// listRuns lists the kept runs, newest first; Class=read asks for the reads,
// which are in memory only.
func (a *api) listRuns(l query.List) ([]json.RawMessage, error) {
	reads := func(f query.Filter) bool {
		value, exact := f.Exact()
		return exact && f.Field == "Class" && value == string(model.Read)
	}
	if slices.ContainsFunc(l.Filters, reads) {
		return encoded(a.actions.runs.Reads())
	}
	return encoded(a.actions.runs.List("", ""))
}

// getRun shows one run with its result and log.
func (a *api) getRun(r *http.Request) (*reply, error) {
	run, err := a.actions.runs.Get(r.Context(), r.PathValue("key"))
	if err != nil {
		return nil, model.AsError(err).On("runs", r.PathValue("key"))
	}
	return ok(run), nil
}

// cancelRun ends a run that waits for its plugin, or that may be given up.
func (a *api) cancelRun(r *http.Request) (*reply, error) {
	if err := a.actions.runs.Cancel(r.Context(), r.PathValue("key"), principal(r.Context())); err != nil {
		return nil, err
	}
	return a.getRun(r)
}

// recentEvents answers the newest events that are in memory.
func (a *api) recentEvents(r *http.Request) (*reply, error) {
	l, err := query.Parse(r.URL.Query())
	if err != nil {
		return nil, err
	}
	if l.Limit == 0 {
		return ok([]any{}), nil
	}
	return ok(a.visible(r, a.hub.Recent(max(l.Limit, 0)))), nil
}

// postEvent publishes a caller's event under the caller's name.
func (a *api) postEvent(r *http.Request) (*reply, error) {
	e := &model.Event{}
	if err := model.Unmarshal(body(r), e); err != nil {
		return nil, err
	}
	if e.Type == "" || e.Action == "" || e.Type == "websocket" {
		return nil, model.Errorf(model.Invalid, "cannot publish event: want a Type, other than websocket, and an Action").On("events", "")
	}
	return ok(e), a.publish(r.Context(), e)
}

// publish hands out an event whose object came from outside.
func (a *api) publish(ctx context.Context, e *model.Event) error {
	object, err := model.Marshal(redactObject(e.Object, a.objects.cat.secure))
	if err != nil {
		return err
	}
	if len(object) > maxPluginEvent {
		return model.Errorf(model.Invalid, "cannot publish event: its object is larger than %d bytes", maxPluginEvent).On("events", "")
	}
	if who := callerOf(ctx); who.via != "" && e.Type != who.of {
		return model.Errorf(model.Forbidden, "Access Denied: %s may post events of type %s only", who.name, who.of).On("events", "")
	}
	e.Object, e.Original, e.Principal = json.RawMessage(object), nil, principal(ctx)
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	a.hub.Publish(e)
	return nil
}

// register builds the table of routes.
func (a *api) register() {
	a.mux = http.NewServeMux()
	a.enter(a.mux, a.routes())
	for pattern, h := range a.rawRoutes() {
		a.mux.HandleFunc(pattern, h)
	}
	a.mux.HandleFunc("/", a.wrap(noRoute))
	a.byKind = map[*kind]*http.ServeMux{}
}

// rawRoutes are those that do not answer one JSON body, by their whole pattern.
func (a *api) rawRoutes() map[string]http.HandlerFunc {
	list := map[string]http.HandlerFunc{
		"GET " + apiRoot + "/ws":             a.websocket,
		"GET " + apiRoot + backupPath:        a.getBackup,
		"GET " + apiRoot + "/runs/{key}/log": a.runLog,
		readsPattern:                         a.readMachines,
	}
	maps.Copy(list, a.fileRoutes())
	maps.Copy(list, a.operationRoutes())
	for pattern, h := range a.binaryRoutes() {
		method, path, _ := strings.Cut(pattern, " ")
		list[method+" "+apiRoot+path] = h
	}
	return list
}

// enter puts routes into a mux.
func (a *api) enter(mux *http.ServeMux, list []route) {
	for _, row := range list {
		method, path, _ := strings.Cut(row.pattern, " ")
		mux.HandleFunc(method+" "+apiRoot+path, a.wrap(queried(row.handle)))
	}
}

// queried refuses a query or a path that cannot be read: without the part that is
// wrong, a filter say, it would ask for something else.
func queried(h handle) handle {
	return func(r *http.Request) (*reply, error) {
		if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
			return nil, model.Errorf(model.Invalid, "cannot read the query: %w", err)
		}
		if !utf8.ValidString(r.URL.Path) {
			return nil, model.Errorf(model.Invalid, "cannot read the path: it is not UTF-8")
		}
		return h(r)
	}
}

// lookup finds the handler of a request and the pattern of its route: one of the
// table, or one of the kind that the path names. The pattern of neither is "/".
func (a *api) lookup(r *http.Request) (http.Handler, string) {
	if strings.HasPrefix(r.URL.Path, apisRoot) { // whatever the path is like: it is the plugin's
		return http.HandlerFunc(a.pluginAPI), r.Method + " " + apisPattern
	}
	h, pattern := a.mux.Handler(r)
	if pattern != "/" {
		return a.mux, pattern
	}
	below, _ := strings.CutPrefix(r.URL.Path, apiRoot+"/")
	prefix, _, _ := strings.Cut(below, "/")
	k := a.objects.kinds.get(prefix)
	if k == nil {
		return h, pattern
	}
	mux := a.muxOf(k)
	_, pattern = mux.Handler(r)
	return mux, pattern
}

// muxOf returns the routes of a kind, made when they are first asked for.
func (a *api) muxOf(k *kind) *http.ServeMux {
	a.kindMu.Lock()
	defer a.kindMu.Unlock()
	mux := a.byKind[k]
	if mux == nil {
		mux = http.NewServeMux()
		a.enter(mux, a.kindRoutes(k))
		mux.HandleFunc("/", a.wrap(noRoute))
		maps.DeleteFunc(a.byKind, func(old *kind, _ *http.ServeMux) bool { return old.prefix == k.prefix })
		a.byKind[k] = mux
	}
	return mux
}

// noRoute answers a path that is not in the table.
func noRoute(r *http.Request) (*reply, error) { return nil, noSuchRoute(r) }

// noSuchRoute is the error of a path that is not in the table.
func noSuchRoute(r *http.Request) *model.Error {
	e := model.Errorf(model.NotFound, "No route").On("", r.URL.Path)
	e.Type = wordOf(r, "-")
	return e
}
