package store

import (
	"cmp"
	"slices"
	"sync"
)

// item is an object in the view with the unique values it holds. Items are
// replaced, never changed.
type item struct {
	Object
	unique []held // by index
}

// object returns what callers see of an item, nil for none.
func (i *item) object() *Object {
	if i == nil {
		return nil
	}
	return &i.Object
}

// table is the view of one prefix.
type table struct {
	byID  map[string]*item
	order []*item                      // by ID
	index map[string]map[string]string // index name, value, ID of the owner
	// objects is what a snapshot is, made when it is asked for and dropped with
	// the next change.
	objects []*Object
}

// view is every object in memory: no read ever touches the disk.
type view struct {
	indexes map[string]Index // by prefix
	mu      sync.RWMutex     // guards tables
	tables  map[string]*table
}

// Index finds the objects of a prefix by more than their names. It is told of what
// the view has, one change at a time, before the write that made it returns; it may
// be asked at any time.
type Index interface {
	// Load has these objects, and no others, be in the index.
	Load(objects []*Object)
	// Put has an object be in it, in the place of the one with its ID.
	Put(o *Object)
	// Remove has the object with an ID not be in it any more.
	Remove(id string)
}

// newView returns an empty view that keeps indexes in step.
func newView(indexes map[string]Index) *view {
	return &view{indexes: indexes, tables: map[string]*table{}}
}

// table returns the table of a prefix, made if need be. The caller holds mu for
// writing.
func (v *view) table(prefix string) *table {
	t := v.tables[prefix]
	if t == nil {
		t = &table{byID: map[string]*item{}, index: map[string]map[string]string{}}
		v.tables[prefix] = t
	}
	return t
}

// get returns an item, or nil.
func (v *view) get(prefix, id string) *item {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if t := v.tables[prefix]; t != nil {
		return t.byID[id]
	}
	return nil
}

// list returns the objects of a prefix by ID.
func (v *view) list(prefix string) []Object {
	v.mu.RLock()
	defer v.mu.RUnlock()
	t := v.tables[prefix]
	if t == nil {
		return nil
	}
	out := make([]Object, len(t.order))
	for i, it := range t.order {
		out[i] = it.Object
	}
	return out
}

// snapshot returns the objects of a prefix by ID, not copied.
func (v *view) snapshot(prefix string) []*Object {
	v.mu.RLock()
	t := v.tables[prefix]
	if t == nil || t.objects != nil {
		defer v.mu.RUnlock()
		if t == nil {
			return nil
		}
		return t.objects
	}
	v.mu.RUnlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if t.objects == nil {
		t.objects = t.list()
	}
	return t.objects
}

// list is every object by its ID, not copied.
func (t *table) list() []*Object {
	out := make([]*Object, len(t.order))
	for i, it := range t.order {
		out[i] = &it.Object
	}
	return out
}

// all returns every item, in no order.
func (v *view) all() []*item {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var out []*item
	for _, t := range v.tables {
		out = append(out, t.order...)
	}
	return out
}

// find returns the item that holds a unique value, or nil.
func (v *view) find(prefix, index, value string) *item {
	v.mu.RLock()
	defer v.mu.RUnlock()
	t := v.tables[prefix]
	if t == nil {
		return nil
	}
	id, ok := t.index[index][value]
	if !ok {
		return nil
	}
	return t.byID[id]
}

// load fills an empty view.
func (v *view) load(items []*item) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, it := range items {
		t := v.table(it.Prefix)
		t.byID[it.ID] = it
		t.order = append(t.order, it)
		t.enter(it)
	}
	for _, t := range v.tables {
		slices.SortFunc(t.order, func(a, b *item) int { return cmp.Compare(a.ID, b.ID) })
	}
	for prefix, x := range v.indexes {
		x.Load(v.table(prefix).list())
	}
}

// put applies a committed write if it is newer than what the view has.
func (v *view) put(it *item) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.table(it.Prefix)
	old := t.byID[it.ID]
	if old != nil && old.Rev >= it.Rev {
		return false
	}
	at, found := slices.BinarySearchFunc(t.order, it.ID, compareID)
	if found {
		t.leave(old)
		t.order[at] = it
	} else {
		t.order = slices.Insert(t.order, at, it)
	}
	t.byID[it.ID] = it
	t.objects = nil
	t.enter(it)
	if x := v.indexes[it.Prefix]; x != nil {
		x.Put(&it.Object)
	}
	return true
}

// remove applies a committed delete of the revision rev if the view has nothing
// newer.
func (v *view) remove(prefix, id string, rev uint64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.tables[prefix]
	if t == nil {
		return false
	}
	old := t.byID[id]
	if old == nil || old.Rev > rev {
		return false
	}
	t.leave(old)
	delete(t.byID, id)
	t.objects = nil
	if at, found := slices.BinarySearchFunc(t.order, id, compareID); found {
		t.order = slices.Delete(t.order, at, at+1)
	}
	if x := v.indexes[prefix]; x != nil {
		x.Remove(id)
	}
	return true
}

// compareID orders items by ID.
func compareID(it *item, id string) int { return cmp.Compare(it.ID, id) }

// enter puts an item's unique values into the index.
func (t *table) enter(it *item) {
	for _, h := range it.unique {
		values := t.index[h.index]
		if values == nil {
			values = map[string]string{}
			t.index[h.index] = values
		}
		values[h.value] = it.ID
	}
}

// leave takes an item's unique values out of the index.
func (t *table) leave(it *item) {
	for _, h := range it.unique {
		if t.index[h.index][h.value] == it.ID {
			delete(t.index[h.index], h.value)
		}
	}
}
