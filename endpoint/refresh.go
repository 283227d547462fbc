package endpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"provision-plugins/endpoint/rekey"
	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/content"
	"provision-plugins/shared/model"
)

const (
	// seenPrefix is where it is stored which declarations of params the stored
	// values were last compared with, by layer.
	seenPrefix = "seen"
	// seenLayer begins the notes of what layers declare; securePrefix the digests
	// of what is Secure.
	seenLayer, securePrefix = "layer ", "secure "
	// seenSecrets is the note that no secret is stored in clear any more.
	seenSecrets = "secrets"
	// maxWarnings bounds what an answer says of values that have become invalid.
	maxWarnings = 100
)

// declarations are the digests of a layer's declared params, by name.
type declarations map[string]string

// declarationsOf makes the digests of what decides about values: the schema, and
// whether they are Secure.
func declarationsOf(params map[string]*model.Param) (declarations, error) {
	out := declarations{}
	for name, p := range params {
		raw, err := model.Marshal([]any{p.Secure, p.Schema})
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(raw)
		out[name] = base64.RawStdEncoding.EncodeToString(sum[:12])
		if p.Secure {
			out[name] = securePrefix + out[name]
		}
	}
	return out, nil
}

// recall has the catalog know which params were Secure when the endpoint ended:
// plugins declare theirs only when they have been asked.
func (o *objects) recall() {
	var names []string
	for _, s := range o.store.List(seenPrefix) {
		seen := declarations{}
		if !strings.HasPrefix(s.ID, seenLayer) {
			continue
		}
		if err := model.Unmarshal(s.Value, &seen); err != nil {
			o.cat.log.Error("cannot read which params a layer declared", "id", s.ID, "error", err)
		}
		for name, sum := range seen {
			if strings.HasPrefix(sum, securePrefix) {
				names = append(names, name)
			}
		}
	}
	o.cat.remember(names)
}

// disown forgets what a layer declared that somebody removed. Its values stay
// sealed: nobody has said that they may be seen.
func (o *objects) disown(ctx context.Context, layer string) error {
	_, err := o.store.Delete(ctx, seenPrefix, seenLayer+layer, 0)
	if model.KindOf(err) == model.NotFound {
		return nil
	}
	return err
}

// adopted compares the stored values with a layer's params, where these are not
// those of the last time: values that must be secret are sealed, objects whose
// values break their schema are marked. It returns what was marked.
func (o *objects) adopted(ctx context.Context, layer string, params map[string]*model.Param) ([]string, error) {
	now, err := declarationsOf(params)
	if err != nil {
		return nil, err
	}
	before := declarations{}
	seen, err := o.store.Get(seenPrefix, seenLayer+layer)
	if err == nil {
		if err := model.Unmarshal(seen.Value, &before); err != nil {
			return nil, err
		}
	}
	if maps.Equal(now, before) {
		return nil, nil
	}
	var names []string
	for name, sum := range now {
		if before[name] != sum {
			names = append(names, name)
		}
	}
	warnings, err := o.refresh(ctx, names)
	if err != nil {
		return warnings, err
	}
	seen.Prefix, seen.ID = seenPrefix, seenLayer+layer
	return warnings, o.note(ctx, seen, now)
}

// note stores what has been seen.
func (o *objects) note(ctx context.Context, at store.Object, value any) error {
	var err error
	if at.Value, err = model.Marshal(value); err != nil {
		return err
	}
	if at.Rev == 0 {
		_, err = o.store.Create(ctx, at, nil)
	} else {
		_, err = o.store.Update(ctx, at, nil)
	}
	if model.KindOf(err) == model.Conflict { // the next start looks again
		return nil
	}
	return err
}

// provided takes the content of a plugin provider into use.
func (o *objects) provided(ctx context.Context, name string, bundle *model.Content) error {
	for at := range o.shadowed(bundle) {
		return model.Errorf(model.Conflict, "cannot load content %s: %s/%s is in %s too", name, at.Prefix, at.ID, writableLayer)
	}
	params, err := content.Params(bundle)
	if err == nil {
		err = o.cat.put(name, bundle)
	}
	if err != nil {
		return err
	}
	warnings, err := o.adopted(ctx, name, params)
	for _, w := range warnings {
		o.cat.log.Warn("a stored value does not fit the content of a plugin provider", "provider", name, "value", w)
	}
	return err
}

