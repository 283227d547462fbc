package endpoint

import (
	"encoding/json"
	"log/slog"
	"testing"

	"provision-plugins/endpoint/store"
)

// TestCheckersFollowTheirParams checks values by a declaration that changes, goes
// and comes back: the one of now counts.
func TestCheckersFollowTheirParams(t *testing.T) {
	t.Parallel()
	c := newCatalog(slog.New(slog.DiscardHandler))
	declare := func(schema string) {
		o := &store.Object{Prefix: "params", ID: "x/n", Value: json.RawMessage(`{"Name":"x/n","Schema":` + schema + `}`)}
		c.stored(store.Change{New: o})
	}
	takes := func(value any, want bool) {
		t.Helper()
		for range 2 { // the second time by what was compiled before
			if err := c.check("x/n", value); (err == nil) != want {
				t.Errorf("%v: %v", value, err)
			}
		}
	}
	takes("seven", true)
	declare(`{"type":"integer"}`)
	takes("seven", false)
	takes(7, true)
	declare(`{"type":"string"}`)
	takes("seven", true)
	takes(7, false)
	c.stored(store.Change{Old: &store.Object{Prefix: "params", ID: "x/n"}})
	takes(7, true)
	declare(`{"type":"no type"}`)
	takes(7, false)
}
