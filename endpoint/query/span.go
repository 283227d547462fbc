package query

import (
	"math"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// span is a part of all values in their order: from the first cut to the second.
type span struct{ from, to cut }

// cut is a place in the order of all values: before the values that are equal to
// one, or after them.
type cut struct {
	value value
	after bool
}

// before and after are the cuts at a value.
func before(v value) cut { return cut{value: v} }
func after(v value) cut  { return cut{value: v, after: true} }

// at is the span of the values that are equal to one.
func at(v value) span { return span{before(v), after(v)} }

// The ends of the values of a form, without the lists: those are looked at one by
// one.
var (
	truths  = span{before(value{form: truth}), before(value{form: number, number: math.Inf(-1)})}
	numbers = span{truths.to, before(value{form: text})}
	texts   = span{numbers.to, before(value{form: list})}
	lists   = span{texts.to, after(value{form: list})}
)

// reach tells where in the order the values are that a test selects, lists apart.
// Spans may overlap.
type reach struct {
	spans []span
	// exact tells that the test selects all of them; else it has to be asked.
	exact bool
	// words are the texts that the test selects, if it selects no others.
	words []string
}

// reaching tells the reach of an operator's test; nil if it is not to be told.
type reaching func(arguments string) *reach

// reachEqual is the reach of equal.
func reachEqual(arguments string) *reach {
	o := operandOf(arguments)
	if o.address.IsValid() && !o.address.Is4() { // which is written in many ways
		return nil
	}
	r := &reach{exact: true, spans: o.points(), words: []string{arguments}}
	if arguments == "" {
		r.spans = append(r.spans, at(value{}))
	}
	return r
}

// points are the values that equal an operand in their own type.
func (o operand) points() []span {
	out := []span{at(value{form: text, text: o.text})}
	if o.isNumber {
		out = append(out, at(value{form: number, number: o.number}))
	}
	if o.isTruth() {
		out = append(out, at(value{form: truth, text: o.text}))
	}
	return out
}

// isTruth reports whether truths can be compared with the operand.
func (o operand) isTruth() bool { return o.text == "true" || o.text == "false" }

// reachOneOf is the reach of oneOf.
func reachOneOf(arguments string) *reach {
	r := &reach{exact: true, words: strings.Split(arguments, ",")}
	for _, word := range r.words {
		if word == "" {
			r.spans = append(r.spans, at(value{}))
		}
		r.spans = append(r.spans, operandOf(word).points()...)
	}
	return r
}

// reachBetween is the reach of between.
func reachBetween(arguments string) *reach {
	low, high, _ := strings.Cut(arguments, ",")
	a, b := operandOf(low), operandOf(high)
	return reachOf(&a, &b, func(from, to value) span { return span{before(from), after(to)} })
}

// reachOrdered is the reach of ordered: of the values below an operand or above it,
// with those that equal it or not.
func reachOrdered(below, equal bool) reaching {
	return func(arguments string) *reach {
		o := operandOf(arguments)
		switch {
		case below:
			return reachOf(nil, &o, func(_, v value) span { return span{truths.from, cut{v, equal}} })
		default:
			return reachOf(&o, nil, func(v, _ value) span { return span{cut{v, !equal}, lists.from} })
		}
	}
}

// reachOf is the reach from one operand to another, of which one may be nil, in each
// form that can be compared with both. Addresses do not stand in the order of their
// texts.
func reachOf(a, b *operand, between func(from, to value) span) *reach {
	r := &reach{exact: true}
	for _, zone := range []struct {
		span
		form form
	}{{truths, truth}, {numbers, number}, {texts, text}} {
		from, okA := a.as(zone.form)
		to, okB := b.as(zone.form)
		if zone.form == text && !(okA && okB) {
			return nil
		}
		if okA && okB {
			r.spans = append(r.spans, between(from, to).within(zone.span))
		}
	}
	return r
}

// as is the operand as a value of a form, if values of that form compare with it as
// they stand in their order. Nil is any.
func (o *operand) as(f form) (value, bool) {
	switch {
	case o == nil:
		return value{}, true
	case f == number:
		return value{form: number, number: o.number}, o.isNumber
	case f == truth:
		return value{form: truth, text: o.text}, o.isTruth()
	}
	return value{form: text, text: o.text}, !o.address.IsValid()
}

// within cuts a span to what is in another.
func (s span) within(zone span) span {
	if s.from.compare(zone.from) < 0 {
		s.from = zone.from
	}
	if s.to.compare(zone.to) > 0 {
		s.to = zone.to
	}
	return s
}

// compare orders two cuts.
func (c cut) compare(other cut) int {
	if order := compare(c.value, other.value); order != 0 {
		return order
	}
	switch {
	case c.after == other.after:
		return 0
	case c.after:
		return 1
	}
	return -1
}

// reachExpression is the reach of an expression that wants a text's beginning.
func reachExpression(arguments string) *reach {
	prefix, whole := literalStart(arguments)
	if prefix == "" {
		return nil
	}
	r := &reach{exact: whole, spans: []span{{before(value{form: text, text: prefix}), after(value{form: text, text: prefix})}}}
	if next := following(prefix); next != "" {
		r.spans[0].to = before(value{form: text, text: next})
	} else {
		r.spans[0].to = texts.to
	}
	// Numbers and truths are matched as they are written, which is another order.
	if strings.ContainsRune("-0123456789", rune(prefix[0])) {
		r.spans, r.exact = append(r.spans, numbers), false
	}
	if prefix[0] == 't' || prefix[0] == 'f' {
		r.spans, r.exact = append(r.spans, truths), false
	}
	return r
}

// literalStart is what every text begins with that an expression matches, and
// whether that is all that the expression wants; nothing if that is not to be told.
func literalStart(expression string) (prefix string, whole bool) {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return "", false
	}
	first := re.Sub[1]
	if first.Op != syntax.OpLiteral || first.Flags&syntax.FoldCase != 0 {
		return "", false
	}
	prefix = string(first.Rune)
	if strings.ContainsRune(prefix, utf8.RuneError) { // matches what is no UTF-8 too
		return "", false
	}
	rest := re.Sub[2:]
	return prefix, len(rest) == 0 || len(rest) == 1 && rest[0].Op == syntax.OpStar && rest[0].Sub[0].Op == syntax.OpAnyCharNotNL
}

// following is the first text after all that begin with a prefix; empty if none
// follows.
func following(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return ""
}
