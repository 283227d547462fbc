package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"provision-plugins/shared/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func event(typ, action, key string) *model.Event {
	return &model.Event{Type: typ, Action: action, Key: key}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		event   *model.Event
		want    bool
	}{
		{"machines.create.*", event("machines", "create", "u1"), true},
		{"machines.create.*", event("machines", "delete", "u1"), false},
		{"*.*.*", event("runs", "update", "r"), true},
		{"machines.create,delete.*", event("machines", "delete", "u1"), true},
		{"machines.create,delete.*", event("machines", "update", "u1"), false},
		{"machines.create.*,plugins.*.*", event("plugins", "fault", "ipmi"), true},
		{"machines.create.*,plugins.*.*", event("runs", "create", "r"), false},
		{"profiles.save.a,b", event("profiles", "save", "b"), true},
		{`profiles.save.m1\1local`, event("profiles", "save", "m1.local"), true},
		{`profiles.save.a\2b\3c`, event("profiles", "save", "a,b*c"), true},
		{"profiles.save.*,x", event("profiles", "save", "anything"), true},
	} {
		list, err := ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		got := false
		for _, p := range list {
			got = got || p.Match(c.event)
		}
		if got != c.want {
			t.Errorf("%s on %s.%s.%s: %v, want %v", c.pattern, c.event.Type, c.event.Action, c.event.Key, got, c.want)
		}
	}
}

func TestPatternsRefused(t *testing.T) {
	for _, text := range []string{"", "machines", "machines.create", "a.b.c.d", "a.b.c,d.e", strings.Repeat("x", MaxPattern+1)} {
		if _, err := ParsePattern(text); model.KindOf(err) != model.Invalid {
			t.Errorf("%.20q: error %v, want invalid", text, err)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"a.b.c", "*.*.*", `x.y.\1\2\3`, "a.b.c,d.e.f", ",.,.,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParsePattern(text)
		if err == nil && len(list) == 0 {
			t.Fatal("no pattern and no error")
		}
		for _, p := range list {
			p.Match(event("a", "b", "c"))
		}
	})
}

func TestOrderIsTheSameForAll(t *testing.T) {
	h := New(Options{})
	defer h.Close()
	var subs []*Subscription
	for range 4 {
		s, err := h.Subscribe("t.*.*")
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, s)
	}
	const n = 200
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range n / 4 {
				h.Publish(event("t", "a", fmt.Sprint(w, "-", i)))
			}
		})
	}
	wg.Wait()
	var first []string
	for i, s := range subs {
		var got []string
		for range n {
			e, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Key)
		}
		if i == 0 {
			first = got
		} else if strings.Join(got, " ") != strings.Join(first, " ") {
			t.Errorf("subscriber %d saw another order", i)
		}
	}
}

func TestASlowSubscriberIsToldOfTheGap(t *testing.T) {
	h := New(Options{Queue: 3})
	defer h.Close()
	slow, _ := h.Subscribe("*.*.*")
	quick, _ := h.Subscribe("*.*.*")
	for i := range 10 {
		h.Publish(event("t", "a", fmt.Sprint(i)))
		if e, err := quick.Next(t.Context()); err != nil || e.Key != fmt.Sprint(i) {
			t.Fatalf("the quick one got %v, %v", e, err)
		}
	}
	for i := range 3 {
		if e, _ := slow.Next(t.Context()); e.Key != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", e.Key, i)
		}
	}
	e, _ := slow.Next(t.Context())
	if e.Type == "websocket" || e.Action != "missed" || e.Key != "7" {
		t.Fatalf("got %s.%s.%s, want a notice of 7", e.Type, e.Action, e.Key)
	}
	h.Publish(event("t", "a", "10"))
	if e, _ := slow.Next(t.Context()); e.Key != "10" {
		t.Fatalf("got %s after the gap, want 10", e.Key)
	}
}

// TestLargeEventsAreBoundedByTheirBytes has events that are few and large.
func TestLargeEventsAreBoundedByTheirBytes(t *testing.T) {
	h := New(Options{RecentBytes: 3_000, QueueBytes: 3_000})
	defer h.Close()
	s, _ := h.Subscribe("*.*.*")
	publish := func(key string, n int) {
		e := event("t", "a", key)
		e.Object = json.RawMessage(`"` + strings.Repeat("x", n/2) + `"`)
		e.Original = json.RawMessage(`"` + strings.Repeat("x", n/2) + `"`)
		h.Publish(e)
	}
	for i := range 5 {
		publish(fmt.Sprint(i), 1_000)
	}
	if recent := h.Recent(0); len(recent) != 2 || recent[1].Key != "4" {
		t.Errorf("%d recent events, want the last 2", len(recent))
	}
	var got []string
	for range 3 {
		e, _ := s.Next(t.Context())
		got = append(got, e.Action+e.Key)
	}
	publish("huge", 10_000) // a reader that keeps up misses nothing
	e, _ := s.Next(t.Context())
	if want := "a0 a1 missed3 ahuge"; strings.Join(append(got, e.Action+e.Key), " ") != want {
		t.Errorf("got %v and %s, want %s", got, e.Key, want)
	}
}

