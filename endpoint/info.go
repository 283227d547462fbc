package endpoint

import (
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"

	"provision-plugins/shared/model"
)

// features are the words by which clients of the reference know what an endpoint
// can do. Each is here because what it names is built; those of boot services,
// jobs and the agent are left out, so that clients do without them.
var features = []string{
	"api-v3", "sane-exit-codes", "common-blob-size", "profileless-machine", "threaded-log-levels",
	"plugin-v2", "plugin-v2-safe-config", "workflows", "default-workflow", "http-range-header", "roles",
	"secure-params", "secure-param-upgrade", "secure-params-in-content-packs", "separate-meta-api", "slim-objects", "multiarch",
	"endpoint-refs", "endpoint-proxy", "inline-upgrade", "bundle-objects", "content-prerequisite-version-checking",
	"partial-objects", "regex-string-filters", "log-has-head-method",
}

// info describes the endpoint.
func (e *Endpoint) info() *model.Info {
	host, port, _ := net.SplitHostPort(e.addr)
	n, _ := strconv.Atoi(port)
	name := hostName(host)
	info := &model.Info{
		Arch: runtime.GOARCH, Os: runtime.GOOS, Version: e.opts.Version,
		ID: name, LocalID: e.opts.Site, HaID: name, APIPort: n, Address: host, ServerHost: name,
		Features: slices.Clone(features), Errors: []string{}, License: map[string]any{},
		Scopes: map[string]map[string]struct{}{},
	}
	if e.sup != nil {
		info.PluginSandbox = e.sup.confinement()
	}
	// Files are served on the API's port.
	info.FilePort, info.SecureFilePort, info.SecureProv = n, n, true
	info.HaIsActive, info.HaStatus, info.HaActiveID = true, "Up", name
	info.HaPassiveState, info.ClusterState = []any{}, map[string]any{}
	for _, prefix := range []string{"machines", "plugins"} {
		info.Stats = append(info.Stats, model.Stat{Name: prefix + ".count", Count: len(e.store.Snapshot(prefix))})
	}
	for _, k := range e.objects.kinds.list() {
		info.Scopes[k.prefix] = scopeOf(k)
	}
	return info
}

// scopeOf are the actions that claims may name for a kind of object.
func scopeOf(k *kind) map[string]struct{} {
	out := map[string]struct{}{}
	for _, action := range []string{"list", "get", "create", "update", "delete", "actions", "action"} {
		out[action] = struct{}{}
	}
	if k.hasParams() {
		out[actGetSecure], out[actUpdateSecure] = struct{}{}, struct{}{}
	}
	return out
}

// ids are the names by which a client may address the endpoint through a proxy.
func (e *Endpoint) ids() []string {
	return []string{e.opts.Site, hostName(e.opts.Site)}
}

// hostName is the machine's name, or a stand-in.
func hostName(unknown string) string {
	name, err := os.Hostname()
	if err != nil {
		return unknown
	}
	return name
}
