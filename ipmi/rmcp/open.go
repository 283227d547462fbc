package rmcp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/bougou/go-ipmi/pkg/types"

	"provision-plugins/shared/model"
)

// Login is what a BMC asks of who logs in.
type Login struct {
	Username string       // 16 bytes at most
	Password model.Secret // 20 bytes at most
	Kg       model.Secret // the BMC key, 20 bytes at most; empty if it has none
	Ways     Ways
	// Administrator asks for that privilege, and for nothing less, in place of
	// OPERATOR.
	Administrator bool
}

// Ways are ways of a BMC that differ from IPMI 2.0, to be met from the first
// datagram on. The zero value is a BMC that has none.
type Ways struct {
	// OpenPrivilege tells that the BMC hashes the privilege level of Open
	// Session, where it should hash that of RAKP 1.
	OpenPrivilege bool
	// NoChecksum takes answers whose own checksum is wrong. They are
	// authenticated all the same.
	NoChecksum bool
	// Suite is the only cipher suite to offer, 3 or 17; 0 offers both.
	Suite uint8
}

// Known is what earlier sessions taught about a BMC and a login. The zero value
// knows nothing.
type Known struct {
	Suite uint8         // the cipher suite that worked
	RTT   time.Duration // the round trip
	// Lossy tells that datagrams were lost on the way.
	Lossy bool
	// UserOnly tells that the login does not get OPERATOR.
	UserOnly bool
}

// Target is the BMC to open a session with.
type Target struct {
	Peer  netip.AddrPort
	Login Login
	Known Known
	// Refusals is how many handshakes in a row were refused before this Open,
	// with this login.
	Refusals int
	// Proved tells that the BMC proved that it knows the password in the last of
	// those.
	Proved bool
	// Probe allows one handshake only that can be refused.
	Probe bool
	// OnSilence, if set, is called when a first try was not answered.
	OnSilence func()
	// OnFailure, if set, is called with the round trip that an Open which failed has
	// seen, 0 if it heard nothing, and with whether it saw datagrams lost.
	OnFailure func(rtt time.Duration, lossy bool)
	// OnRefusal, if set, is called for each handshake that was refused, before
	// the next one begins.
	OnRefusal func(Reason)
}

// RefusesLogin reports whether the reason is a refusal of the credentials, such
// as a BMC counts before it locks an account.
func (r Reason) RefusesLogin() bool {
	return r == BadPassword || r == BadUsername || r == BadKg || r == Crossed
}

// silent calls OnSilence.
func (t *Target) silent() {
	if t.OnSilence != nil {
		t.OnSilence()
	}
}

// check refuses what IPMI 2.0 has no room for, rather than cut it.
func (l *Login) check() error {
	for _, f := range []struct {
		name   string
		n, max int
	}{
		{"user name", len(l.Username), maxUsername},
		{"password", len(l.Password), keyLen},
		{"k_g", len(l.Kg), keyLen},
	} {
		if f.n > f.max {
			return fail(TooLong, "", fmt.Errorf("the %s has %d bytes, at most %d fit", f.name, f.n, f.max))
		}
	}
	return nil
}

// plan is what the next try to open a session uses.
type plan struct {
	target    *Target
	suites    []*suite // left to try, the next first
	proven    bool     // the first suite worked before
	privilege uint8
	deadline  time.Time
	wait, rtt time.Duration
	linger    time.Duration // see handshake
	refusals  int           // handshakes refused in a row
	refusal   *Error        // the last of them in this Open
	tries     int
	doubled   int  // handshakes that ended because RAKP 1 was doubled
	lossy     bool // see handshake
	lost      bool
}

// maxWary is how many handshakes end for that. A network that doubles every
// datagram must do.
const maxWary = 6

// maxHandshakes bounds the tries of one Open.
const maxHandshakes = 12

// Open opens a session: Open Session and RAKP 1 to 4, from the start again with
// the next suite, a lower privilege or more patience as the failures suggest.
// The error is an *Error.
func (t *Transport) Open(ctx context.Context, target Target) (*Session, error) {
	if err := target.Login.check(); err != nil {
		return nil, err
	}
	if len(suiteOrder(0, target.Login.Ways.Suite)) == 0 {
		return nil, fail(NoSuite, "", fmt.Errorf("suite %d is not one of ours", target.Login.Ways.Suite))
	}
	target.Peer = netip.AddrPortFrom(target.Peer.Addr().Unmap(), target.Peer.Port())
	p := newPlan(&target, t.FirstTry)
	for {
		h := t.newHandshake(p)
		s, err := h.run(ctx)
		if err == nil {
			return s, nil
		}
		t.countFailure(ctx, err)
		if !p.again(h, err) {
			if target.OnFailure != nil {
				target.OnFailure(p.rtt, p.lost)
			}
			return nil, p.failure(err)
		}
	}
}

