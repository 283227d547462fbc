package slack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

// until waits for a condition of a workspace.
func until(t *testing.T, s *Server, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Until(ctx, holds); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// app is the other end of a socket.
type app struct {
	t    *testing.T
	conn *websocket.Conn
}

// frame is a message that the app reads.
type frame struct {
	Type        string          `json:"type"`
	ID          string          `json:"envelope_id"`
	Reason      string          `json:"reason"`
	Connections int             `json:"num_connections"`
	Answers     bool            `json:"accepts_response_payload"`
	Payload     json.RawMessage `json:"payload"`
}

// opened is the address that apps.connections.open answers with.
func opened(t *testing.T, call func(string, url.Values) (*http.Response, map[string]any)) string {
	t.Helper()
	_, body := call("apps.connections.open", url.Values{"token": {"xapp-1"}})
	at, _ := body["url"].(string)
	if body["ok"] != true {
		t.Fatalf("answered %v", body)
	}
	return at
}

// join opens a socket and reads the first message.
func join(t *testing.T, at string) (*app, frame) {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.Dial(at, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Cleanup(func() { conn.Close() })
	a := &app{t, conn}
	f, err := a.read()
	if err != nil {
		t.Fatal(err)
	}
	return a, f
}

// read reads a message.
func (a *app) read() (f frame, err error) {
	if err := a.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return f, err
	}
	return f, a.conn.ReadJSON(&f)
}

// take reads the next envelope.
func (a *app) take() frame {
	a.t.Helper()
	f, err := a.read()
	if err != nil {
		a.t.Fatal(err)
	}
	return f
}

// ack acknowledges an envelope.
func (a *app) ack(id string, payload any) {
	a.t.Helper()
	if err := a.conn.WriteJSON(map[string]any{"envelope_id": id, "payload": payload}); err != nil {
		a.t.Error(err)
	}
}

// answered is what became of a command.
type answered struct {
	reply Reply
	err   error
}

// slash types a command beside the test.
func slash(t *testing.T, s *Server, c SlashCommand) <-chan answered {
	t.Helper()
	out := make(chan answered, 1)
	go func() {
		r, err := s.Slash(t.Context(), c)
		out <- answered{r, err}
	}()
	return out
}

var status = SlashCommand{User: "U7", Channel: "C1", Command: "/metal", Text: "status"}

func TestSocketTakesCommands(t *testing.T) {
	s, call := start(t, Options{Channels: []string{"C1=ops"}})
	a, hello := join(t, opened(t, call))
	if hello.Type != "hello" || hello.Connections != 1 || s.Sockets() != 1 || s.Opened() != 1 {
		t.Errorf("greeted with %+v, %d sockets of %d", hello, s.Sockets(), s.Opened())
	}
	got := slash(t, s, status)
	e := a.take()
	var p map[string]string
	if err := json.Unmarshal(e.Payload, &p); err != nil || e.Type != "slash_commands" || !e.Answers {
		t.Fatalf("sent %+v, %v", e, err)
	}
	for name, want := range map[string]string{"command": "/metal", "text": "status", "user_id": "U7", "user_name": "u7", "channel_id": "C1", "channel_name": "ops", "team_id": teamID} {
		if p[name] != want {
			t.Errorf("%s is %q, want %q", name, p[name], want)
		}
	}
	if !strings.HasPrefix(p["response_url"], "http://") || p["trigger_id"] == "" {
		t.Errorf("answers go to %q, views open by %q", p["response_url"], p["trigger_id"])
	}
	a.ack(e.ID, map[string]any{"text": "all is well"})
	r := <-got
	if r.err != nil || r.reply.Error != "" || r.reply.Message == nil || r.reply.Message.User != "U7" {
		t.Errorf("replied %+v, %v", r.reply, r.err)
	}
	if told := s.Ephemerals("U7"); len(told) != 1 || told[0].Text != "all is well" || len(s.Ephemerals("U8")) != 0 {
		t.Errorf("the user sees %+v", told)
	}
	kept := s.Envelopes()
	if len(kept) != 1 || kept[0].Acks != 1 || kept[0].Late || kept[0].Socket != 1 || kept[0].Copies != 1 {
		t.Errorf("kept %+v", kept)
	}
}

// TestAppThatDoesNotAnswer has users see an error, and takes a late acknowledgement
// as such.
func TestAppThatDoesNotAnswer(t *testing.T) {
	s, call := start(t, Options{AckTimeout: time.Millisecond})
	r, err := s.Slash(t.Context(), status)
	if err != nil || r.Error != NotConnected {
		t.Errorf("without a socket: %+v, %v", r, err)
	}
	a, _ := join(t, opened(t, call))
	r, err = s.Slash(t.Context(), status)
	if err != nil || r.Error != NoAck {
		t.Errorf("without an acknowledgement: %+v, %v", r, err)
	}
	told := s.Ephemerals("U7")
	if len(told) != 2 || told[1].Author != slackbot || !strings.Contains(told[1].Text, NoAck) {
		t.Errorf("the user sees %+v", told)
	}
	a.ack(a.take().ID, nil)
	until(t, s, "a late acknowledgement", func() bool { return s.Envelopes()[1].Acks == 1 })
	if kept := s.Envelopes(); !kept[1].Late || kept[0].Socket != 0 {
		t.Errorf("kept %+v", kept)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.opts.AckTimeout = patience
	if _, err := s.Slash(ctx, status); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone: %v", err)
	}
}

func TestBadAcknowledgements(t *testing.T) {
	s, call := start(t, Options{AckTimeout: patience})
	a, _ := join(t, opened(t, call))
	got := slash(t, s, status)
	e := a.take()
	for _, raw := range []string{"{", `{"envelope_id":"other"}`, `{"envelope_id":"` + e.ID + `","payload":"` + strings.Repeat("x", maxAck) + `"}`, `[]`, `null`} {
		if err := a.conn.WriteMessage(websocket.TextMessage, []byte(raw)); err != nil {
			t.Fatal(err)
		}
	}
	a.ack(e.ID, nil)
	a.ack(e.ID, nil) // again
	if r := <-got; r.err != nil || r.reply.Error != "" {
		t.Errorf("replied %+v, %v", r.reply, r.err)
	}
	until(t, s, "two acknowledgements", func() bool { return s.Envelopes()[0].Acks == 2 })
	if told := s.Complaints(); len(told) != 5 {
		t.Errorf("complained of %q", told)
	}
}

func TestSeveralSockets(t *testing.T) {
	s, call := start(t, Options{AckTimeout: patience})
	first, _ := join(t, opened(t, call))
	second, hello := join(t, opened(t, call))
	if hello.Connections != 2 {
		t.Errorf("greeted with %+v", hello)
	}
	sockets := map[int]bool{}
	for range 2 {
		got := slash(t, s, status)
		until(t, s, "an envelope", func() bool { n := len(s.Envelopes()); return n > len(sockets) })
		kept := s.Envelopes()
		e := kept[len(kept)-1]
		sockets[e.Socket] = true
		to := map[int]*app{1: first, 2: second}[e.Socket]
		to.ack(to.take().ID, nil)
		if r := <-got; r.reply.Error != "" {
			t.Errorf("replied %+v", r.reply)
		}
	}
	if len(sockets) != 2 {
		t.Errorf("only sockets %v were sent to", sockets)
	}
	for range maxSockets - 2 {
		join(t, opened(t, call))
	}
	if _, f := join(t, opened(t, call)); f.Type != "disconnect" || f.Reason != "too_many_websockets" {
		t.Errorf("one too many: %+v", f)
	}
}

func TestAddressIsGoodOnce(t *testing.T) {
	s, call := start(t, Options{})
	at := opened(t, call)
	join(t, at)
	for _, bad := range []string{at, strings.Replace(at, "ticket=", "ticket=x", 1)} {
		_, resp, err := websocket.DefaultDialer.Dial(bad, nil)
		if err == nil || resp == nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v, %v", bad, resp, err)
		}
	}
	resp, err := http.Get(strings.Replace(opened(t, call), "ws://", "http://", 1))
	if err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Errorf("without a websocket: %v, %v", resp, err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if s.Opened() != 1 {
		t.Errorf("%d were opened", s.Opened())
	}
}

func TestDisconnects(t *testing.T) {
	for _, reason := range []string{"warning", "refresh_requested", "link_disabled"} {
		s, call := start(t, Options{AckTimeout: patience})
		a, _ := join(t, opened(t, call))
		s.Disconnect(reason)
		if f := a.take(); f.Type != "disconnect" || f.Reason != reason {
			t.Errorf("%s: told %+v", reason, f)
		}
		if reason == "warning" {
			got := slash(t, s, status)
			a.ack(a.take().ID, nil)
			if r := <-got; r.reply.Error != "" || s.Sockets() != 1 {
				t.Errorf("a warned socket: %+v", r.reply)
			}
			continue
		}
		var closed *websocket.CloseError
		if _, err := a.read(); !errors.As(err, &closed) || s.Sockets() != 0 {
			t.Errorf("%s: %v, %d sockets", reason, err, s.Sockets())
		}
		if r, err := s.Slash(t.Context(), status); err != nil || r.Error != NotConnected {
			t.Errorf("%s: replied %+v, %v", reason, r, err)
		}
		if _, hello := join(t, opened(t, call)); hello.Type != "hello" || hello.Connections != 1 {
			t.Errorf("%s: greeted with %+v", reason, hello)
		}
	}
}

func TestDroppedLine(t *testing.T) {
	s, call := start(t, Options{})
	a, _ := join(t, opened(t, call))
	s.Drop()
	var closed *websocket.CloseError
	_, err := a.read()
	if err == nil || errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		t.Errorf("a line that broke reads %v", err)
	}
	if s.Sockets() != 0 {
		t.Errorf("%d sockets", s.Sockets())
	}
}

