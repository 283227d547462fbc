package loglevel

import (
	"log/slog"
	"strconv"
	"testing"

	"provision-plugins/shared/model"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	for i, name := range []string{"off", "error", "warn", "info", "debug", "traffic"} {
		byName, err := Parse(name)
		if err != nil {
			t.Error(err)
		}
		byNumber, err := Parse(strconv.Itoa(i))
		if err != nil || byName != byNumber || Name(byName) != name {
			t.Errorf("%s: %v, %d: %v, %v; named %s", name, byName, i, byNumber, err, Name(byName))
		}
	}
	if l, _ := Parse("off"); l <= slog.LevelError {
		t.Error("off shows errors")
	}
	for level, want := range map[slog.Level]string{slog.LevelInfo + 1: "info", Traffic - 10: "traffic", slog.LevelDebug - 1: "traffic", slog.LevelError + 4: "error"} {
		if got := Name(level); got != want {
			t.Errorf("%v is %s, want %s", level, got, want)
		}
	}
	for _, bad := range []string{"", "6", "-1", "Info", "03", "trace me"} {
		if _, err := Parse(bad); model.KindOf(err) != model.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
