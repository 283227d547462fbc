package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	api "github.com/slack-go/slack"
	"github.com/slack-go/slack/slacktest"

	"provision-plugins/slack/outbox"
	"provision-plugins/slack/poster"
	"provision-plugins/slack/socket"
)

// judge runs slack-go's own fake of Slack, which reads what we send with slack-go's
// types. It knows no chat.update, so that has a handler here; it has no 429, no
// history, no views, no hello, and one queue for all sockets, so that a second
// connection loses messages: those are judged by the simulator alone.
func judge(t *testing.T) (*slacktest.Server, chan string, *http.Client) {
	t.Helper()
	edits := make(chan string, 10)
	s := slacktest.NewTestServer(func(c slacktest.Customize) {
		c.Handle("/chat.update", func(w http.ResponseWriter, r *http.Request) {
			edits <- r.FormValue("ts") + " " + r.FormValue("text")
			// A client that went away does not want the answer.
			_, _ = io.WriteString(w, `{"ok":true,"channel":"C1","ts":"`+r.FormValue("ts")+`"}`)
		})
	})
	s.Start()
	seen, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(seen)
		for { // what it saw has to be taken from it
			select {
			case <-s.SeenFeed:
			case <-done:
				return
			}
		}
	}()
	client := &http.Client{Transport: poster.Transport(&http.Transport{}, time.Now)}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		s.Stop()
		close(done)
		<-seen
	})
	return s, edits, client
}

// eventually asks until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not come", what)
		}
	}
}

// TestPeerReadsPosts has slack-go's fake read what the poster sends.
func TestPeerReadsPosts(t *testing.T) {
	s, edits, client := judge(t)
	echo, resp, err := websocket.DefaultDialer.Dial(s.GetWSURL(), nil) // it tells there what it read
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	defer echo.Close()
	if err := echo.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := poster.New(poster.Options{URL: s.GetAPIURL(), Token: token, Client: client})
	raw, err := json.Marshal(poster.Message{Text: "m1 is down", Color: "#cc0000", Blocks: json.RawMessage(`[{"type":"section","text":{"type":"mrkdwn","text":"*m1* is down"}},{"type":"section","text":{"type":"mrkdwn","text":"since noon"}}]`)})
	if err != nil {
		t.Fatal(err)
	}
	d := outbox.Delivery{Entry: outbox.Entry{ID: "8c6f3c54-9d5a-4b41-8f0e-000000000001", Channel: "C1", Incident: "i", Message: raw}, Attempt: 1, Since: time.Now()}
	root, err := p.Send(t.Context(), d)
	if err != nil || root == "" {
		t.Fatalf("%q, %v", root, err)
	}
	d.Kind, d.Root = outbox.Reply, root
	if _, err := p.Send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	d.Kind = outbox.Update
	if ts, err := p.Send(t.Context(), d); err != nil || ts != root {
		t.Errorf("edited %q, %v", ts, err)
	}
	if got := <-edits; !strings.HasPrefix(got, root+" ") {
		t.Errorf("edited %q", got)
	}
	threads := map[string]int{}
	for range 2 {
		var m api.Message
		_, text, err := echo.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &m); err != nil || m.Channel != "C1" || len(m.Attachments) != 1 || m.Attachments[0].Color != "#cc0000" || len(m.Attachments[0].Blocks.BlockSet) != 1 || len(m.Blocks.BlockSet) != 1 {
			t.Errorf("slack-go read %s, %v", text, err)
		}
		threads[m.ThreadTimestamp]++
	}
	if threads[""] != 1 || threads[root] != 1 {
		t.Errorf("posted in threads %v", threads)
	}
}

// TestPeerSocket has slack-go's fake send a command, twice, and read what our socket
// acknowledges.
func TestPeerSocket(t *testing.T) {
	s, _, client := judge(t)
	seen, err := socket.OpenSeen(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer seen.Close()
	handled := make(chan api.SlashCommand, 2)
	link := socket.Start(socket.Options{
		URL: s.GetAPIURL(), Token: "xapp-not-a-real-token", Client: client, Seen: seen, Logger: slog.New(slog.DiscardHandler),
		Down: func(cause error) { t.Errorf("the token is refused: %v", cause) },
		Handle: func(_ context.Context, e socket.Envelope) any {
			var c api.SlashCommand
			if err := json.Unmarshal(e.Payload, &c); err != nil {
				t.Error(err)
			}
			handled <- c
			return map[string]string{"text": "working"}
		},
	})
	defer link.Close()
	s.SendToWebsocket(`{"type":"hello","num_connections":1,"connection_info":{"app_id":"A1"}}`) // it sends none itself
	eventually(t, "the connection", func() bool { return link.State().Connected })
	const envelope = `{"envelope_id":"e1","type":"slash_commands","accepts_response_payload":true,"payload":{"command":"/metal","text":"status m1","user_id":"U1","channel_id":"C1"}}`
	s.SendToWebsocket(envelope)
	if c := <-handled; c.Command != "/metal" || c.Text != "status m1" || c.UserID != "U1" {
		t.Errorf("handled %+v", c)
	}
	eventually(t, "the acknowledgement", func() bool { return len(s.GetSeenInboundMessages()) == 1 })
	if got := s.GetSeenInboundMessages()[0]; !strings.Contains(got, `"envelope_id":"e1"`) || !strings.Contains(got, `"text":"working"`) {
		t.Errorf("acknowledged by %s", got)
	}
	s.SendToWebsocket(envelope)
	eventually(t, "the acknowledgement of the copy", func() bool { return len(s.GetSeenInboundMessages()) == 2 })
	if len(handled) != 0 {
		t.Error("a command that came twice was handled twice")
	}
}
