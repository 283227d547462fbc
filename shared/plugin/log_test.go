package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/model"
)

// sink takes log lines, or refuses them.
type sink struct {
	mu    sync.Mutex // guards the below
	lines []*model.Line
	err   error
	tries int
}

// post is the queue's way out.
func (s *sink) post(_ context.Context, line *model.Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.err == nil {
		s.lines = append(s.lines, line)
	}
	return s.err
}

// refuse sets the error of every further post, nil for none.
func (s *sink) refuse(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// tried is how often a line was posted.
func (s *sink) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

// texts are the messages that were taken.
func (s *sink) texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, line := range s.lines {
		out = append(out, line.Message)
	}
	return out
}

// logInto returns a handler whose queue ends in s, and what ends it.
func logInto(s *sink) (*lineHandler, *logQueue, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	q := newLogQueue(ctx, "svc", s.post)
	return newLineHandler(q, "svc"), q, func() {
		cancel()
		<-q.done
	}
}

func TestLogQueueKeepsOrderAndFlushes(t *testing.T) {
	s := &sink{}
	h, q, end := logInto(s)
	defer end()
	l := slog.New(h)
	for i := range 100 {
		l.Info(fmt.Sprint("line ", i))
	}
	q.close(t.Context())
	texts := s.texts()
	if len(texts) != 100 || texts[0] != "line 0" || texts[99] != "line 99" {
		t.Errorf("%d lines: %v", len(texts), texts)
	}
	if s.lines[99].Seq != 100 {
		t.Errorf("sequence %d", s.lines[99].Seq)
	}
	l.Info("too late")
	q.close(t.Context())
	if len(s.texts()) != 100 {
		t.Error("a line was taken after close")
	}
}

func TestLogQueueReportsWhatItDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{err: errors.New("refused")}
		h, q, end := logInto(s)
		defer end()
		l := slog.New(h)
		for range maxQueuedLines + 1000 {
			l.Info("lost")
		}
		<-time.After(time.Minute) // of the bubble: the sender backs off
		if n := s.tried(); n > 20 {
			t.Errorf("%d tries in a minute", n)
		}
		s.refuse(nil)
		<-time.After(10 * time.Second)
		q.close(t.Context())
		dropped := int64(0)
		taken := int64(0)
		for _, text := range s.texts() {
			var n int64
			if _, err := fmt.Sscanf(text, "%d log lines were dropped", &n); err == nil {
				dropped += n
			} else {
				taken++
			}
		}
		if taken+dropped != maxQueuedLines+1000 || dropped < 1000 {
			t.Errorf("%d lines taken, %d dropped", taken, dropped)
		}
	})
}

// Long lines count by their length.
func TestLogQueueIsBoundedInBytes(t *testing.T) {
	s := &sink{err: errors.New("refused")}
	h, q, end := logInto(s)
	defer end()
	line := strings.Repeat("x", maxMessage)
	for range 2 * maxQueuedBytes / maxMessage {
		slog.New(h).Info(line)
	}
	q.mu.Lock()
	held := q.bytes
	q.mu.Unlock()
	if held > maxQueuedBytes || held < maxQueuedBytes/2 {
		t.Errorf("%d bytes are held", held)
	}
}

func TestLogQueueGivesUpAtTheEnd(t *testing.T) {
	s := &sink{err: errors.New("refused")}
	h, q, end := logInto(s)
	defer end()
	for range 100 {
		slog.New(h).Info("lost")
	}
	q.close(t.Context())
	if n := s.tried(); n > 2 {
		t.Errorf("%d tries", n)
	}
}

