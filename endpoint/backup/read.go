package backup

import (
	"encoding/json"
	"io"

	"provision-plugins/endpoint/store"
)

// content is called with what a snapshot holds, line by line. A nil function
// passes over what it is for.
type content struct {
	head   func(Head) error
	key    func(keyLine) error
	object func(objectLine) error
	record func(recordLine) error
	audit  func(auditLine) error
}

// order is the order of the types of lines.
var order = map[string]int{typeHead: 0, typeKey: 1, typeObject: 2, typeRecord: 3, typeAudit: 4, typeEnd: 5}

// read reads and checks a whole snapshot.
func read(in io.Reader, c content) (Head, Counts, error) {
	r := newReader(in)
	var head Head
	var counts Counts
	at := -1
	for {
		kind, data, err := r.next()
		if err != nil {
			return head, counts, err
		}
		now, known := order[kind]
		switch {
		case !known, now < at, at == -1 && kind != typeHead, at == now && (kind == typeHead || kind == typeKey):
			return head, counts, r.refuse("a line of the type " + kind + " cannot stand here")
		}
		at = now
		switch kind {
		case typeHead:
			err = take(r, data, &head, func(h *Head) error { return r.checkHead(*h, c.head) })
		case typeKey:
			err = take(r, data, &keyLine{}, c.withKey)
		case typeObject:
			counts.Objects++
			err = take(r, data, &objectLine{}, given(c.object))
		case typeRecord:
			counts.Records++
			err = take(r, data, &recordLine{}, given(c.record))
		case typeAudit:
			counts.Audit++
			err = take(r, data, &auditLine{}, given(c.audit))
		case typeEnd:
			return head, counts, r.checkCounts(data, counts)
		}
		if err != nil {
			return head, counts, err
		}
	}
}

// withKey passes the master key on.
func (c content) withKey(k *keyLine) error { return given(c.key)(k) }

// given makes of a function, which may be nil, one that takes a pointer.
func given[T any](fn func(T) error) func(*T) error {
	return func(v *T) error {
		if fn == nil {
			return nil
		}
		return fn(*v)
	}
}

// take decodes a line and passes it on.
func take[T any](r *reader, data json.RawMessage, v *T, fn func(*T) error) error {
	if err := json.Unmarshal(data, v); err != nil {
		return r.refuse("it cannot be read: " + err.Error())
	}
	return fn(v)
}

// checkHead refuses a snapshot of a layout that this program does not know.
func (r *reader) checkHead(h Head, fn func(Head) error) error {
	if h.Schema != store.SchemaVersion {
		return r.refuseSchema(h)
	}
	if fn == nil {
		return nil
	}
	return fn(h)
}

// checkCounts compares what the last line says with what was there.
func (r *reader) checkCounts(data json.RawMessage, counts Counts) error {
	var end endLine
	if err := json.Unmarshal(data, &end); err != nil || end.Counts != counts {
		return r.refuse("it does not tell what the file has")
	}
	return nil
}
