package driver

import (
	"context"
	"errors"
	"strings"
	"sync"

	"provision-plugins/shared/model"
)

// maxText bounds the text of one error, in bytes. A device's own words may
// stand in it.
const maxText = 2048

// redactor masks the secrets of one target in whatever is about to leave.
type redactor struct {
	// values lists the secrets, found when first needed.
	values func() []string
}

// newRedactor makes the redactor of a target's params, which are not changed from
// then on but for what is no secret.
func newRedactor(params model.Params, secure func(string) bool) redactor {
	return redactor{sync.OnceValue(func() []string { return model.SecretValues(params, secure) })}
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
	if err != nil {
		return v // it cannot be answered either
	}
	if text := string(raw); model.Redact(text, secrets) == text {
		return v
	}
	var plain any
	if model.Unmarshal(raw, &plain) != nil {
		return model.Masked
	}
	return maskIn(plain, secrets)
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