func TestSocketFaults(t *testing.T) {
	s, call := start(t, Options{AckTimeout: patience})
	a, _ := join(t, opened(t, call))
	s.SetSocketFaults(SocketFaults{Copies: 2, Delay: time.Millisecond})
	got := slash(t, s, status)
	ids := map[string]int{}
	for range 3 {
		ids[a.take().ID]++
	}
	for id, n := range ids {
		if n != 3 {
			t.Errorf("%s came %d times", id, n)
		}
		a.ack(id, nil)
	}
	if r := <-got; r.reply.Error != "" || len(ids) != 1 {
		t.Errorf("replied %+v to %v", r.reply, ids)
	}
	s.SetSocketFaults(SocketFaults{Lose: true})
	s.opts.AckTimeout = time.Millisecond
	if r, err := s.Slash(t.Context(), status); err != nil || r.Error != NoAck || s.Envelopes()[1].Copies != 0 {
		t.Errorf("a lost envelope: %+v, %v", r, err)
	}
	s.SetSocketFaults(SocketFaults{Delay: patience})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Slash(ctx, status); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow envelope: %v", err)
	}
}

func TestPings(t *testing.T) {
	_, call := start(t, Options{PingInterval: time.Millisecond})
	a, _ := join(t, opened(t, call))
	pings := make(chan string, 1)
	a.conn.SetPingHandler(func(text string) error {
		select {
		case pings <- text:
		default:
		}
		return nil
	})
	read := make(chan struct{})
	go func() {
		defer close(read)
		// It ends with the connection.
		_, _, _ = a.conn.ReadMessage()
	}()
	for range 2 {
		select {
		case text := <-pings:
			if !strings.HasPrefix(text, "Ping from ") {
				t.Errorf("pinged with %q", text)
			}
		case <-time.After(patience):
			t.Fatal("no ping came")
		}
	}
	a.conn.Close()
	<-read
}

