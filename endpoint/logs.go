package endpoint

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"provision-plugins/shared/model"
)

// The bounds of the log that is kept in memory.
const (
	maxLines     = 10_000
	maxLineBytes = 8 << 20 // of all lines together
	maxMessage   = 8 << 10 // of one
)

// logService names the endpoint in its own lines.
const logService = "oob"

// logRing keeps the newest lines of the endpoint and of its plugins.
type logRing struct {
	// publish is told of each line; nil: nobody listens yet.
	publish atomic.Pointer[func(*model.Line)]
	level   slog.LevelVar // of the least lines that are kept

	mu    sync.Mutex // guards all below
	lines []*model.Line
	bytes int
	seq   int64
}

// add keeps a line and drops the oldest ones.
func (l *logRing) add(line *model.Line) {
	l.mu.Lock()
	l.seq++
	line.Seq = l.seq
	l.lines = append(l.lines, line)
	l.bytes += len(line.Message)
	for len(l.lines) > maxLines || l.bytes > maxLineBytes {
		l.bytes -= len(l.lines[0].Message)
		l.lines[0] = nil // what is behind the slice must not hold it
		l.lines = l.lines[1:]
	}
	l.mu.Unlock()
	if fn := l.publish.Load(); fn != nil {
		(*fn)(line)
	}
}

// all returns the lines, the oldest first.
func (l *logRing) all() []*model.Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*model.Line{}, l.lines...)
}

// logTee is a log handler that keeps what it hands on.
type logTee struct {
	next  slog.Handler
	ring  *logRing
	attrs []slog.Attr
	group string // of the attributes to come
}

// Enabled reports whether a line goes anywhere: lines from the ring's level on
// are kept even when nobody else wants them.
func (t *logTee) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= t.ring.level.Level() || t.next.Enabled(ctx, level)
}

// Handle keeps a line and hands it on.
func (t *logTee) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= t.ring.level.Level() {
		t.ring.add(t.line(r))
	}
	if !t.next.Enabled(ctx, r.Level) {
		return nil
	}
	return t.next.Handle(ctx, r)
}

// WithAttrs returns a handler whose lines have more attributes.
func (t *logTee) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *t
	out.next = t.next.WithAttrs(attrs)
	out.attrs = append([]slog.Attr{}, t.attrs...)
	for _, a := range attrs {
		a.Key = t.group + a.Key
		out.attrs = append(out.attrs, a)
	}
	return &out
}

// WithGroup returns a handler whose further attributes are of a group.
func (t *logTee) WithGroup(name string) slog.Handler {
	out := *t
	out.next = t.next.WithGroup(name)
	if name != "" {
		out.group = t.group + name + "."
	}
	return &out
}

// line writes a record as clients of the reference know it: the attributes are
// part of the message, but for those that have a field of their own.
func (t *logTee) line(r slog.Record) *model.Line {
	line := &model.Line{Time: r.Time, Service: logService, Level: levelWord(r.Level), Data: []any{}}
	if r.PC != 0 {
		frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
		line.File, line.Line = frame.File[strings.LastIndexByte(frame.File, '/')+1:], frame.Line
	}
	var text strings.Builder
	text.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		switch {
		case a.Key == "plugin":
			line.Service = a.Value.String()
		case a.Key == "group" && a.Value.Kind() == slog.KindInt64:
			line.Group = a.Value.Int64()
		case text.Len() < maxMessage:
			text.WriteString(" " + a.Key + "=" + a.Value.Resolve().String())
		}
		return true
	}
	for _, a := range t.attrs {
		add(a)
	}
	r.Attrs(func(a slog.Attr) bool {
		a.Key = t.group + a.Key
		return add(a)
	})
	line.Message = text.String()
	if len(line.Message) > maxMessage {
		line.Message = strings.ToValidUTF8(line.Message[:maxMessage], "") + "..."
	}
	return line
}

// levelWord is the reference's word for a level.
func levelWord(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

// keepLog has the lines of a logger kept in a ring.
func keepLog(log *slog.Logger) (*slog.Logger, *logRing) {
	ring := &logRing{}
	return slog.New(&logTee{next: log.Handler(), ring: ring}), ring
}

// publishLog tells those who have asked for log events of each line.
func (e *Endpoint) publishLog() {
	publish := func(line *model.Line) {
		e.hub.PublishNamed(&model.Event{
			Time: line.Time, Type: "log", Action: line.Level, Key: line.Service, Principal: "system", Object: line,
		})
	}
	e.ring.publish.Store(&publish)
}
