// Package slack simulates the part of Slack's Web API that a notifier and its
// commands use, over HTTP on loopback. It keeps what was posted and edited, so
// that a test asserts the messages and not the answers, and has its faults as
// data.
package slack

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxBody bounds the body of a call.
const maxBody = 1 << 20

// Options say what the simulated workspace has.
type Options struct {
	// Addr is the address to listen on; 127.0.0.1:0 by default.
	Addr string

	// Token is the bot token that is accepted; empty accepts any.
	Token string

	// Scopes are what the token may do; empty means everything.
	Scopes []string

	// Channels are the ids and names the bot may post to, as "C1" or "C1=general";
	// empty accepts any.
	Channels []string

	// RateLimit is how many messages a channel takes in a second, as Slack counts
	// them; 0 means any number.
	RateLimit int

	// Now is the clock that message timestamps come from; time.Now by default.
	Now func() time.Time
}

// Server is a running workspace.
type Server struct {
	opts   Options
	listen net.Listener
	http   *http.Server
	served chan struct{} // closed when the server's goroutine has ended

	mu       sync.Mutex // guards what follows
	channels []channel
	messages []*Message
	calls    map[string]int
	faults   map[string][]Fault // by method
	changed  chan struct{}      // closed and replaced at every change of a message
	seq      int
	lastTS   int64
	windows  map[string]window // by channel
}

// channel is a conversation.
type channel struct{ id, name string }

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
		opts: o, listen: l, served: make(chan struct{}), calls: map[string]int{}, faults: map[string][]Fault{},
		changed: make(chan struct{}), windows: map[string]window{},
	}
	for _, text := range o.Channels {
		id, name, _ := strings.Cut(text, "=")
		s.channels = append(s.channels, channel{id, name})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/{method}", s.serve)
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

// method is one method of the API. Its answer is the body of a success, or what
// refuse makes.
type method struct {
	scopes []string // one of them is needed
	answer func(s *Server, form url.Values) map[string]any
}

// methods are those that are served.
func methods() map[string]method {
	read := []string{"channels:read", "groups:read"}
	history := []string{"channels:history", "groups:history"}
	write := []string{"chat:write", "chat:write.public"}
	return map[string]method{
		"auth.test":             {nil, (*Server).authTest},
		"chat.postMessage":      {write, (*Server).postMessage},
		"chat.update":           {write, (*Server).update},
		"chat.delete":           {write, (*Server).remove},
		"chat.postEphemeral":    {write, (*Server).postEphemeral},
		"conversations.list":    {read, (*Server).list},
		"conversations.info":    {read, (*Server).info},
		"conversations.history": {history, (*Server).history},
		"conversations.replies": {history, (*Server).replies},
	}
}

// serve answers one call: counts it, reads the form, checks the token, and lets
// a fault have its way.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("method")
	s.mu.Lock()
	s.calls[name]++
	s.mu.Unlock()
	form, err := readForm(w, r)
	if err != nil {
		answer(w, refuse("invalid_form_data"))
		return
	}
	m, known := methods()[name]
	if !known {
		answer(w, refuse("unknown_method"))
		return
	}
	if body := s.authorise(r, form, m); body != nil {
		answer(w, body)
		return
	}
	if scopes := s.opts.Scopes; len(scopes) > 0 {
		w.Header().Set("X-OAuth-Scopes", strings.Join(scopes, ","))
	}
	f, faulty := s.nextFault(name)
	switch {
	case !faulty:
		if wait := s.overRate(name, form); wait > 0 {
			Fault{Status: http.StatusTooManyRequests, Error: "ratelimited", RetryAfter: fmt.Sprint(wait)}.answer(w)
			return
		}
		answer(w, m.answer(s, form))
	case f.Posted:
		m.answer(s, form)
		f.answer(w)
	default:
		f.answer(w)
	}
}

// readForm reads a bounded form body; the query counts too, as on Slack.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseMultipartForm(maxBody); err != nil && r.MultipartForm != nil {
		return nil, err
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	return r.Form, nil
}

// authorise is the refusal of a call by its token, nil if the token is good.
func (s *Server) authorise(r *http.Request, form url.Values, m method) map[string]any {
	token := form.Get("token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		token = bearer
	}
	has := func(scope string) bool { return slices.Contains(s.opts.Scopes, scope) }
	switch {
	case token == "":
		return refuse("not_authed")
	case s.opts.Token != "" && token != s.opts.Token:
		return refuse("invalid_auth")
	case len(s.opts.Scopes) > 0 && len(m.scopes) > 0 && !slices.ContainsFunc(m.scopes, has):
		body := refuse("missing_scope")
		body["needed"], body["provided"] = m.scopes[0], strings.Join(s.opts.Scopes, ",")
		return body
	}
	return nil
}

// authTest tells who the bot is.
func (s *Server) authTest(url.Values) map[string]any {
	return map[string]any{"ok": true, "url": s.URL(), "team": "Simulated", "team_id": "T1", "user": "oob", "user_id": "U1", "bot_id": "B1"}
}

// list lists the channels, all in one page.
func (s *Server) list(url.Values) map[string]any {
	out := []any{}
	for _, c := range s.channels {
		out = append(out, c.object())
	}
	return map[string]any{"ok": true, "channels": out, "response_metadata": map[string]any{"next_cursor": ""}}
}

// info tells of one channel.
func (s *Server) info(form url.Values) map[string]any {
	for _, c := range s.channels {
		if c.id == form.Get("channel") {
			return map[string]any{"ok": true, "channel": c.object()}
		}
	}
	return refuse("channel_not_found")
}

// object is a channel as the API tells it.
func (c channel) object() map[string]any {
	name := c.name
	if name == "" {
		name = strings.ToLower(c.id)
	}
	return map[string]any{"id": c.id, "name": name, "is_channel": true, "is_member": true, "is_archived": false}
}

// channelOf is the id of a channel that a call names by id or name, "" if the bot
// may not post there.
func (s *Server) channelOf(form url.Values) string {
	text := form.Get("channel")
	if len(s.channels) == 0 {
		return text
	}
	for _, c := range s.channels {
		if text == c.id || c.name != "" && strings.TrimPrefix(text, "#") == c.name {
			return c.id
		}
	}
	return ""
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
