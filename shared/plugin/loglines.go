package plugin

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"provision-plugins/shared/model"
)

// maxMessage is the longest message of a log line, in bytes.
const maxMessage = 8 << 10

// lineHandler is the slog.Handler whose lines go to the endpoint.
type lineHandler struct {
	queue   *logQueue
	service string
	// config holds the secret values of the plugin's own params.
	config *atomic.Pointer[[]string]
	level  slog.Level // of lines that belong to no request
	prefix string     // of attribute names, from WithGroup
	attrs  string     // from WithAttrs, ready to append
}

// newLineHandler makes the handler of a plugin's log.
func newLineHandler(queue *logQueue, service string) *lineHandler {
	return &lineHandler{queue: queue, service: service, config: &atomic.Pointer[[]string]{}, level: slog.LevelDebug}
}

// Enabled compares with the request's level, the plugin's where there is none.
func (h *lineHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if req := requestOf(ctx); req != nil {
		return level >= req.level
	}
	return level >= h.level
}

// Handle queues the line. It never waits for the endpoint.
func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	var text strings.Builder
	text.WriteString(r.Message)
	text.WriteString(h.attrs)
	quiet := false
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == quietKey {
			quiet = true
			return true
		}
		appendAttr(&text, h.prefix, a)
		return text.Len() < maxMessage
	})
	line := &model.Line{
		Time:          r.Time,
		Service:       h.service,
		Level:         levelName(r.Level),
		Message:       text.String(),
		Data:          []any{},
		IgnorePublish: quiet,
	}
	if r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		line.File, line.Line = frame.File, frame.Line
	}
	req := requestOf(ctx)
	if req != nil {
		line.Group = req.group
		line.IgnorePublish = quiet || req.quiet
	}
	line.Message = cut(h.mask(line.Message, req), maxMessage)
	h.queue.add(line)
	return nil
}

// mask masks the secrets of the config and of the request.
func (h *lineHandler) mask(text string, req *request) string {
	if values := h.config.Load(); values != nil {
		text = model.Redact(text, *values)
	}
	return model.Redact(text, req.secrets())
}

// WithAttrs returns a handler whose lines carry attrs.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var text strings.Builder
	text.WriteString(h.attrs)
	for _, a := range attrs {
		appendAttr(&text, h.prefix, a)
	}
	out := *h
	out.attrs = cut(text.String(), maxMessage)
	return &out
}

// WithGroup returns a handler that puts name before attribute names.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	out := *h
	out.prefix += name + "."
	return &out
}

// quietKey is the attribute of a line that must not become an event. It is not
// shown.
const quietKey = "!quiet"

// quietly is the attribute itself.
func quietly() slog.Attr { return slog.Bool(quietKey, true) }

// appendAttr writes " name=value". The value of a name that is taken for a
// secret is masked.
func appendAttr(b *strings.Builder, prefix string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range value.Group() {
			appendAttr(b, prefix, inner)
		}
		return
	}
	if a.Equal(slog.Attr{}) {
		return
	}
	text := attrText(value)
	if model.SecretName(a.Key) {
		text = model.Masked
	}
	b.WriteString(" " + prefix + a.Key + "=" + text)
}

// attrText renders a value. Values that panic when they are printed are fmt's
// business.
func attrText(v slog.Value) string {
	if v.Kind() == slog.KindTime {
		return v.Time().Format(time.RFC3339Nano)
	}
	return v.String()
}
