package endpoint

import (
	"net/http"
	"net/url"
	"strings"

	"provision-plugins/endpoint/auth"
)

// The actions of claims that the shape of a route does not give, beside the
// reference's list, get, create, update, delete, actions and action.
const (
	actGetSecure    = "getSecure"    // see Secure values in clear
	actUpdateSecure = "updateSecure" // set Secure values
	actOverride     = "override"     // act on a protected machine
	actToken        = "token"        // have and revoke tokens of a user
	actPassword     = "password"     // set a user's password
	actConsole      = "console"      // reach a plugin's own API
	actCancel       = "cancel"       // cancel a run
	actTrust        = "trust"        // give a plugin provider all it wants
)

// open is the scope of what everybody may do who is known at all.
const open = ""

// rules are the needs of the routes whose shape does not tell. {x} in a field
// is the part of the path of that name.
var rules = map[string]auth.Need{
	"GET /audit":                           {Scope: "audit", Action: "list"},
	"GET /audit/check":                     {Scope: "audit", Action: "get"},
	"GET /backup":                          {Scope: "backup", Action: "get"},
	"GET /info":                            {Scope: open},
	"POST /reads":                          {Scope: open}, // each machine needs its own claim
	"GET /ws":                              {Scope: "events", Action: "get"},
	"GET /events/recent":                   {Scope: "events", Action: "list"},
	"POST /runs/{key}/cancel":              {Scope: "runs", Action: actCancel, Specific: "{key}"},
	"DELETE /runs/{key}":                   {Scope: "runs", Action: actCancel, Specific: "{key}"},
	"GET /runs/{key}/log":                  {Scope: "runs", Action: "get", Specific: "{key}"},
	"GET /power":                           {Scope: "power", Action: "list"},
	"GET /users/{key}/token":               {Scope: "users", Action: actToken, Specific: "{key}"},
	"GET /users/{key}/tokens":              {Scope: "users", Action: actToken, Specific: "{key}"},
	"DELETE /users/{key}/tokens":           {Scope: "users", Action: actToken, Specific: "{key}"},
	"DELETE /users/{key}/tokens/{id}":      {Scope: "users", Action: actToken, Specific: "{key}"},
	"PUT /users/{key}/password":            {Scope: "users", Action: actPassword, Specific: "{key}"},
	"POST /prefs":                          {Scope: "prefs", Action: "update"},
	"GET /logs":                            {Scope: "logs", Action: "get"},
	"POST /plugin_providers/{key}":         {Scope: "plugin_providers", Action: "create", Specific: "{key}"},
	"GET /plugin_providers/{key}/binary":   {Scope: "plugin_providers", Action: "get", Specific: "{key}"},
	"POST /plugin_providers/{key}/trust":   {Scope: "plugin_providers", Action: actTrust, Specific: "{key}"},
	"DELETE /plugin_providers/{key}/trust": {Scope: "plugin_providers", Action: actTrust, Specific: "{key}"},
	"GET /system/actions":                  {Scope: "system", Action: "actions"},
	"GET /system/actions/{command}":        {Scope: "system", Action: "actions"},
	"GET /plugins/{key}/delegation":        {Scope: "plugins", Action: "get", Specific: "{key}"},
	"PUT /plugins/{key}/delegation":        auth.Everything(), // no claim of its own: who has it could pass on what it has not
	"DELETE /plugins/{key}/delegation":     auth.Everything(),
	"POST /system/actions/{command}":       {Scope: "system", Action: "action:{command}"},
	"GET /meta/{prefix}/{key...}":          {Scope: "{prefix}", Action: "get", Specific: "{key}"},
	"PATCH /meta/{prefix}/{key...}":        {Scope: "{prefix}", Action: "update", Specific: "{key}"},
	"PUT /meta/{prefix}/{key...}":          {Scope: "{prefix}", Action: "update", Specific: "{key}"},
	"GET /files":                           {Scope: "files", Action: "list"},
	"GET /files/{path...}":                 {Scope: "files", Action: "get"},
	"POST /files/{path...}":                {Scope: "files", Action: "create"},
	"DELETE /files/{path...}":              {Scope: "files", Action: "delete"},
	"GET /indexes/{prefix}":                {Scope: "indexes", Action: "list"},
	"GET /indexes/{prefix}/{index}":        {Scope: "indexes", Action: "list"},
	"GET /log-level":                       {Scope: "logs", Action: "get"},
	"PUT /log-level":                       {Scope: "logs", Action: "update"},
}

