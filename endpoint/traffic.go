package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"provision-plugins/endpoint/loglevel"
	"provision-plugins/shared/model"
)

// maxTraffic bounds how much of a body one line of the log shows.
const maxTraffic = 4 << 10

// traffic logs what goes over the sockets of the API and of plugins, when the
// log's level asks for it, with all that is secret by name masked, and what redact
// knows of values.
type traffic struct {
	log    *slog.Logger
	secure func(name string) bool
	redact func(text string) string
}

// on reports whether anybody wants to see it.
func (t *traffic) on() bool {
	return t != nil && t.log.Enabled(context.Background(), loglevel.Traffic)
}

// show logs one message: what it is, and its body as JSON.
func (t *traffic) show(what, path string, raw []byte, attrs ...any) {
	if !t.on() {
		return
	}
	t.log.Log(context.Background(), loglevel.Traffic, what, append([]any{"path", oneLine(path), "body", t.text(path, raw)}, attrs...)...)
}

// text is a body with its secrets masked. What is not JSON may be anything.
func (t *traffic) text(path string, raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	var body any
	if err := model.Unmarshal(raw, &body); err != nil {
		return fmt.Sprintf("(%d bytes that are not JSON)", len(raw))
	}
	if t.secretPath(path) {
		body = model.Masked
	}
	shown, err := model.Marshal(model.RedactParams(model.Params{"body": t.withoutPatched(body)}, t.secure)["body"])
	if err != nil {
		return fmt.Sprintf("(%d bytes that cannot be shown)", len(raw))
	}
	text := t.redact(string(shown))
	if len(text) > maxTraffic {
		text = strings.ToValidUTF8(text[:maxTraffic], "") + fmt.Sprintf("... (%d bytes)", len(text))
	}
	return text
}

// secretPath reports whether a path names a secret param: then the whole body is
// its value.
func (t *traffic) secretPath(path string) bool {
	_, name, found := strings.Cut(path, "/params/")
	name = strings.NewReplacer("~1", "/", "~0", "~").Replace(strings.Trim(name, "/"))
	return found && (model.SecretName(name) || t.secure(name))
}

// withoutPatched masks the values that a JSON patch has for secrets.
func (t *traffic) withoutPatched(body any) any {
	ops, ok := body.([]any)
	if !ok {
		return body
	}
	for _, op := range ops {
		m, ok := op.(map[string]any)
		path, isPatch := m["path"].(string)
		if ok && isPatch && (t.secretPath(strings.Replace(path, "/Params/", "/params/", 1)) || model.SecretName(path)) {
			if _, has := m["value"]; has {
				m["value"] = model.Masked
			}
		}
	}
	return ops
}

// showRequest logs a request whose body was read.
func (a *api) showRequest(r *http.Request, raw []byte) {
	a.traffic.show("request", r.URL.Path, raw, "method", r.Method, "from", principal(r.Context()))
}

// showReply logs a reply.
func (a *api) showReply(r *http.Request, status int, raw []byte) {
	a.traffic.show("reply", r.URL.Path, raw, "method", r.Method, "status", status)
}

// asSent is a value as it goes over a socket.
func asSent(v any) []byte {
	raw, err := model.Marshal(v)
	if err != nil { // then it is not sent either, and that is told
		return nil
	}
	return raw
}
