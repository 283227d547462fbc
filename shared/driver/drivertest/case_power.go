package drivertest

import (
	"provision-plugins/shared/model"
)

// powerCases are the cases of a device that is well.
func powerCases() []suiteCase {
	return []suiteCase{
		{name: "powerstatus", needs: []string{model.PowerStatus}, run: checkStatus},
		{name: "idempotence/poweron", needs: onOff, run: func(l *lab) { checkIdempotent(l, model.PowerOn, true) }},
		{name: "idempotence/poweroff", needs: onOff, run: func(l *lab) { checkIdempotent(l, model.PowerOff, false) }},
		{name: "evidence/poweron", needs: onOff, run: func(l *lab) { checkEvidence(l, model.PowerOn, true) }},
		{name: "evidence/poweroff", needs: onOff, run: func(l *lab) { checkEvidence(l, model.PowerOff, false) }},
		{name: "evidence/powersoft", needs: []string{model.PowerSoft}, run: func(l *lab) { checkEvidence(l, model.PowerSoft, false) }},
		{name: "powersoft/from-off", needs: []string{model.PowerSoft}, run: checkSoftFromOff},
		{name: "powercycle/from-on", needs: []string{model.PowerCycle}, run: checkCycleFromOn},
		{name: "powercycle/from-off", needs: []string{model.PowerCycle, model.PowerOn}, run: checkCycleFromOff},
		{name: "powerreset", needs: []string{model.PowerReset}, run: func(l *lab) { checkJolt(l, model.PowerReset) }},
		{name: "powernmi", needs: []string{model.PowerNMI}, run: func(l *lab) { checkJolt(l, model.PowerNMI) }},
	}
}

var onOff = []string{model.PowerOn, model.PowerOff, model.PowerStatus}

// checkStatus: the state is the device's, in both directions.
func checkStatus(l *lab) {
	for _, on := range []bool{true, false, true} {
		l.rig.Device.SetPower(on)
		ans := l.act(model.PowerStatus, l.cfg.Timeout)
		if want := stateOf(on); ans.err != nil || ans.res().Power != want {
			l.Errorf("powerstatus of a machine that is %s: %s", want, ans)
		}
		if ans.err == nil && ans.res().Driver != l.rig.Driver.Name() {
			l.Errorf("powerstatus does not name the driver: %s", ans)
		}
	}
	l.untouched()
}

// stateOf is the state of a machine that is on or off.
func stateOf(on bool) model.PowerState {
	if on {
		return model.StateOn
	}
	return model.StateOff
}

// checkIdempotent: already there is success with nothing sent, and asking twice
// does it once.
func checkIdempotent(l *lab, command string, on bool) {
	l.rig.Device.SetPower(on)
	unchanged := func(ans answer, executed int) {
		res := l.verified(command, ans)
		if res.Changed == nil || *res.Changed {
			l.Errorf("%s of a machine that is %s: want changed false, got %s", command, stateOf(on), ans)
		}
		l.executed(command, executed)
	}
	unchanged(l.act(command, l.cfg.Timeout), 0)
	l.rig.Device.SetPower(!on)
	l.verified(command, l.act(command, l.cfg.Timeout))
	l.executed(command, 1)
	unchanged(l.act(command, l.cfg.Timeout), 1)
}

// checkEvidence: verified means that the device did it.
func checkEvidence(l *lab, command string, on bool) {
	l.rig.Device.SetPower(!on)
	ans := l.act(command, l.cfg.Timeout)
	res := l.verified(command, ans)
	if l.rig.Device.Power() != on {
		l.Errorf("%s: the machine is not %s after %s", command, stateOf(on), ans)
	}
	if res.Changed == nil || !*res.Changed || res.Power != stateOf(on) || res.Attempts < 1 {
		l.Errorf("%s: want changed, power %s and attempts, got %s", command, stateOf(on), ans)
	}
	l.only(command)
}

// checkSoftFromOff: a press on a machine that is off would switch it on.
func checkSoftFromOff(l *lab) {
	l.rig.Device.SetPower(false)
	l.verified(model.PowerSoft, l.act(model.PowerSoft, l.cfg.Timeout))
	l.untouched()
}

// checkCycleFromOn: off, then on, once.
func checkCycleFromOn(l *lab) {
	native := l.isNative()
	l.verified(model.PowerCycle, l.act(model.PowerCycle, l.cfg.Timeout))
	if native {
		l.only(model.PowerCycle)
	} else {
		l.executed(model.PowerOff, 1)
		l.executed(model.PowerOn, 1)
	}
	if !l.rig.Device.Power() {
		l.Errorf("the machine is off after a cycle")
	}
}

// checkCycleFromOff: a cycle from off is on, and says so.
func checkCycleFromOff(l *lab) {
	l.rig.Device.SetPower(false)
	ans := l.act(model.PowerCycle, l.cfg.Timeout)
	if res := l.verified(model.PowerCycle, ans); res.Note == "" {
		l.Errorf("powercycle of a machine that is off does not say that it was switched on: %s", ans)
	}
	l.executed(model.PowerOn, 1)
	l.executed(model.PowerCycle, 0)
	l.executed(model.PowerOff, 0)
	if !l.rig.Device.Power() {
		l.Errorf("the machine is off after a cycle from off")
	}
}

// checkJolt: done once on a machine that is on; refused, with nothing sent, on
// one that is off.
func checkJolt(l *lab, command string) {
	ans := l.act(command, l.cfg.Timeout)
	if out := ans.res().Outcome; ans.err != nil || out != model.Acknowledged && out != model.Verified {
		l.Errorf("%s: want acknowledged, got %s", command, ans)
	}
	l.only(command)
	l.rig.Device.SetPower(false)
	l.want(command, l.act(command, l.cfg.Timeout), model.Conflict)
	l.executed(command, 1)
}
