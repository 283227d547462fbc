package driver_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"provision-plugins/shared/driver"
	"provision-plugins/shared/driver/internal/toy"
	"provision-plugins/shared/model"
)

// bubble runs a test with a rig in fake time.
func bubble(t *testing.T, mode string, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newRig(t, mode, nil)) })
}

func TestIdenticalIdempotentJoins(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.PowerDelay = 10 * time.Second
		first := r.start(r.Context(), model.PowerOff, model.Params{"oob/reason": "disk swap"})
		after(time.Second)
		second := r.start(r.Context(), model.PowerOff, model.Params{"oob/reason": "me too", "oob/timeout": 30})
		a, b := <-first, <-second
		if a.err != nil || b.err != nil || a.res.Evidence != b.res.Evidence || a.res.Outcome != model.Verified {
			r.Errorf("want one outcome for both, got %+v and %+v", a, b)
		}
		r.wantExecuted(map[string]int{model.PowerOff: 1})
	})
}

func TestJoinerHasItsOwnTimeout(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.PowerDelay = 10 * time.Second
		first := r.start(r.Context(), model.PowerOff, nil)
		after(time.Second)
		ans := <-r.start(r.Context(), model.PowerOff, model.Params{"oob/timeout": 2})
		wantErr(r.T, ans.err, model.Timeout, "cannot poweroff m1: waiting ended and the action goes on; look at the machine for its outcome")
		if ans.took != 2*time.Second {
			r.Errorf("the joiner waited %v", ans.took)
		}
		if a := <-first; a.err != nil {
			r.Errorf("the first: %v", a.err)
		}
	})
}

func TestOthersAreBusy(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.PowerDelay = 10 * time.Second
		first := r.start(r.Context(), model.PowerCycle, nil)
		after(time.Second)
		for _, command := range []string{model.PowerCycle, model.PowerOff, model.NextBootPXE, model.Identify} {
			_, err := r.run(command, nil)
			wantErr(r.T, err, model.Busy,
				"cannot "+command+" m1: powercycle is under way on it and ends in 179s at most; nothing was sent")
			var e *model.Error
			if errors.As(err, &e) && e.RetryAfter != 5*time.Second {
				r.Errorf("RetryAfter is %v", e.RetryAfter)
			}
		}
		if res, err := r.run(model.PowerStatus, nil); err != nil || res.Power != model.StateOn {
			r.Errorf("a read beside it: %+v, %v", res, err)
		}
		if a := <-first; a.err != nil {
			r.Error(a.err)
		}
		r.wantExecuted(map[string]int{model.PowerCycle: 1})
	})
}

func TestOtherParamsAreNotIdentical(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.SetFault(toy.LoseRequest, model.Identify)
		first := r.start(r.Context(), model.Identify, model.Params{"toy/identify-duration": 10})
		after(time.Second)
		_, err := r.run(model.Identify, model.Params{"toy/identify-duration": 20})
		if model.KindOf(err) != model.Busy {
			r.Errorf("want busy, got %v", err)
		}
		r.device.SetFault("", "")
		if a := <-first; a.err != nil || r.device.Lit() != "10" {
			r.Errorf("lit %q, %v", r.device.Lit(), a.err)
		}
	})
}

func TestMachinesAreApart(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.PowerDelay = 10 * time.Second
		first := r.start(r.Context(), model.PowerOff, nil)
		after(time.Second)
		a := r.action(model.Identify, nil)
		a.Model = map[string]any{"Name": "m2", "Uuid": "u2"}
		if _, err := r.provider.Action(r.Context(), a); err != nil {
			r.Errorf("another machine: %v", err)
		}
		<-first
	})
}

func TestCallerLeavesBeforeTheFirstStep(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.SetFault(toy.Silent, "")
		ctx, cancel := context.WithCancel(r.Context())
		first := r.start(ctx, model.PowerCycle, nil)
		after(time.Second)
		cancel()
		ans := <-first
		wantErr(r.T, ans.err, model.Timeout, "cannot powercycle m1: the caller went away before anything was sent")
		if ans.took != time.Second {
			r.Errorf("the caller had to wait %v", ans.took)
		}
		synctest.Wait()
		r.device.SetFault("", "")
		if _, err := r.run(model.PowerOff, nil); err != nil {
			r.Errorf("the machine is not free: %v", err)
		}
		r.wantExecuted(map[string]int{model.PowerOff: 1})
	})
}

