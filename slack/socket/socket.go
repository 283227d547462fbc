// Package socket keeps the connection by which Slack tells an app what people
// typed and clicked (Socket Mode): it reconnects for ever, opens the next
// websocket before Slack closes the last, takes each envelope once, and gives up
// only when the app's token is refused.
package socket

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	api "github.com/slack-go/slack"

	"provision-plugins/shared/model"
)

const (
	// openTimeout bounds asking for an address, and connecting to it.
	openTimeout = 15 * time.Second
	// pingTimeout is how long a websocket may be silent: Slack pings.
	pingTimeout = time.Minute
	// lingerTime is how long the last websocket is read after the next one is open.
	lingerTime = 30 * time.Second
	// maxMessage bounds what is read; an interaction holds the message it is of.
	maxMessage = 1 << 20
	// maxAck is where Slack drops an acknowledgement without a word.
	maxAck = 20_000
	// steady is how long a connection holds to count as one.
	steady = time.Minute
)

// Envelope is something that Slack tells.
type Envelope struct {
	ID      string          `json:"envelope_id"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`

	// Reason is that of a disconnect.
	Reason string `json:"reason"`
}

// Options say how to connect.
type Options struct {
	// URL is the Web API's address, with a final slash; Token the app's.
	URL, Token string

	// Client makes the calls of the Web API.
	Client *http.Client

	// Handle takes an envelope, and returns what goes with its acknowledgement, nil
	// for nothing. People see an error if it takes three seconds.
	Handle func(ctx context.Context, e Envelope) any

	// Seen remembers the envelopes.
	Seen *Seen

	// Down is told when the token is refused: no more is tried until there is another.
	Down func(cause error)

	// Pause is the first pause between two attempts, 1 s; it doubles up to MaxPause,
	// 1 minute.
	Pause, MaxPause time.Duration

	// Logger gets what goes wrong.
	Logger *slog.Logger
}

// State is where a connection stands.
type State struct {
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"`
	Refused   bool      `json:"refused,omitempty"`   // the token: nothing is tried any more
	Error     string    `json:"lastError,omitempty"` // of the last attempt
}

// Socket is the connection. Make it with Start.
type Socket struct {
	opts   Options
	api    *api.Client
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex // guards state and live
	state State
	live  int // websockets that are open
}

// Start connects, in the background.
func Start(o Options) *Socket {
	if o.Pause == 0 {
		o.Pause = time.Second
	}
	if o.MaxPause == 0 {
		o.MaxPause = time.Minute
	}
	s := &Socket{opts: o, api: api.New("", api.OptionAppLevelToken(o.Token), api.OptionAPIURL(o.URL), api.OptionHTTPClient(o.Client))}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.work.Go(func() { s.keep(ctx) })
	return s
}

// Close ends the connection, and waits for what is being handled.
func (s *Socket) Close() {
	s.cancel()
	s.work.Wait()
}

// State tells where the connection stands.
func (s *Socket) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// keep connects again and again.
func (s *Socket) keep(ctx context.Context) {
	pause := s.opts.Pause
	for ctx.Err() == nil {
		began := time.Now()
		l, err := s.connect(ctx)
		if err == nil {
			s.opts.Logger.InfoContext(ctx, "connected to Slack")
			select {
			case <-l.leaving: // Slack asked for the next one
			case <-l.gone:
			}
		} else if ctx.Err() == nil {
			s.failed(ctx, err)
			if refused(err) {
				return
			}
		}
		if err == nil && (l.asked() || time.Since(began) > steady) {
			pause = s.opts.Pause
			if l.asked() {
				continue
			}
		}
		s.rest(ctx, max(pause+rand.N(pause/2+1), putOff(err)))
		pause = min(2*pause, s.opts.MaxPause)
	}
}

// maxPutOff bounds how long Slack may put an attempt off.
const maxPutOff = 10 * time.Minute

// putOff is how long Slack wants the next attempt to wait.
func putOff(err error) time.Duration {
	var limited *api.RateLimitedError
	if errors.As(err, &limited) {
		return min(limited.RetryAfter, maxPutOff)
	}
	return 0
}

// rest waits.
func (s *Socket) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// failed notes that an attempt failed.
func (s *Socket) failed(ctx context.Context, err error) {
	text := model.Redact(err.Error(), []string{s.opts.Token})
	dead := refused(err)
	s.mu.Lock()
	s.state.Error, s.state.Refused = text, dead
	s.mu.Unlock()
	if !dead {
		s.opts.Logger.WarnContext(ctx, "cannot connect to Slack; it is tried again", "cause", text)
		return
	}
	s.opts.Logger.ErrorContext(ctx, "Slack refuses the app token; no commands are taken until there is another", "cause", text)
	if s.opts.Down != nil {
		s.opts.Down(errors.New(text))
	}
}

// refused reports whether an error means that no attempt with this token can work.
func refused(err error) bool {
	var e api.SlackErrorResponse
	if !errors.As(err, &e) {
		return false
	}
	switch e.Err {
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
		"missing_scope", "no_permission", "access_denied", "two_factor_setup_required", "forbidden_team":
		return true
	}
	return false
}

// connect opens a websocket and begins to read it.
func (s *Socket) connect(ctx context.Context) (*link, error) {
	bound, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	_, address, err := s.api.StartSocketModeContext(bound)
	if err != nil {
		return nil, err
	}
	if err := safe(address); err != nil {
		return nil, err
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: openTimeout}
	conn, resp, err := dialer.DialContext(bound, address, nil)
	if resp != nil {
		// It is the dialer's own copy of the answer's beginning.
		_ = resp.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	l := &link{socket: s, conn: conn, leaving: make(chan struct{}), gone: make(chan struct{})}
	if err := l.greeted(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s.joined()
	s.work.Go(func() { l.read(ctx) })
	return l, nil
}

// joined and left count the websockets that are open.
func (s *Socket) joined() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live++
	s.state = State{Connected: true, Since: time.Now().UTC()}
}

// left notes that a websocket has ended.
func (s *Socket) left(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live--; s.live > 0 {
		return
	}
	s.state.Connected, s.state.Since = false, time.Now().UTC()
	if err != nil {
		s.state.Error = model.Redact(err.Error(), []string{s.opts.Token})
	}
}
