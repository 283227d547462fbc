package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

// makings are objects that one client makes and deletes, in turn.
type makings struct {
	created, deleted int // acknowledged
	next             int
	there            map[string]bool // what was acknowledged last of each
	open             string          // the one of which nothing is known: its answer did not come
}

// madeName begins the names of those objects.
const madeName = "made-"

// maker makes some objects, and deletes most of them, until the daemon is gone.
func (c *crashes) maker(ctx context.Context) {
	for range 40 {
		c.mu.Lock()
		c.made.next++
		n := c.made.next
		c.mu.Unlock()
		name := fmt.Sprintf("%s%d", madeName, n)
		if !c.make(ctx, name, true) || n%8 != 0 && !c.make(ctx, name, false) {
			return
		}
	}
}

// make makes or deletes an object, and reports whether that was acknowledged.
func (c *crashes) make(ctx context.Context, name string, create bool) bool {
	c.mu.Lock()
	c.made.open = name
	c.mu.Unlock()
	var err error
	if create {
		err = c.api.Post(ctx, "profiles", map[string]any{"Name": name, "Description": name, "Params": model.Params{"count": name}}, nil)
	} else {
		err = c.api.Delete(ctx, "profiles/"+name, nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		return false
	}
	if create {
		c.made.created++
	} else {
		c.made.deleted++
	}
	if c.made.there == nil {
		c.made.there = map[string]bool{}
	}
	c.made.there[name], c.made.open = create, ""
	return true
}

// auditMade compares the objects with what was acknowledged. The caller holds mu.
func (c *crashes) auditMade(t *testing.T) {
	t.Helper()
	var list []*model.Profile
	if err := c.api.Get(t.Context(), "profiles", &list); err != nil {
		t.Error(err)
	}
	found := map[string]bool{}
	for _, p := range list {
		if !strings.HasPrefix(p.Name, madeName) {
			continue
		}
		found[p.Name] = true
		if text, err := p.Params.String("count", ""); err != nil || text != p.Name || p.Description != p.Name {
			t.Errorf("profile %s is there in part: %+v", p.Name, p)
		}
	}
	for name, there := range c.made.there {
		if name != c.made.open && found[name] != there {
			t.Errorf("profile %s: there %t, acknowledged %t", name, found[name], there)
		}
	}
	for name := range found {
		if _, known := c.made.there[name]; !known && name != c.made.open {
			t.Errorf("profile %s is there, and nobody made it", name)
		}
	}
	if c.made.open == "" {
		return
	}
	if c.made.there == nil {
		c.made.there = map[string]bool{}
	}
	c.made.there[c.made.open], c.made.open = found[c.made.open], ""
}
