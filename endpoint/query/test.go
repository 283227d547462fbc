package query

import (
	"regexp"
	"slices"
	"strings"

	"provision-plugins/shared/model"
)

// maxPattern bounds a regular expression, maxOperands a list of values.
const (
	maxPattern  = 1_000
	maxOperands = 10_000
)

// test tells whether one value, never a list, is what a caller looks for.
type test func(v value) bool

// operator makes a test of what stands in its brackets.
type operator struct {
	name string
	// not turns the test round: what it selects is everything that the test
	// does not, objects without the field too.
	not  bool
	make func(arguments string) (test, error)
	// reach tells where in an index it is that the test selects; nil: not to be told.
	reach reaching
}

// operators are those of the reference.
var operators = []operator{
	{name: "Eq", make: equal, reach: reachEqual},
	{name: "Ne", not: true, make: equal, reach: reachEqual},
	{name: "Lt", make: ordered(func(order int) bool { return order < 0 }), reach: reachOrdered(true, false)},
	{name: "Lte", make: ordered(func(order int) bool { return order <= 0 }), reach: reachOrdered(true, true)},
	{name: "Gt", make: ordered(func(order int) bool { return order > 0 }), reach: reachOrdered(false, false)},
	{name: "Gte", make: ordered(func(order int) bool { return order >= 0 }), reach: reachOrdered(false, true)},
	{name: "Re", make: expression, reach: reachExpression},
	{name: "In", make: oneOf, reach: reachOneOf},
	{name: "Nin", not: true, make: oneOf, reach: reachOneOf},
	{name: "Between", make: between, reach: reachBetween},
	{name: "Except", not: true, make: between, reach: reachBetween},
}

// equal selects one value. The empty text is also that of a field without a
// value.
func equal(arguments string) (test, error) {
	o := operandOf(arguments)
	plain := !o.address.IsValid() || o.address.Is4() // which has one spelling
	return func(v value) bool {
		switch {
		case v.form == absent:
			return arguments == ""
		case v.form == text && plain: // nearly all: lists are long
			return v.text == arguments
		}
		order, ok := o.against(v)
		return ok && order == 0
	}, nil
}

// ordered selects values on one side of another.
func ordered(side func(order int) bool) func(string) (test, error) {
	return func(arguments string) (test, error) {
		o := operandOf(arguments)
		return func(v value) bool {
			order, ok := o.against(v)
			return ok && side(order)
		}, nil
	}
}

// expression selects texts that a regular expression matches.
func expression(arguments string) (test, error) {
	if len(arguments) > maxPattern {
		return nil, model.Errorf(model.Invalid, "regular expression is longer than %d bytes", maxPattern)
	}
	re, err := regexp.Compile(arguments)
	if err != nil {
		return nil, model.Errorf(model.Invalid, "cannot read regular expression: %w", err)
	}
	return func(v value) bool { return v.form != absent && re.MatchString(v.text) }, nil
}

// oneOf selects the values of a list.
func oneOf(arguments string) (test, error) {
	words := strings.Split(arguments, ",")
	if len(words) > maxOperands {
		return nil, model.Errorf(model.Invalid, "%d values, at most %d are allowed", len(words), maxOperands)
	}
	set := map[string]bool{}
	var numbers []float64
	for _, w := range words {
		set[w] = true
		if o := operandOf(w); o.isNumber {
			numbers = append(numbers, o.number)
		}
	}
	slices.Sort(numbers)
	return func(v value) bool {
		if v.form == number {
			_, found := slices.BinarySearch(numbers, v.number)
			return found
		}
		return set[v.text]
	}, nil
}

// between selects values from the first to the second, both included.
func between(arguments string) (test, error) {
	low, high, two := strings.Cut(arguments, ",")
	if !two || strings.Contains(high, ",") {
		return nil, model.Errorf(model.Invalid, "want two values with a comma between, not %.80q", arguments)
	}
	from, to := operandOf(low), operandOf(high)
	return func(v value) bool {
		a, ok := from.against(v)
		b, okToo := to.against(v)
		return ok && okToo && a >= 0 && b <= 0
	}, nil
}

// call is an operator with its brackets.
var call = regexp.MustCompile(`(?s)^([A-Za-z]+)\((.*)\)$`)

// Filter selects objects by one field, or by the param of that name.
type Filter struct {
	// Field is the name of the field.
	Field string
	text  string
	not   bool
	test  test
	reach *reach // nil: not to be told
}

// newFilter reads a filter: Field=value or Field=Operator(values). A value that
// looks like the call of an operator that there is not is a value.
func newFilter(field, given string) (Filter, error) {
	f := Filter{Field: field, text: given}
	op, arguments := operators[0], given
	if m := call.FindStringSubmatch(given); m != nil {
		for _, o := range operators {
			if strings.EqualFold(o.name, m[1]) {
				op, arguments = o, m[2]
			}
		}
	}
	var err error
	f.not = op.not
	if f.test, err = op.make(arguments); err != nil {
		return f, model.Errorf(model.Invalid, "cannot filter by %.80s=%s(...): %w", field, op.name, err)
	}
	f.reach = op.reach(arguments)
	return f, nil
}

// Exact returns the one value that the filter asks for, if it asks for one.
func (f Filter) Exact() (string, bool) {
	inner, bracketed := strings.CutPrefix(f.text, "Eq(")
	switch {
	case bracketed && strings.HasSuffix(inner, ")"):
		return strings.TrimSuffix(inner, ")"), true
	case call.MatchString(f.text):
		return "", false
	}
	return f.text, true
}

// selects reports whether the filter selects a value; of a list, any element.
func (f Filter) selects(v value) bool {
	if v.form != list {
		return f.test(v) != f.not
	}
	return slices.ContainsFunc(*v.list, f.test) != f.not
}
