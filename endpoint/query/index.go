package query

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Field names what an index is of.
type Field struct {
	// Name is that of a field of the object, or of a param.
	Name string
	// Param tells that it is a param.
	Param bool
	// Words tells that it is a list of texts, each of which is looked for.
	Words bool
}

// Index keeps the objects of a kind by their keys, and in the order of the values of
// some fields, so that a list looks at those alone that it is of. It is kept in step
// with every change by Load, Put and Remove.
//
// It holds no values: an object has a number, its slot, and an index is the slots in
// the order of what stands in the objects, four bytes for each.
type Index[T any] struct {
	key     func(*T) string
	encoded func(*T) []byte
	fields  []Field
	byName  map[string]int // of fields
	readers reader

	mu     sync.RWMutex // guards all below
	rows   []*T         // by slot; nil where there is none
	free   []uint32     // slots without an object
	keys   order        // all slots by their objects' keys
	sorted []order      // of each field all slots, by its value and then by their keys
	words  []words      // of each field of that kind
}

// words are the slots of the objects that have a word, by their keys.
type words struct {
	of map[string]*order
	// odd counts the objects whose value is something else than a list of texts.
	odd int
}

// NewIndex returns an index of some fields. Key tells an object's key, which never
// changes, and encoded what it is as valid JSON.
func NewIndex[T any](key func(*T) string, encoded func(*T) []byte, fields []Field) *Index[T] {
	x := &Index[T]{key: key, encoded: encoded, fields: fields, byName: map[string]int{}, readers: newReader(fields)}
	for i, f := range fields {
		x.byName[f.Name] = i
		if f.Param {
			x.byName["Params."+f.Name] = i
		}
	}
	x.clear()
	return x
}

// clear makes the index one of nothing.
func (x *Index[T]) clear() {
	x.rows, x.free, x.keys = nil, nil, order{}
	x.sorted, x.words = make([]order, len(x.fields)), make([]words, len(x.fields))
	for i := range x.words {
		x.words[i].of = map[string]*order{}
	}
}

// Len returns how many objects there are.
func (x *Index[T]) Len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.keys.n
}

// Put takes an object in, in the place of the one of its key.
func (x *Index[T]) Put(o *T) {
	var now, before [maxIndexed][]byte
	x.readers.read(x.encoded(o), &now)
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.place(x.key(o))
	slot, known := x.keys.at(p)
	if known = known && x.key(x.rows[slot]) == x.key(o); !known {
		slot = x.take()
		x.keys.insert(p, slot)
	} else {
		x.readers.read(x.encoded(x.rows[slot]), &before)
	}
	for i := range x.fields {
		if known && !bytes.Equal(before[i], now[i]) {
			x.leave(i, slot, before[i])
		}
	}
	x.rows[slot] = o
	for i := range x.fields {
		if !known || !bytes.Equal(before[i], now[i]) {
			x.enter(i, slot, now[i])
		}
	}
}

// Remove takes the object of a key out.
func (x *Index[T]) Remove(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.place(key)
	slot, ok := x.keys.at(p)
	if !ok || x.key(x.rows[slot]) != key {
		return
	}
	var before [maxIndexed][]byte
	x.readers.read(x.encoded(x.rows[slot]), &before)
	for i := range x.fields {
		x.leave(i, slot, before[i])
	}
	x.keys.remove(p)
	x.rows[slot] = nil
	x.free = append(x.free, slot)
}

// place is where a key stands, or would stand, among all.
func (x *Index[T]) place(key string) place {
	return x.keys.search(func(slot uint32) bool { return x.key(x.rows[slot]) < key })
}

// take returns a slot that is free.
func (x *Index[T]) take() uint32 {
	if n := len(x.free); n > 0 {
		slot := x.free[n-1]
		x.free = x.free[:n-1]
		return slot
	}
	x.rows = append(x.rows, nil)
	return uint32(len(x.rows) - 1)
}

// raw is the value of a field in the object of a slot.
func (x *Index[T]) raw(field int, slot uint32) []byte {
	f, object := x.fields[field], x.encoded(x.rows[slot])
	if f.Param {
		object, _ = Member(object, "Params")
	}
	raw, _ := Member(object, f.Name)
	return raw
}

