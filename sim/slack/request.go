package slack

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxBody bounds the body of a call, maxArguments how many it may have.
const (
	maxBody      = 1 << 20
	maxArguments = 100
)

// errArguments tells that a call's arguments cannot be read.
var errArguments = errors.New("arguments cannot be read")

// readForm reads the arguments of a call from its bounded body, be it a form or a
// JSON object; the query counts too, as on Slack.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // an odd one is no JSON
	if kind == "application/json" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		return readObject(body)
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	if kind == "multipart/form-data" {
		if err := r.ParseMultipartForm(maxBody); err != nil {
			return nil, err
		}
	}
	if len(r.Form) > maxArguments {
		return nil, errArguments
	}
	return r.Form, nil
}

// readObject reads arguments out of a JSON object: strings as they are, anything
// else as its JSON, as it stands in a form. An empty body has none.
func readObject(body []byte) (url.Values, error) {
	form := url.Values{}
	if len(strings.TrimSpace(string(body))) == 0 {
		return form, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, err
	}
	if len(members) > maxArguments {
		return nil, errArguments
	}
	for name, raw := range members {
		var text string
		if string(raw) == "null" {
			continue
		}
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		form.Set(name, text)
	}
	return form, nil
}

// yes tells whether an argument is a true boolean.
func yes(form url.Values, name string) bool {
	return form.Get(name) == "1" || form.Get(name) == "true"
}
