package endpoint

import (
	"encoding/json"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// writableLayer is how messages name the objects of the store, beside the
// read-only content layers.
const writableLayer = "the endpoint's own objects"

// layer is one content bundle, its objects encoded. Secrets are in clear.
type layer struct {
	source  string // where it comes from
	meta    model.ContentMeta
	objects map[string]map[string]json.RawMessage // section, key
	params  map[string]*model.Param
}

// catalog is the content that plugins and the endpoint bring along, as
// read-only layers, and the params of the store beside it.
type catalog struct {
	log *slog.Logger

	// epoch grows with every change: what was derived before may not hold.
	epoch atomic.Uint64

	mu     sync.RWMutex // guards all below
	layers map[string]*layer
	owner  map[string]string       // "section/key" to the layer that has it
	params map[string]*model.Param // of all layers and of the store
	sealed map[string]bool         // params that were declared Secure last

	checking sync.Mutex // guards checkers
	checkers map[string]checker
}

// checker is a param's compiled schema.
type checker struct {
	of *model.Param // another one than the catalog's: it is out of date
	*content.Checker
}

// newCatalog makes an empty catalog.
func newCatalog(log *slog.Logger) *catalog {
	return &catalog{log: log, layers: map[string]*layer{}, owner: map[string]string{}, params: map[string]*model.Param{}, sealed: map[string]bool{}, checkers: map[string]checker{}}
}

// newLayer encodes a bundle's objects and marks them as read-only.
func newLayer(name string, c *model.Content) (*layer, error) {
	params, err := content.Params(c)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read params of content %s: %w", name, err)
	}
	l := &layer{meta: c.Meta, objects: map[string]map[string]json.RawMessage{}, params: params}
	l.meta.Name = name
	for section, objects := range c.Sections {
		encoded := make(map[string]json.RawMessage, len(objects))
		for key, object := range objects {
			object["ReadOnly"], object["Bundle"] = true, name
			object["Validated"], object["Available"], object["Errors"] = true, true, []any{}
			if encoded[key], err = model.Marshal(object); err != nil {
				return nil, model.Errorf(model.Invalid, "cannot encode %s/%s of content %s: %w", section, key, name, err)
			}
		}
		l.objects[section] = encoded
	}
	return l, nil
}

// put adds the layer of a plugin provider, or replaces the provider's.
func (c *catalog) put(name string, bundle *model.Content) error {
	return c.putFrom(sourcePlugin, name, bundle)
}

// putFrom adds a layer, or replaces the one of that name from the same source.
// A key that another layer has is refused with both names, and nothing changes.
func (c *catalog) putFrom(source, name string, bundle *model.Content) error {
	return c.add(source, name, bundle, false)
}

// putOver is putFrom for content that takes the place of objects of the store.
func (c *catalog) putOver(source, name string, bundle *model.Content) error {
	return c.add(source, name, bundle, true)
}

// add is putFrom, and with over putOver.
func (c *catalog) add(source, name string, bundle *model.Content, over bool) error {
	l, err := newLayer(name, bundle)
	if err != nil {
		return err
	}
	l.source = source
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.layers[name]; old != nil && old.source != source {
		return model.Errorf(model.Conflict, "cannot load content %s (%s): there is content %s (%s) already", name, source, name, old.source)
	}
	for section, objects := range l.objects {
		for key := range objects {
			if other, taken := c.owner[section+"/"+key]; taken && other != name && (!over || other != writableLayer) {
				return model.Errorf(model.Conflict, "cannot load content %s: %s/%s is in %s too", name, section, key, other)
			}
		}
	}
	defer c.epoch.Add(1)
	c.drop(name)
	c.layers[name] = l
	for section, objects := range l.objects {
		for key := range objects {
			c.owner[section+"/"+key] = name
		}
	}
	for key, p := range l.params {
		c.declare(key, p)
	}
	return nil
}

// declare notes a param's declaration; the caller holds the lock.
func (c *catalog) declare(name string, p *model.Param) {
	c.params[name] = p
	if p.Secure {
		c.sealed[name] = true
	} else {
		delete(c.sealed, name)
	}
}

// remember notes that params were Secure when they were last declared: until
// somebody declares them again, they are.
func (c *catalog) remember(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.epoch.Add(1)
	for _, name := range names {
		c.sealed[name] = true
	}
}

// remove takes a layer away.
func (c *catalog) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.epoch.Add(1)
	c.drop(name)
}

// drop forgets a layer; the caller holds the lock.
func (c *catalog) drop(name string) {
	l := c.layers[name]
	if l == nil {
		return
	}
	delete(c.layers, name)
	for section, objects := range l.objects {
		for key := range objects {
			delete(c.owner, section+"/"+key)
		}
	}
	for key := range l.params {
		delete(c.params, key)
	}
}

