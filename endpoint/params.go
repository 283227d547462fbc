package endpoint

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"provision-plugins/endpoint/store"
	"provision-plugins/endpoint/targets"
	"provision-plugins/shared/model"
)

// maxProfileDepth bounds profiles that name profiles.
const maxProfileDepth = 10

// chain is where params are looked up, the nearest first.
type chain []model.Params

// lookup returns the first value of a param in the chain.
func (c chain) lookup(name string) (any, bool) {
	for _, params := range c {
		if v, ok := params[name]; ok && v != nil {
			return v, true
		}
	}
	return nil, false
}

// merged returns every param of the chain with its first value.
func (c chain) merged() model.Params {
	out := model.Params{}
	for _, params := range slices.Backward(c) {
		maps.Copy(out, params)
	}
	return out
}

// params looks up params in objects.
type params struct {
	*objects
	clear bool // secrets are opened; else they stay as they are shown
}

// machineChain is where an action on a machine finds params, secrets in clear.
// The machine's own must be open already.
func (o *objects) machineChain(m *model.Machine) chain { return params{o, true}.ofMachine(m) }

// pluginChain is where a plugin's config finds params, secrets in clear.
func (o *objects) pluginChain(p *model.Plugin) chain { return params{o, true}.ofPlugin(p) }

// globalChain is where an action on anything else finds params: its own, which
// must be open already, and the global profile's.
func (o *objects) globalChain(own model.Params) chain {
	return params{o, true}.profiles(chain{own}, []string{model.GlobalProfile}, 0)
}

// ofMachine is a machine's params, its profiles' in order, its stage's and the
// global profile's.
func (p params) ofMachine(m *model.Machine) chain {
	c := p.profiles(chain{m.Params}, m.Profiles, 0)
	if object := p.object("stages", m.Stage); object != nil {
		stage := object.(*record)
		c = p.profiles(append(c, stage.params), stage.list("Profiles"), 0)
	}
	return p.profiles(c, []string{model.GlobalProfile}, 0)
}

// ofPlugin is a plugin's params and the global profile's.
func (p params) ofPlugin(of *model.Plugin) chain {
	return p.profiles(chain{of.Params}, []string{model.GlobalProfile}, 0)
}

// profiles appends the params of profiles and of those they name.
func (p params) profiles(c chain, names []string, depth int) chain {
	if depth == maxProfileDepth {
		return c
	}
	for _, name := range names {
		if object := p.object("profiles", name); object != nil {
			profile := object.(*model.Profile)
			c = p.profiles(append(c, profile.Params), profile.Profiles, depth+1)
		}
	}
	return c
}

// object returns an object of a layer or of the store, nil if there is none
// that can be read.
func (p params) object(prefix, name string) any {
	k := p.kinds.get(prefix)
	raw, ok := p.cat.object(prefix, name)
	found := store.Object{Prefix: prefix, ID: name, Value: raw}
	if !ok {
		var err error
		if found, err = p.store.Get(prefix, name); err != nil {
			return nil
		}
	}
	var object any
	var err error
	if p.clear {
		object, err = p.opened(k, prefix+"/"+name, found)
	} else {
		object, err = p.shown(k, found, false)
	}
	if err != nil {
		p.cat.log.Error("cannot read an object that params come from", "prefix", prefix, "key", name, "error", err)
		return nil
	}
	return object
}

// offer is an action that one plugin offers.
type offer struct {
	plugin   string
	provider *model.PluginProvider
	action   model.AvailableAction
}

// value finds a param for an action: in the request's body, in the chain, or as
// the schema's default. An empty default is no value: it says only that the
// param is a text.
func (c *catalog) value(name string, body model.Params, from chain) (any, bool) {
	if v, ok := append(chain{body}, from...).lookup(name); ok {
		return v, true
	}
	v, ok := schemaDefault(c.param(name))
	return v, ok && v != ""
}

// actionParams returns what the plugin gets: the whole body, and the required
// and optional params of the action that the body leaves out.
func (c *catalog) actionParams(of offer, body model.Params, from chain) (model.Params, error) {
	if err := c.checkBody(of, body, from); err != nil {
		return nil, err
	}
	out := maps.Clone(body)
	command := of.action.Command
	for _, name := range of.action.RequiredParams {
		v, ok := c.value(name, body, from)
		if !ok {
			return nil, model.Errorf(model.Invalid, "Action %s Missing Parameter %s", command, name)
		}
		out[name] = v
	}
	for _, name := range of.action.OptionalParams {
		if v, ok := c.value(name, body, from); ok {
			out[name] = v
		}
	}
	for name, v := range from.merged() {
		if strings.HasPrefix(name, "oob/") && !out.Has(name) {
			out[name] = v
		}
	}
	for _, name := range ownParams {
		delete(out, name)
	}
	return out, c.checkAction(command, out)
}

// ownParams are the params of the suite that are for the endpoint, or that a
// plugin takes from the machine alone. The others of the suite reach the plugin
// from a profile too, whether or not the plugin lists them.
var ownParams = [...]string{
	paramProtected, "oob/identity", "oob/driver",
	"oob/reason", "oob/wait", "oob/after-unknown",
}

// checkAction tests all params of an action against their schemas.
func (c *catalog) checkAction(command string, params model.Params) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if err := c.check(name, params[name]); err != nil {
			return model.Errorf(model.Invalid, "Action %s: Invalid Parameter: %s: : %s", command, name, model.AsError(err).Text())
		}
	}
	return nil
}

// fixedParams are never read from a request: they guard the machine against it.
var fixedParams = [...]string{paramProtected, "oob/identity"}

// checkBody refuses what a request must not set. A param that says where a
// credential is sent counts only beside that credential: otherwise a request
// could have a stored password sent elsewhere.
func (c *catalog) checkBody(of offer, body model.Params, from chain) error {
	command := of.action.Command
	for _, name := range fixedParams {
		if body.Has(name) {
			return model.Errorf(model.Invalid, "Action %s: %s is taken from the machine only, never from a request", command, name)
		}
	}
	table, err := credentialTargets(of.provider)
	if err != nil {
		return err
	}
	if move, alone := table.Unaccompanied(body.Has, from.lookup); alone {
		return model.Errorf(model.Invalid, "Action %s: %s in a request counts only beside %s in the same request", command, move.Param, move.Credential)
	}
	return nil
}

// credentialTargets reads which params say where a provider's credentials go.
func credentialTargets(p *model.PluginProvider) (targets.Table, error) {
	out, err := targets.Parse(p.Meta[model.MetaTargets])
	if err != nil {
		return nil, model.Errorf(model.Internal, "cannot read %s of plugin provider %s: %w", model.MetaTargets, p.Name, err)
	}
	return out, nil
}

// missing lists the required params of an action that have no value.
func (c *catalog) missing(of offer, body model.Params, from chain) []string {
	var out []string
	for _, name := range of.action.RequiredParams {
		if v, ok := c.value(name, body, from); !ok || v == "" {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

// dropMasked removes masked secrets from a request: they stand for what is
// stored.
func dropMasked(body model.Params) model.Params {
	out := make(model.Params, len(body))
	for name, v := range body {
		if v != model.Masked && v != nil {
			out[name] = v
		}
	}
	return out
}
