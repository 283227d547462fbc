package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Ambiguous reports what in a JSON text would be read differently by different
// clients, or by none: bytes that are no UTF-8, a key twice in one object, and a
// number that no float64 holds. One such value in a list would hide all of it from
// who cannot decode it. What is no JSON at all is left to its decoder.
func Ambiguous(raw []byte) error {
	if !utf8.Valid(raw) {
		return fmt.Errorf("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var open []*level
	// It ends at the end, or where the text is no JSON.
	for token, err := d.Token(); err == nil; token, err = d.Token() {
		if token == json.Delim('}') || token == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if err := within(open, token); err != nil {
			return err
		}
		switch token {
		case json.Delim('{'):
			open = append(open, &level{keys: map[string]bool{}})
		case json.Delim('['):
			open = append(open, &level{})
		}
	}
	return nil
}

// level is an object or a list that has begun.
type level struct {
	keys  map[string]bool // of an object so far; nil for a list
	value bool            // a key was read, and what follows is its value
}

// within takes a token as part of the innermost level.
func within(open []*level, token json.Token) error {
	if n, ok := token.(json.Number); ok {
		if _, err := n.Float64(); err != nil {
			return fmt.Errorf("a number is out of range")
		}
	}
	if len(open) == 0 {
		return nil
	}
	in := open[len(open)-1]
	switch {
	case in.keys == nil:
		return nil
	case in.value:
		in.value = false
		return nil
	}
	key, _ := token.(string)
	if in.keys[key] {
		return fmt.Errorf("key %.60q is there twice", key)
	}
	in.keys[key], in.value = true, true
	return nil
}
