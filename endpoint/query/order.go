package query

import (
	"iter"
	"slices"
)

// maxPiece is how many slots a piece of an order has at most. What comes or goes
// moves no more than that many.
const maxPiece = 1024

// order is slots in an order that its user knows, in pieces of which none is
// empty.
type order struct {
	pieces [][]uint32
	n      int
}

// place is where a slot stands in an order: in which piece, and where in it. The
// place after the last slot is that after the last piece.
type place struct{ piece, at int }

// newOrder makes an order of slots that stand in it already.
func newOrder(sorted []uint32) order {
	o := order{n: len(sorted)}
	for part := range slices.Chunk(sorted, maxPiece/2) {
		o.pieces = append(o.pieces, slices.Clone(part))
	}
	return o
}

// search returns the place of the first slot that is not before, which all after
// it must not be either.
func (o *order) search(before func(slot uint32) bool) place {
	piece, _ := slices.BinarySearchFunc(o.pieces, before, func(p []uint32, before func(uint32) bool) int { return side(before(p[len(p)-1])) })
	if piece == len(o.pieces) {
		return place{piece, 0}
	}
	at, _ := slices.BinarySearchFunc(o.pieces[piece], before, func(slot uint32, before func(uint32) bool) int { return side(before(slot)) })
	return place{piece, at}
}

// side tells a binary search where to go on.
func side(before bool) int {
	if before {
		return -1
	}
	return 1
}

// insert puts a slot before what is at a place.
func (o *order) insert(p place, slot uint32) {
	o.n++
	if p.piece == len(o.pieces) { // behind all others
		if p.piece == 0 {
			o.pieces = [][]uint32{{slot}}
			return
		}
		p = place{p.piece - 1, len(o.pieces[p.piece-1])}
	}
	grown := slices.Insert(o.pieces[p.piece], p.at, slot)
	o.pieces[p.piece] = grown
	if len(grown) >= maxPiece {
		half := len(grown) / 2
		o.pieces[p.piece] = slices.Clone(grown[:half])
		o.pieces = slices.Insert(o.pieces, p.piece+1, slices.Clone(grown[half:]))
	}
}

// remove takes the slot at a place out.
func (o *order) remove(p place) {
	o.n--
	left := slices.Delete(o.pieces[p.piece], p.at, p.at+1)
	o.pieces[p.piece] = left
	next := p.piece + 1
	switch {
	case len(left) == 0:
		o.pieces = slices.Delete(o.pieces, p.piece, next)
	case next < len(o.pieces) && len(left)+len(o.pieces[next]) <= maxPiece/4:
		o.pieces[p.piece] = append(left, o.pieces[next]...)
		o.pieces = slices.Delete(o.pieces, next, next+1)
	}
}

// at returns the slot at a place.
func (o *order) at(p place) (slot uint32, ok bool) {
	if p.piece >= len(o.pieces) {
		return 0, false
	}
	return o.pieces[p.piece][p.at], true
}

// number returns how many slots stand before a place.
func (o *order) number(p place) int {
	n := p.at
	for _, piece := range o.pieces[:p.piece] {
		n += len(piece)
	}
	return n
}

// from yields the slots from the number first to before the number end.
func (o *order) from(first, end int) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		began := 0
		for _, piece := range o.pieces {
			low, high := max(first-began, 0), min(end-began, len(piece))
			for at := low; at < high; at++ {
				if !yield(piece[at]) {
					return
				}
			}
			if began += len(piece); began >= end {
				return
			}
		}
	}
}

// where is the place of the slot with a number.
func (o *order) where(number int) place {
	for i, piece := range o.pieces {
		if number < len(piece) {
			return place{i, number}
		}
		number -= len(piece)
	}
	return place{len(o.pieces), 0}
}
