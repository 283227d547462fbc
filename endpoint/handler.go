package endpoint

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

const (
	// maxLine bounds one log line of a plugin.
	maxLine = 4 << 10
	// maxPluginEvent bounds the object of an event that a plugin publishes.
	maxPluginEvent = 256 << 10
)

// handler takes what a plugin sends of its own accord.
type handler struct{ unit *unit }

// logLevel translates the reference's levels.
func logLevel(word string) slog.Level {
	switch word {
	case "info", "audit":
		return slog.LevelInfo
	case "warn":
		return slog.LevelWarn
	case "error", "fatal", "panic":
		return slog.LevelError
	}
	return slog.LevelDebug
}

// Log writes a plugin's line to the endpoint's log.
func (h *handler) Log(line *model.Line) {
	text := strings.TrimRight(line.Message, "\n")
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "..."
	}
	text = model.Redact(text, h.unit.secretValues())
	h.unit.sup.log.Log(context.Background(), logLevel(line.Level), text, "plugin", h.unit.name, "group", line.Group)
}

// Publish hands a plugin's event to everybody, under the plugin's name.
func (h *handler) Publish(e *model.Event) {
	object, err := model.Marshal(redactObject(e.Object, h.unit.sup.cat.secure))
	if err != nil || len(object) > maxPluginEvent || e.Type == "" || e.Type == "websocket" {
		h.unit.sup.log.Warn("event of a plugin dropped: it is too large, or of no or a reserved Type",
			"plugin", h.unit.name, "type", e.Type, "bytes", len(object))
		return
	}
	h.unit.sup.hub.Publish(&model.Event{
		Time: time.Now(), Type: e.Type, Action: e.Action, Key: e.Key,
		Principal: "plugin:" + h.unit.name,
		Object:    redactJSON(object, h.unit.secretValues()),
	})
}

// redactObject masks the secrets in the Params of a decoded object.
func redactObject(object any, secure func(string) bool) any {
	m, ok := object.(map[string]any)
	if !ok {
		return object
	}
	if params, ok := m["Params"].(map[string]any); ok {
		m["Params"] = model.RedactParams(params, secure)
	}
	return m
}

// Leaving notes why a plugin ends on purpose.
func (h *handler) Leaving(reason *model.Error) {
	text := model.Redact(reason.Text(), h.unit.secretValues())
	h.unit.sup.log.Warn("plugin leaves", "plugin", h.unit.name, "reason", text)
}

// Objects lists the objects of a prefix, secrets masked.
func (h *handler) Objects(_ context.Context, prefix string) ([]json.RawMessage, error) {
	k := h.unit.sup.objects.kinds.get(prefix)
	if k == nil {
		return nil, notFound(prefix, "")
	}
	return h.unit.sup.objects.all(k)
}
