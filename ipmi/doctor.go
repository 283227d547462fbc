package main

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/quirks"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/driver"
	"provision-plugins/shared/model"
)

var _ driver.Doctor = (*ipmiDriver)(nil)

// rung is one check of the ladder.
type rung struct {
	name string
	// needs names the rungs without which this one has nothing to look at.
	needs []string
	look  func(ctx context.Context, x *examination) model.Check
}

// The names of the rungs that others need.
const (
	rungName      = "name"
	rungRoute     = "route"
	rungPort      = "udp port"
	rungBreaker   = "breaker"
	rungLogin     = "login"
	rungPrivilege = "privilege"
)

// ladder is the checks in order.
var ladder = []rung{
	{rungName, nil, lookName},
	{rungRoute, []string{rungName}, lookRoute},
	{rungPort, []string{rungRoute}, lookPort},
	{"auth capabilities", []string{rungPort}, lookAuth},
	{"cipher suites", []string{rungPort}, lookSuites},
	{rungBreaker, []string{rungName}, lookBreaker},
	{rungLogin, []string{rungPort, rungBreaker}, lookLogin},
	{rungPrivilege, []string{rungLogin}, lookPrivilege},
	{"session slots", []string{rungLogin}, lookSlots},
	{"clock", []string{rungLogin}, lookClock},
	{"power reading", []string{rungLogin}, lookPower},
	{"boot flags", []string{rungPrivilege}, lookBoot},
	{"quirks", []string{rungLogin}, lookQuirks},
	{"identity", []string{rungLogin}, lookIdentity},
}

// examination is what one Doctor has found out.
type examination struct {
	driver *ipmiDriver
	board  *board
	pin    string
	again  bool // a refused login is to be tried again

	peer     netip.AddrPort
	greeting rmcp.Greeting
	greetErr error
	state    broker.State // before the login

	tried    bool // the login
	session  *session
	loginErr error
	took     time.Duration
}

// rungBound is what one rung may take.
const rungBound = 15 * time.Second

// Doctor climbs the ladder. It logs in once at most, with one handshake, and not
// at all with a login that the BMC has refused before, unless the request itself
// asks for it.
func (d *ipmiDriver) Doctor(ctx context.Context, t *driver.Target) (*model.Checkup, error) {
	m, err := modeOf(t.Params)
	if err != nil {
		return nil, err
	}
	b, err := parseBoard(t.Params)
	if err != nil {
		return nil, err
	}
	if m == modeRedfish {
		return d.doctorRedfish(ctx, t, b), nil
	}
	pin, err := t.Params.String(model.ParamIdentity, "")
	if err != nil {
		return nil, err
	}
	again, err := t.Asked.Bool(paramTryAgain, false)
	if err != nil {
		return nil, err
	}
	x := &examination{driver: d, board: b, pin: pin, again: again}
	defer x.end(ctx)
	return x.climb(ctx), nil
}

// climb looks at each rung that the ones before leave something to look at.
func (x *examination) climb(ctx context.Context) *model.Checkup {
	var c model.Checkup
	broken := map[string]string{} // what a rung fails for, by its name
	for i := range ladder {
		r := &ladder[i]
		at := slices.IndexFunc(r.needs, func(need string) bool { return broken[need] != "" })
		if at >= 0 {
			broken[r.name] = broken[r.needs[at]]
			c.Add(model.Check{Name: r.name, Verdict: model.VerdictSkipped, Cause: broken[r.name] + " failed"})
			continue
		}
		bound, cancel := context.WithTimeout(ctx, rungBound)
		check := r.look(bound, x)
		cancel()
		check.Name = r.name
		if check.Verdict == model.VerdictFailed {
			broken[r.name] = r.name
		}
		c.Add(check)
	}
	return &c
}

// end gives the session back.
func (x *examination) end(ctx context.Context) {
	if x.session != nil {
		_ = x.session.Close(ctx) // never fails
	}
}

// target is how the BMC is reached.
func (x *examination) target() broker.Target { return x.driver.reach(x.peer, x.board) }

// quirks are those that are known without asking the BMC.
func (x *examination) quirks() quirks.Set {
	return x.driver.devices.quirksOf(x.peer, x.board.override)
}

// login opens a session, or takes the one that is open. It is tried once, however
// many rungs ask.
func (x *examination) login(ctx context.Context) error {
	if x.tried {
		return x.loginErr
	}
	x.tried = true
	began := time.Now()
	target := x.target()
	target.Again = x.again
	h, err := x.driver.broker.OpenOnce(ctx, target)
	if err != nil {
		x.loginErr = err
		return err
	}
	x.took = time.Since(began)
	x.session = x.driver.session(h, x.peer, x.board)
	return nil
}
