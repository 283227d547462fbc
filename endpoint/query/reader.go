package query

// maxIndexed bounds the fields of an index.
const maxIndexed = 32

// reader finds the values of several fields in one look at an object.
type reader struct {
	fields, params map[string]int
}

// newReader returns the reader of some fields.
func newReader(fields []Field) reader {
	r := reader{fields: map[string]int{}, params: map[string]int{}}
	for i, f := range fields {
		if f.Param {
			r.params[f.Name] = i
		} else {
			r.fields[f.Name] = i
		}
	}
	return r
}

// read finds the values; those that are not there stay nil.
func (r reader) read(object []byte, values *[maxIndexed][]byte) {
	inParams := false
	Members(object, func(key, value []byte) bool {
		name, ok := bareKey(key)
		if !ok {
			return true
		}
		if at, wanted := r.fields[string(name)]; wanted && values[at] == nil {
			values[at] = value
		}
		if string(name) == "Params" && !inParams && len(r.params) > 0 {
			inParams = true
			r.readParams(value, values)
		}
		return true
	})
}

// readParams finds the values of params.
func (r reader) readParams(params []byte, values *[maxIndexed][]byte) {
	Members(params, func(key, value []byte) bool {
		if name, ok := bareKey(key); ok {
			if at, wanted := r.params[string(name)]; wanted && values[at] == nil {
				values[at] = value
			}
		}
		return true
	})
}

// bareKey is what a quoted key says.
func bareKey(key []byte) ([]byte, bool) {
	if bare, ok := simple(key); ok {
		return bare, true
	}
	name, ok := unquote(key)
	return []byte(name), ok
}
