package slack

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

func TestEvents(t *testing.T) {
	s, call := start(t, Options{AckTimeout: patience})
	a, _ := join(t, opened(t, call))
	got := make(chan answered, 1)
	go func() {
		r, err := s.Event(t.Context(), map[string]any{"type": "app_mention", "text": "hello"})
		got <- answered{r, err}
	}()
	e := a.take()
	var p struct {
		Type  string
		Event struct{ Type, Text string }
	}
	if err := json.Unmarshal(e.Payload, &p); err != nil || e.Type != "events_api" || p.Type != "event_callback" || p.Event.Type != "app_mention" || p.Event.Text != "hello" {
		t.Errorf("sent %+v, %v", e, err)
	}
	a.ack(e.ID, nil)
	if r := <-got; r.err != nil || r.reply.Error != "" || r.reply.Envelope != e.ID {
		t.Errorf("replied %+v, %v", r.reply, r.err)
	}
}

// TestEventsComeAgain leaves events without an acknowledgement.
func TestEventsComeAgain(t *testing.T) {
	s, call := start(t, Options{AckTimeout: time.Millisecond})
	a, _ := join(t, opened(t, call))
	r, err := s.Event(t.Context(), map[string]any{"type": "x"})
	if err != nil || r.Error != NoAck {
		t.Errorf("replied %+v, %v", r, err)
	}
	for n, e := range s.Envelopes() {
		if e.Attempt != n || a.take().ID != e.ID {
			t.Errorf("attempt %d: %+v", n, e)
		}
	}
	if n := len(s.Envelopes()); n != 1+maxRetries {
		t.Errorf("sent %d times", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.opts.AckTimeout = patience
	if _, err := s.Event(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone: %v", err)
	}
}
