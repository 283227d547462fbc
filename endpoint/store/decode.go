package store

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	uniq "unique"

	"provision-plugins/shared/model"
)

// itemOf reads the stored object of a key. It keeps nothing of data.
func itemOf(k string, data []byte, seq uint64) (*item, error) {
	prefix, id, ok := splitKey(k)
	if !ok {
		return nil, model.Errorf(model.Internal, "cannot read the store: strange key %.80q", k)
	}
	e, ok := splitEnvelope(data)
	if !ok {
		e = envelope{}
		if err := decodeRecord(k, data, &e); err != nil {
			return nil, err
		}
	}
	return &item{
		Object: Object{Prefix: prefix, ID: id, Rev: seq, Value: bytes.Clone(e.Value), Note: &Note{}, Key: e.Key},
		unique: heldOf(e.Unique),
	}, nil
}

// The members of an envelope, as Create and Update write them.
var (
	envelopeUnique = []byte(`{"u":{`)
	envelopeValue  = []byte(`},"v":{`)
	envelopeOnly   = []byte(`{"v":{`)
	envelopeKey    = []byte(`},"k":"`)
	envelopeEnd    = []byte(`}}`)
	envelopeEmpty  = []byte(`"v":{}`)
)

// joinEnvelope writes an envelope around a compact value, which it does not look at
// again.
func joinEnvelope(unique map[string]string, value, key []byte) ([]byte, error) {
	outside, err := model.Marshal(envelope{Unique: unique, Value: json.RawMessage("{}"), Key: key})
	if err != nil {
		return nil, err
	}
	// What stands before the value can hold no such mark: its quotes are escaped.
	before, after, _ := bytes.Cut(outside, envelopeEmpty)
	out := make([]byte, 0, len(outside)+len(value))
	out = append(append(out, before...), envelopeEmpty[:len(envelopeEmpty)-2]...)
	return append(append(out, value...), after...), nil
}

// splitEnvelope reads an envelope that is written as the store writes them, in a
// fraction of the time that decoding takes: no mark between its members can stand
// within a text, where quotes are escaped, and the value has to be one whole value.
// Of any other it answers false.
func splitEnvelope(data []byte) (e envelope, ok bool) {
	var rest []byte
	switch {
	case bytes.HasPrefix(data, envelopeOnly):
		rest = data[len(envelopeOnly)-1:]
	case bytes.HasPrefix(data, envelopeUnique):
		at := bytes.Index(data, envelopeValue)
		if at < 0 {
			return e, false
		}
		if e.Unique = splitOne(data[len(envelopeUnique):at]); e.Unique == nil && json.Unmarshal(data[len(envelopeUnique)-1:at+1], &e.Unique) != nil {
			return e, false
		}
		rest = data[at+len(envelopeValue)-1:]
	default:
		return e, false
	}
	if bytes.HasSuffix(rest, envelopeEnd) {
		e.Value = rest[:len(rest)-1]
		return e, json.Valid(e.Value)
	}
	at := bytes.LastIndex(rest, envelopeKey)
	if at < 0 || !bytes.HasSuffix(rest, []byte(`"}`)) {
		return e, false
	}
	e.Value = rest[:at+1]
	return e, json.Unmarshal(rest[at+len(envelopeKey)-1:len(rest)-1], &e.Key) == nil && json.Valid(e.Value)
}

// splitOne reads the one unique value that nearly every object has, "Name":"m1", of
// plain characters. Of anything else it answers nil.
func splitOne(members []byte) map[string]string {
	parts := bytes.SplitN(members, []byte{'"'}, 6)
	if len(parts) != 5 || len(parts[0]) > 0 || string(parts[2]) != ":" || len(parts[4]) > 0 {
		return nil
	}
	for _, c := range members {
		if c < ' ' || c == '\\' || c > '~' {
			return nil
		}
	}
	return map[string]string{string(parts[1]): string(parts[3])}
}

// decodeRecord decodes a stored value, naming its key if it cannot.
func decodeRecord(k string, data []byte, out any) error {
	if err := json.Unmarshal(data, out); err != nil {
		return model.Errorf(model.Internal, "cannot read the store: record %s is damaged: %w", k, err)
	}
	return nil
}

// held is a unique value that an object holds. Objects have one or none: a map for
// each would take more than all else that is kept beside it.
type held struct{ index, value string }

// heldOf lists unique values by their index.
func heldOf(values map[string]string) []held {
	if len(values) == 0 {
		return nil
	}
	out := make([]held, 0, len(values))
	for index, value := range values {
		out = append(out, held{uniq.Make(index).Value(), value}) // there are few
	}
	slices.SortFunc(out, func(a, b held) int { return strings.Compare(a.index, b.index) })
	return out
}

// holding are the unique values of an object, by index.
func (i *item) holding() map[string]string {
	if len(i.unique) == 0 {
		return nil
	}
	out := make(map[string]string, len(i.unique))
	for _, h := range i.unique {
		out[h.index] = h.value
	}
	return out
}