func TestTheGapStandsWhereItWas(t *testing.T) {
	h := New(Options{Queue: 2})
	defer h.Close()
	s, _ := h.Subscribe("*.*.*")
	for i := range 3 {
		h.Publish(event("t", "a", fmt.Sprint(i)))
	}
	_, _ = s.Next(t.Context())
	h.Publish(event("t", "a", "3"))
	var got []string
	for range 3 {
		e, _ := s.Next(t.Context())
		got = append(got, e.Action+e.Key)
	}
	if want := "a1 missed1 a3"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestRegisterAndDeregister(t *testing.T) {
	h := New(Options{})
	defer h.Close()
	s, _ := h.Subscribe()
	h.Publish(event("a", "b", "unseen"))
	if err := s.Register("a.b.*"); err != nil {
		t.Fatal(err)
	}
	h.Publish(event("a", "b", "seen"))
	if err := s.Deregister("a.b.*"); err != nil {
		t.Fatal(err)
	}
	h.Publish(event("a", "b", "unseen"))
	s.Close()
	if e, err := s.Next(t.Context()); err != nil || e.Key != "seen" {
		t.Errorf("got %v, %v", e, err)
	}
	if _, err := s.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	if _, err := h.Subscribe("bad"); err == nil {
		t.Error("a bad pattern was taken")
	}
}

func TestPatternsAreBounded(t *testing.T) {
	h := New(Options{})
	defer h.Close()
	s, _ := h.Subscribe()
	for i := range maxPatterns {
		if err := s.Register(fmt.Sprintf("a.b.%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Register("a.b.more"); model.KindOf(err) != model.Invalid {
		t.Errorf("one more: %v", err)
	}
}

func TestRecent(t *testing.T) {
	h := New(Options{Recent: 3})
	defer h.Close()
	for i := range 5 {
		h.Publish(event("t", "a", fmt.Sprint(i)))
	}
	keys := func(list []*model.Event) (out string) {
		for _, e := range list {
			out += e.Key
		}
		return out
	}
	if got := keys(h.Recent(0)); got != "234" {
		t.Errorf("all: %s", got)
	}
	if got := keys(h.Recent(2)); got != "34" {
		t.Errorf("two: %s", got)
	}
}

func TestClose(t *testing.T) {
	h := New(Options{})
	s, _ := h.Subscribe("*.*.*")
	ended := make(chan error)
	go func() {
		_, err := s.Next(context.Background())
		ended <- err
	}()
	h.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("waiting reader got %v", err)
	}
	late, err := h.Subscribe("*.*.*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("late subscriber got %v", err)
	}
	h.Publish(event("t", "a", "nobody"))
}

func TestNextEndsWithItsContext(t *testing.T) {
	h := New(Options{})
	defer h.Close()
	s, _ := h.Subscribe("*.*.*")
	cause := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := s.Next(ctx); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestAcksStandBetweenWhatWasAndWhatComes(t *testing.T) {
	h := New(Options{})
	defer h.Close()
	s, _ := h.Subscribe("a.b.*")
	h.Publish(event("a", "b", "1"))
	if err := s.Register("c.d.*", event("websocket", "register", "c.d.*")); err != nil {
		t.Fatal(err)
	}
	h.Publish(event("c", "d", "2"))
	if err := s.Deregister("a.b.*", event("websocket", "deregister", "a.b.*")); err != nil {
		t.Fatal(err)
	}
	h.Publish(event("a", "b", "3"))
	s.Close()
	var got []string
	for {
		e, err := s.Next(t.Context())
		if err != nil {
			break
		}
		got = append(got, e.Key)
	}
	if want := "1 c.d.* 2 a.b.*"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestWhatIsToldIsBounded(t *testing.T) {
	h := New(Options{Queue: 1})
	defer h.Close()
	s, _ := h.Subscribe()
	var err error
	told := 0
	for ; err == nil && told < 10*maxPatterns; told++ {
		err = s.Tell(event("websocket", "error", "x"))
	}
	if model.KindOf(err) != model.RateLimited || told > maxPatterns+2 {
		t.Errorf("after %d: %v", told, err)
	}
}