// A plan that was given up is not joined: its outcome is nobody's.
func TestPlanThatWasGivenUpIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver {
			return opening{d, func(s driver.Session, _ *driver.Target) driver.Session {
				<-let // deaf to its context
				return s
			}}
		})
		ctx, cancel := context.WithCancel(t.Context())
		first := r.start(ctx, model.PowerOff, nil)
		after(time.Second)
		cancel()
		<-first
		_, err := r.run(model.PowerOff, nil)
		if model.KindOf(err) != model.Busy {
			t.Errorf("want busy, got %v", err)
		}
		close(let)
		synctest.Wait()
		r.wantExecuted(nil)
	})
}

func TestOneOfTwoCallersLeaves(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.SetFault(toy.Silent, "")
		ctx, cancel := context.WithCancel(r.Context())
		first := r.start(ctx, model.PowerOff, nil)
		after(time.Second)
		second := r.start(r.Context(), model.PowerOff, nil)
		after(time.Second)
		cancel()
		if a := <-first; a.err == nil {
			r.Errorf("the first has an answer although it left: %+v", a.res)
		}
		r.device.SetFault("", "")
		if a := <-second; a.err != nil || a.res.Outcome != model.Verified {
			r.Errorf("the second: %+v, %v", a.res, a.err)
		}
		r.wantExecuted(map[string]int{model.PowerOff: 1})
	})
}

func TestCallerLeavesAfterTheFirstStep(t *testing.T) {
	for command, kind := range map[string]model.Kind{model.PowerCycle: model.UnknownOutcome, model.PowerOff: model.Timeout} {
		t.Run(command, func(t *testing.T) {
			bubble(t, toy.Steps, func(r *rig) {
				r.device.PowerDelay = 10 * time.Second
				ctx, cancel := context.WithTimeout(r.Context(), time.Second)
				defer cancel()
				ans := <-r.start(ctx, command, nil)
				text := "cannot " + command + " m1: waiting ended and the action goes on"
				if kind == model.Timeout {
					text += "; look at the machine for its outcome"
				}
				wantErr(t, ans.err, kind, text)
				after(time.Minute)
				want := map[string]int{model.PowerOff: 1}
				if command == model.PowerCycle {
					want[model.PowerOn] = 1
				}
				r.wantExecuted(want)
				if on := r.device.Power(); on != (command == model.PowerCycle) {
					t.Errorf("the machine is on: %v", on)
				}
			})
		})
	}
}

func TestCallerThatIsGoneAlready(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		ans := <-r.start(ctx, model.PowerOff, model.Params{"oob/wait": false})
		wantErr(r.T, ans.err, model.Timeout, "cannot poweroff m1: the caller went away before anything was sent")
		r.wantExecuted(nil)
	})
}

func TestNotWaiting(t *testing.T) {
	bubble(t, toy.Native, func(r *rig) {
		r.device.PowerDelay = 10 * time.Second
		ctx, cancel := context.WithCancel(r.Context())
		ans := <-r.start(ctx, model.PowerOff, model.Params{"oob/wait": false})
		cancel() // the request is answered and over
		wantResult(r.T, ans.res, ans.err, `{"outcome":"accepted","tookMs":0,"driver":"toy"}`)
		after(time.Second)
		_, err := r.run(model.PowerOn, nil)
		wantErr(r.T, err, model.Busy, "cannot poweron m1: poweroff is under way on it and ends in 89s at most; nothing was sent")
		after(10 * time.Second)
		if r.device.Power() {
			r.Error("the machine is on")
		}
		if _, err := r.run(model.PowerOn, nil); err != nil {
			r.Errorf("the machine is not free: %v", err)
		}
	})
}

// panics is a session with a defect.
type panics struct {
	*toy.NativeSession
	secret string
}

func (s panics) PowerReset(context.Context) error { panic("no such register in " + s.secret) }
func (s panics) Health(context.Context) (any, error) {
	var none []string
	return none[0], nil
}

func TestPanicCostsOneAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, toy.Native, func(d *toy.Driver) driver.Driver {
			return opening{d, func(s driver.Session, t *driver.Target) driver.Session {
				return panics{s.(*toy.NativeSession), t.Params["toy/password"].(string)}
			}}
		})
		for command, kind := range map[string]model.Kind{model.PowerReset: model.UnknownOutcome, model.Status: model.Internal} {
			_, err := r.run(command, nil)
			if model.KindOf(err) != kind {
				t.Errorf("%s: want %s, got %v", command, kind, err)
			}
		}
		if _, err := r.run(model.PowerStatus, nil); err != nil {
			t.Errorf("after it: %v", err)
		}
		wantLogged(t, r, "driver panicked", "no such register in ******", "gate_test.go")
	})
}
