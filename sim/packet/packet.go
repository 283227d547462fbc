// Package packet simulates the Packet API (later Equinix Metal, closed on
// 2026-06-30) over HTTP on loopback: accounts, projects, catalogues, SSH keys and
// devices with their actions, events and states, well enough that clients written
// for the service run on it. It keeps a ledger of what was executed, and has its
// faults as data, so that a test asserts what happened and not what was said.
package packet

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Prefix is the path below which the API is served, as the service had it. It is
// served without it, too, as the service was before it had one.
const Prefix = "/metal/v1"

// Options say what the simulated service is like. The zero value works.
type Options struct {
	// Addr is the address to listen on; 127.0.0.1:0 by default.
	Addr string
	// Accounts are who may ask, and for what. Without any, every key may do
	// everything.
	Accounts []Account
	// Projects are the names of the projects there are at first; one called
	// "default" without any.
	Projects []string
	// Timing is how long the states between take; no time by default.
	Timing Timing
	// Latency is how long every answer takes.
	Latency time.Duration
	// RateLimit is how many requests a key may make in a RateWindow (an hour by
	// default); 0 means as many as it likes.
	RateLimit  int
	RateWindow time.Duration
	// Now is the clock; time.Now by default.
	Now func() time.Time
	// Seed makes the ids.
	Seed uint64
	// StateFile keeps the state where it is set: a server that finds it goes on
	// from there.
	StateFile string
}

// Account is one API key.
type Account struct {
	Key string
	// Projects are the names of the projects it may see; all without any.
	Projects []string
}

// Timing is how long the states between take.
type Timing struct {
	Queued, Provisioning    time.Duration
	PoweringOn, PoweringOff time.Duration
	Reinstalling            time.Duration
	Deprovisioning          time.Duration
	// Boot is how long after a reboot the firmware chooses what to boot from.
	Boot time.Duration
}

// Every returns a Timing in which everything takes d.
func Every(d time.Duration) Timing {
	return Timing{d, d, d, d, d, d, d}
}

// Server is a running service.
type Server struct {
	opts   Options
	listen net.Listener
	http   *http.Server
	mux    *http.ServeMux
	served chan struct{} // closed when the server's goroutine has ended
	ending chan struct{} // closed by Close, for requests that wait
	once   sync.Once     // closes ending
	conns  atomic.Int64  // connections that were opened
	open   atomic.Int64  // those that are
	peak   atomic.Int64  // the most that were at a time

	mu     sync.Mutex // guards the rest
	state  state
	faults []Fault
	ills   map[string]Ill // by device
	ledger ledger
	rates  map[string]*window // by key
	saved  error              // why the state could not be kept
}

// New starts a service.
func New(o Options) (*Server, error) {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.RateWindow = cmp.Or(o.RateWindow, time.Hour)
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Projects) == 0 {
		o.Projects = []string{"default"}
	}
	s := &Server{
		opts: o, served: make(chan struct{}), ending: make(chan struct{}),
		ills: map[string]Ill{}, ledger: newLedger(), rates: map[string]*window{},
	}
	if err := s.begin(); err != nil {
		return nil, fmt.Errorf("cannot simulate the Packet API: %w", err)
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("cannot simulate the Packet API: %w", err)
	}
	s.listen = l
	s.mux = s.routes()
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10,
		ConnState: func(_ net.Conn, state http.ConnState) {
			s.connection(state)
		},
	}
	go func() {
		defer close(s.served)
		// The server ends by Close; its error then says only that.
		_ = s.http.Serve(l)
	}()
	return s, nil
}

// connection counts connections.
func (s *Server) connection(state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
		for n, peak := s.open.Add(1), s.peak.Load(); n > peak && !s.peak.CompareAndSwap(peak, n); peak = s.peak.Load() {
		}
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	default: // neither opened nor closed
	}
}

// URL is the API's address, with the final slash that clients want.
func (s *Server) URL() string { return "http://" + s.listen.Addr().String() + Prefix + "/" }

// Close stops the service. Its error tells that the state was not kept.
func (s *Server) Close() error {
	s.once.Do(func() { close(s.ending) })
	err := s.http.Close()
	<-s.served
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.saved)
}

// Clock is a clock that stands still until it is advanced.
type Clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

// NewClock returns a clock that shows a time.
func NewClock(at time.Time) *Clock { return &Clock{at: at} }

// Now is what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Advance puts the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
