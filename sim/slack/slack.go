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
	"strconv"
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

	// PostsPerMinute is how many messages the workspace takes in a minute; 0 means
	// any number.
	PostsPerMinute int

	// PerMinute is how often a method may be called in a minute; one that is not
	// there may be called any number of times.
	PerMinute map[string]int

	// Now is the clock that message timestamps come from; time.Now by default.
	Now func() time.Time
}

// Server is a running workspace.
type Server struct {
	opts Options
	addr string
	work sync.WaitGroup // what serves the app's sockets

	mu         sync.Mutex // guards what follows
	running    *running   // nil while it is down
	channels   []Channel
	anyChannel bool // every id is a channel
	messages   []*Message
	calls      map[string]int
	faults     map[string][]Fault // by method
	changed    chan struct{}      // closed and replaced at every change
	seq        int
	lastTS     int64
	switched   map[string]Fault // by method
	decide     func(method string, n int) (Fault, bool)
	windows    map[string]window    // by what is counted
	rests      map[string]time.Time // when what was told to wait may call again
	flights    map[string]*flight   // by channel; the call that is under way
	overlaps   map[string]int       // by channel
	link       link
	told       []string // what complain told
	views      []*View
	files      []*File
	clientIDs  map[string]bool  // by channel and client_msg_id
	hooks      map[string]*hook // by the path of the response_url
}

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
		opts: o, addr: l.Addr().String(), anyChannel: len(o.Channels) == 0, link: newLink(), changed: make(chan struct{}),
		calls: map[string]int{}, faults: map[string][]Fault{}, switched: map[string]Fault{}, windows: map[string]window{},
		rests: map[string]time.Time{}, flights: map[string]*flight{}, overlaps: map[string]int{},
		clientIDs: map[string]bool{}, hooks: map[string]*hook{},
	}
	for _, text := range o.Channels {
		id, name, _ := strings.Cut(text, "=")
		s.channels = append(s.channels, Channel{ID: id, Name: name})
	}
	s.start(l)
	return s, nil
}

// running is what serves HTTP.
type running struct {
	http *http.Server
	done chan struct{} // closed when its goroutine has ended
}

// start serves on a listener.
func (s *Server) start(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/{method}", s.serve)
	mux.HandleFunc("GET /link/", s.serveSocket)
	mux.HandleFunc("POST /actions/{hook}", s.serveHook)
	mux.HandleFunc("POST /upload/{file}", s.serveUpload)
	r := &running{http: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, done: make(chan struct{})}
	s.mu.Lock()
	s.running = r
	s.mu.Unlock()
	go func() {
		defer close(r.done)
		// The server ends by Close; its error then says only that.
		_ = r.http.Serve(l)
	}()
}

// stop ends what start began.
func (s *Server) stop() error {
	s.mu.Lock()
	r := s.running
	s.running = nil
	s.mu.Unlock()
	if r == nil {
		return nil
	}
	err := r.http.Close()
	<-r.done
	return err
}

// URL is the API's address, with the final slash that clients want.
func (s *Server) URL() string { return "http://" + s.addr + "/api/" }

// Close stops the workspace and closes the app's sockets.
func (s *Server) Close() error {
	err := s.stop()
	s.mu.Lock()
	s.link.ended = true
	s.mu.Unlock()
	s.Drop()
	s.work.Wait()
	return err
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
	scopes := s.opts.Scopes
	if m.app {
		scopes = s.opts.AppScopes
	}
	if len(scopes) > 0 {
		w.Header().Set("X-OAuth-Scopes", strings.Join(scopes, ","))
	}
	defer s.fly(r, name, form)()
	s.early(name, form)
	f, faulty := s.nextFault(name)
	wait := s.overRate(name, form)
	if !faulty && wait > 0 {
		f, faulty = tooMany(strconv.Itoa(wait)), true
	}
	if !faulty {
		answer(w, m.answer(s, form))
		return
	}
	s.rest(name, form, f)
	s.meet(w, r, f, func() map[string]any { return m.answer(s, form) })
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

// answer writes a JSON body, as most answers of Slack are: with status 200.
func answer(w http.ResponseWriter, body map[string]any) { answerWith(w, http.StatusOK, body) }

// answerWith writes a JSON body with a status.
func answerWith(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A client that went away does not want the answer.
	_ = json.NewEncoder(w).Encode(body)
}
