package query

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// maxColumns bounds the fields whose values are kept.
const maxColumns = 16

// Columns tell how the fields of a kind of object are read.
type Columns[T any] struct {
	// Encoded returns an object as valid JSON.
	Encoded func(*T) []byte
	// Epoch changes whenever Secret may answer otherwise.
	Epoch uint64
	// Aliases are other names of fields.
	Aliases map[string]string
	// Secret tells which fields and params are not to be found by their value;
	// nil: none.
	Secret func(name string) bool
	// Mask is what a secret is found by.
	Mask string
}

// read finds a field of an object: by its name or its alias, inside another as
// Meta.color, or as a param.
func (c Columns[T]) read(object []byte, field string) value {
	if alias, ok := c.Aliases[field]; ok {
		field = alias
	}
	if raw, ok := Member(object, field); ok {
		return c.shown(field, raw)
	}
	if outer, name, dotted := strings.Cut(field, "."); dotted {
		if inside, ok := Member(object, outer); ok {
			raw, _ := Member(inside, name)
			return c.shown(name, raw)
		}
	}
	params, _ := Member(object, "Params")
	raw, _ := Member(params, field)
	return c.shown(field, raw)
}

// shown is a value as the caller may see it.
func (c Columns[T]) shown(name string, raw []byte) value {
	v := valueOf(raw)
	if v.form == absent || v.form == text && v.text == "" || c.Secret == nil || !c.Secret(name) {
		return v
	}
	return value{form: text, text: c.Mask}
}

// Table keeps the values of the fields that lists were asked for by, so that
// each is read once for each revision of an object. An object is known by its
// address. The zero value is ready.
type Table[T any] struct {
	clock atomic.Uint64 // counts uses of columns

	mu      sync.RWMutex // guards all below
	objects []*T
	epoch   uint64
	columns []*column
}

// column are the values of one field, in the order of the objects.
type column struct {
	field  string
	values []value
	used   atomic.Uint64 // when it was asked for last
}

// tries bounds how often a list looks for columns that nobody else has moved on.
const tries = 3

// with calls fn with the columns of some fields for the objects. They stay as
// they are until it returns.
func (t *Table[T]) with(objects []*T, fields []string, c Columns[T], fn func(columns [][]value)) {
	for range tries {
		t.mu.RLock()
		if columns, ready := t.ready(objects, fields, c); ready {
			defer t.mu.RUnlock()
			fn(columns)
			return
		}
		t.mu.RUnlock()
		t.mu.Lock()
		t.prepare(objects, fields, c)
		t.mu.Unlock()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prepare(objects, fields, c)
	columns, _ := t.ready(objects, fields, c)
	fn(columns)
}

// ready returns the columns, if they are those of the objects; the caller holds
// the lock.
func (t *Table[T]) ready(objects []*T, fields []string, c Columns[T]) ([][]value, bool) {
	if c.Epoch != t.epoch || !same(objects, t.objects) {
		return nil, false
	}
	out := make([][]value, len(fields))
	for i, field := range fields {
		at := slices.IndexFunc(t.columns, func(known *column) bool { return known.field == field })
		if at < 0 {
			// More fields than are kept at once.
			if len(fields) <= maxColumns {
				return nil, false
			}
			out[i] = t.readAll(field, c)
			continue
		}
		t.columns[at].used.Store(t.clock.Add(1))
		out[i] = t.columns[at].values
	}
	return out, true
}

// same reports whether two lists are one.
func same[T any](a, b []*T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// readAll reads a field of every object; the caller holds the lock.
func (t *Table[T]) readAll(field string, c Columns[T]) []value {
	values := make([]value, len(t.objects))
	for i, o := range t.objects {
		values[i] = c.read(c.Encoded(o), field)
	}
	return values
}

// prepare brings the columns to the objects as they are now, and adds those that
// are asked for; the caller holds the lock for writing.
func (t *Table[T]) prepare(objects []*T, fields []string, c Columns[T]) {
	if c.Epoch != t.epoch {
		t.epoch, t.columns = c.Epoch, nil
	}
	if !same(objects, t.objects) {
		t.follow(objects, c)
	}
	fields = fields[:min(len(fields), maxColumns)]
	for _, k := range t.columns { // so that none of them makes room for another
		if slices.Contains(fields, k.field) {
			k.used.Store(t.clock.Add(1))
		}
	}
	for _, field := range fields {
		if !slices.ContainsFunc(t.columns, func(k *column) bool { return k.field == field }) {
			t.add(field, c)
		}
	}
}

// add reads a column, in place of the one that was not asked for longest; the
// caller holds the lock for writing.
func (t *Table[T]) add(field string, c Columns[T]) {
	if len(t.columns) >= maxColumns {
		oldest := slices.MinFunc(t.columns, func(a, b *column) int { return cmp.Compare(a.used.Load(), b.used.Load()) })
		t.columns = slices.DeleteFunc(t.columns, func(k *column) bool { return k == oldest })
	}
	made := &column{field: field, values: t.readAll(field, c)}
	made.used.Store(t.clock.Add(1))
	t.columns = append(t.columns, made)
}

// follow changes the columns where the objects have changed, which is a few of
// many; the caller holds the lock for writing.
func (t *Table[T]) follow(now []*T, c Columns[T]) {
	before := t.objects
	t.objects = now
	head := 0
	for head < min(len(before), len(now)) && before[head] == now[head] {
		head++
	}
	tail := 0
	for tail < min(len(before), len(now))-head && before[len(before)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	changed := now[head : len(now)-tail]
	from := origins(before[head:len(before)-tail], changed)
	for _, known := range t.columns {
		old := known.values[head : len(before)-tail]
		if len(old) == len(changed) { // in their places
			for i, at := range from {
				if at == fresh {
					old[i] = c.read(c.Encoded(changed[i]), known.field)
				}
			}
			continue
		}
		values := make([]value, len(changed))
		for i, at := range from {
			if at == fresh {
				values[i] = c.read(c.Encoded(changed[i]), known.field)
			} else {
				values[i] = old[at]
			}
		}
		known.values = slices.Replace(known.values, head, len(before)-tail, values...)
	}
}

// fresh is the origin of an object that is read anew.
const fresh = -1

// origins tells for each object where it was before. In lists of one length an
// object is where it was or read anew.
func origins[T any](before, now []*T) []int {
	out := make([]int, len(now))
	if len(before) == len(now) {
		for i, o := range now {
			out[i] = i
			if before[i] != o {
				out[i] = fresh
			}
		}
		return out
	}
	places := make(map[*T]int, len(before))
	for i, o := range before {
		places[o] = i
	}
	for i, o := range now {
		at, known := places[o]
		if !known {
			at = fresh
		}
		out[i] = at
	}
	return out
}
