package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
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

// load takes the stored content into use that is not yet: at the start, and when
// a plugin has brought what it may need. Layers that need each other come in any
// order, so what is refused is tried again after the rest; what is refused in the
// end is logged, and stays stored. It reports whether anything was taken.
func (c *contents) load(ctx context.Context) (taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := slices.DeleteFunc(c.objects.store.List(contentsPrefix), func(o store.Object) bool {
		return c.cat.source(o.ID) == sourceUpload
	})
	for len(waiting) > 0 {
		var refused []store.Object
		var why []error
		for _, o := range waiting {
			if err := c.loadOne(ctx, o); err != nil {
				refused, why = append(refused, o), append(why, err)
			}
		}
		if len(refused) == len(waiting) {
			for i, o := range refused {
				c.cat.log.Error("cannot load stored content", "content", o.ID, "error", why[i])
			}
			return taken
		}
		waiting, taken = refused, true
	}
	return taken
}

// loadOne takes one stored bundle into use.
func (c *contents) loadOne(ctx context.Context, o store.Object) error {
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
	params, err := content.Params(bundle)
	if err != nil {
		return err
	}
	// What it replaced goes here, if the upload was cut off before it went.
	if err := c.cat.putOver(sourceUpload, o.ID, bundle); err != nil {
		return err
	}
	if err := c.give(ctx, bundle); err != nil {
		return err
	}
	_, err = c.objects.adopted(ctx, o.ID, params)
	return err
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
		err := c.cat.meets(p)
		if err == nil && (p.layer == name || c.cat.leadsTo(p.layer, name)) {
			err = model.Errorf(model.Invalid, "content %s needs it in turn: neither could be loaded first", p.layer)
		}
		if err != nil {
			return model.Errorf(model.Invalid, "Layer %s: %w", name, err).On(contentsPrefix, name)
		}
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
	if err := c.cat.putOver(sourceUpload, bundle.Meta.Name, bundle); err != nil {
		return nil, model.AsError(err).On(contentsPrefix, bundle.Meta.Name)
	}
	if err := c.replaces(in, bundle); err != nil { // somebody has written meanwhile
		return nil, errors.Join(err, c.restore(bundle, before))
	}
	if err := c.save(ctx, found, clear); err != nil {
		return nil, errors.Join(err, c.restore(bundle, before))
	}
	if err := c.give(ctx, bundle); err != nil { // the next start does it
		return nil, err
	}
	warnings, err := c.objects.adopted(ctx, bundle.Meta.Name, params)
	if err != nil {
		return nil, err
	}
	c.changed()
	summary := c.cat.summary(bundle.Meta.Name)
	summary.Warnings = append(append(summary.Warnings, openDefaults(params)...), warnings...)
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

// notContent are the sections that a bundle must not have: what the endpoint
// keeps for itself, who may do what in it, and what it acts on.
func notContent() []string { return append(reserved(), usersPrefix, "machines", "plugins", "prefs") }

// fits refuses a bundle that the endpoint could not work with beside what it
// has.
func (c *contents) fits(ctx context.Context, in change, bundle *model.Content) error {
	if err := c.needs(bundle); err != nil {
		return err
	}
	for _, section := range slices.Sorted(maps.Keys(bundle.Sections)) {
		if slices.Contains(notContent(), section) {
			return model.Errorf(model.Invalid, "cannot load content %s: %s are no content", bundle.Meta.Name, section).On(contentsPrefix, bundle.Meta.Name)
		}
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
	if err := c.cat.suffices(bundle); err != nil {
		return err
	}
	if err := c.objects.reveals(ctx, bundle); err != nil {
		return err
	}
	return c.replaces(in, bundle)
}

// replaces refuses keys that objects of the store have, unless the writer wants
// these replaced.
func (c *contents) replaces(in change, bundle *model.Content) error {
	for at := range c.objects.shadowed(bundle) {
		if !in.replace {
			return model.Errorf(model.Conflict, "cannot load content %s: %s/%s is in %s too", bundle.Meta.Name, at.Prefix, at.ID, writableLayer).
				On(contentsPrefix, bundle.Meta.Name)
		}
	}
	return nil
}

// shadowed yields the objects of the store whose keys a bundle has too.
func (o *objects) shadowed(bundle *model.Content) iter.Seq[store.Object] {
	return func(yield func(store.Object) bool) {
		for _, section := range slices.Sorted(maps.Keys(bundle.Sections)) {
			for _, key := range slices.Sorted(maps.Keys(bundle.Sections[section])) {
				if found, err := o.store.Get(section, key); err == nil && !yield(found) {
					return
				}
			}
		}
	}
}

// unlayered takes an object back that was stored while content with its key was
// taken into use. Whoever looks second sees the other: never are there both.
func (o *objects) unlayered(ctx context.Context, made store.Object) error {
	if by := o.cat.owns(made.Prefix, made.ID); by == "" || by == writableLayer {
		return nil
	}
	if _, err := o.store.Delete(context.WithoutCancel(ctx), made.Prefix, made.ID, made.Rev); err != nil && model.KindOf(err) != model.NotFound {
		return err
	}
	return model.Errorf(model.Conflict, "already exists").On(made.Prefix, made.ID)
}

// give removes the objects of the store that a bundle is there in place of. That
// is done last, so that nothing is lost with an upload that is refused.
func (c *contents) give(ctx context.Context, bundle *model.Content) error {
	for at := range c.objects.shadowed(bundle) {
		if _, err := c.objects.store.Delete(ctx, at.Prefix, at.ID, 0); err != nil && model.KindOf(err) != model.NotFound {
			return err
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

// restore puts a layer back to what it was, and the params of the store that
// the bundle was to be in place of.
func (c *contents) restore(bundle, before *model.Content) error {
	var err error
	if name := bundle.Meta.Name; before == nil {
		c.cat.remove(name)
	} else {
		err = c.cat.putFrom(sourceUpload, name, before)
	}
	for at := range c.objects.shadowed(bundle) {
		if at.Prefix == "params" {
			c.cat.stored(store.Change{New: &at})
		}
	}
	return err
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
	return summary, c.objects.disown(ctx, name)
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
