package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
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
	s := scan{open: make([]level, 0, 8), keys: make([][]byte, 0, 64)}
	for len(raw) > 0 {
		n, err := s.take(raw)
		if err != nil || n == 0 {
			return err
		}
		raw = raw[n:]
	}
	return nil
}

// scan is where in a JSON text the look at it has come. It is by hand since every
// action is looked at: a decoder that tells the parts of a text takes many times as
// long.
type scan struct {
	open []level
	keys [][]byte // of all objects that are open, those of the innermost last
}

// level is an object or a list that has begun.
type level struct {
	object bool
	value  bool            // of an object: a value comes, not a key
	first  int             // where its keys begin in scan.keys
	many   map[string]bool // its keys, once they are too many to be compared with each
}

// fewKeys is how many keys of an object are compared with each other.
const fewKeys = 32

// take looks at what begins a text, and returns how long that is; 0 where the rest is
// not worth a look, since it is no JSON.
func (s *scan) take(raw []byte) (int, error) {
	switch c := raw[0]; c {
	case '"':
		return s.text(raw)
	case '{', '[':
		s.open = append(s.open, level{object: c == '{', first: len(s.keys)})
	case '}', ']':
		if len(s.open) == 0 {
			return 0, nil
		}
		s.keys = s.keys[:s.open[len(s.open)-1].first]
		s.open = s.open[:len(s.open)-1]
	case ',', ':':
		if len(s.open) > 0 {
			s.open[len(s.open)-1].value = c == ':'
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return number(raw)
	}
	return 1, nil
}

// text takes a string, which may be a key.
func (s *scan) text(raw []byte) (int, error) {
	end, escaped := 1, false
	for end < len(raw) && raw[end] != '"' {
		if raw[end] == '\\' {
			escaped = true
			end++
		}
		end++
	}
	if end >= len(raw) {
		return 0, nil
	}
	if len(s.open) == 0 || !s.open[len(s.open)-1].object || s.open[len(s.open)-1].value {
		return end + 1, nil
	}
	key := raw[1:end]
	if escaped {
		key = plain(raw[:end+1])
	}
	if s.twice(key) {
		return 0, fmt.Errorf("key %.60q is there twice", key)
	}
	return end + 1, nil
}

// plain is a string without its quotes and escapes. One that is no JSON is as it
// stands: its decoder says so.
func plain(quoted []byte) []byte {
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return quoted
	}
	return []byte(text)
}

// twice takes a key of the innermost object, and reports whether it has it already.
func (s *scan) twice(key []byte) bool {
	in := &s.open[len(s.open)-1]
	have := s.keys[in.first:]
	if in.many == nil && len(have) == fewKeys {
		in.many = make(map[string]bool, 2*fewKeys)
		for _, k := range have {
			in.many[string(k)] = true
		}
	}
	if in.many != nil {
		found := in.many[string(key)]
		in.many[string(key)] = true
		return found
	}
	for _, k := range have {
		if bytes.Equal(k, key) {
			return true
		}
	}
	s.keys = append(s.keys, key)
	return false
}

// plainDigits is how long a number without exponent may be to be surely in range.
const plainDigits = 300

// number takes a number.
func number(raw []byte) (int, error) {
	end, exponent := 1, false
	for end < len(raw) && bytes.IndexByte([]byte("+-.eE0123456789"), raw[end]) >= 0 {
		exponent = exponent || raw[end] == 'e' || raw[end] == 'E'
		end++
	}
	if !exponent && end < plainDigits {
		return end, nil
	}
	if f, err := strconv.ParseFloat(string(raw[:end]), 64); err != nil && f != 0 { // what is no number is none of ours
		return 0, fmt.Errorf("a number is out of range")
	}
	return end, nil
}
