package query

import (
	"strings"
	"sync"
	"sync/atomic"
)

// maxColumns bounds the fields whose values are kept beside the objects.
const maxColumns = 64

// Book numbers the fields that queries have looked at. The zero value is ready.
type Book struct {
	mu      sync.RWMutex // guards columns
	columns map[string]int
}

// unkept is the column of a field that came when the book was full.
const unkept = -1

// column returns the number of a field.
func (b *Book) column(field string) int {
	b.mu.RLock()
	n, known := b.columns[field]
	b.mu.RUnlock()
	if known {
		return n
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n, known = b.columns[field]; known {
		return n
	}
	if len(b.columns) >= maxColumns {
		return unkept
	}
	if b.columns == nil {
		b.columns = map[string]int{}
	}
	n = len(b.columns)
	b.columns[field] = n
	return n
}

// Cells are the values that were read of one revision of an object. The zero
// value is ready.
type Cells struct{ kept atomic.Pointer[cells] }

// cells are values by the number of their column, as they were at an epoch.
type cells struct {
	epoch uint64
	list  []cell
}

// cell is the value of one column.
type cell struct {
	column int
	value  value
}

// Columns tell how the fields of a kind of object are read.
type Columns struct {
	// Book numbers the fields.
	Book *Book
	// Epoch changes whenever Secret may answer otherwise.
	Epoch uint64
	// Aliases are other names of fields.
	Aliases map[string]string
	// Secret tells which fields and params are not to be found by their value.
	Secret func(name string) bool
	// Mask is what a secret is found by.
	Mask string
}

// value returns a field of an object, kept or read now.
func (c Columns) value(r Row, column int, field string) value {
	if r.Cells == nil || column == unkept {
		return c.read(r.Object, field)
	}
	kept := r.Cells.kept.Load()
	if kept != nil && kept.epoch == c.Epoch {
		for i := range kept.list {
			if kept.list[i].column == column {
				return kept.list[i].value
			}
		}
	}
	v := c.read(r.Object, field)
	next := &cells{epoch: c.Epoch}
	if kept != nil && kept.epoch == c.Epoch {
		next.list = append(make([]cell, 0, len(kept.list)+1), kept.list...)
	}
	next.list = append(next.list, cell{column, v})
	r.Cells.kept.Store(next) // who came between reads its own value again
	return v
}

// read finds a field of an object: by its name or its alias, inside another as
// Meta.color, or as a param.
func (c Columns) read(object []byte, field string) value {
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
func (c Columns) shown(name string, raw []byte) value {
	v := valueOf(raw)
	if v.form == absent || v.form == text && v.text == "" || !c.Secret(name) {
		return v
	}
	return value{form: text, text: c.Mask}
}