// routeShapes are the needs of the routes of objects, after the object's prefix and
// without the names of what follows its key.
var routeShapes = map[string]auth.Need{
	"GET":               {Action: "list"},
	"POST":              {Action: "create"},
	"GET key":           {Action: "get", Specific: "{key}"},
	"PUT key":           {Action: "update", Specific: "{key}"},
	"PATCH key":         {Action: "update", Specific: "{key}"},
	"DELETE key":        {Action: "delete", Specific: "{key}"},
	"GET key params":    {Action: "get", Specific: "{key}"},
	"POST key params":   {Action: "update", Specific: "{key}"},
	"PATCH key params":  {Action: "update", Specific: "{key}"},
	"DELETE key params": {Action: "update", Specific: "{key}"},
	"GET key pubkey":    {Action: "get", Specific: "{key}"},
	"GET key actions":   {Action: "actions", Specific: "{key}"},
	"POST key actions":  {Action: "action:{command}", Specific: "{key}"},
}

// needsOf lists what a request needs, from the pattern of its route. A route
// that no rule knows is for superusers; a path without a route is for everybody
// to be told so.
func needsOf(pattern string, values map[string]string, query url.Values) []auth.Need {
	if pattern == "/" || pattern == "" {
		return nil
	}
	n, known := ruleOf(pattern)
	if !known {
		return []auth.Need{auth.Everything()}
	}
	if n.Scope == open {
		return nil
	}
	// All at once: a key that looks like a name of the table's own is a key.
	var names []string
	for name, value := range values {
		names = append(names, "{"+name+"}", value)
	}
	fill := strings.NewReplacer(names...)
	for _, field := range []*string{&n.Scope, &n.Action, &n.Specific} {
		*field = fill.Replace(*field)
	}
	needs := []auth.Need{n}
	if query.Get("decode") == "true" {
		needs = append(needs, auth.Need{Scope: n.Scope, Action: actGetSecure, Specific: n.Specific})
		if query.Get("aggregate") == "true" { // who may change a machine could give it any profile
			needs = append(needs, auth.Need{Scope: "profiles", Action: actGetSecure}, auth.Need{Scope: "stages", Action: actGetSecure})
		}
	}
	if query.Get("override-protected") == "true" {
		needs = append(needs, auth.Need{Scope: n.Scope, Action: actOverride, Specific: n.Specific})
	}
	return needs
}

// ruleOf finds the need of a route: by name, or by the shape of its path.
func ruleOf(pattern string) (auth.Need, bool) {
	method, path, whole := strings.Cut(pattern, " ")
	if !whole { // for every method
		method, path = "", pattern
	}
	switch {
	case strings.HasPrefix(path, apisRoot+"{plugin}/"):
		return auth.Need{Scope: "plugins", Action: actConsole, Specific: "{plugin}"}, true
	case path == metricsPath:
		return auth.Need{Scope: "metrics", Action: "get"}, method == http.MethodGet
	case strings.HasPrefix(path, profilesPath):
		return auth.Everything(), method == http.MethodGet
	case path == bmcPath: // its machine needs a claim of its own
		return auth.Need{Scope: open}, method == http.MethodGet
	case strings.HasPrefix(path, "/files/"):
		return auth.Need{Scope: "files", Action: "get"}, method == http.MethodGet
	}
	path, inside := strings.CutPrefix(path, apiRoot)
	if !inside {
		return auth.Need{}, false
	}
	if n, ok := rules[method+" "+path]; ok {
		return n, true
	}
	prefix, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	n, ok := routeShapes[strings.TrimSpace(method+" "+shapeOf(rest))]
	n.Scope = prefix
	return n, ok && !strings.Contains(prefix, "{")
}

// shapeOf is "key" and the word after it: what a path asks of an object.
func shapeOf(rest string) string {
	switch rest {
	case "":
		return ""
	case "{key}", "{key...}":
		return "key"
	}
	after, ok := strings.CutPrefix(rest, "{key}/")
	if !ok {
		return rest
	}
	word, name, deeper := strings.Cut(after, "/")
	named := name == "{name...}" && word == "params" || name == "{command}" && word == "actions"
	if deeper && !named {
		return rest
	}
	return "key " + word
}
