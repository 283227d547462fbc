package plugin

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// levelNames are the protocol's log levels, as X-Log-Request and Line.Level
// spell them. The ones slog lacks stand between and above its own.
var levelNames = []struct {
	name  string
	level slog.Level
}{
	{"trace", slog.LevelDebug - 4},
	{"debug", slog.LevelDebug},
	{"info", slog.LevelInfo},
	{"warn", slog.LevelWarn},
	{"error", slog.LevelError},
	{"fatal", slog.LevelError + 4},
	{"panic", slog.LevelError + 8},
	{"audit", slog.LevelError + 12},
}

// levelName is the protocol's name of a level: the highest not above it.
func levelName(level slog.Level) string {
	name := levelNames[0].name
	for _, row := range levelNames {
		if level >= row.level {
			name = row.name
		}
	}
	return name
}

// levelOf reads a level's name; err is short for error.
func levelOf(name string) (slog.Level, bool) {
	if name == "err" {
		name = "error"
	}
	for _, row := range levelNames {
		if row.name == name {
			return row.level, true
		}
	}
	return slog.LevelDebug, false
}

// levelList is all levels, for people.
func levelList() string {
	names := make([]string, len(levelNames))
	for i, row := range levelNames {
		names[i] = row.name
	}
	return strings.Join(names, ", ")
}

// addLogFlag adds --log. Without it the environment tells, else all is logged
// from debug up, as by the reference.
func (p *program) addLogFlag(flags *pflag.FlagSet) {
	if level, ok := levelOf(strings.ToLower(os.Getenv(EnvLog))); ok {
		p.level = level
	}
	flags.Var((*levelFlag)(&p.level), "log", "log from this `level` up: "+levelList())
}

// levelFlag is a level as a flag's value.
type levelFlag slog.Level

// String is the level's name.
func (l *levelFlag) String() string { return levelName(slog.Level(*l)) }

// Set reads a level's name.
func (l *levelFlag) Set(text string) error {
	level, ok := levelOf(strings.ToLower(text))
	if !ok {
		return fmt.Errorf("no such level; the levels are %s", levelList())
	}
	*l = levelFlag(level)
	return nil
}

// Type names the kind of value in usage texts.
func (*levelFlag) Type() string { return "level" }
