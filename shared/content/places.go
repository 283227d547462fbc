package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v2"

	"provision-plugins/shared/content/bundle"
)

// place tells where in a file a value stands and what was written there. The
// decoders keep neither, so a file is read for its places once more.
type place struct {
	line   int    // of the value; 0 when it is not known
	tag    string // what a YAML scalar was read as: !!str, !!bool, !!int, !!float
	text   string // a YAML scalar as it was written
	fields []field
	items  []*place
}

// field is one entry of an object.
type field struct {
	key   keyPlace
	value *place
}

// keyPlace is the key of an entry, as it was written.
type keyPlace struct {
	text, tag string
	line      int
}

// at returns the line of the entry that a path of keys leads to, or of as much
// of the path as there is.
func (p *place) at(path ...string) int {
	if p == nil {
		return 0
	}
	line := p.line
	for _, key := range path {
		next := p.find(key)
		if next == nil {
			return line
		}
		line, p = next.key.line, next.value
	}
	return line
}

// find returns an object's entry, nil if there is none.
func (p *place) find(key string) *field {
	if p == nil {
		return nil
	}
	for i := range p.fields {
		if p.fields[i].key.text == key {
			return &p.fields[i]
		}
	}
	return nil
}

// yamlPlaces reads the places of a YAML text. What cannot be read has none: the
// decoder tells why.
func yamlPlaces(text []byte) *place {
	p := &place{}
	if yaml.Unmarshal(text, p) != nil {
		return nil
	}
	return p
}

// UnmarshalYAML notes where a value stands, and what is in it. The package
// tells lines and tags only in the errors of values that do not fit, so each
// value is first asked to be what none is.
func (p *place) UnmarshalYAML(decode func(any) error) error {
	p.line, p.tag = probe(decode)
	switch p.tag {
	case "!!map":
		entries := map[keyPlace]*place{}
		if err := decode(&entries); err != nil {
			return err
		}
		for key, value := range entries {
			p.fields = append(p.fields, field{key, value})
		}
		sortFields(p.fields)
		return nil
	case "!!seq":
		return decode(&p.items)
	default:
		return decode(&p.text)
	}
}

// UnmarshalYAML notes where a key stands.
func (w *keyPlace) UnmarshalYAML(decode func(any) error) error {
	w.line, w.tag = probe(decode)
	return decode(&w.text)
}

// probe returns the line and the tag of a value.
func probe(decode func(any) error) (line int, tag string) {
	var none chan struct{}
	var mismatch *yaml.TypeError
	if !errors.As(decode(&none), &mismatch) || len(mismatch.Errors) == 0 {
		return 0, ""
	}
	text, ok := strings.CutPrefix(mismatch.Errors[0], "line ")
	number, rest, _ := strings.Cut(text, ": cannot unmarshal ")
	line, err := strconv.Atoi(number)
	if !ok || err != nil {
		return 0, ""
	}
	tag, _, _ = strings.Cut(rest, " ")
	return line, tag
}

// maxDepth bounds how deep a JSON value may be nested; the decoder has the same
// bound.
const maxDepth = 10000

// jsonPlaces reads the places of a JSON text and refuses a key that an object
// has twice, which decoders pass over. The text is known to be JSON.
func jsonPlaces(text []byte) (*place, error) {
	r := &jsonReader{text: text, dec: json.NewDecoder(bytes.NewReader(text)), line: 1}
	r.dec.UseNumber()
	p, err := r.value(0)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// jsonReader walks the tokens of a JSON text.
type jsonReader struct {
	text   []byte
	dec    *json.Decoder
	line   int // of offset
	offset int
}

// token returns the next token and its line.
func (r *jsonReader) token() (json.Token, int, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, 0, err
	}
	// No token has a line break in it.
	end := int(r.dec.InputOffset())
	r.line += bytes.Count(r.text[r.offset:end], []byte("\n"))
	r.offset = end
	return t, r.line, nil
}

var errDepth = fmt.Errorf("nested deeper than %d", maxDepth)

// value reads one value.
func (r *jsonReader) value(depth int) (*place, error) {
	t, line, err := r.token()
	if err != nil {
		return nil, err
	}
	p := &place{line: line}
	switch {
	case depth > maxDepth:
		return nil, errDepth
	case t == json.Delim('{'):
		err = r.object(p, depth)
	case t == json.Delim('['):
		err = r.array(p, depth)
	}
	return p, err
}

// object reads the entries of an object.
func (r *jsonReader) object(p *place, depth int) error {
	seen := map[string]bool{}
	for r.dec.More() {
		t, line, err := r.token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if seen[key] {
			return &bundle.SyntaxError{Line: line, Text: fmt.Sprintf("key %q already set in map", key)}
		}
		seen[key] = true
		value, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		p.fields = append(p.fields, field{keyPlace{text: key, line: line}, value})
	}
	_, _, err := r.token()
	return err
}

// array reads the items of an array.
func (r *jsonReader) array(p *place, depth int) error {
	for r.dec.More() {
		value, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		p.items = append(p.items, value)
	}
	_, _, err := r.token()
	return err
}
