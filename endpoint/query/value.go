package query

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
)

// form is what a value is.
type form uint8

// The forms. Objects and null are absent: they compare as nothing.
const (
	absent form = iota
	text
	number
	truth
	list
)

// value is a field of an object, as filters and sorting compare it.
type value struct {
	form   form
	number float64
	text   string // of texts, and the digits of numbers
	list   *[]value
}

// valueOf reads an encoded value.
func valueOf(raw []byte) value {
	if len(raw) == 0 {
		return value{}
	}
	switch raw[0] {
	case '"':
		if t, ok := unquote(raw); ok {
			return value{form: text, text: t}
		}
	case 't', 'f':
		return value{form: truth, text: string(raw)}
	case '[':
		var all []value
		elements(raw, func(e []byte) {
			if v := valueOf(e); v.form != absent {
				all = append(all, v)
			}
		})
		return value{form: list, list: &all}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		digits := string(raw)
		if n, err := strconv.ParseFloat(digits, 64); err == nil {
			return value{form: number, number: n, text: digits}
		}
	}
	return value{}
}

// compare orders two values: absent, truths, numbers, texts, lists.
func compare(a, b value) int {
	if c := cmp.Compare(ranks[a.form], ranks[b.form]); c != 0 {
		return c
	}
	if a.form == number {
		return cmp.Compare(a.number, b.number)
	}
	return strings.Compare(a.text, b.text)
}

// ranks are the places of the forms in the order.
var ranks = [...]int{absent: 0, truth: 1, number: 2, text: 3, list: 4}

// operand is what a caller compares with: a text that may be a number or an
// address.
type operand struct {
	text     string
	number   float64
	isNumber bool
	address  netip.Addr
}

// operandOf reads an operand.
func operandOf(t string) operand {
	o := operand{text: t}
	if n, err := strconv.ParseFloat(t, 64); err == nil {
		o.number, o.isNumber = n, true
	}
	if a, err := netip.ParseAddr(t); err == nil {
		o.address = a
	}
	return o
}

// against compares a value with an operand in the value's own type; it is not
// comparable with an operand that has no such type.
func (o operand) against(v value) (order int, comparable bool) {
	switch v.form {
	case number:
		return cmp.Compare(v.number, o.number), o.isNumber
	case truth:
		return strings.Compare(v.text, o.text), o.text == "true" || o.text == "false"
	case text:
		if o.address.IsValid() {
			if a, err := netip.ParseAddr(v.text); err == nil {
				return a.Compare(o.address), true
			}
		}
		return strings.Compare(v.text, o.text), true
	}
	return 0, false
}