// where is the place of a value of a slot in the order of a field.
func (x *Index[T]) where(field int, slot uint32, raw []byte) place {
	key := x.key(x.rows[slot])
	return x.sorted[field].search(func(other uint32) bool {
		c := compareRaw(x.raw(field, other), raw)
		return c < 0 || c == 0 && x.key(x.rows[other]) < key
	})
}

// enter takes a slot, whose object has the value, into the index of a field.
func (x *Index[T]) enter(field int, slot uint32, raw []byte) {
	if !x.fields[field].Words {
		x.sorted[field].insert(x.where(field, slot, raw), slot)
		return
	}
	w, list := &x.words[field], wordsOf(raw)
	if list == nil {
		w.odd++
	}
	for _, word := range list {
		o := w.of[word]
		if o == nil {
			o = &order{}
			w.of[word] = o
		}
		o.insert(x.among(o, slot), slot)
	}
}

// leave takes a slot, whose object still has the value, out of the index of a field.
func (x *Index[T]) leave(field int, slot uint32, raw []byte) {
	if !x.fields[field].Words {
		x.sorted[field].remove(x.where(field, slot, raw))
		return
	}
	w, list := &x.words[field], wordsOf(raw)
	if list == nil {
		w.odd--
	}
	for _, word := range list {
		o := w.of[word]
		if o.remove(x.among(o, slot)); o.n == 0 {
			delete(w.of, word)
		}
	}
}

// among is the place of a slot among others that stand by their keys.
func (x *Index[T]) among(o *order, slot uint32) place {
	key := x.key(x.rows[slot])
	return o.search(func(other uint32) bool { return x.key(x.rows[other]) < key })
}

// wordsOf are the texts of an encoded list, each once; nil of anything else than a
// list of texts.
func wordsOf(raw []byte) []string {
	v := valueOf(raw)
	if v.form != list {
		return nil
	}
	out := make([]string, 0, len(*v.list))
	for _, e := range *v.list {
		if e.form != text {
			return nil
		}
		out = append(out, e.text)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Load makes the index one of these objects alone, by all processors.
func (x *Index[T]) Load(objects []*T) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clear()
	x.rows = slices.Clone(objects)
	slices.SortFunc(x.rows, func(a, b *T) int { return strings.Compare(x.key(a), x.key(b)) })
	slots := make([]uint32, len(x.rows))
	for i := range slots {
		slots[i] = uint32(i)
	}
	x.keys = newOrder(slots)
	parts := x.locate()
	next := make(chan int, len(x.fields))
	for i := range x.fields {
		next <- i
	}
	close(next)
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() {
			for i := range next {
				x.build(i, parts[i])
			}
		})
	}
	work.Wait()
}

// part is where a value stands in its object.
type part struct{ from, to uint32 }

// locate finds the values of all fields in all objects.
func (x *Index[T]) locate() [][]part {
	parts := make([][]part, len(x.fields))
	for i := range parts {
		parts[i] = make([]part, len(x.rows))
	}
	size := max(len(x.rows)/runtime.GOMAXPROCS(0)+1, 1)
	var work sync.WaitGroup
	for first := 0; first < len(x.rows); first += size {
		work.Go(func() {
			for slot := first; slot < min(first+size, len(x.rows)); slot++ {
				var values [maxIndexed][]byte
				object := x.encoded(x.rows[slot])
				x.readers.read(object, &values)
				for i := range x.fields {
					// They are of one array.
					from := cap(object) - cap(values[i])
					parts[i][slot] = part{uint32(from), uint32(from + len(values[i]))}
				}
			}
		})
	}
	work.Wait()
	return parts
}

