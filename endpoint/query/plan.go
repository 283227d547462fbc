package query

import (
	"cmp"
	"slices"
	"strings"
)

// readShare is the part of all objects that may be looked into for what no index
// tells. Where it would be more, a Table is quicker, which keeps what it has read.
const readShare = 10

// choice is what an index has chosen for a list: the slots in some runs, or those
// that were collected.
type choice struct {
	runs  []run
	slots []uint32 // nil: those in the runs
	n     int
	// by is the field by whose values the slots stand; byKey and noOrder are others.
	by int
}

// The orders of a choice that are not those of a field.
const (
	byKey   = -1
	noOrder = -2
)

// collect returns the slots, as a slice that may be changed.
func (ch *choice) collect() []uint32 {
	if ch.slots == nil {
		ch.slots = slices.AppendSeq(make([]uint32, 0, ch.n), slotsOf(ch.runs, 0, ch.n))
	}
	return ch.slots
}

// keep leaves out what a test refuses.
func (ch *choice) keep(test func(slot uint32) bool) {
	ch.slots = slices.DeleteFunc(ch.collect(), func(slot uint32) bool { return !test(slot) })
	ch.n = len(ch.slots)
}

// page returns the slots of a page.
func (ch *choice) page(l List) []uint32 {
	first := min(l.Offset, ch.n)
	end := ch.n
	if l.Limit != All {
		end = min(first+l.Limit, ch.n)
	}
	if l.Reverse {
		first, end = ch.n-end, ch.n-first
	}
	var out []uint32
	if ch.slots != nil {
		out = ch.slots[first:end]
	} else {
		out = slices.AppendSeq(make([]uint32, 0, end-first), slotsOf(ch.runs, first, end))
	}
	if l.Reverse {
		slices.Reverse(out)
	}
	return out
}

// Select returns the objects that the caller wants, and how many the filters
// selected before the page was cut: the same that a Table would. It answers false
// where there is no index that helps.
func (x *Index[T]) Select(l List, c Columns[T]) (page []*T, count int, ok bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	chosen, ok := x.choose(l.Filters, c)
	if !ok || !x.arrange(&chosen, l, c) {
		return nil, 0, false
	}
	slots := chosen.page(l)
	page = make([]*T, len(slots))
	for i, slot := range slots {
		page[i] = x.rows[slot]
	}
	return page, chosen.n, true
}

// field is the index of the field that a caller calls by a name, if there is one
// that the caller may find objects by.
func (x *Index[T]) field(name string, c Columns[T]) (at int, ok bool) {
	if alias, is := c.Aliases[name]; is {
		name = alias
	}
	if at, ok = x.byName[name]; !ok || c.Secret != nil && c.Secret(x.fields[at].Name) {
		return 0, false
	}
	return at, true
}

// choose finds the slots of the objects that all filters select: those of the filter
// that selects the fewest, of which the others are asked.
func (x *Index[T]) choose(filters []Filter, c Columns[T]) (choice, bool) {
	if len(filters) == 0 {
		return choice{runs: []run{{&x.keys, 0, x.keys.n}}, n: x.keys.n, by: byKey}, true
	}
	known, rest := x.known(filters, c)
	if len(known) == 0 {
		return choice{}, false
	}
	slices.SortStableFunc(known, func(a, b *found) int { return cmp.Compare(a.count(x.keys.n), b.count(x.keys.n)) })
	best := known[0]
	allowed := x.keys.n / readShare
	for _, r := range best.check {
		if allowed -= r.end - r.first; allowed < 0 {
			return choice{}, false
		}
	}
	out := x.gather(best, c)
	for _, f := range known[1:] {
		if len(f.check) > 0 || f.n > 100*out.n { // a look into each is quicker
			rest = append(rest, f.filter)
			continue
		}
		m := x.marks(slotsOf(f.runs, 0, f.n))
		out.keep(func(slot uint32) bool { return m.has(slot) != f.filter.not })
	}
	if len(rest)*out.n > allowed {
		return choice{}, false
	}
	for _, f := range rest {
		out.keep(func(slot uint32) bool { return x.selects(f, slot, c) })
	}
	return out, true
}

