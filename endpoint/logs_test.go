package endpoint

import (
	"log/slog"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestLinesOfTheLog(t *testing.T) {
	t.Parallel()
	var text logBuffer
	log, ring := keepLog(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log.Debug("unheard")
	log.Info("kept", "n", 7)
	log.With("plugin", "ipmi").Warn("warned", "group", int64(3), "where", "m1")
	log.WithGroup("g").With("a", 1).WithGroup("").Error("failed", "b", "two words")
	log.Info(strings.Repeat("x", 2*maxMessage), "more", strings.Repeat("y", maxMessage))
	got := ring.all()
	if len(got) != 4 {
		t.Fatalf("%d lines", len(got))
	}
	for i, want := range []model.Line{
		{Service: logService, Level: "info", Message: "kept n=7"},
		{Service: "ipmi", Level: "warn", Message: "warned where=m1", Group: 3},
		{Service: logService, Level: "error", Message: "failed g.a=1 g.b=two words"},
	} {
		l := got[i]
		if l.Service != want.Service || l.Level != want.Level || l.Message != want.Message || l.Group != want.Group || l.Seq != int64(i+1) || l.File != "logs_test.go" || l.Time.IsZero() {
			t.Errorf("line %+v, want %+v", l, want)
		}
	}
	if n := len(got[3].Message); n > maxMessage+10 {
		t.Errorf("a message of %d bytes", n)
	}
	if heard := text.String(); strings.Contains(heard, "kept") || !strings.Contains(heard, "warned") || !strings.Contains(heard, "g.b=\"two words\"") {
		t.Errorf("handed on: %s", heard)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	t.Parallel()
	ring := &logRing{}
	told := 0
	publish := func(*model.Line) { told++ }
	ring.publish.Store(&publish)
	for range maxLines + 5 {
		ring.add(&model.Line{Message: "short"})
	}
	if all := ring.all(); len(all) != maxLines || all[0].Seq != 6 || told != maxLines+5 {
		t.Errorf("%d lines from %d, %d told", len(all), all[0].Seq, told)
	}
	for range 2 * maxLineBytes / maxMessage {
		ring.add(&model.Line{Message: strings.Repeat("x", maxMessage)})
	}
	if ring.bytes > maxLineBytes || len(ring.all()) != maxLineBytes/maxMessage {
		t.Errorf("%d bytes in %d lines", ring.bytes, len(ring.all()))
	}
}

func TestLevelWords(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level]string{-8: "debug", slog.LevelDebug: "debug", slog.LevelInfo: "info", slog.LevelWarn: "warn", slog.LevelError: "error", 12: "error"} {
		if got := levelWord(level); got != want {
			t.Errorf("%v: %s, want %s", level, got, want)
		}
	}
}
