// Package loglevel is the levels of the endpoint's log, by number as `--log` takes
// them and by name as the API does.
package loglevel

import (
	"log/slog"
	"strconv"
	"strings"

	"provision-plugins/shared/model"
)

// Traffic is the level of the lines that show what goes over the sockets of the
// API and of the plugins, secrets masked.
const Traffic = slog.LevelDebug - 4

// levels are all, the least first; a level's number is its place.
var levels = [...]struct {
	name  string
	level slog.Level
}{
	{"off", slog.LevelError + 100},
	{"error", slog.LevelError},
	{"warn", slog.LevelWarn},
	{"info", slog.LevelInfo},
	{"debug", slog.LevelDebug},
	{"traffic", Traffic},
}

// Parse reads a level's name or number.
func Parse(text string) (slog.Level, error) {
	names := make([]string, len(levels))
	for i, l := range levels {
		if text == l.name || text == strconv.Itoa(i) {
			return l.level, nil
		}
		names[i] = l.name
	}
	return 0, model.Errorf(model.Invalid, "cannot set the log level to %.20q: want one of %s, or 0..%d", text, strings.Join(names, ", "), len(levels)-1)
}

// Name is a level's name: of the least that shows no more than it does.
func Name(level slog.Level) string {
	for _, l := range levels {
		if level >= l.level {
			return l.name
		}
	}
	return levels[len(levels)-1].name
}
