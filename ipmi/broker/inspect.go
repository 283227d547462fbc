package broker

import (
	"net/netip"
	"time"

	"provision-plugins/ipmi/rmcp"
)

// Breaker is whether a login is tried.
type Breaker string

// The states of a login's breaker.
const (
	// Shut lets logins through.
	Shut Breaker = "closed"
	// Open keeps a login that was refused from the BMC.
	Open Breaker = "open"
	// HalfOpen lets the next login through, once, to see.
	HalfOpen Breaker = "half-open"
)

// State is what a broker knows of a BMC and a login.
type State struct {
	// Breaker is whether the login is tried; Until is until when it is not.
	Breaker Breaker
	Until   time.Time
	// Refusals counts the refused handshakes in a row, Refused is when the last
	// was and Reason why.
	Refusals int
	Refused  time.Time
	Reason   rmcp.Reason

	// Known is what earlier sessions taught: cipher suite, round trip, privilege.
	// UserOnly is that of the login used last.
	Known rmcp.Known
	// Session tells that a session is open for the login.
	Session bool
	// Trouble is what the BMC makes callers wait for: rmcp.Silent, rmcp.NoSlot
	// or nothing.
	Trouble rmcp.Reason
	// Waiting is how many jobs wait for their turn.
	Waiting int
}

// Inspect tells what is known of a BMC and a login. It sends nothing and waits
// for nothing.
func (b *Broker) Inspect(peer netip.AddrPort, login rmcp.Login) State {
	s := b.breaker.inspect(peer, login)
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.owners[peer]
	if o == nil {
		return s
	}
	s.Known = o.known
	if o.session != nil {
		s.Known = o.session.Known()
	}
	s.Session = o.session != nil && o.login == login
	s.Trouble = o.trouble
	s.Waiting = len(o.queue)
	return s
}
