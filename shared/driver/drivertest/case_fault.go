package drivertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"provision-plugins/shared/model"
)

// allFaults lists the faults but None.
var allFaults = []Fault{LoseReply, LoseRequest, Refuse, Silent, Credentials, Unreachable, Stuck, Strange}

// faultRow is a command that faults are tried on.
type faultRow struct {
	action  string // to ask for
	command string // that the fault hits
	from    bool   // the state to start in
	class   model.Class
}

// faultRows lists them. A cycle by steps meets them on its off.
var faultRows = []faultRow{
	{model.PowerOn, model.PowerOn, false, model.Idempotent},
	{model.PowerOff, model.PowerOff, true, model.Idempotent},
	{model.PowerSoft, model.PowerSoft, true, model.Once},
	{model.PowerCycle, model.PowerCycle, true, model.Once},
	{model.PowerReset, model.PowerReset, true, model.Once},
	{model.PowerNMI, model.PowerNMI, true, model.Once},
	{model.NextBootPXE, SetBoot, true, model.Idempotent},
	{model.Identify, model.Identify, true, model.Idempotent},
}

// faultCases are the cases of a device, or a way to it, that is not well.
func faultCases() []suiteCase {
	var out []suiteCase
	row := func(kind string, f Fault, r faultRow, run func(*lab, faultRow)) {
		out = append(out, suiteCase{
			name: kind + "/" + r.action, needs: []string{r.action}, faults: []Fault{f},
			run: func(l *lab) { run(l, r.onDevice(l)) },
		})
	}
	for _, r := range faultRows {
		row("lost-reply", LoseReply, r, checkLostReply)
		row("lost-request", LoseRequest, r, checkLostRequest)
		if r.class == model.Once {
			row("wrong-state", Refuse, r, checkRefused)
		}
		if strings.HasPrefix(r.action, "power") && r.action != model.PowerReset && r.action != model.PowerNMI {
			row("stuck", Stuck, r, checkStuck)
		}
	}
	for _, action := range []string{model.PowerStatus, model.PowerOn, model.PowerCycle} {
		r := faultRow{action: action, from: action != model.PowerOn}
		row("unreachable", Unreachable, r, func(l *lab, r faultRow) { checkClosed(l, r, Unreachable, model.Unreachable) })
		row("credentials", Credentials, r, func(l *lab, r faultRow) { checkClosed(l, r, Credentials, model.DeviceAuth) })
	}
	return append(out, suiteCase{name: "silent", faults: []Fault{Silent}, run: checkSilent})
}

// onDevice prepares the row's start: a device whose session knows no cycle
// meets the fault on its off.
func (r faultRow) onDevice(l *lab) faultRow {
	if r.command == model.PowerCycle && !l.isNative() {
		r.command = model.PowerOff
	}
	l.rig.Device.SetPower(r.from)
	return r
}

// checkLostReply: what is done once is not done twice for want of a reply, and
// its outcome is seen or called unknown. What is idempotent succeeds.
func checkLostReply(l *lab, r faultRow) {
	l.fault(LoseReply, r.command)
	limit := l.cfg.Short
	if r.action == model.PowerOn || r.action == model.PowerOff {
		limit = l.cfg.Timeout // it must come to a good end
	}
	ans := l.act(r.action, limit)
	n := l.rig.Device.Executed(r.command)
	switch {
	case r.command == model.PowerOff && r.action == model.PowerCycle:
		l.until("the on of a cycle by steps", l.rig.Device.Power)
	case r.class == model.Once && n > 1:
		l.Errorf("%s: executed %d times after its reply was lost", r.action, n)
	}
	switch {
	case n == 0:
		l.notVerified(r.action, ans)
	case r.action == model.PowerReset || r.action == model.PowerNMI:
		if ans.res().Outcome != model.Verified {
			l.want(r.action, ans, model.UnknownOutcome)
		}
	case r.action == model.PowerCycle && ans.kind() == model.Timeout: // the cycle is seen, and not over yet
		if !strings.Contains(ans.err.Error(), "off was seen") {
			l.want(r.action, ans, model.UnknownOutcome)
		}
	case r.class == model.Once:
		if ans.err != nil {
			l.want(r.action, ans, model.UnknownOutcome)
		} else if res := l.verified(r.action, ans); res.Note == "" {
			l.Errorf("%s: does not say that the reply was lost: %s", r.action, ans)
		}
	case r.action == model.PowerOn || r.action == model.PowerOff:
		l.verified(r.action, ans)
	}
	l.checkTruth(r, ans)
}

