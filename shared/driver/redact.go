package driver

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"provision-plugins/shared/model"
)

// maxText bounds the text of one error, in bytes. A device's own words may
// stand in it.
const maxText = 2048

// redactor masks the secrets of one target in whatever is about to leave.
type redactor struct {
	params model.Params
	secure func(string) bool
}

// values lists the secrets in each form in which a library might quote them.
func (r redactor) values() []string {
	var out []string
	for _, v := range model.SecretValues(r.params, r.secure) {
		out = append(out, v)
		quoted := strconv.Quote(v)
		for _, form := range []string{
			quoted[1 : len(quoted)-1], url.QueryEscape(v), url.PathEscape(v),
			base64.StdEncoding.EncodeToString([]byte(v)),
		} {
			if form != v {
				out = append(out, form)
			}
		}
	}
	return out
}

// text masks the secrets in a text, in one line of bounded length.
func (r redactor) text(s string) string {
	s = model.Redact(s, r.values())
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return s
}

// value masks the secrets in a result. A result without any stays as it is.
func (r redactor) value(v any) any {
	secrets := r.values()
	if len(secrets) == 0 {
		return v
	}
	if res, ok := v.(model.Result); ok {
		res.Raw = model.Redact(res.Raw, secrets)
		res.Evidence = model.Redact(res.Evidence, secrets)
		res.Note = model.Redact(res.Note, secrets)
		return res
	}
	raw, err := model.Marshal(v)
	if err != nil || !containsAny(raw, secrets) {
		return v
	}
	var plain any
	if model.Unmarshal(raw, &plain) != nil {
		return v
	}
	return maskIn(plain, secrets)
}

// containsAny reports whether one of the values, in its JSON form, stands in raw.
func containsAny(raw []byte, values []string) bool {
	for _, v := range values {
		form, err := model.Marshal(v)
		if err == nil && len(v) > 0 && bytes.Contains(raw, form[1:len(form)-1]) {
			return true
		}
	}
	return false
}

// maskIn masks the values in the strings of a decoded JSON value.
func maskIn(v any, values []string) any {
	switch t := v.(type) {
	case string:
		return model.Redact(t, values)
	case []any:
		for i, e := range t {
			t[i] = maskIn(e, values)
		}
	case map[string]any:
		for k, e := range t {
			t[k] = maskIn(e, values)
		}
	}
	return v
}

// textOf returns an error's text without the kind in front, and the end of a
// context in plain words.
func textOf(err error) string {
	var e *model.Error
	if errors.As(err, &e) {
		return strings.Replace(err.Error(), e.Error(), e.Text(), 1)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return "no answer in time"
	}
	return err.Error()
}
