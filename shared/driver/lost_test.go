package driver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// stepper is a session that knows on and off only, and whose orders go through a
// function.
type stepper struct {
	inner *toy.NativeSession
	order func(ctx context.Context, on bool) error
}

func (s stepper) Close(ctx context.Context) error             { return s.inner.Close(ctx) }
func (s stepper) SetPower(ctx context.Context, on bool) error { return s.order(ctx, on) }
func (s stepper) PowerState(ctx context.Context) (driver.Reading, error) {
	return s.inner.PowerState(ctx)
}

// withOrders runs a test on such sessions; order gets the session's own.
func withOrders(t *testing.T, order func(on bool, own func() error) error, test func(r *rig)) {
	t.Helper()
	withQuirk(t, func(_ int, s *toy.NativeSession) (driver.Session, error) {
		return stepper{s, func(ctx context.Context, on bool) error {
			return order(on, func() error { return s.SetPower(ctx, on) })
		}}, nil
	}, test)
}

// TestOrderWithoutAnyReply: an order that was never answered, whatever its driver
// calls that, has its effect looked out for until the time is over.
func TestOrderWithoutAnyReply(t *testing.T) {
	for _, kind := range []model.Kind{model.UnknownOutcome, model.Unreachable, model.Timeout} {
		orders := 0
		lost := func(_ bool, own func() error) error {
			if orders++; orders == 1 { // the others never arrive
				if err := own(); err != nil {
					return err
				}
			}
			return model.Errorf(kind, "no reply")
		}
		withOrders(t, lost, func(r *rig) {
			r.device.PowerDelay = 30 * time.Second
			res, err := r.run(model.PowerOff, nil)
			if err != nil || res.Outcome != model.Verified || res.Attempts != 4 || !strings.HasPrefix(res.Evidence, "state off at 30.") || res.Note != `no reply to "power off"` {
				r.Errorf("%s: %+v, %v", kind, res, err)
			}
		})
	}
}

// TestOrderThatWasNeverSent: without a session nothing was sent, and nothing is
// said to have been.
func TestOrderThatWasNeverSent(t *testing.T) {
	reads := 0
	open := func(n int, s *toy.NativeSession) (driver.Session, error) {
		if n > 1 {
			return nil, model.Errorf(model.Unreachable, "it is gone")
		}
		return fading{s, &reads}, nil
	}
	withQuirk(t, open, func(r *rig) {
		r.device.SetPower(false) // as ordered, but the second reading does not come
		_, err := r.run(model.PowerOff, nil)
		wantErr(r.T, err, model.Unreachable, "cannot poweroff m1: open session: it is gone")
		r.wantExecuted(nil)
	})
}

// TestLostOrderOfABlindDevice: what was not confirmed and cannot be seen is not
// acknowledged.
func TestLostOrderOfABlindDevice(t *testing.T) {
	open := func(_ int, s *toy.NativeSession) (driver.Session, error) { return mute{s}, nil }
	withQuirk(t, open, func(r *rig) {
		r.device.SetFault(toy.LoseReply, model.PowerOff)
		res, err := r.run(model.PowerOff, nil)
		if model.KindOf(err) != model.UnknownOutcome {
			r.Errorf("%+v, %v", res, err)
		}
	})
}

// TestDeviceThatDiesWithTheOrder: an order that may have arrived at a device that
// then cannot be read is unknown, and not a state that was not reached.
func TestDeviceThatDiesWithTheOrder(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.PowerDelay = time.Hour
		r.device.SetFault(toy.LoseReply, model.PowerOff)
		ended := r.start(r.Context(), model.PowerOff, nil)
		after(time.Second)
		r.device.SetFault(toy.Silent, "")
		ans := <-ended
		wantErr(t, ans.err, model.UnknownOutcome, `cannot poweroff m1: power off: no reply from pipe; then open session: no answer from pipe; `+
			`last state on ("power is on") at 0.0s, not readable since: no answer from pipe`)
		r.wantExecuted(map[string]int{model.PowerOff: 1})
	})
}

// TestStrayReadingBetweenTries: one reading that shows what was ordered does not
// stop an order without a reply from being sent again.
func TestStrayReadingBetweenTries(t *testing.T) {
	n := 0
	open := telling(func(real driver.Reading) driver.Reading {
		if n++; n == 2 { // the first after the order
			real.State = model.StateOff
		}
		return real
	})
	withQuirk(t, open, func(r *rig) {
		r.device.SetFault(toy.LoseRequest, model.PowerOff)
		ended := r.start(r.Context(), model.PowerOff, nil)
		after(10 * time.Second)
		r.device.SetFault("", "")
		if ans := <-ended; ans.err != nil || ans.res.Attempts != 2 || strings.Contains(ans.res.Note, "lost") {
			r.Errorf("%+v, %v", ans.res, ans.err)
		}
		r.wantExecuted(map[string]int{model.PowerOff: 1})
	})
}

// TestOffRefusedAfterOneWasLost: a cycle whose first off may have arrived owes an
// on, also when the second was refused.
func TestOffRefusedAfterOneWasLost(t *testing.T) {
	orders := 0
	order := func(on bool, own func() error) error {
		if on {
			return own()
		}
		if orders++; orders == 1 {
			return model.Errorf(model.UnknownOutcome, "no reply")
		}
		return model.Errorf(model.Conflict, "not now")
	}
	withOrders(t, order, func(r *rig) {
		res, err := r.run(model.PowerCycle, nil)
		if model.KindOf(err) != model.UnknownOutcome {
			r.Errorf("%+v, %v", res, err)
		}
		r.wantExecuted(map[string]int{model.PowerOn: 1})
	})
}

// TestRefusedAndShownLate: what a refusal means shows within seconds.
func TestRefusedAndShownLate(t *testing.T) {
	for late, want := range map[time.Duration]model.Kind{4500 * time.Millisecond: "", 7 * time.Second: model.Conflict} {
		var begin time.Time
		open := func(_ int, s *toy.NativeSession) (driver.Session, error) {
			return refusing{told{s, func(real driver.Reading) driver.Reading {
				if begin.IsZero() {
					begin = time.Now()
				}
				if time.Since(begin) < late {
					real.State = model.StateOn
				}
				return real
			}}}, nil
		}
		withQuirk(t, open, func(r *rig) {
			r.device.SetPower(false)
			res, err := r.run(model.PowerOff, nil)
			if err != nil && model.KindOf(err) != want || err == nil && (want != "" || res.Outcome != model.Verified) {
				r.Errorf("shown after %v: %+v, %v", late, res, err)
			}
		})
	}
}

// refusing refuses all orders.
type refusing struct{ told }

func (refusing) SetPower(context.Context, bool) error {
	return model.Errorf(model.Conflict, "not in the present state")
}

// TestBootOrderThatIsLost: an override that reads as it was before is set again.
func TestBootOrderThatIsLost(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.SetFault(toy.LoseRequest, "setboot")
		ended := r.start(r.Context(), model.NextBootPXE, nil)
		after(10 * time.Second)
		r.device.SetFault("", "")
		if ans := <-ended; ans.err != nil || ans.res.Outcome != model.Verified || ans.res.Attempts != 2 {
			r.Errorf("%+v, %v", ans.res, ans.err)
		}
		r.wantExecuted(map[string]int{"setboot": 1})
	})
}
