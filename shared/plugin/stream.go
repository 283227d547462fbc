package plugin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"provision-plugins/shared/client"
	"provision-plugins/shared/model"
)

// streamTiming holds the durations of the event stream.
type streamTiming struct {
	openLimit  time.Duration // bounds the first opening, while Config waits
	retryLimit time.Duration // bounds each later one
	minWait    time.Duration // before the second try
	maxWait    time.Duration // before each, when many have failed
	patience   time.Duration // how long the stream is held up by slow handlers
}

// defaultStreamTiming is gentle to an endpoint that comes back to many plugins.
func defaultStreamTiming() streamTiming {
	return streamTiming{
		openLimit:  10 * time.Second,
		retryLimit: 30 * time.Second,
		minWait:    500 * time.Millisecond,
		maxWait:    30 * time.Second,
		patience:   10 * time.Second,
	}
}

// eventStream is the plugin's subscription to the endpoint's events. It is
// opened by Config, and opens itself again when it is lost.
type eventStream struct {
	logger *slog.Logger
	timing streamTiming
	pool   *dispatcher

	ending    context.Context // ends with close
	endEnding context.CancelFunc

	mu    sync.Mutex // guards the below; held while the stream is opened
	end   func()     // ends the stream that is open and waits for that; nil where none is
	ended bool       // by close, for good
}

// newEventStream makes a stream that is not open, whose events handle gets.
func newEventStream(logger *slog.Logger, timing streamTiming, handle func(*model.Event)) *eventStream {
	s := &eventStream{logger: logger, timing: timing, pool: newDispatcher(handle, timing.patience)}
	s.ending, s.endEnding = context.WithCancel(context.Background())
	return s
}

// open ends the stream that is open and opens one for the patterns. When it
// returns without an error, what happens from then on will be handled.
func (s *eventStream) open(ctx context.Context, c *client.Client, patterns []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		s.end()
		s.end = nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	sub, err := s.first(ctx, c, patterns)
	if err != nil {
		return err
	}
	if s.ended {
		_ = sub.Close() // nobody reads it
		return model.Errorf(model.Busy, "it is closed: %w", errStopping)
	}
	running, stop := context.WithCancel(s.ending)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.follow(running, &subscription{client: c, patterns: patterns, stream: sub})
	}()
	s.end = func() {
		stop()
		<-done
	}
	return nil
}

// first opens a stream while Config waits. An endpoint that cannot be reached
// is tried again: it may have started the plugin before it is ready itself.
func (s *eventStream) first(ctx context.Context, c *client.Client, patterns []string) (*client.Stream, error) {
	ctx, cancel := within(ctx, s.timing.openLimit)
	defer cancel()
	var last error
	for wait := s.timing.minWait; ; wait = min(2*wait, s.timing.maxWait) {
		sub, err := c.Subscribe(ctx, patterns)
		if err == nil {
			return sub, nil
		}
		if ctx.Err() != nil {
			return nil, cmp.Or(last, err)
		}
		if model.KindOf(err) != model.Unreachable {
			return nil, err
		}
		if last == nil || !timedOut(err) { // a try cut off by the bound says less than the one before
			last = err
		}
		pause(ctx, jittered(wait))
	}
}

// timedOut reports whether a connection failed by its deadline only; that may
// be told a moment before ctx has ended.
func timedOut(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// subscription is one stream and how to open it again.
type subscription struct {
	client   *client.Client
	patterns []string
	stream   *client.Stream
}

// follow reads events until ctx ends, from one stream after the other.
func (s *eventStream) follow(ctx context.Context, sub *subscription) {
	wait := s.timing.minWait
	for {
		began := time.Now()
		err := sub.stream.Each(ctx, func(e *model.Event) error { return s.take(ctx, e) })
		_ = sub.stream.Close() // it is lost already
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > s.timing.maxWait {
			wait = s.timing.minWait
		}
		s.warn("the event stream was lost and is opened again", err)
		lost := time.Now()
		if wait = s.reopen(ctx, sub, wait); ctx.Err() != nil {
			return
		}
		s.logger.LogAttrs(ctx, slog.LevelWarn, "the event stream is back: what happened meanwhile was missed",
			slog.Duration("away", time.Since(lost).Round(time.Millisecond)), quietly())
	}
}

// reopen opens the stream again, however often it takes, and returns how long
// to wait before the next time. It gives up only when ctx ends.
func (s *eventStream) reopen(ctx context.Context, sub *subscription, wait time.Duration) time.Duration {
	told := ""
	for {
		pause(ctx, jittered(wait))
		wait = min(2*wait, s.timing.maxWait)
		bounded, cancel := within(ctx, s.timing.retryLimit)
		stream, err := sub.client.Subscribe(bounded, sub.patterns)
		cancel()
		if err == nil {
			sub.stream = stream
			return wait
		}
		if ctx.Err() != nil {
			return wait
		}
		if text := err.Error(); text != told { // the same reason is told once
			told = text
			s.warn("the event stream cannot be opened", err)
		}
	}
}

// take hands one event on. Its error ends the stream: it is ctx's.
func (s *eventStream) take(ctx context.Context, e *model.Event) error {
	if e.Type == "events" && e.Action == "missed" {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "events were missed: the plugin did not take them in time", slog.String("events", cut(e.Key, 20)), quietly())
		return nil
	}
	if !s.pool.add(ctx, e) && ctx.Err() == nil {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "an event was dropped: too many wait to be handled", slog.String("event", cut(e.Type+"."+e.Action+"."+e.Key, 256)), quietly())
	}
	return context.Cause(ctx)
}

