package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"provision-plugins/ipmi/broker"
	"provision-plugins/ipmi/quirks"
	"provision-plugins/ipmi/rmcp"
	"provision-plugins/shared/model"
)

// good is a check that found all well.
func good(format string, args ...any) model.Check {
	return model.Check{Verdict: model.VerdictOK, Found: fmt.Sprintf(format, args...)}
}

// warning is a check that found something to look at.
func warning(found, cause, mend string) model.Check {
	return model.Check{Verdict: model.VerdictWarning, Found: found, Cause: cause, Mend: mend}
}

// untold is a check that had nothing to look at.
func untold(cause string) model.Check {
	return model.Check{Verdict: model.VerdictSkipped, Cause: cause}
}

// failed is a check that found what an action would fail with.
func failed(kind model.Kind, cause, mend string) model.Check {
	return model.Check{Verdict: model.VerdictFailed, Kind: kind, Cause: cause, Mend: mend}
}

// failure is the check of an error of the session layer.
func failure(err error) model.Check {
	var e *rmcp.Error
	if !errors.As(err, &e) {
		return failed(model.KindOf(err), model.AsError(err).Text(), "")
	}
	c := reasons[e.Reason]
	if c.kind == "" {
		c.kind = model.Internal
	}
	return failed(c.kind, e.Error(), c.mend)
}

// lookName resolves the name.
func lookName(ctx context.Context, x *examination) model.Check {
	peer, err := x.board.resolve(ctx)
	if err != nil {
		return failed(model.KindOf(err), fmt.Sprintf("the name %s does not resolve", x.board.host),
			fmt.Sprintf("check %s, and the name servers of this computer", paramAddress))
	}
	x.peer = peer
	if x.board.host == peer.Addr().String() {
		return good("%s is an address", x.board.host)
	}
	return good("%s is %s", x.board.host, peer.Addr())
}

// lookRoute asks the BMC what it tells to anybody, and looks first whether a
// datagram to it leaves at all.
func lookRoute(ctx context.Context, x *examination) model.Check {
	x.state = x.driver.broker.Inspect(x.peer, x.target().Login)
	x.greeting, x.greetErr = rmcp.Greet(ctx, x.peer)
	var e *rmcp.Error
	if errors.As(x.greetErr, &e) && e.Reason != rmcp.Refused {
		return failed(model.Unreachable, fmt.Sprintf("%s to %s", e.Reason, x.peer.Addr()),
			"check the network between this computer and the BMC, and its routes")
	}
	return good("from %s to %s", x.greeting.Local, x.peer.Addr())
}

// silentBound is how long a BMC that has not answered anything yet is asked for a
// session.
const silentBound = 5 * time.Second

// lookPort says whether anybody answers there.
func lookPort(ctx context.Context, x *examination) model.Check {
	where := fmt.Sprintf("UDP port %d of %s", x.peer.Port(), x.peer.Addr())
	if x.greetErr != nil {
		return failed(model.Unreachable, where+" is refused: nothing listens there, and the address answers that itself",
			fmt.Sprintf("check %s and %s, and enable IPMI over LAN on the BMC", paramAddress, paramPort))
	}
	if x.greeting.Answered() {
		return good("%s answers in %s", where, short(x.greeting.RTT))
	}
	// Some BMCs say nothing but to who opens a session.
	silent := failed(model.Unreachable, where+" is silent: no answer, and no refusal either",
		"check that the BMC is on and at that address, that IPMI over LAN is enabled, and that UDP is let through")
	if x.state.Breaker == broker.Open {
		return silent
	}
	ctx, cancel := context.WithTimeout(ctx, silentBound)
	defer cancel()
	var e *rmcp.Error
	if err := x.login(ctx); errors.As(err, &e) && e.Reason == rmcp.Silent {
		return silent
	}
	return warning(where+" answers to who opens a session only", "it does not say what it is to anybody else", "")
}

// lookAuth says what the BMC tells of its logins.
func lookAuth(_ context.Context, x *examination) model.Check {
	a := x.greeting.Auth
	switch {
	case x.quirks().Has(quirks.AuthCap):
		return untold("it is known to tell wrong things here (quirk authcap)")
	case a == nil:
		return warning("", "Get Channel Authentication Capabilities is not answered", "nothing, as long as the login works")
	case !a.V20:
		return warning("IPMI 1.5 only", "it says that it does not speak IPMI 2.0",
			"enable it on the BMC; if the login works, set ipmi/quirks to authcap")
	case a.Anonymous:
		return warning("IPMI 2.0", "anybody may log in without a name and a password", "disable the user without a name on the BMC")
	case a.Kg && x.board.login.Kg == "":
		return warning("IPMI 2.0", "it says that it has a BMC key, and none is given", "set "+paramKg+" if the login fails")
	}
	return good("IPMI 2.0")
}

