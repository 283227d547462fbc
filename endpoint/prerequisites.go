package endpoint

import (
	"maps"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

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
	return p.takes(l.meta.Version)
}

// takes reports how a version of the layer is not one that the prerequisite asks
// for.
func (p prerequisite) takes(have string) error {
	want, err := parseRange(p.versions)
	if err != nil {
		return model.Errorf(model.Invalid, "its prerequisite %s: %w", p.layer, err)
	}
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

// leadsTo reports whether a layer needs another one, if only by those it needs.
func (c *catalog) leadsTo(from, to string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	seen := map[string]bool{}
	next := []string{from}
	for len(next) > 0 {
		l := c.layers[next[0]]
		next = next[1:]
		if l == nil {
			continue
		}
		for _, p := range prerequisites(l.meta.Prerequisites) {
			if p.layer == to {
				return true
			}
			if !seen[p.layer] {
				seen[p.layer], next = true, append(next, p.layer)
			}
		}
	}
	return false
}

// suffices refuses a bundle in place of a layer that others need in another
// version: they would not be loaded at the next start.
func (c *catalog) suffices(bundle *model.Content) error {
	name := bundle.Meta.Name
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, other := range slices.Sorted(maps.Keys(c.layers)) {
		for _, p := range prerequisites(c.layers[other].meta.Prerequisites) {
			if p.layer != name || other == name {
				continue
			}
			if err := p.takes(bundle.Meta.Version); err != nil {
				return model.Errorf(model.Conflict, "cannot replace content %s: content %s: %w", name, other, err).On(contentsPrefix, name)
			}
		}
	}
	return nil
}