// checkTruth: a verified power state is the device's.
func (l *lab) checkTruth(r faultRow, ans answer) {
	res := ans.res()
	if ans.err == nil && res.Outcome == model.Verified && res.Power != "" && res.Power != stateOf(l.rig.Device.Power()) {
		l.Errorf("%s: verified %s, but the machine is %s", r.action, res.Power, stateOf(l.rig.Device.Power()))
	}
}

// checkLostRequest: what never arrived is not called done.
func checkLostRequest(l *lab, r faultRow) {
	l.fault(LoseRequest, r.command)
	ans := l.act(r.action, l.cfg.Short)
	l.executed(r.command, 0)
	l.want(r.action, ans, model.UnknownOutcome, model.Timeout, model.Unreachable)
}

// checkRefused: a device that cannot do it in its present state says so, and
// the answer does too.
func checkRefused(l *lab, r faultRow) {
	l.fault(Refuse, r.command)
	l.want(r.action, l.act(r.action, l.cfg.Timeout), model.Conflict)
	l.untouched()
}

// checkStuck: a command that was taken is not yet a state that was reached. The
// error carries the last state.
func checkStuck(l *lab, r faultRow) {
	l.fault(Stuck, "")
	ans := l.act(r.action, l.cfg.Short)
	l.notVerified(r.action, ans)
	if r.class == model.Once && r.command == r.action {
		l.executed(r.command, 1)
	}
	if ans.err == nil {
		if res := ans.res(); r.action != model.PowerCycle || res.Outcome != model.Acknowledged || res.Note == "" {
			l.Errorf("%s: nothing was seen to happen, and the answer does not say so: %s", r.action, ans)
		}
		return
	}
	l.want(r.action, ans, model.Timeout, model.UnknownOutcome)
	if want := "last state " + string(stateOf(r.from)); !strings.Contains(ans.err.Error(), want) {
		l.Errorf("%s: the error does not carry the %s: %v", r.action, want, ans.err)
	}
}

// checkClosed: who cannot be reached, or refuses the login, executes nothing,
// and the answer has the right kind.
func checkClosed(l *lab, r faultRow, f Fault, kind model.Kind) {
	l.fault(f, "")
	l.want(r.action, l.act(r.action, l.cfg.Told), kind)
	l.untouched()
	if f == Credentials && l.rig.Refused != nil {
		if n := l.rig.Refused(); n < 1 || n > 2 {
			l.Errorf("%s: the device refused %d logins, want 1 or 2", r.action, n)
		}
	}
	l.checkOpenError()
}

// checkOpenError: the driver's own error, before anything is masked, has no
// secret.
func (l *lab) checkOpenError() {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Short)
	defer cancel()
	s, err := l.rig.Driver.Open(ctx, l.target())
	if err != nil {
		l.noSecret("the error of Open", fmt.Sprintf("%v %+v %#v", err, err, err))
		return
	}
	if err := s.Close(ctx); err != nil {
		l.noSecret("the error of Close", err.Error())
	}
}

// checkSilent: every action on a device that answers nothing ends in time, with
// nothing executed. Each goes to a machine of its own at the same address, so
// that they run side by side.
func checkSilent(l *lab) {
	l.fault(Silent, "")
	var all sync.WaitGroup
	for i, command := range vocabulary() {
		if slices.Contains(names(l.cfg.Without), command) || command == model.Doctor {
			continue
		}
		all.Go(func() {
			id := fmt.Sprintf("%s%02d", machineID[:len(machineID)-2], i+10)
			l.want(command, l.actOn(context.Background(), id, command, l.cfg.Short), model.Unreachable, model.Timeout)
		})
	}
	all.Wait()
	l.untouched()
	l.checkOpenError()
}
