package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

// contentsPrefix is where uploaded content is stored.
const contentsPrefix = "contents"

// The sources of layers, by the reference's Types of content.
const (
	sourceBuiltin = "basic"
	sourcePlugin  = "plugin"
	sourceUpload  = "dynamic"
)

// contents keeps the content that was uploaded: read-only layers beside those
// of the endpoint and of plugins.
type contents struct {
	objects  *objects
	cat      *catalog
	features []string
	changed  func() // params may have other defaults now

	mu sync.Mutex // held by the one who changes content
}

// noSuchContent is the error of a layer that is not there.
func noSuchContent(name string) *model.Error {
	return model.Errorf(model.NotFound, "No such content store").On(contentsPrefix, name)
}

// load takes the stored content into use at the start. Layers that need each
// other come in any order, so what is refused is tried again after the rest;
// what is refused in the end is logged, and stays stored.
func (c *contents) load() {
	waiting := c.objects.store.List(contentsPrefix)
	for len(waiting) > 0 {
		var refused []store.Object
		var last error
		for _, o := range waiting {
			if err := c.loadOne(o); err != nil {
				refused, last = append(refused, o), err
			}
		}
		if len(refused) == len(waiting) {
			for _, o := range refused {
				c.cat.log.Error("cannot load stored content", "content", o.ID, "error", last)
			}
			return
		}
		waiting = refused
	}
}

// loadOne takes one stored bundle into use.
func (c *contents) loadOne(o store.Object) error {
	bundle := &model.Content{}
	if err := model.Unmarshal(o.Value, bundle); err != nil {
		return err
	}
	if err := eachParams(bundle, func(name string, value any) (any, error) { return c.objects.openValue(name, value, o) }); err != nil {
		return err
	}
	if err := c.needs(bundle); err != nil {
		return err
	}
	return c.cat.putFrom(sourceUpload, o.ID, bundle)
}

// eachParams replaces every param value in a bundle's objects.
func eachParams(bundle *model.Content, replace func(name string, value any) (any, error)) error {
	for section, objects := range bundle.Sections {
		for key, object := range objects {
			params, _ := object["Params"].(map[string]any)
			for name, value := range params {
				next, err := replace(name, value)
				if err != nil {
					return model.AsError(err).On(section, key)
				}
				params[name] = next
			}
		}
	}
	return nil
}

// needs refuses a bundle whose prerequisites are not there.
func (c *contents) needs(bundle *model.Content) error {
	name := bundle.Meta.Name
	if v := bundle.Meta.Version; v != "" {
		if _, err := parseVersion(v); err != nil {
			return model.Errorf(model.Invalid, "Layer %s: %w", name, err).On(contentsPrefix, name)
		}
	}
	for feature := range strings.FieldsFuncSeq(bundle.Meta.RequiredFeatures, func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(c.features, feature) {
			return model.Errorf(model.Invalid, "Layer %s: this endpoint lacks the feature %s", name, feature).On(contentsPrefix, name)
		}
	}
	for _, p := range prerequisites(bundle.Meta.Prerequisites) {
		if err := c.cat.meets(p); err != nil {
			return model.Errorf(model.Invalid, "Layer %s: %w", name, err).On(contentsPrefix, name)
		}
	}
	return nil
}

// prerequisite is a layer that another one needs, in a range of versions.
type prerequisite struct{ layer, versions string }

// prerequisites reads "name, name: range".
func prerequisites(text string) []prerequisite {
	var out []prerequisite
	for item := range strings.SplitSeq(text, ",") {
		layer, versions, _ := strings.Cut(item, ":")
		if layer = strings.TrimSpace(layer); layer != "" {
			out = append(out, prerequisite{layer, strings.TrimSpace(versions)})
		}
	}
	return out
}

// meets reports how a prerequisite is not met by the layers that there are.
func (c *catalog) meets(p prerequisite) error {
	c.mu.RLock()
	l := c.layers[p.layer]
	c.mu.RUnlock()
	if l == nil {
		return model.Errorf(model.Invalid, "it needs content %s, which is not there", p.layer)
	}
	want, err := parseRange(p.versions)
	if err != nil {
		return model.Errorf(model.Invalid, "its prerequisite %s: %w", p.layer, err)
	}
	have := l.meta.Version
	setDefault(&have, "v0.0.0")
	v, err := parseVersion(have)
	if err != nil {
		return model.Errorf(model.Invalid, "its prerequisite %s: %w", p.layer, err)
	}
	if !want(v) {
		return model.Errorf(model.Invalid, "it needs content %s in version %s; %s is there", p.layer, p.versions, have)
	}
	return nil
}