// lookSuites says which cipher suites the BMC lists. What it lists is not proven
// by anything: a login tries 17 and 3 whatever stands there.
func lookSuites(_ context.Context, x *examination) model.Check {
	list := x.greeting.Suites
	if len(list) == 0 {
		return untold("it does not list them outside a session")
	}
	found := listed(list)
	switch ours := slices.Contains(list, 17) || slices.Contains(list, 3); {
	case slices.Contains(list, 0):
		return warning(found, "suite 0 lets anybody control the machine without a password; it is never used here",
			"disable cipher suite 0 on the BMC")
	case !ours:
		return warning(found, "neither 17 nor 3 is among them, and no other is used here", "enable cipher suite 17 on the BMC")
	}
	return good("%s", found)
}

// listed is a list of cipher suites in words.
func listed(list []uint8) string {
	words := make([]string, len(list))
	for i, id := range list {
		words[i] = fmt.Sprint(id)
	}
	return "lists " + strings.Join(words, ", ")
}

// lookBreaker says whether the login is tried at all.
func lookBreaker(_ context.Context, x *examination) model.Check {
	s := &x.state
	when := s.Refused.UTC().Format(time.RFC3339)
	switch {
	case s.Breaker == broker.Open && x.again:
		return warning("open", fmt.Sprintf("this login was refused %d times, last at %s (%s)", s.Refusals, when, s.Reason),
			"one login is tried now, as was asked for")
	case s.Breaker == broker.Open:
		return failed(model.DeviceAuth,
			fmt.Sprintf("this login was refused %d times, last at %s (%s): it is not tried again, so that the account is not locked", s.Refusals, when, s.Reason),
			fmt.Sprintf("correct %s and %s; the same login is tried once more after %s, or by a doctor that is given %s=true",
				paramUsername, paramPassword, s.Until.UTC().Format(time.RFC3339), paramTryAgain))
	case s.Breaker == broker.HalfOpen:
		return warning("half-open", fmt.Sprintf("this login was refused %d times, last at %s", s.Refusals, when), "one login is tried now")
	case s.Refusals > 0:
		return warning("closed", fmt.Sprintf("this login was refused once, at %s", when), "")
	}
	return good("closed: no refused login")
}

// lookLogin opens a session, with one handshake.
func lookLogin(ctx context.Context, x *examination) model.Check {
	ctx, cancel := context.WithTimeout(ctx, loginBound)
	defer cancel()
	if err := x.login(ctx); err != nil {
		return x.noLogin(err)
	}
	if err := x.through(ctx); err != nil {
		return failure(err)
	}
	known := x.driver.broker.Inspect(x.peer, x.target().Login).Known
	if x.state.Session {
		return good("a session is open, with cipher suite %d, round trip %s", known.Suite, short(known.RTT))
	}
	return good("in %s, with cipher suite %d, round trip %s", short(x.took), known.Suite, short(known.RTT))
}

// through makes sure that something comes through the session: only then it is
// one. If what comes has shown a quirk that the product is known for, the next
// session is tried.
func (x *examination) through(ctx context.Context) error {
	before := x.quirks()
	var refusal *rmcp.Refusal
	_, err := x.session.PowerState(ctx)
	switch {
	case err == nil, errors.As(err, &refusal):
		return nil
	case x.quirks() == before:
		return err
	}
	x.end(ctx)
	x.session, x.tried = nil, false
	if err = x.login(ctx); err == nil {
		_, err = x.session.PowerState(ctx)
	}
	return err
}

// loginBound is how long the login may take.
const loginBound = 6 * time.Second

// noLogin is the check of a login that failed.
func (x *examination) noLogin(err error) model.Check {
	check := failure(err)
	var e *rmcp.Error
	if !errors.As(err, &e) {
		return check
	}
	ways := x.target().Login.Ways
	switch {
	case e.Reason.RefusesLogin():
		check.Cause += "; tried once"
	case e.Reason == rmcp.Silent && x.greeting.Answered() && ways.Suite == 0:
		check.Cause = fmt.Sprintf("it answers everything but %s: it may not bear that cipher suite 17 is proposed", e.Step)
		check.Mend = "set " + paramQuirks + " to suite3, and try again; without success, reset the BMC"
	case e.Reason == rmcp.Silent && x.greeting.Answered():
		check.Cause = fmt.Sprintf("it answers everything but %s", e.Step)
		check.Mend = "reset the BMC"
	}
	return check
}

// short rounds a duration for people.
func short(d time.Duration) time.Duration {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
