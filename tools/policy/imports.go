package policy

import (
	"slices"
	"strconv"
	"strings"
)

// layer is a part of the repository and what it may import of ours, besides
// its own folder.
type layer struct {
	// folder is where the layer is: the folder and all below it.
	folder string
	// may are folders whose packages it may import; "*" is all.
	may []string
	// tests are further folders that its tests may import.
	tests []string
	why   string
}

// layers are looked through from the top; the first that holds a package
// counts. A folder that is in none is a driver's, so that a further one is held
// to the rule of the others without an edit here.
var layers = []layer{
	{folder: "shared/model", why: "model is what crosses a socket; everything imports it, so it imports nothing of ours"},
	{folder: "shared/client", may: []string{"shared/model"}, why: "the client knows the endpoint by its protocol alone"},
	{folder: "shared/inventory", may: []string{"shared/model"}, why: "an inventory is only rows of params"},
	{folder: "shared/hostlist", why: "a host list is text, the same wherever a person writes one"},
	{folder: "shared/garbage", why: "memory is the same in every program"},
	{folder: "shared/content", may: []string{"shared/model"}, why: "content is data, the same for every program"},
	{folder: "shared/driver", may: []string{"shared/model"}, why: "what can be done to a machine depends neither on the plugin protocol nor on a device"},
	{folder: "shared/plugin", may: []string{"shared/model", "shared/client", "shared/content/bundle", "shared/inventory"},
		why: "the plugin protocol knows no driver, so that every kind of plugin can use it; of content it takes bundle, which does not slow the start of every plugin"},
	{folder: "content", may: []string{"shared/content", "shared/model"}, why: "the suite's own bundles are data"},
	{folder: "endpoint", may: []string{"shared/model", "shared/client", "shared/content", "shared/plugin", "content"}, tests: []string{"sim"},
		why: "the endpoint knows plugins by their protocol alone, so that any plugin works with it, and any driver can be left out"},
	{folder: "sim", why: "a simulator that shares code with what it tests shares its mistakes"},
	{folder: "oob", may: []string{"shared", "endpoint", "content", "sim"}, why: "the command line speaks to the endpoint, never to a device"},
	{folder: "tools", may: []string{"*"}, why: "tools may look at everything"},
}

// driverLayer is the rule of every other folder.
var driverLayer = layer{may: []string{"shared"}, tests: []string{"sim"},
	why: "a plugin is a program of its own: it shares the packages in shared, and knows no other plugin, no endpoint and no simulator"}

// layerOf returns the layer of a folder, and the part of it that is the
// package's own.
func layerOf(dir string) (l layer, own string) {
	top, _, _ := strings.Cut(dir, "/")
	for _, l := range layers {
		if !within(dir, l.folder) {
			continue
		}
		if l.folder == "sim" {
			// Each simulator stands alone.
			return l, firstTwo(dir)
		}
		return l, l.folder
	}
	return driverLayer, top
}

// firstTwo returns the first two steps of a path.
func firstTwo(dir string) string {
	steps := strings.SplitN(dir, "/", 3)
	return strings.Join(steps[:min(2, len(steps))], "/")
}

// within reports whether dir is folder or below it.
func within(dir, folder string) bool {
	return folder == "*" || dir == folder || strings.HasPrefix(dir, folder+"/")
}

// withinAny reports whether dir is in one of the folders.
func withinAny(dir string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return within(dir, f) })
}

// checkImports holds every import of ours against the layers.
func checkImports(t *tree) {
	for _, f := range t.files {
		l, own := layerOf(f.dir)
		for _, spec := range f.syntax.Imports {
			target, ours := strings.CutPrefix(importPath(spec.Path.Value), Module+"/")
			if !ours || within(target, own) || withinAny(target, l.may) || f.test && withinAny(target, l.tests) {
				continue
			}
			t.report(spec.Pos(), l.why, "%s imports %s", f.dir, target)
		}
	}
}

// importPath unquotes the path of an import.
func importPath(quoted string) string {
	p, err := strconv.Unquote(quoted)
	if err != nil {
		return quoted
	}
	return p
}

// external is a dependency that only some folders may use.
type external struct {
	prefix string // of the import path
	in     []string
	tests  bool // tests anywhere may use it
	why    string
}

// externals are looked through from the top; the first that fits counts.
var externals = []external{
	{prefix: "github.com/bougou/go-ipmi/pkg/client", in: []string{"tools"}, tests: true, why: "that client sends a command again when its reply is lost, and a simulator built on it would judge itself"},
	{prefix: "github.com/bougou/go-ipmi/pkg/server", in: []string{"sim/bmc"}, tests: true, why: "only the simulated BMC is a server"},
	{prefix: "github.com/bougou/go-ipmi", in: []string{"ipmi", "sim/bmc", "tools"}, tests: true, why: "IPMI is the ipmi plugin's affair"},
	{prefix: "github.com/stmcginnis/gofish", in: []string{"ipmi"}, tests: true, why: "a simulator that uses the SDK of its driver is no second opinion on the wire"},
	{prefix: "github.com/packethost/packngo", in: []string{"packet-ipmi", "tools"}, tests: true, why: "a simulator that uses the SDK of its driver is no second opinion on the wire"},
	{prefix: "github.com/slack-go/slack", in: []string{"slack"}, tests: true, why: "a simulator that uses the SDK of its driver is no second opinion on the wire"},
	{prefix: "github.com/nats-io/", in: []string{"endpoint"}, why: "storage is behind the endpoint's engine and may be exchanged there"},
	{prefix: "github.com/santhosh-tekuri/jsonschema", in: []string{"shared/content"}, why: "linking it costs every process milliseconds at its start; shared/content/bundle does without"},
	{prefix: "github.com/google/go-cmp", tests: true, why: "it is made for tests and panics on what it does not like"},
	{prefix: "github.com/rogpeppe/go-internal", tests: true, why: "it is made for tests"},
	{prefix: "go.uber.org/goleak", in: []string{"shared/driver/drivertest"}, tests: true, why: "it is made for tests"},
}

// checkExternals holds every other import against its folders.
func checkExternals(t *tree) {
	for _, f := range t.files {
		for _, spec := range f.syntax.Imports {
			p := importPath(spec.Path.Value)
			i := slices.IndexFunc(externals, func(e external) bool { return strings.HasPrefix(p, e.prefix) })
			if i < 0 {
				continue
			}
			e := externals[i]
			if allowed := withinAny(f.dir, e.in) || f.test && e.tests; !allowed {
				t.report(spec.Pos(), e.why, "%s imports %s", f.dir, p)
			}
		}
	}
}
