package client

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"provision-plugins/shared/model"
)

// chanLogger is a logger that puts messages into a channel.
func chanLogger(ch chan<- string) *slog.Logger { return slog.New(chanHandler{ch: ch}) }

// chanHandler is the handler of chanLogger.
type chanHandler struct {
	slog.Handler
	ch chan<- string
}

// Enabled takes every level.
func (chanHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle sends the message.
func (h chanHandler) Handle(_ context.Context, r slog.Record) error {
	h.ch <- r.Message
	return nil
}

// stream serves a websocket that script drives.
func stream(t *testing.T, script func(conn *websocket.Conn)) *Client {
	t.Helper()
	return onSocket(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v3/ws" || r.Header.Get("Authorization") != "Bearer t0ken" {
			http.Error(w, "{}", http.StatusForbidden)
			return
		}
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		script(conn)
	}))
}

// register reads one registration and acknowledges it.
func register(t *testing.T, conn *websocket.Conn, want string) {
	t.Helper()
	_, raw, err := conn.ReadMessage()
	if err != nil || string(raw) != "register "+want {
		t.Errorf("got %q, %v; want register %s", raw, err, want)
	}
	emit(t, conn, model.Event{Type: "websocket", Action: "register", Key: want})
}

// emit sends one event.
func emit(t *testing.T, conn *websocket.Conn, e model.Event) {
	t.Helper()
	if err := conn.WriteJSON(e); err != nil {
		t.Errorf("cannot send event: %v", err)
	}
}

// untilClosed reads until the client has gone.
func untilClosed(conn *websocket.Conn) {
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}

func TestEvents(t *testing.T) {
	c := stream(t, func(conn *websocket.Conn) {
		register(t, conn, "machines.*.*")
		emit(t, conn, model.Event{Type: "machines", Action: "create", Key: "early"})
		register(t, conn, "runs.*.*")
		emit(t, conn, model.Event{Type: "websocket", Action: "register", Key: "stray"})
		emit(t, conn, model.Event{Type: "runs", Action: "update", Key: "r1"})
		untilClosed(conn)
	})
	var keys []string
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Events(ctx, []string{"machines.*.*", "runs.*.*"}, func(e *model.Event) error {
		if keys = append(keys, e.Key); len(keys) == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || strings.Join(keys, " ") != "early r1" {
		t.Errorf("got %v, events %v", err, keys)
	}
}

func TestEventsEndWithTheFunction(t *testing.T) {
	enough := errors.New("enough")
	scripts := []func(conn *websocket.Conn){
		func(conn *websocket.Conn) { // before the ack, with which the client may close
			emit(t, conn, model.Event{Type: "machines"})
			register(t, conn, "*.*.*")
		},
		func(conn *websocket.Conn) {
			register(t, conn, "*.*.*")
			emit(t, conn, model.Event{Type: "machines"})
		},
	}
	for _, script := range scripts {
		c := stream(t, func(conn *websocket.Conn) {
			script(conn)
			untilClosed(conn)
		})
		if err := c.Events(t.Context(), []string{"*.*.*"}, func(*model.Event) error { return enough }); !errors.Is(err, enough) {
			t.Errorf("got %v", err)
		}
	}
}

func TestEventStreamLost(t *testing.T) {
	for name, script := range map[string]func(conn *websocket.Conn){
		"before the ack": func(*websocket.Conn) {},
		"after it":       func(conn *websocket.Conn) { register(t, conn, "a.b.c") },
		"not an event": func(conn *websocket.Conn) {
			register(t, conn, "a.b.c")
			_ = conn.WriteMessage(1, []byte("{"))
			untilClosed(conn)
		},
		"in place of ack": func(conn *websocket.Conn) { _ = conn.WriteMessage(1, []byte("[]")); untilClosed(conn) },
	} {
		t.Run(name, func(t *testing.T) {
			c := stream(t, script)
			err := c.Events(t.Context(), []string{"a.b.c"}, func(*model.Event) error { return nil })
			if model.KindOf(err) != model.Unreachable || !strings.Contains(err.Error(), c.Where()+": event stream: ") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEventsWaitForAckEndsWithContext(t *testing.T) {
	arrived := make(chan struct{})
	c := stream(t, func(conn *websocket.Conn) {
		close(arrived)
		untilClosed(conn) // never acknowledges
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Events(ctx, []string{"a.b.c"}, nil) }()
	<-arrived
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(ackTimeout / 2):
		t.Error("still waiting for the acknowledgement")
	}
}

func TestEventsRefused(t *testing.T) {
	c := onSocket(t, answer(403, `{"Type":"forbidden","Messages":["no such token"],"Code":403}`))
	err := c.Events(t.Context(), []string{"a.b.c"}, nil)
	if model.KindOf(err) != model.Forbidden || !strings.Contains(err.Error(), "no such token") {
		t.Errorf("got %v", err)
	}
	c, err = New(Options{Socket: refusedSocket(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Events(t.Context(), nil, nil); model.KindOf(err) != model.Unreachable {
		t.Errorf("got %v", err)
	}
}

// TestEventsPatternRefused answers a register by each form of a refusal, and by
// acknowledgements that look strange.
func TestEventsPatternRefused(t *testing.T) {
	tests := []struct {
		name   string
		answer string
		kind   model.Kind // empty: it is an acknowledgement
		text   string
	}{
		{"ours", `{"Type":"websocket","Action":"error","Key":"a.b.c","Object":{"Type":"invalid","Messages":["cannot register: why"],"Code":400}}`, model.Invalid, `refused to register "a.b.c": cannot register: why`},
		{"kind kept", `{"Type":"websocket","Action":"error","Object":{"Type":"rate-limited","Messages":["too many"],"Code":429}}`, model.RateLimited, "too many"},
		{"no reason", `{"Type":"websocket","Action":"error","Object":null}`, model.Invalid, `refused to register "a.b.c"`},
		{"a strange reason", `{"Type":"websocket","Action":"error","Object":[1]}`, model.Invalid, `refused to register "a.b.c"`},
		{"a reason without kind", `{"Type":"websocket","Action":"error","Object":{"Messages":["x"]}}`, model.Invalid, ": x"},
		{"another action", `{"Type":"websocket","Action":"hello","Key":""}`, "", ""},
		{"no action", `{"Type":"websocket"}`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			closed := make(chan struct{})
			c := stream(t, func(conn *websocket.Conn) {
				defer close(closed)
				if _, _, err := conn.ReadMessage(); err != nil {
					t.Error(err)
				}
				if err := conn.WriteMessage(websocket.TextMessage, []byte(tt.answer)); err != nil {
					t.Error(err)
				}
				untilClosed(conn)
			})
			s, err := c.Subscribe(t.Context(), []string{"a.b.c"})
			if tt.kind == "" {
				if err != nil {
					t.Fatalf("not taken for an acknowledgement: %v", err)
				}
				err = s.Close()
				if err != nil {
					t.Error(err)
				}
			} else if model.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v", err)
			}
			<-closed // the stream is not left open
		})
	}
}
