// Package targets keeps stored credentials where they are: it knows which params
// say where a credential is sent, and whether a change would send one elsewhere.
package targets

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Table names, for each param that is a credential, the params that say where it
// is sent.
type Table map[string][]string

// Parse reads a provider's declaration, Meta["oob/targets"]. An empty one is an
// empty table.
func Parse(text string) (Table, error) {
	if text == "" {
		return nil, nil
	}
	var out Table
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("want a JSON object of lists of params: %w", err)
	}
	return out, nil
}

// Credentials are the table's credentials in the order of their names.
func (t Table) Credentials() []string { return slices.Sorted(maps.Keys(t)) }

// Add takes what another table says too.
func (t Table) Add(other Table) {
	for credential, list := range other {
		for _, target := range list {
			if !slices.Contains(t[credential], target) {
				t[credential] = append(t[credential], target)
			}
		}
	}
}

// Unaccompanied finds the first target in a request that none of its credentials
// came with, or that a stored one would be sent to beside one that came.
func (t Table) Unaccompanied(asked func(name string) bool, stored Lookup) (Move, bool) {
	came := map[string]bool{}
	for _, credential := range t.Credentials() {
		for _, target := range t[credential] {
			came[target] = came[target] || asked(credential)
		}
	}
	for _, credential := range t.Credentials() {
		for _, target := range t[credential] {
			if asked(target) && !asked(credential) && (!came[target] || has(stored, credential)) {
				return Move{credential, target}, true
			}
		}
	}
	return Move{}, false
}

// Lookup finds the value of a param; false: it has none.
type Lookup func(name string) (any, bool)

// Change is a change of an object's params, or of where they come from.
type Change struct {
	// Before and After find the params that apply to the object.
	Before, After Lookup
	// Set reports whether the change itself sets the object's own value of a
	// credential.
	Set func(credential string) bool
	// Shared tells that others take their params from the object, so that a
	// credential that is not seen here may be sent by what it says.
	Shared bool
}

// Move is a stored credential that a change would have sent elsewhere.
type Move struct{ Credential, Param string }

// Moved finds the first stored credential that would be sent elsewhere than
// before. One that is set in the same change is not: who sets it knows it.
func (t Table) Moved(c Change) (Move, bool) {
	for _, credential := range t.Credentials() {
		if c.Set(credential) {
			continue
		}
		held, stored := c.After(credential)
		if !stored && !c.Shared {
			continue
		}
		before, was := c.Before(credential)
		another := stored && !c.Shared && (!was || !reflect.DeepEqual(held, before))
		for _, target := range t[credential] {
			if changed(c, target) || another && has(c.After, target) {
				return Move{credential, target}, true
			}
		}
	}
	return Move{}, false
}

// changed reports whether a param has another value, or one or none at last.
func changed(c Change, name string) bool {
	before, was := c.Before(name)
	after, is := c.After(name)
	return was != is || !reflect.DeepEqual(before, after)
}

// has reports whether a param has a value.
func has(find Lookup, name string) bool {
	_, ok := find(name)
	return ok
}