// build makes the index of one field. The slots are in the order of their keys.
func (x *Index[T]) build(field int, parts []part) {
	value := func(slot uint32) []byte {
		p := parts[slot]
		if p.from == p.to {
			return nil
		}
		return x.encoded(x.rows[slot])[p.from:p.to]
	}
	if x.fields[field].Words {
		x.buildWords(field, value)
		return
	}
	groups := make(map[string]*[]uint32)
	var last *[]uint32 // the group of the slot before, which is mostly that of the next
	var of []byte      // its value
	for slot := range uint32(len(x.rows)) {
		raw := value(slot)
		if last == nil || !bytes.Equal(raw, of) {
			if last, of = groups[string(raw)], raw; last == nil {
				last = new([]uint32)
				groups[string(raw)] = last
			}
		}
		*last = append(*last, slot)
		if len(groups) > manyValues {
			x.sorted[field] = x.sort(value)
			return
		}
	}
	x.sorted[field] = joined(groups)
}

// manyValues is how many values make it no use to gather the slots of each.
const manyValues = 1000

// sort puts the slots into the order of their values.
func (x *Index[T]) sort(value func(slot uint32) []byte) order {
	all := make([]sortKey, len(x.rows))
	for slot := range uint32(len(x.rows)) {
		all[slot] = newSortKey(slot, value(slot))
	}
	slices.SortFunc(all, func(a, b sortKey) int {
		if c := a.compare(b); c != 0 {
			return c
		}
		return cmp.Or(compareRaw(value(a.slot), value(b.slot)), cmp.Compare(a.slot, b.slot))
	})
	slots := make([]uint32, len(all))
	for i, k := range all {
		slots[i] = k.slot
	}
	return newOrder(slots)
}

// sortKey is a slot with the beginning of its value, by which nearly all values are
// told from each other without a look into the objects.
type sortKey struct {
	start [2]uint64
	slot  uint32
	form  form
}

// newSortKey returns the key of a value. Only texts have a beginning.
func newSortKey(slot uint32, raw []byte) sortKey {
	k := sortKey{slot: slot, form: formOf(raw)}
	if k.form != text {
		return k
	}
	t, ok := bareKey(raw)
	if !ok {
		k.form = absent
		return k
	}
	var start [16]byte
	copy(start[:], t)
	k.start = [2]uint64{binary.BigEndian.Uint64(start[:8]), binary.BigEndian.Uint64(start[8:])}
	return k
}

// compare orders two keys, as far as they tell.
func (k sortKey) compare(other sortKey) int {
	if k.form != other.form && k.form != number && other.form != number {
		return cmp.Compare(ranks[k.form], ranks[other.form])
	}
	if k.form != text || other.form != text {
		return 0
	}
	return cmp.Or(cmp.Compare(k.start[0], other.start[0]), cmp.Compare(k.start[1], other.start[1]))
}

// joined makes an order of the slots of each value.
func joined(groups map[string]*[]uint32) order {
	type group struct {
		raw   []byte
		slots []uint32
	}
	all := make([]group, 0, len(groups))
	n := 0
	for raw, slots := range groups {
		all = append(all, group{[]byte(raw), *slots})
		n += len(*slots)
	}
	slices.SortFunc(all, func(a, b group) int { return compareRaw(a.raw, b.raw) })
	out := make([]uint32, 0, n)
	for i := 0; i < len(all); {
		first, began := i, len(out)
		for ; i < len(all) && compareRaw(all[first].raw, all[i].raw) == 0; i++ {
			out = append(out, all[i].slots...)
		}
		if i > first+1 { // one value in two spellings, as 1 and 1.0
			slices.Sort(out[began:])
		}
	}
	return newOrder(out)
}

// buildWords makes the index of a field that is a list of texts.
func (x *Index[T]) buildWords(field int, value func(slot uint32) []byte) {
	slots := map[string][]uint32{}
	w := &x.words[field]
	var of []byte // the value before
	list := wordsOf(of)
	for slot := range uint32(len(x.rows)) {
		if raw := value(slot); !bytes.Equal(raw, of) {
			list, of = wordsOf(raw), raw
		}
		if list == nil {
			w.odd++
		}
		for _, word := range list {
			slots[word] = append(slots[word], slot)
		}
	}
	for word, list := range slots {
		o := newOrder(list)
		w.of[word] = &o
	}
}
