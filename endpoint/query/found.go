package query

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
)

// run is a part of an order, from the number first to before end.
type run struct {
	of         *order
	first, end int
}

// found is what an index tells of a filter: the slots in some runs, or all others.
type found struct {
	filter Filter
	runs   []run
	n      int // slots in the runs
	by     int // what the slots stand by, as in a choice
	// check are slots that the filter has to be asked of; they are in no run.
	check []run
}

// count is how many slots there are at most, of all.
func (f *found) count(all int) int {
	if f.filter.not {
		return all - f.n
	}
	n := f.n
	for _, r := range f.check {
		n += r.end - r.first
	}
	return n
}

// slotsOf yields the slots of runs, from the number first to before end of them all.
func slotsOf(runs []run, first, end int) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		began := 0
		for _, r := range runs {
			n := r.end - r.first
			for slot := range r.of.from(r.first+max(first-began, 0), r.first+min(end-began, n)) {
				if !yield(slot) {
					return
				}
			}
			if began += n; began >= end {
				return
			}
		}
	}
}

// maxSpans bounds how many spans are worth looking for one by one.
const maxSpans = 512

// find asks the index of a filter's field; nil if it cannot tell.
func (x *Index[T]) find(f Filter, field int) *found {
	switch {
	case f.reach == nil || len(f.reach.spans) > maxSpans:
		return nil
	case x.fields[field].Words:
		return x.findWords(f, &x.words[field])
	}
	out := &found{filter: f, by: field}
	var runs []run
	for _, s := range f.reach.spans {
		r := x.runOf(field, s)
		if r.first < r.end {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	runs = united(runs)
	if of := x.runOf(field, lists); of.first < of.end {
		out.check = append(out.check, of)
	}
	if !f.reach.exact {
		out.check = append(out.check, runs...)
		return out
	}
	out.runs = runs
	for _, r := range runs {
		out.n += r.end - r.first
	}
	if len(runs) == 1 && x.alike(field, runs[0]) {
		out.by = byKey
	}
	return out
}

// alike reports whether all slots of a run have one value.
func (x *Index[T]) alike(field int, r run) bool {
	first, _ := r.of.at(r.of.where(r.first))
	last, _ := r.of.at(r.of.where(r.end - 1))
	return compareRaw(x.raw(field, first), x.raw(field, last)) == 0
}

// runOf are the slots whose values are within a span.
func (x *Index[T]) runOf(field int, s span) run {
	o := &x.sorted[field]
	number := func(c cut) int {
		return o.number(o.search(func(slot uint32) bool {
			order := compareWith(x.raw(field, slot), c.value)
			return order < 0 || order == 0 && c.after
		}))
	}
	return run{o, number(s.from), number(s.to)}
}

// united joins runs of one order that overlap; they are given by their beginnings.
func united(runs []run) []run {
	var out []run
	for _, r := range runs {
		if n := len(out); n > 0 && r.first <= out[n-1].end {
			out[n-1].end = max(out[n-1].end, r.end)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// findWords asks the index of a list of texts.
func (x *Index[T]) findWords(f Filter, w *words) *found {
	if f.reach.words == nil || w.odd > 0 {
		return nil
	}
	out := &found{filter: f, by: byKey}
	for _, word := range f.reach.words {
		if o := w.of[word]; o != nil {
			out.runs = append(out.runs, run{o, 0, o.n})
			out.n += o.n
		}
	}
	if len(out.runs) == 1 {
		return out
	}
	out.by = noOrder
	// An object may have several of the words: it is counted once.
	var once []uint32
	marks := x.marks(slotsOf(out.runs, 0, out.n))
	for slot := range marks.all() {
		once = append(once, slot)
	}
	o := newOrder(once)
	out.runs, out.n = []run{{&o, 0, o.n}}, o.n
	return out
}

// marks are a set of slots.
type marks []uint64

// marks marks slots.
func (x *Index[T]) marks(slots iter.Seq[uint32]) marks {
	m := make(marks, (len(x.rows)+63)/64)
	for slot := range slots {
		m.mark(slot)
	}
	return m
}

// mark marks a slot.
func (m marks) mark(slot uint32) { m[slot/64] |= 1 << (slot % 64) }

// has reports whether a slot is marked.
func (m marks) has(slot uint32) bool { return m[slot/64]>>(slot%64)&1 != 0 }

// all yields the marked slots by their numbers.
func (m marks) all() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for i, word := range m {
			for ; word != 0; word &= word - 1 {
				if !yield(uint32(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}