// change is an upload of content.
type change struct {
	name    string // as the path names it; empty for a new one
	body    []byte
	replace bool // the objects of the store that the content has too
}

// put takes an upload into use: a new layer, or one in place of the layer of
// the name.
func (c *contents) put(ctx context.Context, in change) (*model.ContentSummary, error) {
	ctx = context.WithoutCancel(ctx) // what has begun is finished
	bundle, err := content.Parse(in.body)
	if err != nil {
		return nil, model.AsError(err).On(contentsPrefix, in.name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	found, err := c.place(in, bundle.Meta.Name)
	if err != nil {
		return nil, err
	}
	if err := c.fits(ctx, in, bundle); err != nil {
		return nil, err
	}
	clear, err := model.Marshal(bundle)
	if err != nil {
		return nil, err
	}
	params, err := content.Params(bundle)
	if err != nil {
		return nil, err
	}
	before, _ := c.cat.bundle(bundle.Meta.Name)
	if err := c.cat.putFrom(sourceUpload, bundle.Meta.Name, bundle); err != nil {
		return nil, model.AsError(err).On(contentsPrefix, bundle.Meta.Name)
	}
	if err := c.save(ctx, found, clear); err != nil {
		return nil, errors.Join(err, c.restore(bundle.Meta.Name, before))
	}
	warnings, err := c.objects.adopted(ctx, bundle.Meta.Name, params)
	if err != nil {
		return nil, err
	}
	c.changed()
	summary := c.cat.summary(bundle.Meta.Name)
	summary.Warnings = append(summary.Warnings, warnings...)
	return summary, nil
}

// place finds where an upload belongs, and refuses one that does not fit its
// path or would replace what was not uploaded.
func (c *contents) place(in change, name string) (store.Object, error) {
	found, err := c.objects.store.Get(contentsPrefix, name)
	stored := err == nil
	source := c.cat.source(name)
	switch {
	case in.name == "" && (source != "" || stored):
		return found, model.Errorf(model.Conflict, "Content %s already exists", name).On(contentsPrefix, name)
	case in.name == "":
		return store.Object{Prefix: contentsPrefix, ID: name}, nil
	case in.name != name:
		return found, model.Errorf(model.Invalid, "cannot replace content %s by content %s", in.name, name).On(contentsPrefix, in.name)
	case source == "" && !stored:
		return found, noSuchContent(name)
	case source != sourceUpload && !stored:
		return found, builtin(name, source)
	}
	return found, nil
}

// builtin refuses a change of a layer that was not uploaded.
func builtin(name, source string) error {
	from := "the endpoint itself"
	if source == sourcePlugin {
		from = "its plugin provider: replace or remove that"
	}
	return model.Errorf(model.Conflict, "readonly: it comes with %s", from).On(contentsPrefix, name)
}

// fits refuses a bundle that the endpoint could not work with beside what it
// has.
func (c *contents) fits(ctx context.Context, in change, bundle *model.Content) error {
	if err := c.needs(bundle); err != nil {
		return err
	}
	err := eachParams(bundle, func(name string, value any) (any, error) {
		if secret.Parse(value) != nil {
			return nil, model.Errorf(model.Invalid, "Key '%s': it is sealed for somebody else; upload it in clear (drpcli contents upload --key)", name)
		}
		return value, nil
	})
	if err != nil {
		return err
	}
	if err := c.unneeded(bundle.Meta.Name, bundle); err != nil {
		return err
	}
	return c.free(ctx, in, bundle)
}

// free refuses keys that objects of the store have, or removes these where the
// writer wants them replaced.
func (c *contents) free(ctx context.Context, in change, bundle *model.Content) error {
	for _, section := range slices.Sorted(maps.Keys(bundle.Sections)) {
		for _, key := range slices.Sorted(maps.Keys(bundle.Sections[section])) {
			if _, err := c.objects.store.Get(section, key); err != nil {
				continue
			}
			if !in.replace {
				return model.Errorf(model.Conflict, "cannot load content %s: %s/%s is in %s too", bundle.Meta.Name, section, key, writableLayer).
					On(contentsPrefix, bundle.Meta.Name)
			}
			if _, err := c.objects.store.Delete(ctx, section, key, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// save stores a bundle, its secrets sealed.
func (c *contents) save(ctx context.Context, at store.Object, clear []byte) error {
	bundle := &model.Content{}
	if err := model.Unmarshal(clear, bundle); err != nil {
		return err
	}
	err := eachParams(bundle, func(name string, value any) (any, error) {
		if value == nil || !c.cat.secret(name) {
			return value, nil
		}
		b, keyed, err := c.objects.vault.boxFor(at)
		if err != nil {
			return nil, err
		}
		at = keyed
		sealed, err := b.Seal(name, value)
		if err != nil {
			return nil, err
		}
		return secret.Value(sealed), nil
	})
	if err != nil {
		return err
	}
	if at.Value, err = model.Marshal(bundle); err != nil {
		return err
	}
	if at.Rev == 0 {
		_, err = c.objects.store.Create(ctx, at, nil)
	} else {
		_, err = c.objects.store.Update(ctx, at, nil)
	}
	return err
}

// restore puts a layer back to what it was.
func (c *contents) restore(name string, before *model.Content) error {
	if before == nil {
		c.cat.remove(name)
		return nil
	}
	return c.cat.putFrom(sourceUpload, name, before)
}

// remove takes an uploaded layer out of use.
func (c *contents) remove(ctx context.Context, name string) (*model.ContentSummary, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	source := c.cat.source(name)
	_, err := c.objects.store.Get(contentsPrefix, name)
	switch {
	case err != nil && source == "":
		return nil, noSuchContent(name)
	case err != nil:
		return nil, builtin(name, source)
	}
	if err := c.cat.unneeded(name); err != nil {
		return nil, err
	}
	if err := c.unneeded(name, &model.Content{}); err != nil {
		return nil, err
	}
	summary := c.cat.summary(name)
	if _, err := c.objects.store.Delete(ctx, contentsPrefix, name, 0); err != nil {
		return nil, err
	}
	if source == sourceUpload {
		c.cat.remove(name)
	}
	c.changed()
	return summary, nil
}

// unneeded refuses to take a layer away that another one has as a prerequisite.
func (c *catalog) unneeded(name string) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, other := range slices.Sorted(maps.Keys(c.layers)) {
		for _, p := range prerequisites(c.layers[other].meta.Prerequisites) {
			if p.layer == name && other != name {
				return model.Errorf(model.Conflict, "cannot remove: content %s needs it", other).On(contentsPrefix, name)
			}
		}
	}
	return nil
}

// show returns a layer with its objects; secrets only for those who may see
// them.
func (c *contents) show(name string, decode bool) (*model.Content, error) {
	bundle, there := c.cat.bundle(name)
	if !there {
		return nil, noSuchContent(name)
	}
	if decode {
		return bundle, nil
	}
	sealed := &model.Content{}
	if found, err := c.objects.store.Get(contentsPrefix, name); err == nil {
		if err := model.Unmarshal(found.Value, sealed); err != nil {
			return nil, err
		}
	}
	maskBundle(bundle, sealed, c.cat)
	return bundle, nil
}

// maskBundle hides the secrets of a bundle: sealed where it is stored so.
func maskBundle(bundle, sealed *model.Content, cat *catalog) {
	for section, objects := range bundle.Sections {
		for key, object := range objects {
			params, ok := object["Params"].(map[string]any)
			if !ok {
				continue
			}
			stored, _ := sealed.Sections[section][key]["Params"].(map[string]any)
			shown := model.RedactParams(params, cat.secure)
			for name := range params {
				if cat.secure(name) && secret.Parse(stored[name]) != nil {
					shown[name] = stored[name]
				}
			}
			object["Params"] = map[string]any(shown)
		}
	}
}

// list returns the summaries of all layers, by name.
func (c *contents) list() ([]json.RawMessage, error) {
	c.cat.mu.RLock()
	names := slices.Sorted(maps.Keys(c.cat.layers))
	c.cat.mu.RUnlock()
	all := make([]*model.ContentSummary, 0, len(names))
	for _, name := range names {
		if s := c.cat.summary(name); s != nil {
			all = append(all, s)
		}
	}
	return encoded(all)
}
