package plugin

import (
	"bufio"
	"log/slog"
	"strings"
	"testing"

	"provision-plugins/shared/model"
)

func TestOneLineAndCut(t *testing.T) {
	for in, want := range map[string]string{
		"plain":            "plain",
		" a\n\tb\x00c\x7f": "a b c",
		"\xffx":            "?x",
		"123456789012":     "1234567890...",
		"12345678é":        "12345678é",
		"123456789é":       "123456789...",
	} {
		if got := oneLine(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestComplaint(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"a\nb\n\n":                             "b",
		"x\nError: no\nmore":                   "Error: no",
		"panic: nil\n\ngoroutine 1 [running]:": "panic: nil",
	} {
		if got := complaint(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestNestedErrors(t *testing.T) {
	e := model.Errorf(model.Busy, "cannot").On("plugin", "x")
	back := unnested(nested(e))
	if back.Text() != "cannot" || back.Kind() != model.Busy || back.Key != "x" {
		t.Errorf("%+v", back)
	}
	for _, text := range []string{"", "plain", "{bad", `{"a":1}`} {
		e := &model.Error{Messages: []string{text}, Code: 500}
		if got := unnested(e); got != e {
			t.Errorf("%q became %+v", text, got)
		}
	}
}

func TestValidStatus(t *testing.T) {
	for code, want := range map[int]int{0: 500, 200: 500, 404: 404, 599: 599, 600: 500, -1: 500} {
		if got := validStatus(&model.Error{Code: code}).Code; got != want {
			t.Errorf("%d: %d, want %d", code, got, want)
		}
	}
	if got := validStatus(&model.Error{Type: "busy"}).Code; got != 429 {
		t.Errorf("busy: %d", got)
	}
}

// What a plugin prints is bounded in length and rate.
func TestPrintedIsBounded(t *testing.T) {
	var log strings.Builder
	p := newPrinted(slog.New(slog.NewTextHandler(&log, nil)))
	text := "before\nREADY!\n" + strings.Repeat("x", 3*maxPrinted) + "\n" + strings.Repeat("line\n", 10*printBurst) + "last"
	p.follow(strings.NewReader(text), slog.LevelInfo, true)
	select {
	case <-p.ready:
	default:
		t.Error("READY was not seen")
	}
	if n := strings.Count(log.String(), "\n"); n > 2*printBurst {
		t.Errorf("%d lines were logged", n)
	}
	if strings.Contains(log.String(), readyLine) || strings.Contains(log.String(), strings.Repeat("x", maxPrinted+10)) {
		t.Error("READY or an uncut line was logged")
	}
	if got := p.why(); got != ": last" {
		t.Errorf("explanation %q", got)
	}
	if p.dropped.Load() == 0 {
		t.Error("nothing was counted as dropped")
	}
}

func TestReadLineSkipsTheRest(t *testing.T) {
	r := bufio.NewReaderSize(strings.NewReader(strings.Repeat("a", 100)+"\nb\n"), 16)
	first, _ := readLine(r)
	second, err := readLine(r)
	if first != strings.Repeat("a", 16) || second != "b" || err != nil {
		t.Errorf("%q %q %v", first, second, err)
	}
}

func TestQuietHandler(t *testing.T) {
	var log strings.Builder
	h := quietHandler{slog.New(slog.NewTextHandler(&log, nil))}
	h.Publish(&model.Event{})
	h.Log(&model.Line{Level: "error", Message: "two\nlines", Service: "svc"})
	if !strings.Contains(log.String(), `level=ERROR msg="two lines" service=svc`) {
		t.Errorf("log %s", log.String())
	}
}
