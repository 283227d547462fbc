package query

import (
	"strings"
	"sync"
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
	mu      sync.Mutex // guards all below; the slices themselves are never changed
	objects []*T
	epoch   uint64
	columns []column
}

// column are the values of one field, in the order of the objects.
type column struct {
	field  string
	values []value
}

// columnsOf returns the columns of some fields for the objects, in their order.
func (t *Table[T]) columnsOf(objects []*T, fields []string, c Columns[T]) [][]value {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.follow(objects, c)
	out := make([][]value, len(fields))
	for i, field := range fields {
		out[i] = t.column(field, c)
	}
	return out
}

// column returns a column, the one asked for last first; the caller holds the
// lock.
func (t *Table[T]) column(field string, c Columns[T]) []value {
	for i, known := range t.columns {
		if known.field == field {
			copy(t.columns[1:i+1], t.columns[:i])
			t.columns[0] = known
			return known.values
		}
	}
	values := make([]value, len(t.objects))
	for i, o := range t.objects {
		values[i] = c.read(c.Encoded(o), field)
	}
	t.columns = append([]column{{field, values}}, t.columns...)
	t.columns = t.columns[:min(len(t.columns), maxColumns)]
	return values
}

// follow brings the columns to the objects as they are now; the caller holds
// the lock.
func (t *Table[T]) follow(objects []*T, c Columns[T]) {
	if c.Epoch != t.epoch {
		t.epoch, t.columns = c.Epoch, nil
	}
	if len(objects) == len(t.objects) && (len(objects) == 0 || &objects[0] == &t.objects[0]) {
		return
	}
	if len(t.columns) > 0 {
		from := origins(t.objects, objects)
		for i, known := range t.columns {
			t.columns[i].values = moved(known, from, func(at int) value { return c.read(c.Encoded(objects[at]), known.field) })
		}
	}
	t.objects = objects
}

// fresh is the origin of an object that was not there before.
const fresh = -1

// origins tells for each object where it was before. Both lists are in the same
// order, but for the objects that came, went or were replaced.
func origins[T any](before, now []*T) []int {
	out := make([]int, len(now))
	j := 0
	var later map[*T]int // the places of all that was before, once they are needed
	for i, o := range now {
		if j < len(before) && before[j] == o {
			out[i] = j
			j++
			continue
		}
		if later == nil {
			later = make(map[*T]int, 16)
			for at := j; at < len(before); at++ {
				later[before[at]] = at
			}
		}
		at, known := later[o]
		if !known {
			out[i] = fresh
			if len(now)-i == len(before)-j { // replaced: what follows is where it was
				j++
			}
			continue
		}
		out[i], j = at, at+1
	}
	return out
}

// moved makes a column of another that the objects have moved in.
func moved(from column, origins []int, read func(at int) value) []value {
	out := make([]value, len(origins))
	for i := 0; i < len(origins); {
		first := origins[i]
		if first == fresh {
			out[i] = read(i)
			i++
			continue
		}
		end := i + 1
		for end < len(origins) && origins[end] == first+end-i {
			end++
		}
		copy(out[i:end], from.values[first:])
		i = end
	}
	return out
}