// openMaster loads the master key, and refuses one that the data directory was
// not written with: with it no secret could be read.
func (e *Endpoint) openMaster(ctx context.Context) error {
	var err error
	if e.master, err = secret.LoadMaster(e.opts.DataDir, os.Getenv); err != nil {
		return err
	}
	return rekey.Open(ctx, e.store, e.master, e.log.With("part", "master key"))
}

// upgrade seals what an endpoint that did not seal has stored.
func (e *Endpoint) upgrade(ctx context.Context) error {
	if _, err := e.store.Get(seenPrefix, seenSecrets); err == nil {
		return nil
	}
	if _, err := e.objects.walk(ctx, func([]byte) bool { return true }); err != nil {
		return err
	}
	return e.objects.note(ctx, store.Object{Prefix: seenPrefix, ID: seenSecrets}, "sealed")
}

// refresh looks at the stored values of params whose declarations have changed.
func (o *objects) refresh(ctx context.Context, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	marks := make([][]byte, len(names))
	for i, name := range names {
		quoted, err := model.Marshal(name)
		if err != nil {
			return nil, err
		}
		marks[i] = append(quoted, ':')
	}
	return o.walk(ctx, func(raw []byte) bool {
		return slices.ContainsFunc(marks, func(mark []byte) bool { return bytes.Contains(raw, mark) })
	})
}

// walk looks at every stored object with params that may need it, and returns
// what is wrong with them.
func (o *objects) walk(ctx context.Context, needed func(raw []byte) bool) ([]string, error) {
	var warnings []string
	for _, k := range o.kinds.list() {
		if paramsOf(k.fresh()) == nil {
			continue
		}
		for _, found := range o.store.List(k.prefix) {
			if !needed(found.Value) {
				continue
			}
			wrong, err := o.refreshOne(ctx, k, found)
			if err != nil {
				return warnings, err
			}
			for _, text := range wrong {
				if len(warnings) < maxWarnings {
					warnings = append(warnings, fmt.Sprintf("%s/%s: %s", k.prefix, found.ID, text))
				}
			}
		}
	}
	return warnings, nil
}