func TestAppTokens(t *testing.T) {
	for want, c := range map[string]struct {
		o      Options
		method string
		token  string
	}{
		"":                       {Options{}, "apps.connections.open", "xapp-1"},
		"not_allowed_token_type": {Options{}, "apps.connections.open", "xoxb-1"},
		"invalid_auth":           {Options{AppToken: "xapp-2"}, "apps.connections.open", "xapp-1"},
		"missing_scope":          {Options{AppScopes: []string{"authorizations:read"}}, "apps.connections.open", "xapp-1"},
		"not_authed":             {Options{}, "apps.connections.open", ""},
	} {
		_, call := start(t, c.o)
		resp, body := call(c.method, url.Values{"token": {c.token}})
		if got, _ := body["error"].(string); got != want || want == "missing_scope" && (body["needed"] != "connections:write" || resp.Header.Get("X-OAuth-Scopes") != "") {
			t.Errorf("answered %v, want %q", body, want)
		}
	}
	s, call := start(t, Options{AppScopes: []string{"connections:write"}})
	if _, body := call("chat.postMessage", url.Values{"token": {"xapp-1"}, "channel": {"C1"}, "text": {"x"}}); body["error"] != "not_allowed_token_type" {
		t.Errorf("a post with the app's token: %v", body)
	}
	join(t, opened(t, call))
	s.RevokeAppToken("token_revoked")
	if _, body := call("apps.connections.open", url.Values{"token": {"xapp-1"}}); body["error"] != "token_revoked" || s.Sockets() != 0 {
		t.Errorf("answered %v, %d sockets", body, s.Sockets())
	}
	s.RevokeAppToken("")
	if resp, body := call("apps.connections.open", url.Values{"token": {"xapp-1"}}); body["ok"] != true || resp.Header.Get("X-OAuth-Scopes") != "connections:write" {
		t.Errorf("answered %v, %v", body, resp.Header)
	}
}

