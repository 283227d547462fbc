package drivertest

import (
	"context"
	"strings"

	"provision-plugins/shared/model"
)

// ruleCases are the cases of params that change what an action is, and of states
// in words that nobody knows.
func ruleCases() []suiteCase {
	return []suiteCase{
		{name: "protected", run: checkProtected},
		{name: "params/wrong-type", needs: []string{model.PowerStatus}, run: checkWrongType},
		{name: "accepted/poweroff", needs: onOff, run: checkAccepted},
		{name: "force-after/powersoft", needs: []string{model.PowerSoft, model.PowerOff}, faults: []Fault{Stuck}, run: checkForce},
		{name: "strange-state", needs: onOff, faults: []Fault{Strange}, run: checkStrange},
	}
}

// checkProtected: a protected machine refuses what could harm it, whatever the
// request says of its protection.
func checkProtected(l *lab) {
	l.own = map[string]any{"oob/protected": true}
	l.more(model.Params{"oob/protected": false})
	for _, info := range model.Actions() {
		if _, without := l.cfg.Without[info.Command]; info.Guarded && !without {
			l.want(info.Command, l.act(info.Command, l.cfg.Timeout), model.Forbidden)
		}
	}
	l.untouched()
}

// checkWrongType: a param of the wrong type is refused by name, and nothing is
// done.
func checkWrongType(l *lab) {
	for name := range l.rig.Params {
		l.more(model.Params{name: []any{"what", 7}})
		ans := l.act(model.PowerStatus, l.cfg.Timeout)
		l.want(model.PowerStatus, ans, model.Invalid)
		if ans.err != nil && !strings.Contains(ans.err.Error(), name) {
			l.Errorf("the error of a wrong %s does not name it: %v", name, ans.err)
		}
	}
	l.untouched()
}

// checkAccepted: who does not wait is told so, and the action goes on.
func checkAccepted(l *lab) {
	l.more(model.Params{"oob/wait": false})
	if ans := l.act(model.PowerOff, l.cfg.Timeout); ans.err != nil || ans.res().Outcome != model.Accepted {
		l.Errorf("poweroff with oob/wait=false: want accepted, got %s", ans)
	}
	l.until("the machine is off", func() bool { return !l.rig.Device.Power() })
	l.only(model.PowerOff)
}

// checkForce: an operating system that does not react is asked once, and after
// oob/force-after the machine is switched off.
func checkForce(l *lab) {
	l.fault(Stuck, "")
	l.more(model.Params{"oob/force-after": 0.2})
	ended := l.start(context.Background(), model.PowerSoft, l.cfg.Timeout)
	l.until("the device takes poweroff", func() bool {
		return l.rig.Device.Executed(model.PowerOff) > 0 || l.rig.Device.Executed(model.PowerSoft) > 1
	})
	l.rig.Device.SetPower(false)
	l.verified(model.PowerSoft, <-ended)
	l.executed(model.PowerSoft, 1)
}

// checkStrange: a word that nobody knows is no state, and above all not off.
func checkStrange(l *lab) {
	l.fault(Strange, "")
	ans := l.act(model.PowerStatus, l.cfg.Timeout)
	if res := ans.res(); ans.err != nil || res.Power != model.StateUnknown || res.Raw == "" {
		l.Errorf("powerstatus in a strange word: want unknown, got %s", ans)
	}
	l.want(model.PowerOff, l.act(model.PowerOff, l.cfg.Short), model.Timeout, model.UnknownOutcome)
}

// more adds params to those of the rig, in place of what was added before.
func (l *lab) more(p model.Params) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extra = p
}

// only checks that the device executed a command once and nothing else that
// changes it.
func (l *lab) only(command string) {
	l.tb.Helper()
	for _, c := range changing {
		if c != command {
			l.executed(c, 0)
		}
	}
	l.executed(command, 1)
}
