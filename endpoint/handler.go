package endpoint

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/model"
	"provision-plugins/shared/plugin"
)

const (
	// maxLine bounds one log line of a plugin.
	maxLine = 4 << 10
	// maxPluginEvent bounds the object of an event that a plugin publishes.
	maxPluginEvent = 256 << 10
)

// handler takes what one process of a plugin sends of its own accord.
type handler struct {
	unit *unit
	log  *slog.Logger

	mu     sync.Mutex // guards groups
	groups map[int64]*tail
}

// newHandler makes the handler of a process.
func newHandler(u *unit) *handler {
	return &handler{unit: u, log: u.sup.log.With("plugin", u.name), groups: map[int64]*tail{}}
}

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

// Log writes a plugin's line to the endpoint's log, and to that of the run that
// it is about.
func (h *handler) Log(line *model.Line) {
	text := strings.TrimRight(line.Message, "\n")
	if run, ok := strings.CutPrefix(text, plugin.LogTokenPrefix); ok && h.tie(line.Group, run) {
		return
	}
	h.mu.Lock()
	l := h.groups[line.Group]
	h.mu.Unlock()
	logged, kept := h.unit.lines.allow(h.log), l != nil && h.unit.runLines.allow(h.log)
	if !logged && !kept {
		hold(h.unit.ctx, h.unit.held)
		return
	}
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "..."
	}
	text = h.unit.redact(text)
	if kept {
		l.add(logLine(line, text))
	}
	if logged {
		h.log.Log(context.Background(), logLevel(line.Level), text, "group", line.Group)
	}
}

// tie has the lines of a group kept with a run that this plugin is at. It
// reports whether there is one.
func (h *handler) tie(group int64, run string) bool {
	l := h.unit.sup.tails.get(run)
	if l == nil || l.plugin != h.unit.name {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.groups[group] == l {
		return true
	}
	tied := l.tie(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.groups[group] == l {
			delete(h.groups, group)
		}
	})
	if tied {
		h.groups[group] = l
	}
	return tied
}

// Publish hands a plugin's event to everybody, under the plugin's name.
func (h *handler) Publish(e *model.Event) {
	if !h.unit.events.allow(h.log) {
		return
	}
	object, err := model.Marshal(redactTexts(redactObject(e.Object, h.unit.sup.cat.secure), h.unit.redact))
	if err != nil || len(object) > maxPluginEvent || e.Type == "" || e.Type == "websocket" {
		h.unit.sup.log.Warn("event of a plugin dropped: it is too large, or of no or a reserved Type",
			"plugin", h.unit.name, "type", e.Type, "bytes", len(object))
		return
	}
	h.unit.sup.hub.Publish(&model.Event{
		Time: time.Now(), Type: e.Type, Action: e.Action, Key: e.Key,
		Principal: "plugin:" + h.unit.name,
		Object:    json.RawMessage(object),
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
	text := h.unit.redact(reason.Text())
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
