package endpoint

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"provision-plugins/endpoint/secret"
	"provision-plugins/endpoint/store"
	"provision-plugins/shared/model"
)

// Everything that leaves the endpoint, as an answer, an event or a record, goes
// through the functions of this file, so that no secret is shown.

// paramsOf returns where an object's params are, nil if it has none.
func paramsOf(object any) *model.Params {
	switch o := object.(type) {
	case *model.Machine:
		return &o.Params
	case *model.Plugin:
		return &o.Params
	case *model.Profile:
		return &o.Params
	case *record:
		if o.params != nil {
			return &o.params
		}
	}
	return nil
}

// mask hides the secrets of a decoded object, in place. Sealed values of Secure
// params stay: they show nothing, and clients know them.
func (c *catalog) mask(object any) {
	params := paramsOf(object)
	if params == nil {
		c.hide(object)
		return
	}
	stored := *params
	c.hide(object)
	c.restoreSealed(*params, stored)
}

// restoreSealed puts the sealed values back that are hidden from events alone, and
// tells whether there are any.
func (c *catalog) restoreSealed(hidden, stored model.Params) (found bool) {
	for name, value := range stored {
		// One of a param that is no longer Secure is about to be opened.
		if secret.Parse(value) != nil && (c.secure(name) || !c.secret(name)) {
			hidden[name], found = value, true
		}
	}
	return found
}

// forms encodes a stored object for an answer and for an event, and notes beside it
// what later ones need: a form that is what is stored takes no room of its own.
func (c *catalog) forms(k *kind, o *store.Object, epoch uint64) (shown, event json.RawMessage, err error) {
	object := k.fresh()
	if err := model.Unmarshal(o.Value, object); err != nil {
		return nil, nil, err
	}
	return c.formsOf(o, object, epoch)
}

// formsOf is forms of an object that is decoded already, and is changed by it.
func (c *catalog) formsOf(o *store.Object, object any, epoch uint64) (shown, event json.RawMessage, err error) {
	var stored model.Params
	params := paramsOf(object)
	if params != nil {
		stored = *params
	}
	c.hide(object)
	if event, err = model.Marshal(object); err != nil {
		return nil, nil, err
	}
	shown = event
	if params != nil && c.restoreSealed(*params, stored) {
		if shown, err = model.Marshal(object); err != nil {
			return nil, nil, err
		}
	}
	d := derivedOf(o)
	if bytes.Equal(shown, o.Value) {
		shown = o.Value
	}
	d.shown.Store(&shownAt{epoch, shown})
	if bytes.Equal(event, o.Value) {
		event = o.Value
		d.event.Store(&shownAt{epoch, event})
	}
	return shown, event, nil
}

// foresee notes beside an object that is about to be stored how it will be shown, if
// that is as it is stored: it need not be decoded again for its event and its answer.
func (c *catalog) foresee(next *store.Object, object any) {
	next.Note = nil
	epoch, visible := c.epoch.Load(), copied(object)
	if visible == nil {
		return
	}
	c.hide(visible)
	if !reflect.DeepEqual(visible, object) {
		return
	}
	next.Note = &store.Note{}
	same := &shownAt{epoch, next.Value}
	d := derivedOf(next)
	d.shown.Store(same)
	d.event.Store(same)
}

// copied is a decoded object whose secrets can be hidden without those of the one
// that is given; nil for kinds of which there are few.
func copied(object any) any {
	if m, ok := object.(*model.Machine); ok {
		other := *m
		return &other
	}
	return nil
}

// hide hides the secrets of a decoded object, the sealed ones too: events and
// records go to those who have no use for them.
func (c *catalog) hide(object any) {
	if params := paramsOf(object); params != nil {
		*params = model.RedactParams(*params, c.secure)
	}
	switch o := object.(type) {
	case *model.Machine:
		if o.Secret != "" {
			o.Secret = model.Masked
		}
	case *record:
		o.hide()
	}
}