// refreshOne brings one object up to date, and tells what is wrong with it.
func (o *objects) refreshOne(ctx context.Context, k *kind, found store.Object) ([]string, error) {
	var last error
	for range updateTries {
		next, wrong, err := o.refreshed(k, found)
		if err != nil || bytes.Equal(next.Value, found.Value) {
			return wrong, err
		}
		unlock := o.locks.lock(k.prefix, found.ID, principal(ctx))
		_, err = o.store.Update(ctx, next, uniqueOf(o.decoded(k, next)))
		unlock()
		if err == nil || model.KindOf(err) == model.NotFound {
			return wrong, nil
		}
		if model.KindOf(err) != model.Conflict {
			return nil, err
		}
		last = err
		found, err = o.store.Get(k.prefix, found.ID)
		if err != nil && model.KindOf(err) == model.NotFound { // it is gone
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, last
}

// refreshed is an object as it should be stored now: sealed where it is secret,
// in clear where it no longer is, and marked if a value breaks its schema.
func (o *objects) refreshed(k *kind, found store.Object) (store.Object, []string, error) {
	object := k.fresh()
	if err := model.Unmarshal(found.Value, object); err != nil {
		return found, nil, err
	}
	params := *paramsOf(object)
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value, err := o.openValue(name, params[name], found)
		if err != nil { // it was not sealed here
			value = params[name]
		}
		if secret.Parse(params[name]) != nil && o.cat.open(name) {
			params[name] = value
		}
		if err := o.cat.checkAll(model.Params{name: value}); err != nil {
			wrong = append(wrong, model.AsError(err).Text())
		}
	}
	mark(object, wrong)
	next, err := o.sealed(object, found)
	return next, wrong, err
}

// mark notes on an object what is wrong with it. It is available if nothing is.
func mark(object any, wrong []string) {
	v := model.Validation{Validated: true, Available: len(wrong) == 0, Errors: orEmpty(wrong)}
	switch t := object.(type) {
	case *model.Machine:
		t.Validation = v
	case *model.Plugin:
		t.Validation = v
	case *model.Profile:
		t.Validation = v
	case *record:
		t.values["Available"] = v.Available
		t.values["Errors"] = anyList(v.Errors)
	}
}

// anyList is a list of texts as decoded JSON has it.
func anyList(texts []string) []any {
	out := make([]any, len(texts))
	for i, text := range texts {
		out[i] = text
	}
	return out
}

// refFields are the fields of objects that name objects of a section.
var refFields = map[string]string{
	"Profiles": "profiles", "Stage": "stages", "Stages": "stages", "BootEnv": "bootenvs",
	"Workflow": "workflows", "Tasks": "tasks", "Roles": "roles",
}

// unneeded refuses to take away objects of a layer that others name: those that
// the layer has and its successor does not.
func (c *contents) unneeded(name string, next *model.Content) error {
	old, _ := c.cat.bundle(name)
	if old == nil {
		return nil
	}
	gone := map[string]bool{}
	for section, objects := range old.Sections {
		for key := range objects {
			if _, stays := next.Sections[section][key]; !stays {
				gone[section+"/"+key] = true
			}
		}
	}
	for user, raw := range c.users(name) {
		var object map[string]any
		if err := model.Unmarshal(raw, &object); err != nil {
			return err
		}
		for field, section := range refFields {
			for _, key := range texted(object[field]) {
				if gone[section+"/"+key] {
					return model.Errorf(model.Conflict, "cannot remove %s/%s: %s has it", section, key, user).On(contentsPrefix, name)
				}
			}
		}
	}
	return nil
}

// texted is a text or a list of texts.
func texted(value any) []string {
	switch t := value.(type) {
	case string:
		return []string{t}
	case []any:
		var out []string
		for _, v := range t {
			out = append(out, texted(v)...)
		}
		return out
	}
	return nil
}

// users yields the objects that may name objects of a layer: those of the
// store, and of the other layers.
func (c *contents) users(layer string) func(yield func(string, []byte) bool) {
	return func(yield func(string, []byte) bool) {
		for _, k := range c.objects.kinds.list() {
			for _, o := range c.objects.store.List(k.prefix) {
				if !yield(k.prefix+"/"+o.ID, o.Value) {
					return
				}
			}
		}
		for where, raw := range c.cat.others(layer) {
			if !yield(where, raw) {
				return
			}
		}
	}
}

// others are the objects of all layers but one, by where they are.
func (c *catalog) others(name string) map[string][]byte {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := map[string][]byte{}
	for other, l := range c.layers {
		if other == name {
			continue
		}
		for section, objects := range l.objects {
			for key, raw := range objects {
				out[section+"/"+key+" of content "+other] = raw
			}
		}
	}
	return out
}

// settled shows an object that was just written. Declarations of params that
// have changed since gen, while it was being checked, are taken into account.
func (o *objects) settled(ctx context.Context, k *kind, written store.Object, gen uint64) (json.RawMessage, error) {
	if err := o.declared(ctx, k, written.ID); err != nil {
		return nil, err
	}
	if gen == o.cat.epoch.Load() || paramsOf(k.fresh()) == nil {
		noteTag(ctx, k, written)
	} else if _, err := o.refreshOne(context.WithoutCancel(ctx), k, written); err != nil {
		return nil, err
	}
	return o.answer(k, &written, false)
}

// declared looks at the stored values again after a param was stored.
func (o *objects) declared(ctx context.Context, k *kind, name string) error {
	if k.prefix != "params" {
		return nil
	}
	// What has begun is finished, for a client that goes away too.
	_, err := o.refresh(context.WithoutCancel(ctx), []string{name})
	return err
}
