// Package slack simulates the part of Slack that a notifier and its commands use,
// on loopback: the Web API over HTTP, Socket Mode over a websocket, and the people
// who type commands and click buttons. It keeps what was posted and edited, so
// that a test asserts the messages and not the answers, and has its faults as
// data.
package slack

import (
	"cmp"
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

// Options say what the simulated workspace has.
type Options struct {
	// Addr is the address to listen on; 127.0.0.1:0 by default.
	Addr string

	// Token is the bot token that is accepted; empty accepts any but an app token.
	Token string

	// AppToken is the app-level token that opens Socket Mode; empty accepts any that
	// begins with "xapp-".
	AppToken string

	// Scopes are what the bot token may do; empty means everything.
	Scopes []string

	// AppScopes are what the app token may do; empty means everything.
	AppScopes []string

	// Channels are the ids and names the bot may post to, as "C1" or "C1=general";
	// empty accepts any.
	Channels []string

	// Users are the people; empty accepts any id that begins with U or W.
	Users []User

	// Groups are the user groups.
	Groups []Group

	// AckTimeout is how long the app has to acknowledge an envelope, before the
	// user sees an error; 3 s by default.
	AckTimeout time.Duration

	// PingInterval is how often the app's sockets are pinged; 10 s by default.
	PingInterval time.Duration

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

	work sync.WaitGroup // what serves the app's sockets

	mu       sync.Mutex // guards what follows
	channels []channel
	messages []*Message
	calls    map[string]int
	faults   map[string][]Fault // by method
	changed  chan struct{}      // closed and replaced at every change
	seq      int
	lastTS   int64
	windows  map[string]window // by channel
	link     link
	told     []string // what complain told
	views    []*View
	hooks    map[string]*hook // by the path of the response_url
}

// channel is a conversation.
type channel struct{ id, name string }

// New starts a workspace.
func New(o Options) (*Server, error) {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.AckTimeout = cmp.Or(o.AckTimeout, 3*time.Second)
	o.PingInterval = cmp.Or(o.PingInterval, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("cannot simulate Slack: %w", err)
	}
	s := &Server{
		opts: o, listen: l, served: make(chan struct{}), calls: map[string]int{}, faults: map[string][]Fault{},
		changed: make(chan struct{}), windows: map[string]window{}, link: newLink(), hooks: map[string]*hook{},
	}
	for _, text := range o.Channels {
		id, name, _ := strings.Cut(text, "=")
		s.channels = append(s.channels, channel{id, name})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/{method}", s.serve)
	mux.HandleFunc("GET /link/", s.serveSocket)
	mux.HandleFunc("POST /actions/{hook}", s.serveHook)
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

// Close stops the workspace and closes the app's sockets.
func (s *Server) Close() error {
	err := s.http.Close()
	<-s.served
	s.mu.Lock()
	s.link.ended = true
	s.mu.Unlock()
	s.Drop()
	s.work.Wait()
	return err
}

// method is one method of the API. Its answer is the body of a success, or what
// refuse makes.
type method struct {
	scopes []string // one of them is needed
	answer func(s *Server, form url.Values) map[string]any
	app    bool // it takes the app's token, not the bot's
}

// methods are those that are served.
func methods() map[string]method {
	read := []string{"channels:read", "groups:read"}
	history := []string{"channels:history", "groups:history"}
	write := []string{"chat:write", "chat:write.public"}
	return map[string]method{
		"apps.connections.open": {scopes: []string{"connections:write"}, answer: (*Server).openConnection, app: true},
		"auth.test":             {answer: (*Server).authTest},
		"chat.postMessage":      {scopes: write, answer: (*Server).postMessage},
		"chat.update":           {scopes: write, answer: (*Server).update},
		"chat.delete":           {scopes: write, answer: (*Server).remove},
		"chat.postEphemeral":    {scopes: write, answer: (*Server).postEphemeral},
		"views.open":            {answer: (*Server).viewsOpen},
		"views.update":          {answer: (*Server).viewsUpdate},
		"conversations.list":    {scopes: read, answer: (*Server).list},
		"conversations.info":    {scopes: read, answer: (*Server).info},
		"conversations.history": {scopes: history, answer: (*Server).history},
		"conversations.replies": {scopes: history, answer: (*Server).replies},
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

// authorise is the refusal of a call by its token, nil if the token is good.
func (s *Server) authorise(r *http.Request, form url.Values, m method) map[string]any {
	token, good, scopes := form.Get("token"), s.opts.Token, s.opts.Scopes
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		token = bearer
	}
	if m.app {
		good, scopes = s.opts.AppToken, s.opts.AppScopes
	}
	has := func(scope string) bool { return slices.Contains(scopes, scope) }
	switch {
	case token == "":
		return refuse("not_authed")
	case strings.HasPrefix(token, appPrefix) != m.app && token != good:
		return refuse("not_allowed_token_type")
	case good != "" && token != good:
		return refuse("invalid_auth")
	case m.app && s.refusal() != "":
		return refuse(s.refusal())
	case len(scopes) > 0 && len(m.scopes) > 0 && !slices.ContainsFunc(m.scopes, has):
		body := refuse("missing_scope")
		body["needed"], body["provided"] = m.scopes[0], strings.Join(scopes, ",")
		return body
	}
	return nil
}

// authTest tells who the bot is.
func (s *Server) authTest(url.Values) map[string]any {
	return map[string]any{"ok": true, "url": s.URL(), "team": "Simulated", "team_id": teamID, "user": "oob", "user_id": botUser, "bot_id": botID}
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
	return map[string]any{"id": c.id, "name": c.label(), "is_channel": true, "is_member": true, "is_archived": false}
}

// label is the channel's name, or what stands for it.
func (c channel) label() string { return cmp.Or(c.name, strings.ToLower(c.id)) }

// channelOf is the id of a channel that a call names by id or name, "" if the bot
// may not post there.
func (s *Server) channelOf(form url.Values) string {
	c, _ := s.channelNamed(form.Get("channel"))
	return c.id
}

// channelNamed is the channel of an id or a name.
func (s *Server) channelNamed(text string) (channel, bool) {
	if len(s.channels) == 0 {
		return channel{id: text}, text != ""
	}
	for _, c := range s.channels {
		if text == c.id || c.name != "" && strings.TrimPrefix(text, "#") == c.name {
			return c, true
		}
	}
	return channel{}, false
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
