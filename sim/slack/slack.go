// Package slack simulates the part of Slack's Web API that a notifier uses:
// auth.test and chat.postMessage, over HTTP on loopback. It keeps what was
// posted, so that a test asserts the messages and not the answers.
package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of the platform, in characters.
const (
	maxText = 40_000 // longer text is cut
	maxBody = 1 << 20
)

// Options say what the simulated workspace has.
type Options struct {
	// Addr is the address to listen on; 127.0.0.1:0 by default.
	Addr string
	// Token is the bot token that is accepted; empty accepts any.
	Token string
	// Channels are the ids and names the bot may post to; empty accepts any.
	Channels []string
	// Now is the clock that message timestamps come from; time.Now by default.
	Now func() time.Time
}

// Message is one posted message.
type Message struct {
	Channel     string
	Text        string
	TS          string // unique within the workspace
	ThreadTS    string
	ClientMsgID string
}

// Refusal is an answer given in place of a success.
type Refusal struct {
	// Status is the HTTP status; 0 means 200 with Error in the body.
	Status int
	// Error is the error code of the body, such as "ratelimited".
	Error string
	// RetryAfter is the Retry-After header, in whole seconds; 0 sends none.
	RetryAfter int
	// Posted tells that the message was posted all the same.
	Posted bool
}

// Server is a running workspace.
type Server struct {
	opts   Options
	listen net.Listener
	http   *http.Server
	served chan struct{} // closed when the server's goroutine has ended

	mu       sync.Mutex // guards what follows
	messages []Message
	calls    map[string]int
	refusals []Refusal
	changed  chan struct{} // closed and replaced at every post
	seq      int
}

// New starts a workspace.
func New(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("cannot simulate Slack: %w", err)
	}
	s := &Server{
		opts: o, listen: l, served: make(chan struct{}),
		calls: map[string]int{}, changed: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/auth.test", s.method("auth.test", s.authTest))
	mux.HandleFunc("/api/chat.postMessage", s.method("chat.postMessage", s.postMessage))
	mux.HandleFunc("/api/", s.method("", func(url.Values) map[string]any { return refuse("unknown_method") }))
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.served)
		// The server ends by Close; its error then says only that.
		_ = s.http.Serve(l)
	}()
	return s, nil
}

// URL is the API's address, with the final slash that clients want.
func (s *Server) URL() string { return "http://" + s.listen.Addr().String() + "/api/" }

// Close stops the workspace.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	return err
}

// Messages returns what was posted, in order.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Calls returns how often a method was called, refused calls included.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Refuse answers the next posts with the given refusals, one each.
func (s *Server) Refuse(refusals ...Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, refusals...)
}

// Wait returns when the messages satisfy enough, or with ctx's error.
func (s *Server) Wait(ctx context.Context, enough func([]Message) bool) error {
	for {
		s.mu.Lock()
		messages, changed := slices.Clone(s.messages), s.changed
		s.mu.Unlock()
		if enough(messages) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited for messages, %d came: %w", len(messages), ctx.Err())
		}
	}
}

// refusedError makes the wrapper answer with the refusal it carries.
type refusedError struct{ Refusal }

// Error is the refusal's code.
func (r refusedError) Error() string { return r.Refusal.Error }

// method wraps one API method: counts it, reads the form, checks the token.
func (s *Server) method(name string, serve func(url.Values) map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls[name]++
		s.mu.Unlock()
		form, err := readForm(w, r)
		if err != nil {
			answer(w, refuse("invalid_form_data"))
			return
		}
		if code := s.authorise(r, form); code != "" {
			answer(w, refuse(code))
			return
		}
		var refused refusedError
		if name == "chat.postMessage" && errors.As(s.nextRefusal(), &refused) {
			if refused.Posted {
				serve(form)
			}
			refused.answer(w)
			return
		}
		answer(w, serve(form))
	}
}

// readForm reads a bounded form body; the query counts too, as on Slack.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	return r.Form, nil
}

// authorise returns Slack's error code for the request's token, "" if it is good.
func (s *Server) authorise(r *http.Request, form url.Values) string {
	token := form.Get("token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		token = bearer
	}
	switch {
	case token == "":
		return "not_authed"
	case s.opts.Token != "" && token != s.opts.Token:
		return "invalid_auth"
	}
	return ""
}

// nextRefusal takes the next refusal off the list; nil when there is none.
func (s *Server) nextRefusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refusals) == 0 {
		return nil
	}
	next := s.refusals[0]
	s.refusals = s.refusals[1:]
	return refusedError{next}
}

// answer writes the refusal.
func (r Refusal) answer(w http.ResponseWriter) {
	if r.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(r.RetryAfter))
	}
	answerWith(w, cmp.Or(r.Status, http.StatusOK), refuse(r.Error))
}

// authTest tells who the bot is.
func (s *Server) authTest(url.Values) map[string]any {
	return map[string]any{"ok": true, "url": s.URL(), "team": "Simulated", "team_id": "T1", "user": "oob", "user_id": "U1", "bot_id": "B1"}
}

// postMessage keeps the message.
func (s *Server) postMessage(form url.Values) map[string]any {
	channel, text := form.Get("channel"), form.Get("text")
	switch {
	case channel == "" || len(s.opts.Channels) > 0 && !slices.Contains(s.opts.Channels, channel):
		return refuse("channel_not_found")
	case text == "" && form.Get("blocks") == "" && form.Get("attachments") == "":
		return refuse("no_text")
	}
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	m := Message{
		Channel: channel, Text: text, ThreadTS: form.Get("thread_ts"), ClientMsgID: form.Get("client_msg_id"),
		TS: fmt.Sprintf("%d.%06d", s.opts.Now().Unix(), s.seq),
	}
	s.messages = append(s.messages, m)
	close(s.changed)
	s.changed = make(chan struct{})
	return map[string]any{"ok": true, "channel": channel, "ts": m.TS, "message": map[string]any{"text": text, "ts": m.TS}}
}

// refuse is the body of a refused call.
func refuse(code string) map[string]any { return map[string]any{"ok": false, "error": code} }

// answer writes a JSON body, as most answers of Slack are: with status 200.
func answer(w http.ResponseWriter, body map[string]any) { answerWith(w, http.StatusOK, body) }

// answerWith writes a JSON body with a status.
func answerWith(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A client that went away does not want the answer.
	_ = json.NewEncoder(w).Encode(body)
}