// warn logs what befell the stream.
func (s *eventStream) warn(what string, err error) {
	s.logger.LogAttrs(context.Background(), slog.LevelWarn, what, slog.String("error", oneLine(err.Error(), 300)), quietly())
}

// close ends the stream for good. What it brought is still handled.
func (s *eventStream) close() {
	s.endEnding()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.end != nil {
		s.end()
		s.end = nil
	}
	s.pool.close()
}

// abandon forgets what waits to be handled.
func (s *eventStream) abandon() {
	if n := s.pool.discard(); n > 0 {
		s.logger.LogAttrs(context.Background(), slog.LevelWarn, "events were not handled: the plugin stops", slog.Int("events", n), quietly())
	}
}

// checkPatterns refuses what no endpoint takes for a pattern. An endpoint may
// answer such a one as if all were well.
func checkPatterns(patterns []string) error {
	for _, p := range patterns {
		if len(p) > maxPattern || strings.ContainsAny(p, " \t\r\n") || strings.Count(p, ".") < 2 {
			return model.Errorf(model.Invalid, "cannot select events by %q: want type.action.key", cut(p, 64))
		}
	}
	return nil
}

// maxPattern is the longest pattern that endpoints take.
const maxPattern = 1024

// jittered is d or up to a half less, so that many do not come at once.
func jittered(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// within bounds the opening of a stream.
func within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, model.Errorf(model.Timeout, "the endpoint did not answer within %v", d))
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// selectEvents opens the event stream of a plugin that selects its events.
func (s *server) selectEvents(ctx context.Context, c *client.Client) error {
	selecter, ok := s.program.impl.(EventSelecter)
	if !ok {
		return nil
	}
	if s.program.def.HasPublish {
		return model.Errorf(model.Invalid, "Plugin can NOT have both HasPublish and EventSelector: %s", s.program.def.Name)
	}
	if s.events == nil {
		return model.Errorf(model.Invalid, "Plugin has an EventSelector, but no Publish function: %s", s.program.def.Name)
	}
	patterns := selecter.SelectEvents()
	if err := checkPatterns(patterns); err != nil {
		return err
	}
	if err := s.events.open(ctx, c, patterns); err != nil {
		e := model.Errorf(model.KindOf(err), "Unable to create event stream: %w", err)
		e.Code = http.StatusInternalServerError // as the reference
		return e
	}
	return nil
}

// streamed hands an event of the stream to the implementation, and survives its
// panic. Its lines must not become events, which might come back.
func (s *server) streamed(e *model.Event) {
	req := &request{group: s.group.Add(1), level: s.program.level, quiet: true}
	req.holds(s.program.secure, func() []model.Params { return eventParams(e) })
	ctx := withRequest(s.actions, req)
	defer func() {
		if cause := recover(); cause != nil {
			_ = s.panicked(ctx, "event "+cut(e.Type, 64), cause) // it is logged, and nobody waits for an answer
		}
	}()
	if err := s.program.impl.(Publisher).Publish(ctx, e); err != nil {
		s.logger.LogAttrs(ctx, slog.LevelError, "an event was not handled",
			slog.String("event", cut(e.Type+"."+e.Action+"."+e.Key, 256)), slog.String("error", model.AsError(err).Text()))
	}
}

// eventParams collects every map of an event that may hold secrets.
func eventParams(e *model.Event) (out []model.Params) {
	for _, v := range []any{e.Object, e.Original} {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
