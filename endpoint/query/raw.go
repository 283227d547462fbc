package query

import (
	"bytes"
	"cmp"
	"strconv"
)

// The functions of this file compare encoded values with others as compare does,
// without decoding those that most are: indexes hold no values, and look for them
// in the objects again and again.

// formOf tells what an encoded value is.
func formOf(raw []byte) form {
	if len(raw) == 0 {
		return absent
	}
	switch raw[0] {
	case '"':
		return text
	case 't', 'f':
		return truth
	case '[':
		return list
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return number
	}
	return absent
}

// simple returns the bytes of an encoded text in which nothing is escaped.
func simple(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 {
		return nil, false
	}
	return raw[1 : len(raw)-1], true
}

// compareRaw orders two encoded values as compare does.
func compareRaw(a, b []byte) int {
	if ta, ok := simple(a); ok {
		if tb, ok := simple(b); ok {
			return bytes.Compare(ta, tb)
		}
	}
	if fa, fb := formOf(a), formOf(b); fa != fb && fa != number && fb != number {
		return cmp.Compare(ranks[fa], ranks[fb])
	}
	return compare(valueOf(a), valueOf(b))
}

// compareWith orders an encoded value and one that is decoded as compare does.
func compareWith(raw []byte, v value) int {
	switch form := formOf(raw); form {
	case text:
		if t, ok := simple(raw); ok && v.form == text {
			return compareText(t, v.text)
		}
	case number:
		// One that no float64 holds is taken for none.
		if n, err := strconv.ParseFloat(string(raw), 64); err == nil && v.form == number {
			return cmp.Compare(n, v.number)
		}
		return compare(valueOf(raw), v)
	}
	if form := formOf(raw); form != v.form {
		return cmp.Compare(ranks[form], ranks[v.form])
	}
	return compare(valueOf(raw), v)
}

// compareText orders bytes and a text. None of the conversions copies anything.
func compareText(a []byte, b string) int {
	switch {
	case string(a) == b:
		return 0
	case string(a) < b:
		return -1
	}
	return 1
}
