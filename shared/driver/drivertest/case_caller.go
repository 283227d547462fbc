package drivertest

import (
	"context"
	"errors"
	"strings"
	"time"

	"provision-plugins/shared/model"
)

// callerCases are the cases of callers that leave, and of several at once.
func callerCases() []suiteCase {
	var out []suiteCase
	for _, action := range []string{model.PowerOff, model.PowerCycle, model.PowerReset} {
		out = append(out, suiteCase{
			name: "cancel/before/" + action, needs: []string{action, model.PowerOn}, faults: []Fault{Silent},
			run: func(l *lab) { checkCancelBefore(l, action) },
		})
	}
	return append(out,
		suiteCase{name: "cancel/after/poweroff", needs: onOff, faults: []Fault{Stuck}, run: checkCancelAfter},
		suiteCase{name: "cancel/after/powercycle", needs: []string{model.PowerCycle, model.PowerStatus}, run: checkCancelCycle},
		suiteCase{name: "serialise", needs: onOff, faults: []Fault{Stuck}, run: checkSerialise},
		suiteCase{name: "stop", needs: []string{model.PowerStatus}, run: checkStop},
	)
}

// checkCancelBefore: a caller that leaves before the first step leaves nothing
// done, whether it left before the action began or while the device was silent.
func checkCancelBefore(l *lab, action string) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	l.wantError(action, l.actOn(gone, machineID, action, l.cfg.Timeout))

	l.fault(Silent, "")
	ctx, cancel := context.WithCancel(context.Background())
	ended := l.start(ctx, action, l.cfg.Timeout)
	cancel()
	l.wantError(action, <-ended)
	l.until("the machine is free again", func() bool {
		return l.act(model.PowerOn, 10*time.Millisecond).kind() != model.Busy
	})
	l.fault(None, "")
	l.act(model.PowerOn, l.cfg.Timeout)
	l.untouched()
}

// wantError checks that an answer is an error.
func (l *lab) wantError(command string, ans answer) {
	l.tb.Helper()
	if ans.err == nil {
		l.Errorf("%s: want an error, got %s", command, ans)
	}
}

// checkCancelAfter: a caller that leaves after the first step ends its waiting
// only; the plan holds the machine until it is finished.
func checkCancelAfter(l *lab) {
	l.fault(Stuck, "")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := l.start(ctx, model.PowerOff, l.cfg.Timeout)
	l.until("the device takes poweroff", func() bool { return l.rig.Device.Executed(model.PowerOff) > 0 })
	cancel()
	l.wantError(model.PowerOff, <-ended)
	l.wantBusy(model.PowerOn, model.PowerOff)
	l.rig.Device.SetPower(false)
	l.until("the plan ends", func() bool {
		return l.act(model.PowerOff, l.cfg.Timeout).err == nil
	})
	l.executed(model.PowerOff, 1)
	l.executed(model.PowerOn, 0)
}

// checkCancelCycle: a cycle that began is finished without its caller.
func checkCancelCycle(l *lab) {
	native := l.isNative()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := l.start(ctx, model.PowerCycle, l.cfg.Timeout)
	device := l.rig.Device
	l.until("the cycle begins", func() bool {
		return device.Executed(model.PowerCycle)+device.Executed(model.PowerOff) > 0
	})
	cancel()
	<-ended // an answer or an error: the cycle may have been done by then
	if native {
		l.until("the machine is on", device.Power)
		l.executed(model.PowerCycle, 1)
		return
	}
	l.until("on is sent", func() bool { return device.Executed(model.PowerOn) == 1 && device.Power() })
	l.executed(model.PowerOff, 1)
}

// wantBusy checks that an action is refused because of another.
func (l *lab) wantBusy(action, because string) {
	l.tb.Helper()
	before := l.rig.Device.Executed(action)
	ans := l.act(action, l.cfg.Timeout)
	l.want(action, ans, model.Busy)
	var e *model.Error
	if errors.As(ans.err, &e) && (!strings.Contains(e.Text(), because) || e.RetryAfter <= 0) {
		l.Errorf("%s: busy does not name %s, or not when to come again: %v (after %v)", action, because, ans.err, e.RetryAfter)
	}
	l.executed(action, before)
}

// checkSerialise: while a change is at work another is busy, the identical one
// joins it, and reads are answered.
func checkSerialise(l *lab) {
	l.fault(Stuck, "")
	first := l.start(context.Background(), model.PowerOff, l.cfg.Timeout)
	l.until("the device takes poweroff", func() bool { return l.rig.Device.Executed(model.PowerOff) > 0 })
	l.wantBusy(model.PowerOn, model.PowerOff)
	second := l.start(context.Background(), model.PowerOff, l.cfg.Timeout)
	if ans := l.act(model.PowerStatus, l.cfg.Timeout); ans.err != nil || ans.res().Power == model.StateOff {
		l.Errorf("powerstatus beside a poweroff that has no effect yet: %s", ans)
	}
	l.executed(model.PowerOff, 1)
	l.rig.Device.SetPower(false)
	l.verified(model.PowerOff, <-first)
	l.verified(model.PowerOff, <-second)
	l.executed(model.PowerOff, 1)
}

// checkStop: an ending Provider takes nothing new.
func checkStop(l *lab) {
	if ans := l.act(model.PowerStatus, l.cfg.Timeout); ans.err != nil {
		l.Errorf("powerstatus: %s", ans)
	}
	ctx, cancel := l.bounded(0)
	defer cancel()
	if err := l.provider.Stop(ctx); err != nil {
		l.Errorf("Stop: %v", err)
	}
	l.want(model.PowerStatus, l.act(model.PowerStatus, l.cfg.Timeout), model.Busy)
	l.untouched()
}
