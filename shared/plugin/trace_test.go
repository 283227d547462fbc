package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/model"
)

// The lines of a request that carries a token are all there when its answer is,
// and their group tells them from those of others.
func TestTheLinesOfATracedActionComeBeforeItsAnswer(t *testing.T) {
	rec := newRecorder()
	p := launch(t, LaunchOptions{Handler: rec})
	if err := p.Config(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		token := fmt.Sprint("run-", i)
		ctx := WithTrace(t.Context(), Trace{Token: token, Level: "info"})
		if _, err := p.Action(ctx, &model.Action{Command: "increment", Params: model.Params{"incrementer/step": 1}}); err != nil {
			t.Fatal(err)
		}
		if got := rec.group(LogTokenPrefix + token); !strings.Contains(got, "Action: increment") {
			t.Errorf("%s: the lines of its group are %q", token, got)
		}
	}
}

// group returns the messages of the group in which a line stands.
func (r *recorder) group(message string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	group := int64(-1)
	var out []string
	for _, line := range r.lines {
		if line.Message == message {
			group = line.Group
		}
		if line.Group == group {
			out = append(out, line.Message)
		}
	}
	return strings.Join(out, "\n")
}

// What does not belong in a header is left out; the request is sent all the same.
func TestTraceHeader(t *testing.T) {
	for _, c := range []struct {
		trace Trace
		want  string
	}{
		{Trace{}, ""},
		{Trace{Token: "r1"}, "X-Log-Token: r1\r\n"},
		{Trace{Level: "debug"}, "X-Log-Request: debug\r\n"},
		{Trace{Token: "r1", Level: "info"}, "X-Log-Token: r1\r\nX-Log-Request: info\r\n"},
		{Trace{Token: "a\r\nHost: evil", Level: "tr\u00e4ce"}, ""},
	} {
		if got := traceHeader(WithTrace(t.Context(), c.trace)); got != c.want {
			t.Errorf("%+v: %q, want %q", c.trace, got, c.want)
		}
	}
	if got := traceHeader(t.Context()); got != "" {
		t.Errorf("without a trace: %q", got)
	}
}

// An answer does not wait for a log that nobody takes.
func TestAFlushIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusing, hanging := true, chan struct{}(nil)
		var mu sync.Mutex // guards the two
		var texts []string
		q := newLogQueue(t.Context(), "svc", func(_ context.Context, line *model.Line) error {
			mu.Lock()
			refuse, hang := refusing, hanging
			texts = append(texts, line.Message)
			mu.Unlock()
			if hang != nil {
				<-hang
			}
			if refuse {
				return errors.New("refused")
			}
			return nil
		})
		flushTakes := func(want time.Duration) {
			t.Helper()
			began := time.Now()
			q.flush(t.Context())
			if took := time.Since(began); took != want {
				t.Errorf("a flush took %v, want %v", took, want)
			}
		}
		l := slog.New(newLineHandler(q, "svc"))
		l.Info("first")
		synctest.Wait() // it was refused
		l.Info("second")
		flushTakes(0)
		mu.Lock()
		refusing, hanging = false, make(chan struct{})
		release := hanging
		mu.Unlock()
		<-time.After(time.Minute)
		l.Info("third")
		q.mu.Lock()
		q.failing = false // the endpoint was well, and hangs now
		q.mu.Unlock()
		flushTakes(flushTimeout)
		mu.Lock()
		hanging = nil
		mu.Unlock()
		close(release)
		flushTakes(0)
		if texts[len(texts)-1] != "third" {
			t.Errorf("flushed, and the lines are %v", texts)
		}
		q.close(t.Context())
		flushTakes(0)
	})
}

// Flushes of many at once end, whatever becomes of the lines.
func TestFlushesOfMany(t *testing.T) {
	s := &sink{}
	h, q, end := logInto(s)
	defer end()
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for range 20 {
				text := fmt.Sprint("line of ", i)
				slog.New(h).Info(text)
				if i == 7 {
					s.refuse(errors.New("for a moment"))
					s.refuse(nil)
				}
				q.flush(t.Context())
			}
		})
	}
	wg.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.flushes) != 0 {
		t.Errorf("%d flushes are left", len(q.flushes))
	}
}

// Only what the plugin cannot have seen was never sent; its own errors say
// nothing of the kind, whatever they are called.
func TestOnlyWhatWasNotWrittenWasNeverSent(t *testing.T) {
	seen := fakePlugin(t, func(c net.Conn) { // reads and hangs up
		_, _ = c.Read(make([]byte, 1024))
	})
	answers := fakePlugin(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		body := `{"Type":"unreachable","Messages":["slack is away"],"Code":502}`
		_, _ = fmt.Fprintf(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	event := &model.Event{Type: "a", Action: "b"}
	for name, c := range map[string]struct {
		socket string
		never  bool
	}{"nobody listens": {seen + "x", true}, "lost after it was read": {seen, false}, "its own error": {answers, false}} {
		err := process(c.socket).Publish(t.Context(), event)
		if err == nil || NeverSent(err) != c.never {
			t.Errorf("%s: never sent is %v of %v", name, NeverSent(err), err)
		}
		if kind := model.KindOf(err); kind != model.Unreachable {
			t.Errorf("%s: kind %s", name, kind)
		}
		_, err = process(c.socket).Action(t.Context(), &model.Action{Command: "poweron"})
		if err == nil || NeverSent(err) != c.never {
			t.Errorf("%s: an action was never sent is %v of %v", name, NeverSent(err), err)
		}
	}
	if NeverSent(nil) {
		t.Error("no error says so")
	}
}
