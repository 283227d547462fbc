package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "github.com/slack-go/slack"
	"go.uber.org/goleak"

	simslack "provision-plugins/sim/slack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	appToken = "xapp-1-not-a-real-token"
	patience = 30 * time.Second
)

// heard is what a handler was given.
type heard struct {
	mu  sync.Mutex // guards all below
	ids []string
}

// take is a handler.
func (h *heard) take(_ context.Context, e Envelope) any {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, e.ID)
	return map[string]string{"text": "heard"}
}

// list are the envelopes so far.
func (h *heard) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ids)
}

// rig is a connection to a simulated workspace.
type rig struct {
	t     *testing.T
	sim   *simslack.Server
	heard *heard
	dir   string
	down  chan error
	log   *strings.Builder
}

// newRig starts a workspace.
func newRig(t *testing.T) *rig {
	t.Helper()
	sim, err := simslack.New(simslack.Options{AppToken: appToken, Token: "xoxb-1", Channels: []string{"C1"}, AckTimeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return &rig{t: t, sim: sim, heard: &heard{}, dir: t.TempDir(), down: make(chan error, 10), log: &strings.Builder{}}
}

// start connects; the end of the test disconnects.
func (r *rig) start() *Socket {
	r.t.Helper()
	seen, err := OpenSeen(r.dir, time.Now)
	if err != nil {
		r.t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{}}
	s := Start(Options{
		URL: r.sim.URL(), Token: appToken, Client: c, Handle: r.heard.take, Seen: seen, Pause: time.Millisecond, MaxPause: 20 * time.Millisecond,
		Down: func(err error) { r.down <- err }, Logger: slog.New(slog.DiscardHandler),
	})
	r.t.Cleanup(func() {
		s.Close()
		c.CloseIdleConnections()
		if err := seen.Close(); err != nil {
			r.t.Error(err)
		}
	})
	return s
}

// until waits for a condition.
func (r *rig) until(what string, condition func() bool) {
	r.t.Helper()
	tick, limit := time.NewTicker(time.Millisecond), time.NewTimer(patience)
	defer tick.Stop()
	defer limit.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-limit.C:
			r.t.Fatalf("not seen: %s", what)
		}
	}
}

// slash types a command.
func (r *rig) slash() simslack.Reply {
	r.t.Helper()
	reply, err := r.sim.Slash(r.t.Context(), simslack.SlashCommand{User: "U1", Channel: "C1", Command: "/metal", Text: "help"})
	if err != nil {
		r.t.Fatal(err)
	}
	return reply
}

func TestAnEnvelopeIsTakenAndAcknowledged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.start()
	r.until("connected", func() bool { return r.sim.Sockets() == 1 && s.State().Connected })
	if got := r.slash(); got.Error != "" || got.Message == nil || got.Message.Text != "heard" {
		t.Errorf("%+v", got)
	}
	r.sim.SetSocketFaults(simslack.SocketFaults{Copies: 3})
	if got := r.slash(); got.Error != "" {
		t.Errorf("%+v", got)
	}
	r.until("each copy is acknowledged", func() bool { e := r.sim.Envelopes(); return e[len(e)-1].Acks == 4 })
	if got := r.heard.list(); len(got) != 2 {
		t.Errorf("heard %q", got)
	}
}

// Whatever ends a websocket, another is opened; one that Slack asks for is there
// before the last one goes.
func TestItReconnects(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *simslack.Server){
		"warning":  func(s *simslack.Server) { s.Disconnect("warning") },
		"refresh":  func(s *simslack.Server) { s.Disconnect("refresh_requested") },
		"disabled": func(s *simslack.Server) { s.Disconnect("link_disabled") },
		"broken":   func(s *simslack.Server) { s.Drop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			s := r.start()
			for n := 1; n <= 3; n++ {
				r.until("connected", func() bool { return r.sim.Opened() >= n && r.sim.Sockets() > 0 && s.State().Connected })
				if got := r.slash(); got.Error != "" {
					t.Errorf("%d: %+v", n, got)
				}
				end(r.sim)
			}
			r.until("connected again", func() bool { return r.sim.Opened() >= 4 && r.sim.Sockets() > 0 })
		})
	}
}

// A warned websocket goes on beside the next one until Slack closes it.
func TestTheNextIsOpenBeforeTheLastCloses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	r.until("connected", func() bool { return r.sim.Sockets() == 1 })
	r.sim.Disconnect("warning")
	r.until("two are open", func() bool { return r.sim.Sockets() == 2 })
	for range 4 {
		if got := r.slash(); got.Error != "" {
			t.Errorf("%+v", got)
		}
	}
	sockets := map[int]bool{}
	for _, e := range r.sim.Envelopes() {
		sockets[e.Socket] = true
	}
	if len(sockets) != 2 {
		t.Errorf("commands came by sockets %v", sockets)
	}
}

