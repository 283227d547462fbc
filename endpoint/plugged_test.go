package endpoint

import (
	"encoding/json"
	"slices"
	"testing"

	"provision-plugins/endpoint/store"
)

// TestPlugged reads the plugins of a snapshot once, and those of another anew.
func TestPlugged(t *testing.T) {
	t.Parallel()
	of := func(texts ...string) []*store.Object {
		var out []*store.Object
		for _, text := range texts {
			out = append(out, &store.Object{Value: json.RawMessage(text)})
		}
		return out
	}
	var p plugged
	if got := p.of(nil); len(got) != 0 {
		t.Errorf("none: %v", got)
	}
	first := of(`{"Name":"a","Provider":"x"}`, `{"Name":`, `{"Name":"b","Provider":"y"}`)
	want := []pluggedIn{{"a", "x"}, {"b", "y"}}
	for range 2 {
		if got := p.of(first); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	}
	before, after := p.of(first), p.of(first)
	if &before[0] != &after[0] {
		t.Error("the same snapshot is read twice")
	}
	second := of(`{"Name":"c","Provider":"z"}`, `{}`, `{}`)
	if got := p.of(second); got[0] != (pluggedIn{"c", "z"}) {
		t.Errorf("another snapshot: %v", got)
	}
	if got := p.of(first); !slices.Equal(got, want) {
		t.Errorf("the first again: %v", got)
	}
}
