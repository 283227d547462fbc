package endpoint

import (
	"encoding/json"
	"sync"

	"provision-plugins/endpoint/store"
)

// decodedObjects keeps profiles and stages as they were decoded: every action on
// every machine looks params up in the same few. What it returns is shared, and
// only read. The zero value is empty and ready.
type decodedObjects struct {
	mu   sync.Mutex // guards kept
	kept map[string]decodedObject
}

// decodedObject is an object decoded from raw, in an epoch of the catalog.
type decodedObject struct {
	raw    json.RawMessage
	epoch  uint64
	object any
}

// maxDecoded bounds the objects that are kept.
const maxDecoded = 1024

// get returns an object that was decoded from this very text in this epoch, nil
// if there is none.
func (d *decodedObjects) get(key string, raw json.RawMessage, epoch uint64) any {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.kept[key]
	if !ok || known.epoch != epoch || len(raw) == 0 || len(known.raw) != len(raw) || &known.raw[0] != &raw[0] {
		return nil
	}
	return known.object
}

// put keeps an object.
func (d *decodedObjects) put(key string, of decodedObject) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil || len(d.kept) >= maxDecoded {
		d.kept = map[string]decodedObject{}
	}
	d.kept[key] = of
}

// opened is objects.opened for an object that is only read. One with secrets is
// decoded each time: they are in clear no longer than an action takes.
func (p params) opened(k *kind, key string, found store.Object) (any, error) {
	epoch := p.cat.epoch.Load()
	if object := p.decodings.get(key, found.Value, epoch); object != nil {
		return object, nil
	}
	object, err := p.objects.opened(k, found)
	if err != nil || p.hasSecret(object) {
		return object, err
	}
	p.decodings.put(key, decodedObject{found.Value, epoch, object})
	return object, nil
}

// hasSecret reports whether an object has a param that is secret.
func (p params) hasSecret(object any) bool {
	held := paramsOf(object)
	if held == nil {
		return false
	}
	for name := range *held {
		if p.cat.secret(name) {
			return true
		}
	}
	return false
}