// stored takes over a change of a param in the store.
func (c *catalog) stored(change store.Change) {
	object := change.New
	if object == nil {
		object = change.Old
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.epoch.Add(1)
	if change.New == nil {
		c.forget("params", object.ID)
		return
	}
	p := &model.Param{}
	if err := model.Unmarshal(object.Value, p); err != nil {
		c.log.Error("cannot read a stored param", "param", object.ID, "error", err)
		return
	}
	if by := c.owner["params/"+object.ID]; by != "" && by != writableLayer {
		return // the layer's counts
	}
	c.owner["params/"+object.ID] = writableLayer
	c.declare(object.ID, p)
}

// forget removes a param that was in the store.
func (c *catalog) forget(section, key string) {
	if c.owner[section+"/"+key] == writableLayer {
		delete(c.owner, section+"/"+key)
		delete(c.params, key)
		delete(c.sealed, key)
	}
}

// param returns a param's declaration, or nil.
func (c *catalog) param(name string) *model.Param {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.params[name]
}

// secure reports whether a param is declared Secure, or was so by who is not
// there at the moment: a plugin that has not been started yet, or was removed.
func (c *catalog) secure(name string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if p := c.params[name]; p != nil {
		return p.Secure
	}
	return c.sealed[name]
}

// open reports whether a param is declared as one whose values everybody may see.
// One that nobody declares is neither open nor Secure.
func (c *catalog) open(name string) bool {
	p := c.param(name)
	return p != nil && !p.Secure && !model.SecretName(name)
}

// secret reports whether a param's values are secret, declared so or not.
func (c *catalog) secret(name string) bool {
	return c.secure(name) || model.SecretName(name)
}

// owns returns the layer that has an object, or "".
func (c *catalog) owns(section, key string) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.owner[section+"/"+key]
}

// object returns an object of a layer.
func (c *catalog) object(section, key string) (json.RawMessage, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l := c.layers[c.owner[section+"/"+key]]
	if l == nil {
		return nil, false
	}
	raw, ok := l.objects[section][key]
	return raw, ok
}

// objects returns the objects of a section in all layers, ordered by key.
func (c *catalog) objects(section string) []json.RawMessage {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found := map[string]json.RawMessage{}
	for _, l := range c.layers {
		for key, raw := range l.objects[section] {
			found[key] = raw
		}
	}
	keys := make([]string, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	out := make([]json.RawMessage, len(keys))
	for i, key := range keys {
		out[i] = found[key]
	}
	return out
}

// schemaDefault returns the default that a param's schema declares.
func schemaDefault(p *model.Param) (any, bool) {
	if p == nil {
		return nil, false
	}
	schema, ok := p.Schema.(map[string]any)
	if !ok {
		return nil, false
	}
	value, ok := schema["default"]
	return value, ok && value != nil
}

// check tests a value against a param's schema. The error does not show the
// value of a secret.
func (c *catalog) check(name string, value any) error {
	p := c.param(name)
	if p == nil || value == nil || c.secret(name) && secret.Parse(value) != nil { // checked before it was sealed
		return nil
	}
	err := c.checker(name, p).Check(value)
	if err == nil || !c.secret(name) {
		return err
	}
	return model.Errorf(model.Invalid, "%s", model.Redact(err.Error(), textsOf(value)))
}

// checker returns what checks the values of a declared param.
func (c *catalog) checker(name string, p *model.Param) *content.Checker {
	c.checking.Lock()
	defer c.checking.Unlock()
	known := c.checkers[name]
	if known.of != p {
		known = checker{p, content.NewChecker(p)}
		c.checkers[name] = known
	}
	return known.Checker
}

// textsOf lists the strings in a value, longest first.
func textsOf(value any) []string {
	var out []string
	switch t := value.(type) {
	case string:
		out = append(out, t)
	case []any:
		for _, e := range t {
			out = append(out, textsOf(e)...)
		}
	case map[string]any:
		for _, e := range t {
			out = append(out, textsOf(e)...)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}

// checkAll tests every value of params; the error names the first bad one by
// name, in the words of the reference.
func (c *catalog) checkAll(params model.Params) error {
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.TrimSpace(name) == "" {
			return model.Errorf(model.Invalid, "Key '%s': a param needs a name", name)
		}
		if err := c.check(name, params[name]); err != nil {
			return model.Errorf(model.Invalid, "Key '%s': invalid val '%s': : %s", name, c.shown(name, params[name]), model.AsError(err).Text())
		}
	}
	return nil
}

// shown is a value as a message may show it.
func (c *catalog) shown(name string, value any) string {
	const limit = 100
	if c.secret(name) {
		return model.Masked
	}
	raw, err := model.Marshal(value)
	if err != nil {
		return "?"
	}
	if len(raw) > limit {
		raw = append(raw[:limit:limit], "..."...)
	}
	return string(raw)
}

// source tells where a layer comes from, "" if there is none of that name.
func (c *catalog) source(name string) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if l := c.layers[name]; l != nil {
		return l.source
	}
	return ""
}

// shownMeta is a layer's meta. Its Type says where it comes from; an uploaded
// one may say otherwise.
func (l *layer) shownMeta() model.ContentMeta {
	meta := l.meta
	if meta.Type == "" || l.source != sourceUpload {
		meta.Type = l.source
	}
	return meta
}

// bundle returns a layer as a bundle of its own, secrets in clear.
func (c *catalog) bundle(name string) (*model.Content, bool) {
	c.mu.RLock()
	l := c.layers[name]
	c.mu.RUnlock()
	if l == nil {
		return nil, false
	}
	out := &model.Content{Meta: l.shownMeta(), Sections: map[string]map[string]map[string]any{}}
	for section, objects := range l.objects {
		out.Sections[section] = map[string]map[string]any{}
		for key, raw := range objects {
			var object map[string]any
			if err := model.Unmarshal(raw, &object); err != nil {
				c.log.Error("cannot read an object of content", "content", name, "section", section, "key", key, "error", err)
				continue
			}
			out.Sections[section][key] = object
		}
	}
	return out, true
}

// summary describes a layer, nil if there is none of that name.
func (c *catalog) summary(name string) *model.ContentSummary {
	c.mu.RLock()
	defer c.mu.RUnlock()
	l := c.layers[name]
	if l == nil {
		return nil
	}
	s := &model.ContentSummary{Meta: l.shownMeta(), Counts: map[string]int{}, Warnings: []string{}}
	for section, objects := range l.objects {
		s.Counts[section] = len(objects)
	}
	return s
}
