package endpoint

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"provision-plugins/shared/model"
)

// hushFor is how long after an action its machine's secrets are kept out of
// plugins' lines: some log what they did when it is over.
const hushFor = time.Minute

// hush knows the secrets that plugins were given for actions a short while ago.
// A plugin of the suite masks them itself; others may log whatever they get.
type hush struct {
	set model.SecretSet

	mu   sync.Mutex // guards over
	over []spent    // in the order of their ends
}

// spent are the secrets of an action that is over.
type spent struct {
	values []string
	until  time.Time
}

// begin masks the secrets of an action; the function that it returns is called
// at the action's end.
func (h *hush) begin(values []string) (end func()) {
	now := time.Now()
	h.set.Add(values)
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.over) > 0 && now.After(h.over[0].until) {
		h.set.Drop(h.over[0].values)
		h.over = h.over[1:]
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.over = append(h.over, spent{values, time.Now().Add(hushFor)})
	}
}

// redact masks the secrets in a text.
func (h *hush) redact(text string) string { return h.set.Redact(text) }

// discreet is a log handler that masks secrets in its messages. What a plugin
// process prints goes through it.
type discreet struct {
	slog.Handler
	redact func(string) string
}

// Handle masks a line and hands it on.
func (d *discreet) Handle(ctx context.Context, r slog.Record) error {
	masked := slog.NewRecord(r.Time, r.Level, d.redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		masked.AddAttrs(a)
		return true
	})
	return d.Handler.Handle(ctx, masked)
}

// WithAttrs returns a handler that masks too.
func (d *discreet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &discreet{d.Handler.WithAttrs(attrs), d.redact}
}

// WithGroup returns a handler that masks too.
func (d *discreet) WithGroup(name string) slog.Handler {
	return &discreet{d.Handler.WithGroup(name), d.redact}
}
