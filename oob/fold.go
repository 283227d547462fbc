package main

import (
	"cmp"
	"slices"

	"provision-plugins/shared/hostlist"
)

// fold is what several machines have in common.
type fold[T any] struct {
	names []string
	value T // of the first machine added
}

// folder gathers machines by a key.
type folder[T any] struct {
	byKey map[string]*fold[T]
	order []*fold[T]
}

// newFolder makes an empty folder.
func newFolder[T any]() *folder[T] { return &folder[T]{byKey: map[string]*fold[T]{}} }

// add adds a machine; value is kept from the first of its key.
func (f *folder[T]) add(key, name string, value T) *fold[T] {
	g := f.byKey[key]
	if g == nil {
		g = &fold[T]{value: value}
		f.byKey[key] = g
		f.order = append(f.order, g)
	}
	g.names = append(g.names, name)
	return g
}

// list lists the folds, each with its names sorted, by their first name.
func (f *folder[T]) list() []*fold[T] {
	for _, g := range f.order {
		hostlist.Sort(g.names)
	}
	slices.SortStableFunc(f.order, func(a, b *fold[T]) int {
		return cmp.Or(hostlist.Compare(a.names[0], b.names[0]), cmp.Compare(len(b.names), len(a.names)))
	})
	return f.order
}
