package endpoint

import (
	"provision-plugins/endpoint/query"
	"provision-plugins/endpoint/store"
)

// indexed are the fields and params by which objects are found without looking at
// all of them: a row for each kind of which there are many. A field that is not here
// can be filtered by just the same, only not as quickly.
//
// Each costs four bytes for every object, and a look into it at every change.
var indexed = map[string][]query.Field{
	"machines": {
		{Name: "Name"},
		{Name: "Uuid"},
		{Name: "Address"},
		{Name: "Available"},
		{Name: "Runnable"},
		{Name: "Locked"},
		{Name: "BootEnv"},
		{Name: "Stage"},
		{Name: "Workflow"},
		{Name: "Pool"},
		{Name: "Profiles", Words: true},
		{Name: "HardwareAddrs", Words: true},
		{Name: "machine-plugin", Param: true},
		{Name: "oob/driver", Param: true},
		{Name: "ipmi/address", Param: true},
		{Name: "packet/uuid", Param: true},
		{Name: "virtualbox/id", Param: true},
	},
}

// newIndexes makes the indexes of all kinds, and the same as the store keeps them.
func newIndexes() (map[string]*query.Index[store.Object], map[string]store.Index) {
	all, kept := map[string]*query.Index[store.Object]{}, map[string]store.Index{}
	for prefix, fields := range indexed {
		x := query.NewIndex(func(o *store.Object) string { return o.ID }, func(o *store.Object) []byte { return o.Value }, fields)
		all[prefix], kept[prefix] = x, x
	}
	return all, kept
}