// A token that is refused is told of once, and nothing more is tried.
func TestARevokedTokenIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"token_revoked", "invalid_auth", "account_inactive", "not_allowed_token_type"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			s := r.start()
			r.until("connected", func() bool { return r.sim.Sockets() == 1 })
			r.sim.RevokeAppToken(code)
			select {
			case err := <-r.down:
				if !strings.Contains(err.Error(), code) || strings.Contains(err.Error(), appToken) {
					t.Errorf("told %v", err)
				}
			case <-time.After(patience):
				t.Fatal("nobody was told")
			}
			if got := s.State(); !got.Refused || got.Error == "" {
				t.Errorf("%+v", got)
			}
			calls := r.sim.Calls("apps.connections.open")
			s.work.Wait() // nothing goes on
			if again := r.sim.Calls("apps.connections.open"); again != calls || len(r.down) != 0 {
				t.Errorf("tried %d times more", again-calls)
			}
		})
	}
}

// What is no refusal of the token is tried again for ever.
func TestFaultsAreTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	faults := make([]simslack.Fault, 0, 6)
	for range 2 {
		faults = append(faults, simslack.Fault{Status: 500}, simslack.Fault{Status: 429, RetryAfter: "0"}, simslack.Fault{Error: "internal_error"})
	}
	r.sim.Fail("apps.connections.open", faults...)
	s := r.start()
	r.until("connected", func() bool { return r.sim.Sockets() == 1 && s.State().Connected })
	if got := s.State(); got.Refused {
		t.Errorf("%+v", got)
	}
}

// An envelope that comes again after a restart is not taken again.
func TestEnvelopesAreRememberedOverARestart(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Unix(1_000_000, 0)
	clock := func() time.Time { return now }
	check := func(s *Seen, id string, want bool) {
		t.Helper()
		if first, err := s.First(id); err != nil || first != want {
			t.Errorf("%s: %v, %v", id, first, err)
		}
	}
	open := func() *Seen {
		t.Helper()
		s, err := OpenSeen(dir, clock)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	check(s, "a", true)
	check(s, "a", false)
	s = reopened(t, s, open)
	check(s, "a", false)
	now = now.Add(59 * time.Minute)
	check(s, "b", true)
	now = now.Add(2 * time.Minute)
	check(s, "c", true) // begins a new file
	s = reopened(t, s, open)
	check(s, "b", false)
	check(s, "a", false)
	now = now.Add(2 * time.Hour)
	check(s, "d", true)
	check(s, "b", true) // an hour is over
	check(s, "c", false)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// reopened is a restart.
func reopened(t *testing.T, s *Seen, open func() *Seen) *Seen {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open()
}

func TestTornFilesAndBadIDs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := "1000000 whole.\nx\n\n1000000 no-end\nzz bad.\n1000000 torn"
	if err := os.WriteFile(filepath.Join(dir, newer), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSeen(dir, func() time.Time { return time.Unix(1_000_001, 0) })
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"whole": false, "torn": true, "no-end": true, "bad": true} {
		if first, err := s.First(id); err != nil || first != want {
			t.Errorf("%s: %v, %v", id, first, err)
		}
	}
	for _, id := range []string{"", "a b", "a\n", "a.b", strings.Repeat("x", maxID+1)} {
		if _, err := s.First(id); err == nil {
			t.Errorf("%q is remembered", id)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.First("late"); err == nil {
		t.Error("what cannot be written is taken")
	}
	if _, err := OpenSeen(filepath.Join(dir, "absent"), time.Now); err == nil {
		t.Error("a folder that is not there is taken")
	}
}

func TestOnlySafeAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"wss://wss-primary.slack.com/link": true, "ws://127.0.0.1:1/link": true, "ws://[::1]:1/": true, "ws://localhost:1": true,
		"ws://slack.com/link": false, "http://127.0.0.1/": false, "": false, "wss:": false, "ws://127.0.0.1.evil.example/": false,
	} {
		if err := safe(address); (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// Slack says when the next attempt may be made, and is believed within reason.
func TestAttemptsThatArePutOff(t *testing.T) {
	t.Parallel()
	for want, err := range map[time.Duration]error{
		0:               errors.New("x"),
		3 * time.Second: fmt.Errorf("no: %w", &api.RateLimitedError{RetryAfter: 3 * time.Second}),
		maxPutOff:       &api.RateLimitedError{RetryAfter: 100 * time.Hour},
	} {
		if got := putOff(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
	if putOff(nil) != 0 {
		t.Error("what did not fail is put off")
	}
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"type":"slash_commands","envelope_id":"e1","payload":{}}`))
	f.Add([]byte(`{"type":"disconnect","reason":"warning"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if e, err := parse(raw); err == nil && e.Type == "" {
			t.Errorf("%q is %+v", raw, e)
		}
	})
}