// known asks the indexes of all filters, and returns those filters apart that none
// can tell anything of.
func (x *Index[T]) known(filters []Filter, c Columns[T]) (known []*found, rest []Filter) {
	for _, f := range filters {
		var of *found
		if at, ok := x.field(f.Field, c); ok {
			of = x.find(f, at)
		}
		if of == nil {
			rest = append(rest, f)
		} else {
			known = append(known, of)
		}
	}
	return known, rest
}

// selects reports whether a filter selects the object of a slot.
func (x *Index[T]) selects(f Filter, slot uint32, c Columns[T]) bool {
	return f.selects(c.read(x.encoded(x.rows[slot]), f.Field))
}

// gather returns the slots of the objects that a filter selects.
func (x *Index[T]) gather(f *found, c Columns[T]) choice {
	out := choice{runs: f.runs, n: f.n, by: f.by}
	asked := func(slot uint32) bool { return x.selects(f.filter, slot, c) }
	n := 0
	for _, r := range f.check {
		n += r.end - r.first
	}
	if f.filter.not {
		chosen, unsure := x.marks(slotsOf(f.runs, 0, f.n)), x.marks(slotsOf(f.check, 0, n))
		out = choice{runs: []run{{&x.keys, 0, x.keys.n}}, n: x.keys.n, by: byKey}
		out.keep(func(slot uint32) bool { return !chosen.has(slot) && (!unsure.has(slot) || asked(slot)) })
		return out
	}
	if n > 0 {
		unsure := choice{runs: f.check, n: n}
		unsure.keep(asked)
		out.slots = append(out.collect(), unsure.slots...)
		out.n, out.by = len(out.slots), noOrder
	}
	return out
}

// arrange puts what was chosen into the order that the list wants, forward. It
// answers false where too many objects would have to be looked into.
func (x *Index[T]) arrange(chosen *choice, l List, c Columns[T]) bool {
	by := byKey
	if len(l.Sort) == 1 {
		if at, ok := x.field(l.Sort[0], c); ok && !x.fields[at].Words {
			by = at
		}
	}
	switch {
	case len(l.Sort) > 0 && by == byKey:
		if chosen.n*len(l.Sort) > x.keys.n/readShare {
			return false
		}
		x.sortByKeys(chosen)
		x.sortByValues(chosen.collect(), l.Sort, c)
	case by == chosen.by:
	case by == byKey:
		x.sortByKeys(chosen)
	default:
		x.along(&x.sorted[by], chosen)
	}
	return true
}

// sortByKeys puts what was chosen in the order of the objects' keys.
func (x *Index[T]) sortByKeys(chosen *choice) {
	switch {
	case chosen.by == byKey:
	case chosen.n > x.keys.n/walkShare:
		x.along(&x.keys, chosen)
	default:
		slices.SortFunc(chosen.collect(), func(a, b uint32) int { return strings.Compare(x.key(x.rows[a]), x.key(x.rows[b])) })
	}
}

// walkShare is the part of all slots that are found again on a walk along all of them
// more quickly than they are sorted.
const walkShare = 200

// along puts what was chosen into an order that is known of all slots.
func (x *Index[T]) along(o *order, chosen *choice) {
	if chosen.n == o.n {
		*chosen = choice{runs: []run{{o, 0, o.n}}, n: o.n}
		return
	}
	m := x.marks(slices.Values(chosen.collect()))
	*chosen = choice{runs: []run{{o, 0, o.n}}, n: o.n}
	chosen.keep(m.has)
}

// sortByValues sorts slots by the values of some fields, which it looks for in the
// objects.
func (x *Index[T]) sortByValues(slots []uint32, fields []string, c Columns[T]) {
	type row struct {
		slot   uint32
		values []value
	}
	rows := make([]row, len(slots))
	for i, slot := range slots {
		rows[i] = row{slot, make([]value, len(fields))}
		for at, field := range fields {
			rows[i].values[at] = c.read(x.encoded(x.rows[slot]), field)
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int { return slices.CompareFunc(a.values, b.values, compare) })
	for i, r := range rows {
		slots[i] = r.slot
	}
}