// newPlan starts from what is known, with firstTry as the Transport has it.
func newPlan(target *Target, firstTry time.Duration) *plan {
	k := &target.Known
	p := &plan{
		target:    target,
		suites:    suiteOrder(k.Suite, target.Login.Ways.Suite),
		privilege: uint8(types.PrivilegeLevelOperator),
		deadline:  time.Now().Add(openLimit),
		wait:      tryFor(firstTry, k.RTT),
		rtt:       k.RTT,
		lossy:     k.Lossy,
		refusals:  target.Refusals,
	}
	p.proven = p.suites[0].id == k.Suite
	switch {
	case target.Login.Administrator:
		p.privilege = uint8(types.PrivilegeLevelAdministrator)
	case k.UserOnly:
		p.privilege = uint8(types.PrivilegeLevelUser)
	}
	return p
}

// again prepares the next try after a failure, and reports whether there is one.
func (p *plan) again(h *handshake, err *Error) bool {
	p.tries++
	p.rtt, p.wait, p.lossy, p.lost = h.rtt, h.wait, h.lossy, h.lost
	if h.crossed || h.proved {
		p.linger = max(p.linger, 2*h.rtt, minLinger)
	}
	if p.linger > 0 && err.Reason.RefusesLogin() {
		p.linger = max(p.linger, lastLinger, 4*h.rtt)
	}
	if (h.proved || p.crossed()) && (err.Reason == BadUsername || err.Reason == BadPassword) {
		err.Reason = Crossed // it counts as refused, as the BMC may count it
	}
	if p.tries >= maxHandshakes || !time.Now().Before(p.deadline) {
		return false
	}
	switch err.Reason {
	case NoSuite:
		return p.nextSuite()
	case Privilege:
		return p.lower()
	case BadPassword, BadUsername, BadKg, Crossed:
		return p.refused(h, err)
	case LostSession:
		if h.doubled {
			p.doubled++
			return true
		}
		return p.slower()
	case Silent:
		// The BMC answered Open Session and then no more: it may have dropped
		// the session. A message that was sent only once may have been lost.
		return (h.keys.managedID != 0 || h.single) && p.slower()
	}
	return false
}

// minLinger is the least time to look out for a second RAKP 2, and lastLinger that
// of a handshake that must not be refused again: the last before a login is not
// tried any more.
const (
	minLinger  = 10 * time.Millisecond
	lastLinger = 600 * time.Millisecond
)

// nextSuite falls to the next suite.
func (p *plan) nextSuite() bool {
	if len(p.suites) == 1 {
		return false
	}
	p.suites, p.proven = p.suites[1:], false
	return true
}

// lower asks for USER instead of OPERATOR.
func (p *plan) lower() bool {
	if p.privilege != uint8(types.PrivilegeLevelOperator) {
		return false
	}
	p.privilege = uint8(types.PrivilegeLevelUser)
	return true
}

// crossed reports whether the BMC proved that it knows the password, in a handshake
// that was refused before: then it is not the password that is wrong.
func (p *plan) crossed() bool {
	return p.target.Proved || p.refusal != nil && p.refusal.Reason == Crossed
}

// slower starts over with more patience, unless that is a probe too many. Where
// messages are lost it is no help to wait longer.
func (p *plan) slower() bool {
	if !p.lossy {
		p.wait = longer(p.wait)
	}
	return !p.target.Probe
}

// maxRefusals is how many refused handshakes in a row are proof of wrong
// credentials, or as good as that: some BMCs lock an account at the third.
const maxRefusals = 2

// refused weighs a refusal. The first is no proof: a slow BMC whose answers cross
// looks the same, and so does a suite that it offers and gets wrong. All further
// handshakes therefore send RAKP 1 once, and the second one tries the next
// suite, if the first never worked here. A BMC that proves that it knows the
// password before it refuses it has seen a message twice, or has ours wrong: the
// second one looks out for that for long, and begins anew, which is no login.
func (p *plan) refused(h *handshake, err *Error) bool {
	p.refusals++
	p.refusal = err
	if p.target.OnRefusal != nil {
		p.target.OnRefusal(err.Reason)
	}
	if p.refusals >= maxRefusals {
		return false
	}
	if !h.proved && !p.proven && len(p.suites) == len(suites) {
		p.suites = []*suite{p.suites[1], p.suites[0]}
	}
	return p.slower()
}

// failure is what to tell when no try is left: a BMC that lacks the suite that
// was tried for a refusal's sake has still refused.
func (p *plan) failure(last *Error) *Error {
	if p.refusal != nil && last.Reason == NoSuite {
		return p.refusal
	}
	return last
}

// known is what a session teaches.
func (s *Session) known() Known {
	return Known{Suite: s.suite, RTT: s.rtt, Lossy: s.lossy, UserOnly: s.privilege < uint8(types.PrivilegeLevelOperator)}
}