// maskedEvent encodes a stored object for an event. Nothing of an unreadable
// object is better than its secrets.
func (c *catalog) maskedEvent(k *kind, o *store.Object) any {
	if o == nil {
		return nil
	}
	epoch := c.epoch.Load()
	if raw := derivedOf(o).event.Load().at(epoch); raw != nil {
		return raw
	}
	_, event, err := c.forms(k, o, epoch)
	if err != nil {
		c.log.Error("cannot read a stored object", "prefix", o.Prefix, "key", o.ID, "error", err)
		return nil
	}
	return event
}

// unmask puts the stored secrets back where the writer left the mask, which it
// was shown in their place.
func unmask(object, stored any) error {
	now, before := paramsOf(object), paramsOf(stored)
	if now != nil {
		var old model.Params
		if before != nil {
			old = *before
		}
		for name, value := range *now {
			restored, err := unmaskValue(name, value, old[name])
			if err != nil {
				return err
			}
			(*now)[name] = restored
		}
	}
	m, ok := object.(*model.Machine)
	if !ok || m.Secret != model.Masked {
		return nil
	}
	m.Secret = ""
	if was, ok := stored.(*model.Machine); ok {
		m.Secret = was.Secret
	}
	return nil
}

// unmaskValue restores one value at any depth.
func unmaskValue(name string, value, old any) (any, error) {
	switch t := value.(type) {
	case string:
		if t != model.Masked {
			return value, nil
		}
		if old == nil {
			return nil, model.Errorf(model.Invalid, "Key '%s': %s stands for a stored value, and there is none", name, model.Masked)
		}
		return old, nil
	case map[string]any:
		before, _ := old.(map[string]any)
		for key, v := range t {
			restored, err := unmaskValue(name, v, before[key])
			if err != nil {
				return nil, err
			}
			t[key] = restored
		}
	case []any:
		before, _ := old.([]any)
		for i, v := range t {
			var was any
			if i < len(before) {
				was = before[i]
			}
			restored, err := unmaskValue(name, v, was)
			if err != nil {
				return nil, err
			}
			t[i] = restored
		}
	}
	return value, nil
}

// redactReply hides known secret values in what a plugin answered: a device's
// error text may quote the credential it was given.
func redactReply(raw json.RawMessage, err error, secrets []string) (json.RawMessage, error) {
	return redactJSON(raw, secrets), redactError(err, secrets)
}

// redactJSON hides secret values in the strings of a JSON value; numbers and
// words of the syntax stay, whatever they look like.
func redactJSON(raw json.RawMessage, secrets []string) json.RawMessage {
	var value any
	if !mentions(raw, secrets) || model.Unmarshal(raw, &value) != nil {
		return raw
	}
	shown, err := model.Marshal(redactTexts(value, func(text string) string { return model.Redact(text, secrets) }))
	if err != nil {
		return raw
	}
	return shown
}

// mentions reports whether the bytes may hold one of the values, as it is or
// with escapes. Almost no answer does, and is then passed on byte for byte.
func mentions(raw []byte, secrets []string) bool {
	for _, s := range secrets {
		if bytes.Contains(raw, []byte(s)) {
			return true
		}
		if strings.IndexFunc(s, escaped) < 0 { // its quoted form is itself
			continue
		}
		quoted, err := model.Marshal(s)
		if err != nil || bytes.Contains(raw, quoted[1:len(quoted)-1]) {
			return true
		}
	}
	return bytes.Contains(raw, []byte(`\u`)) && len(secrets) > 0
}

// escaped reports whether a character may stand in JSON otherwise than as it is.
func escaped(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }

// redactTexts hides secrets in all strings of a decoded value, in place.
func redactTexts(value any, redact func(string) string) any {
	switch t := value.(type) {
	case string:
		return redact(t)
	case []any:
		for i, e := range t {
			t[i] = redactTexts(e, redact)
		}
	case map[string]any:
		for key, e := range t {
			t[key] = redactTexts(e, redact)
		}
	}
	return value
}

// redactError hides secret values in an error's messages.
func redactError(err error, secrets []string) error {
	if err == nil || len(secrets) == 0 {
		return err
	}
	shown := *model.AsError(err)
	shown.Messages = slices.Clone(shown.Messages)
	for i, m := range shown.Messages {
		shown.Messages[i] = model.Redact(m, secrets)
	}
	return &shown
}