// TestClosedInTheMiddle closes a workspace while sockets come and go and a command
// waits.
func TestClosedInTheMiddle(t *testing.T) {
	s, err := New(Options{AckTimeout: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	dialed := make(chan struct{})
	go func() {
		defer close(dialed)
		for {
			resp, err := http.PostForm(s.URL()+"apps.connections.open", url.Values{"token": {"xapp-1"}})
			if err != nil {
				return
			}
			var body struct{ URL string }
			err = json.NewDecoder(resp.Body).Decode(&body)
			resp.Body.Close()
			if err != nil {
				return
			}
			if conn, _, err := websocket.DefaultDialer.Dial(body.URL, nil); err == nil {
				conn.Close()
			}
		}
	}()
	until(t, s, "some sockets", func() bool { return s.Opened() > 5 })
	got := slash(t, s, status)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-dialed
	if r := <-got; r.err != nil && !errors.Is(r.err, context.Canceled) {
		t.Error(r.err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestDownAndUp has connections refused for a while.
func TestDownAndUp(t *testing.T) {
	s, call := start(t, Options{})
	call("chat.postMessage", post("C1", "before"))
	a, _ := join(t, opened(t, call))
	if err := s.Down(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.read(); err == nil {
		t.Error("the socket goes on")
	}
	_, err := http.PostForm(s.URL()+"chat.postMessage", post("C1", "x"))
	if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("while it is down: %v", err)
	}
	if err := s.Down(); err != nil {
		t.Errorf("down twice: %v", err)
	}
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	call("chat.postMessage", post("C1", "after"))
	if got := s.Messages(); len(got) != 2 || got[0].Text != "before" || got[1].Text != "after" {
		t.Errorf("kept %+v", got)
	}
	if err := s.Up(); err == nil || !strings.HasPrefix(err.Error(), "cannot simulate Slack again: ") {
		t.Errorf("up twice: %v", err)
	}
}

// answer posts to a response_url.
func respond(t *testing.T, at, body string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(at, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// commanded types a command that is acknowledged, and returns its response_url and
// trigger_id.
func commanded(t *testing.T, s *Server, a *app, payload any) (at, trigger string, r Reply) {
	t.Helper()
	got := slash(t, s, status)
	e := a.take()
	var p map[string]string
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		t.Fatal(err)
	}
	a.ack(e.ID, payload)
	out := <-got
	if out.err != nil {
		t.Fatal(out.err)
	}
	return p["response_url"], p["trigger_id"], out.reply
}

func TestResponseURLs(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s, call := start(t, Options{AckTimeout: patience, Now: func() time.Time { return now }})
	a, _ := join(t, opened(t, call))
	at, _, _ := commanded(t, s, a, nil)
	for i := range hookUses {
		if code, body := respond(t, at, fmt.Sprintf(`{"text":"%d"}`, i)); code != 200 {
			t.Errorf("use %d: %d %s", i, code, body)
		}
	}
	if code, body := respond(t, at, `{"text":"x"}`); code != 404 || !strings.Contains(body, "used_url") {
		t.Errorf("one use too many: %d %s", code, body)
	}
	if got := s.Ephemerals("U7"); len(got) != hookUses || got[4].Text != "4" {
		t.Errorf("kept %+v", got)
	}
	at, _, _ = commanded(t, s, a, nil)
	if code, body := respond(t, at, `{"text":"x","replace_original":true}`); code != 404 || !strings.Contains(body, "message_not_found") {
		t.Errorf("nothing to replace: %d %s", code, body)
	}
	if code, body := respond(t, at, `{"response_type":"in_channel","text":"seen by all"}`); code != 200 || s.Messages()[hookUses].User != "" {
		t.Errorf("in the channel: %d %s", code, body)
	}
	now = now.Add(hookLife)
	for url, want := range map[string]string{at: "expired_url", at + "x": "no_such_url"} {
		if code, body := respond(t, url, `{"text":"x"}`); code != 404 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", want, code, body)
		}
	}
	at, _, _ = commanded(t, s, a, nil)
	s.Fail("response_url", Fault{Status: 500, Error: "internal_error"}, Fault{Status: 500, Error: "internal_error", Posted: true})
	before := len(s.Messages())
	for _, want := range []int{before, before + 1} {
		if code, _ := respond(t, at, `{"text":"x"}`); code != 500 || len(s.Messages()) != want {
			t.Errorf("a fault: %d, %d messages, want %d", code, len(s.Messages()), want)
		}
	}
	if code, _ := respond(t, at, `{`); code != 400 {
		t.Errorf("no JSON: %d", code)
	}
	if code, body := respond(t, at, `{"text":""}`); code != 404 || !strings.Contains(body, "no_text") {
		t.Errorf("no text: %d %s", code, body)
	}
}

func TestImmediateAnswers(t *testing.T) {
	s, call := start(t, Options{AckTimeout: patience})
	a, _ := join(t, opened(t, call))
	if _, _, r := commanded(t, s, a, map[string]any{}); r.Message != nil {
		t.Errorf("an empty payload made %+v", r.Message)
	}
	got := slash(t, s, status)
	a.ack(a.take().ID, map[string]any{"blocks": []any{map[string]any{"type": "video"}}})
	if r := <-got; r.err == nil || !strings.Contains(r.err.Error(), "invalid_blocks") {
		t.Errorf("a bad layout: %v", r.err)
	}
	got = slash(t, s, status)
	a.ack(a.take().ID, "words")
	if r := <-got; r.err == nil {
		t.Errorf("words: %+v", r.reply)
	}
	for _, c := range []SlashCommand{{User: "X", Channel: "C1"}, {User: "U1"}, {Channel: "C1"}} {
		if _, err := s.Slash(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "cannot type ") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
