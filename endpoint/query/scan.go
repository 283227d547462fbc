package query

import (
	"bytes"
	"encoding/json"
)

// The functions of this file look into JSON that is known to be valid, such as
// what the store holds. Anything else they answer with nothing, never a panic.

// Member returns the value of an object's member as it is encoded.
func Member(object []byte, name string) ([]byte, bool) {
	var found []byte
	Members(object, func(key, value []byte) bool {
		if keyIs(key, name) {
			found = value
		}
		return found == nil
	})
	return found, found != nil
}

// Members calls fn with each member of an object, its key with the quotes,
// until fn returns false.
func Members(object []byte, fn func(key, value []byte) bool) {
	i := blanks(object, 0)
	if i >= len(object) || object[i] != '{' {
		return
	}
	for i = blanks(object, i+1); i < len(object) && object[i] == '"'; i = blanks(object, i+1) {
		end := skip(object, i)
		key := object[i:end]
		i = blanks(object, end)
		if i >= len(object) || object[i] != ':' {
			return
		}
		i = blanks(object, i+1)
		end = skip(object, i)
		if end <= i || !fn(key, object[i:end]) {
			return
		}
		i = blanks(object, end)
		if i >= len(object) || object[i] != ',' {
			return
		}
	}
}

// Rewrite returns an object whose members have the values that fn returns for
// them, without those for which that is nil. What is no object stays as it is.
func Rewrite(object []byte, fn func(name string, value []byte) []byte) []byte {
	if i := blanks(object, 0); i >= len(object) || object[i] != '{' {
		return object
	}
	out := append(make([]byte, 0, len(object)+8), '{')
	Members(object, func(key, value []byte) bool {
		name, ok := unquote(key)
		if !ok {
			return true
		}
		if value = fn(name, value); value == nil {
			return true
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(out, key...), ':')
		out = append(out, value...)
		return true
	})
	return append(out, '}')
}

// elements calls fn with each element of an array.
func elements(array []byte, fn func(value []byte)) {
	i := blanks(array, 0)
	if i >= len(array) || array[i] != '[' {
		return
	}
	for i = blanks(array, i+1); i < len(array) && array[i] != ']'; i = blanks(array, i+1) {
		end := skip(array, i)
		if end <= i {
			return
		}
		fn(array[i:end])
		i = blanks(array, end)
		if i >= len(array) || array[i] != ',' {
			return
		}
	}
}

// keyIs reports whether a quoted key is the name.
func keyIs(key []byte, name string) bool {
	if bytes.IndexByte(key, '\\') < 0 {
		return len(key) == len(name)+2 && string(key[1:len(key)-1]) == name
	}
	text, ok := unquote(key)
	return ok && text == name
}

// unquote returns what a quoted string says.
func unquote(quoted []byte) (string, bool) {
	if len(quoted) < 2 {
		return "", false
	}
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), true
	}
	var text string
	err := json.Unmarshal(quoted, &text)
	return text, err == nil
}

// blanks returns the index of the first byte from i that is no white space.
func blanks(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\n' || raw[i] == '\t' || raw[i] == '\r') {
		i++
	}
	return i
}

// skip returns the index after the value that begins at i.
func skip(raw []byte, i int) int {
	if i >= len(raw) {
		return i
	}
	switch raw[i] {
	case '"':
		return skipString(raw, i)
	case '{', '[':
		return skipNested(raw, i)
	}
	for i < len(raw) && !ends(raw[i]) {
		i++
	}
	return i
}

// ends reports whether a byte ends a number or a word.
func ends(b byte) bool {
	switch b {
	case ',', ']', '}', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}

// skipString returns the index after the string whose quote is at i.
func skipString(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		next := bytes.IndexByte(raw[i:], '"')
		if next < 0 {
			return len(raw)
		}
		escaped := bytes.IndexByte(raw[i:i+next], '\\')
		if escaped < 0 {
			return i + next + 1
		}
		i += escaped + 1 // what is escaped is passed over
	}
	return len(raw)
}

// skipNested returns the index after the object or array that begins at i.
func skipNested(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
	return len(raw)
}

// Deeper reports whether JSON nests more than limit levels. It reads any bytes.
func Deeper(raw []byte, limit int) bool {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			i = skipString(raw, i) - 1
		case '{', '[':
			if depth++; depth > limit {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}