// A log target that is dead, or refuses every line, must cost neither memory
// nor recursion.
func TestDeadLogTarget(t *testing.T) {
	refusing := serverSocket(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, model.Errorf(model.Internal, "no room"))
	})})
	for name, from := range map[string]string{"dead": filepath.Join(shortDir(t), "nobody"), "refusing": refusing} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(r *rig) { r.from = from })
			r.post(t, pathAction, `{"Command":"incrstatus"}`)
			before := heap()
			line := strings.Repeat("x", 1000)
			for range 50_000 {
				r.twin.logger.Info(line)
			}
			if grown := heap() - before; grown > 8<<20 {
				t.Errorf("the heap grew by %d bytes", grown)
			}
			if status, body := r.post(t, pathAction, `{"Command":"incrstatus"}`); status != 200 {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// heap is the live heap.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestLinesAreMaskedAndBounded(t *testing.T) {
	s := &sink{}
	h, q, end := logInto(s)
	defer end()
	values := []string{"config-secret"}
	h.config.Store(&values)
	req := &request{level: slog.LevelDebug}
	secure := func(name string) bool { return name == "x/pin" }
	req.holds(secure, func() []model.Params {
		return []model.Params{{"x/pin": "pin-4711", "nested": map[string]any{"ipmi/password": "hunter22"}}}
	})
	ctx := withRequest(t.Context(), req)
	l := slog.New(h)
	l.InfoContext(ctx, "pin-4711 and hunter22", "note", "config-secret", "token", "short", "s", model.Secret("abc"))
	l.With("api-key", "k").WithGroup("g").Info("grouped", "a", 1, slog.Group("in", "b", 2), "when", time.Unix(0, 0).UTC(), "err", panicky{})
	l.Info(strings.Repeat("é", maxMessage))
	l.Info("", "many", strings.Repeat("x", 3*maxMessage))
	q.close(t.Context())
	texts := s.texts()
	want := []string{
		"****** and ****** note=****** token=****** s=******",
		"grouped api-key=****** g.a=1 g.in.b=2 g.when=1970-01-01T00:00:00Z g.err=%!v(PANIC=Error method: no text)",
	}
	for i, text := range want {
		if texts[i] != text {
			t.Errorf("%q, want %q", texts[i], text)
		}
	}
	for _, text := range texts[2:] {
		if len(text) > maxMessage+3 {
			t.Errorf("a line of %d bytes", len(text))
		}
	}
}

// panicky cannot be printed.
type panicky struct{}

// Error panics.
func (panicky) Error() string { panic("no text") }

func TestLevels(t *testing.T) {
	s := &sink{}
	h, q, end := logInto(s)
	defer end()
	l := slog.New(h)
	quiet := withRequest(t.Context(), &request{group: 7, level: slog.LevelError, quiet: true})
	l.InfoContext(quiet, "hidden")
	l.ErrorContext(quiet, "shown")
	l.Log(t.Context(), slog.LevelDebug-4, "below debug")
	l.Log(withRequest(t.Context(), &request{level: slog.LevelDebug - 4}), slog.LevelDebug-4, "traced")
	l.Log(t.Context(), slog.LevelError+12, "audited")
	q.close(t.Context())
	var got []string
	for _, line := range s.lines {
		got = append(got, fmt.Sprint(line.Level, " ", line.Message, " ", line.Group, " ", line.IgnorePublish))
	}
	want := "[error shown 7 true trace traced 0 false audit audited 0 false]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	for name, want := range map[string]slog.Level{"err": slog.LevelError, "warn": slog.LevelWarn, "trace": -8} {
		if got, ok := levelOf(name); !ok || got != want {
			t.Errorf("%s: %v %v", name, got, ok)
		}
	}
	if _, ok := levelOf("loud"); ok {
		t.Error("loud is a level")
	}
}

func TestRequestLogHeaders(t *testing.T) {
	r := newRig(t)
	r.post(t, pathAction, `{"Command":"increment"}`, "X-Log-Request", "error", "X-Log-Token", "tok1")
	r.post(t, pathAction, `{"Command":"increment"}`, "X-Log-Request", "loud")
	r.host.await(t, "the second request", func() bool {
		for _, line := range r.host.lines {
			if strings.HasPrefix(line.Message, "Invalid requested log level loud") {
				return true
			}
		}
		return false
	})
	log := r.host.messages()
	if !strings.Contains(log, "error Log token: tok1") || strings.Count(log, "Action: increment") > 1 {
		t.Errorf("log:\n%s", log)
	}
}

// Neither what Config gets nor what an action gets may be seen in the log.
func TestSecretsAreNotLogged(t *testing.T) {
	r := newRig(t)
	r.post(t, pathConfig, `{"Name":"x","incrementer/pin":"pin-4711","slack/bot-key":"xoxb-1","plain":"shown","deep":{"password":"hunter22"}}`)
	r.post(t, pathAction, `{"Command":"increment","Params":{"incrementer/pin":"pin-0815"},"Model":{"Params":{"ipmi/password":"hunter23"}}}`)
	r.host.await(t, "the lines", func() bool { return len(r.host.lines) >= 6 })
	log := r.host.messages()
	for _, secret := range []string{"4711", "xoxb", "hunter", "0815"} {
		if strings.Contains(log, secret) {
			t.Errorf("%s is in the log:\n%s", secret, log)
		}
	}
	for _, want := range []string{`"plain":"shown"`, `"incrementer/pin":"******"`, "pin=******"} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in the log:\n%s", want, log)
		}
	}
}

func TestSecureParams(t *testing.T) {
	secure := SecureParams(twinDefinition().Content)
	for name, want := range map[string]bool{"incrementer/pin": true, "incrementer/step": false, "other": false} {
		if secure(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	if SecureParams("{bad")("x") || SecureParams("")("x") {
		t.Error("a bundle that cannot be read declares something")
	}
}
