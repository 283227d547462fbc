package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"provision-plugins/shared/model"
)

// A flood is let through up to its bound, told of once, and counted at its end.
func TestAFloodIsBoundedAndToldOfOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var text logBuffer
		log, lost := slog.New(slog.NewTextHandler(&text, nil)), 0
		f := newFlood("log lines", 100, 1000, func() { lost++ })
		taken := 0
		for range 5000 {
			if f.allow(log) {
				taken++
			}
		}
		if taken != 1000 {
			t.Errorf("%d taken at once", taken)
		}
		for range 100 { // ten seconds at ten times the rate
			<-time.After(100 * time.Millisecond)
			for range 100 {
				if f.allow(log) {
					taken++
				}
			}
		}
		if got := strings.Count(text.String(), "more than 100 log lines a second"); got != 1 || taken > 2000 {
			t.Errorf("told %d times of one flood, %d taken", got, taken)
		}
		<-time.After(time.Minute)
		if !f.allow(log) {
			t.Error("not taken long after the flood")
		}
		want := fmt.Sprintf("%d log lines of a plugin were dropped", 5000+10_000-taken)
		if !strings.Contains(text.String(), want) || !strings.Contains(text.String(), fmt.Sprintf("dropped=%d\n", 15_000-taken)) {
			t.Errorf("no %q in %s", want, text.String())
		}
		f.allow(log)
		if want := 15_000 - taken; lost != want {
			t.Errorf("told of %d that were dropped, want %d", lost, want)
		}
		if got := strings.Count(text.String(), "were dropped"); got != 1 {
			t.Errorf("counted %d times", got)
		}
	})
}

// A plugin that logs and publishes without end costs a bounded number of lines
// and events, and its actions go on.
func TestAPluginThatFloods(t *testing.T) {
	t.Parallel()
	r := start(t, "toy")
	r.machine("m1", nil)
	sub, err := r.e.hub.Subscribe("flood.*.*")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	h := newHandler(r.e.sup.unit("toy"))
	for i := range 2 * lineBurst {
		h.Log(&model.Line{Level: "info", Message: fmt.Sprint("flooding line ", i)})
	}
	for range 2 * eventBurst {
		h.Publish(&model.Event{Type: "flood", Action: "x", Key: "k"})
	}
	text := r.log.String()
	if got := strings.Count(text, "flooding line"); got < lineBurst || got > 2*lineBurst-1 {
		t.Errorf("%d lines logged", got)
	}
	for _, what := range []string{"log lines", "events"} {
		if got := strings.Count(text, what+" a second: those beyond are dropped"); got != 1 {
			t.Errorf("told of %s %d times", what, got)
		}
	}
	if _, err := r.act("m1", "poweron", nil); err != nil {
		t.Error(err)
	}
}

// Who sends what is dropped, without end, is answered more slowly, until its plugin
// is to end; never for long, however many send at once.
func TestAFloodIsHeldBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		limit := rate.NewLimiter(heldRate, heldBurst)
		began := time.Now()
		for range heldBurst {
			hold(ctx, limit)
		}
		if got := time.Since(began); got != 0 {
			t.Errorf("the first %d were held for %s", heldBurst, got)
		}
		for range heldRate {
			hold(ctx, limit)
		}
		if got := time.Since(began).Round(10 * time.Millisecond); got != time.Second {
			t.Errorf("%d more were held for %s", heldRate, got)
		}
		began = time.Now()
		var all sync.WaitGroup
		for range 10 * heldRate {
			all.Go(func() { hold(ctx, limit) })
		}
		all.Wait()
		if got := time.Since(began); got > longestHold {
			t.Errorf("one of many was held for %s", got)
		}
		began = time.Now()
		cancel()
		for range 10 * heldRate {
			hold(ctx, limit)
		}
		if got := time.Since(began); got != 0 {
			t.Errorf("at the end: held for %s", got)
		}
	})
}

// The secrets of a machine are kept out of what plugins log, print and publish, for
// a while after its action too.
func TestAHush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h hush
		end := h.begin([]string{"s3cr3t-1"})
		other := h.begin([]string{"s3cr3t-1", "s3cr3t-2"})
		if got := h.redact("s3cr3t-1 s3cr3t-2"); got != "****** ******" {
			t.Errorf("during: %q", got)
		}
		end()
		other()
		<-time.After(hushFor / 2)
		h.begin(nil)()
		if got := h.redact("s3cr3t-1 s3cr3t-2"); got != "****** ******" {
			t.Errorf("shortly after: %q", got)
		}
		<-time.After(hushFor)
		h.begin(nil)()
		if got := h.redact("s3cr3t-1 s3cr3t-2"); got != "s3cr3t-1 s3cr3t-2" {
			t.Errorf("long after: %q", got)
		}
		<-time.After(2 * hushFor)
		h.begin(nil)
		if len(h.over) != 0 {
			t.Errorf("%d are kept", len(h.over))
		}
	})
}

func TestADiscreetLog(t *testing.T) {
	t.Parallel()
	var text logBuffer
	log := slog.New(&discreet{slog.NewTextHandler(&text, nil), func(s string) string { return strings.ReplaceAll(s, "s3cr3t", model.Masked) }})
	log.With("a", 1).WithGroup("g").Info("it printed s3cr3t", "b", 2)
	if got := text.String(); strings.Contains(got, "s3cr3t") || !strings.Contains(got, model.Masked) || !strings.Contains(got, "a=1 g.b=2") {
		t.Errorf("%s", got)
	}
}
