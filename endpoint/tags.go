package endpoint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// maxPrefer bounds how long a request may wait for a change (Prefer: wait).
const maxPrefer = 10 * time.Minute

// sealOf is the tag of what has no revision.
func sealOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// tagged returns an object for an answer with its tag: the revision of a stored
// object, and for others what their bytes give.
func (o *objects) tagged(k *kind, key string, v view) (raw json.RawMessage, tag string, err error) {
	layered, ok := o.cat.object(k.prefix, k.layerKey(key))
	found := store.Object{Prefix: k.prefix, ID: k.layerKey(key), Value: layered}
	if !ok {
		if found, err = o.find(k, key); err != nil {
			return nil, "", err
		}
	}
	if v.aggregate {
		raw, err = o.showAggregated(k, found, v.decode)
	} else {
		raw, err = o.answer(k, &found, v.decode)
	}
	if err != nil {
		return nil, "", err
	}
	tag = revisionTag(found)
	if ok || v.aggregate || k.prefix == "plugins" { // the revision does not tell of all that is shown
		tag = sealOf(raw)
	}
	return v.cut(k, raw), tag, nil
}

// hasTag reports whether an If-None-Match names a tag.
func hasTag(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == tag || one == "*" {
			return true
		}
	}
	return false
}

// waitOf reads how long a client would rather wait for a change than be told
// that there is none.
func waitOf(r *http.Request) time.Duration {
	for one := range strings.SplitSeq(r.Header.Get("Prefer"), ",") {
		text, ok := strings.CutPrefix(strings.TrimSpace(one), "wait=")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return time.Duration(min(n, int(maxPrefer/time.Second))) * time.Second
		}
	}
	return 0
}

// getObject answers one object; where the client has it already, that it has,
// at once or when the time that it would wait for a change is over.
func (a *api) getObject(k *kind) handle {
	return func(r *http.Request) (*reply, error) {
		key, v := r.PathValue("key"), viewOf(r.URL.Query())
		raw, tag, err := a.objects.tagged(k, key, v)
		if err != nil {
			return nil, err
		}
		known := r.Header.Get("If-None-Match")
		if wait := waitOf(r); wait > 0 && hasTag(known, tag) {
			if raw, tag, err = a.changed(r, k, wait); err != nil {
				return nil, err
			}
		}
		rep := &reply{status: http.StatusOK, body: raw, tag: tag}
		if known != "" && hasTag(known, tag) {
			rep.status = http.StatusNotModified
		}
		return rep, nil
	}
}

// keyEscape writes a key as patterns of events spell it.
var keyEscape = strings.NewReplacer(".", `\1`, ",", `\2`, "*", `\3`)

// changed waits until an object is another than the client knows, or for so
// long.
func (a *api) changed(r *http.Request, k *kind, wait time.Duration) (json.RawMessage, string, error) {
	key := r.PathValue("key")
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	id := key
	if found, err := a.objects.find(k, key); err == nil {
		id = found.ID
	}
	sub, err := a.hub.Subscribe(k.prefix + ".*." + keyEscape.Replace(id))
	if err != nil {
		return nil, "", err
	}
	defer sub.Close()
	for {
		raw, tag, err := a.objects.tagged(k, key, viewOf(r.URL.Query()))
		if err != nil || !hasTag(r.Header.Get("If-None-Match"), tag) {
			return raw, tag, err
		}
		if _, over := sub.Next(ctx); over != nil { // the time, the client's patience or the endpoint
			return raw, tag, nil
		}
	}
}

// worded gives an error the words of the reference: its Type is the method, and
// its key what the client called the object.
func worded(prefix string, h handle) handle {
	return func(r *http.Request) (*reply, error) {
		rep, err := h(r)
		if err == nil {
			return rep, nil
		}
		e := *model.AsError(err)
		key := r.PathValue("key")
		switch {
		case e.Model == "":
			e.Model, e.Key = prefix, key
		case e.Model == prefix && key != "":
			e.Key = key
		}
		if model.Kind(e.Type) == e.Kind() && objectKinds[e.Kind()] {
			e.Type = wordOf(r, key)
		}
		return rep, &e
	}
}

// objectKinds are the kinds of error whose Type tells nothing that the status
// does not; those of devices and plugins keep it.
var objectKinds = map[model.Kind]bool{model.Invalid: true, model.NotFound: true, model.Conflict: true}

// wordOf is how the reference calls what a request does.
func wordOf(r *http.Request, key string) string {
	switch {
	case r.Method == http.MethodHead:
		return http.MethodGet
	case r.Method == http.MethodPost && key == "" && r.Pattern != "POST "+apiRoot+"/prefs":
		return "CREATE"
	}
	return r.Method
}

// refused is the error of an object that cannot be as it is.
func refused(prefix, key, format string, args ...any) *model.Error {
	e := model.Errorf(model.Invalid, format, args...).On(prefix, key)
	e.Type, e.Code = "ValidationError", http.StatusUnprocessableEntity
	return e
}
